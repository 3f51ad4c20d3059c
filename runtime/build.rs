//! Links the program with the entry point that seals it; see `cofferdam_sys::own_binary`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |name: &str| std::env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    if target("ARCH") == "x86_64" && target("OS") == "linux" {
        println!("cargo::rustc-link-arg-bin=cofferdam=-Wl,-e,cofferdam_entry");
    }
}
