//! Writes `docs/seccomp.md` from the lists of the hardened profile.

fn main() -> std::io::Result<()> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/seccomp.md");
    std::fs::write(path, cofferdam_seccomp::hardened::page())
}
