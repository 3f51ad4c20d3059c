//! Writes the tables of system calls in `src/arch/tables/` from the kernel's own headers.
//!
//! ```text
//! apt-get install linux-libc-dev linux-libc-dev-arm64-cross linux-libc-dev-armhf-cross
//! cargo run -p cofferdam-seccomp --example generate_tables
//! ```
//! The numbers are what the C preprocessor makes of `asm/unistd*.h`. Headers of an older kernel lack the
//! newest calls: [`NEWER`] has those, whose numbers are the same on all architectures since Linux 5.1.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// The calls after those of Linux 6.1, as of Linux 7.0 (`scripts/syscall.tbl` of the kernel's source).
const NEWER: [(&str, u32); 21] = [
    ("cachestat", 451),
    ("fchmodat2", 452),
    ("map_shadow_stack", 453),
    ("futex_wake", 454),
    ("futex_wait", 455),
    ("futex_requeue", 456),
    ("statmount", 457),
    ("listmount", 458),
    ("lsm_get_self_attr", 459),
    ("lsm_set_self_attr", 460),
    ("lsm_list_modules", 461),
    ("mseal", 462),
    ("setxattrat", 463),
    ("getxattrat", 464),
    ("listxattrat", 465),
    ("removexattrat", 466),
    ("open_tree_attr", 467),
    ("file_getattr", 468),
    ("file_setattr", 469),
    ("listns", 470),
    ("rseq_slice_yield", 471),
];

/// One architecture: its file, the header, where the header is, what the preprocessor is told, and calls
/// that only this one has got since Linux 6.1.
struct Source {
    file: &'static str,
    about: &'static str,
    header: &'static str,
    include: Option<&'static str>,
    arguments: &'static [&'static str],
    own: &'static [(&'static str, u32)],
}

const SOURCES: [Source; 5] = [
    Source {
        file: "x86_64",
        about: "x86-64",
        header: "asm/unistd_64.h",
        include: None,
        arguments: &[],
        own: &[("uretprobe", 335), ("uprobe", 336)],
    },
    Source {
        file: "x32",
        about: "x32, bit 30 of each number included",
        header: "asm/unistd_x32.h",
        include: None,
        arguments: &["-D__X32_SYSCALL_BIT=0x40000000"],
        own: &[("uretprobe", 0x4000_0000 + 335), ("uprobe", 0x4000_0000 + 336)],
    },
    Source { file: "x86", about: "i386", header: "asm/unistd_32.h", include: None, arguments: &[], own: &[] },
    Source {
        file: "aarch64",
        about: "64-bit ARM",
        header: "asm/unistd.h",
        include: Some("/usr/aarch64-linux-gnu/include"),
        arguments: &[],
        own: &[],
    },
    Source {
        file: "arm",
        about: "32-bit ARM with the EABI",
        header: "asm/unistd.h",
        include: Some("/usr/arm-linux-gnueabihf/include"),
        arguments: &["-D__ARM_EABI__"],
        own: &[],
    },
];

fn main() -> Result<(), Box<dyn Error>> {
    let tables = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/arch/tables");
    for source in &SOURCES {
        let calls = read(source)?;
        let path = tables.join(source.file).with_extension("rs");
        std::fs::write(&path, write(source, &calls)?)?;
        println!("{}: {} calls", path.display(), calls.len());
    }
    Ok(())
}

/// The calls of an architecture by name.
fn read(source: &Source) -> Result<BTreeMap<String, u32>, Box<dyn Error>> {
    let mut command = Command::new("cc");
    command.args(["-E", "-dM", "-x", "c", "-include", source.header]).args(source.arguments);
    if let Some(include) = source.include {
        command.arg("-nostdinc").arg("-I").arg(include);
    }
    let output = command.arg("/dev/null").stdin(Stdio::null()).output()?;
    if !output.status.success() {
        return Err(format!("cc {}: {}", source.header, String::from_utf8_lossy(&output.stderr)).into());
    }
    let text = String::from_utf8(output.stdout)?;
    let macros: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("#define ")?.split_once(' '))
        .map(|(name, value)| (name, value.trim()))
        .collect();
    let mut calls = BTreeMap::new();
    for (macro_name, name) in macros.keys().filter_map(|key| Some((*key, call(key)?))) {
        let number = value(&macros, macro_name, 0)
            .ok_or_else(|| format!("{}: {macro_name} is no number", source.header))?;
        calls.insert(name.to_owned(), number);
    }
    let bit = if source.file == "x32" { 0x4000_0000 } else { 0 };
    calls.extend(NEWER.iter().map(|(name, number)| ((*name).to_owned(), number + bit)));
    calls.extend(source.own.iter().map(|(name, number)| ((*name).to_owned(), *number)));
    Ok(calls)
}

/// The name of the call that a macro stands for.
fn call(macro_name: &str) -> Option<&str> {
    /// Bounds and bases, which are no calls.
    const OTHERS: [&str; 6] =
        ["syscalls", "arch_specific_syscall", "SYSCALL_BASE", "OABI_SYSCALL_BASE", "SYSCALL_MASK", "BASE"];
    // `__ARM_NR_` are the private calls of 32-bit ARM, such as `set_tls`.
    let name = macro_name.strip_prefix("__NR_").or_else(|| macro_name.strip_prefix("__ARM_NR_"))?;
    (!OTHERS.contains(&name) && !name.starts_with("compat_")).then_some(name)
}

/// What a macro comes to: a number, another macro, or the sum of two of them in parentheses.
fn value(macros: &BTreeMap<&str, &str>, text: &str, depth: u32) -> Option<u32> {
    let text = text.trim().trim_start_matches('(').trim_end_matches(')');
    if depth > 8 {
        return None;
    }
    if let Some((left, right)) = text.split_once('+') {
        return value(macros, left, depth + 1)?.checked_add(value(macros, right, depth + 1)?);
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return u32::from_str_radix(digits, 16).ok();
    }
    text.parse().ok().or_else(|| value(macros, macros.get(text)?, depth + 1))
}

/// The file: names with numbers in the order of names, and the places of that list in the order of numbers.
fn write(source: &Source, calls: &BTreeMap<String, u32>) -> Result<String, Box<dyn Error>> {
    let mut text = format!(
        "//! The system calls of {}. Generated by `examples/generate_tables.rs`; do not edit.\n\n\
         table! {{\n    by_name: [\n",
        source.about
    );
    let mut order: Vec<(u32, usize)> = Vec::new();
    for (place, (name, number)) in calls.iter().enumerate() {
        let digits = if *number > 0xffff {
            format!("{number:#x}").replace("0x4000", "0x4000_")
        } else {
            number.to_string()
        };
        writeln!(text, "        (\"{name}\", {digits}),")?;
        order.push((*number, place));
    }
    order.sort_unstable();
    text.push_str("    ],\n    by_number: [");
    for (count, (_, place)) in order.iter().enumerate() {
        text.push_str(if count % 20 == 0 { "\n        " } else { " " });
        write!(text, "{place},")?;
    }
    text.push_str("\n    ],\n}\n");
    Ok(text)
}
