//! The lists are complete, and mean what they say.

use std::collections::BTreeSet;

use cofferdam_sys::seccomp::CallData;

use super::*;
use crate::{Arch, Filter};

const EPERM: Answer = Answer::Errno(1);
const NO_FAMILY: Answer = Answer::Errno(97);

fn said(filter: &Filter, arch: Arch, name: &str, arguments: [u64; 6]) -> Answer {
    let number = arch.number(name).unwrap_or_else(|| panic!("{name}")).cast_signed();
    let call = CallData { number, arch: arch.audit(), instruction_pointer: 0, arguments };
    filter.ask(&call).unwrap().answer()
}

fn all() -> Profile {
    Profile { architectures: Arch::all().collect(), ..Profile::hardened() }
}

#[test]
fn each_call_is_in_one_list() {
    let refused = REFUSED.iter().flat_map(|refused| refused.names);
    let conditional = CONDITIONAL.iter().flat_map(|conditional| conditional.names);
    let mut seen = BTreeSet::new();
    for name in ALLOWED.iter().chain(refused).chain(conditional) {
        assert!(seen.insert(*name), "{name} is in two lists");
        assert_eq!(crate::arch::unknown(std::iter::once(name)).next(), None, "{name} is no call");
    }
    for arch in Arch::all() {
        let missing: Vec<&str> =
            arch.calls().map(|(name, _)| name).filter(|name| !seen.contains(name)).collect();
        assert!(missing.is_empty(), "{arch}: {missing:?}");
    }
}

#[test]
fn lists_mean_what_they_say_on_every_architecture() {
    let filter = Filter::compile(&all()).unwrap();
    for arch in Arch::all() {
        for name in ALLOWED.iter().filter(|name| arch.number(name).is_some()) {
            assert_eq!(said(&filter, arch, name, [7; 6]), Answer::Allow, "{arch}: {name}");
        }
        for refused in REFUSED {
            for name in refused.names.iter().filter(|name| arch.number(name).is_some()) {
                let wanted = Answer::Errno(number(refused.errno));
                assert_eq!(said(&filter, arch, name, [0; 6]), wanted, "{arch}: {name}");
            }
        }
    }
}

#[test]
fn families_are_an_allow_list() {
    let filter = Filter::compile(&all()).unwrap();
    // The kernel takes `int family, int type, int protocol`: what is above does not count.
    let above = |value: u64| [value, value | 1 << 32, value | u64::MAX << 32];
    for arch in [Arch::X86_64, Arch::X32, Arch::Aarch64] {
        for family in 0..64 {
            for protocol in [0, 1, 6, 17, 58, 132, 262, 15, 9] {
                let wanted = match (family, protocol) {
                    (1, _) | (2, 0 | 1 | 6 | 17) | (10, 0 | 6 | 17 | 58) | (16, 0) => Answer::Allow,
                    _ => NO_FAMILY,
                };
                for (family, protocol) in above(family).into_iter().zip(above(protocol)) {
                    let arguments = [family, 1, protocol, 0, 0, 0];
                    assert_eq!(said(&filter, arch, "socket", arguments), wanted, "{arch}: {arguments:x?}");
                }
            }
            let wanted = if family == 1 { Answer::Allow } else { NO_FAMILY };
            assert_eq!(
                said(&filter, arch, "socketpair", [family, 1, 0, 0, 0, 0]),
                wanted,
                "{arch}: {family}"
            );
        }
    }
    assert_eq!(said(&filter, Arch::X86, "socketcall", [1, 0, 0, 0, 0, 0]), Answer::Errno(38));
}

#[test]
fn arguments_are_compared_as_wide_as_the_kernel_takes_them() {
    let filter = Filter::compile(&all()).unwrap();
    let cases: &[(&str, usize, u64, Answer)] = &[
        ("clone", 0, 0x11, Answer::Allow),
        ("clone", 0, 0x1000_0011, EPERM),
        ("clone", 0, 0x1_1000_0011, EPERM),
        ("clone", 0, 0x2_0000, EPERM),
        // The exit signal 128 is none, and no time namespace.
        ("clone", 0, 0x80, Answer::Allow),
        ("unshare", 0, 0x400, Answer::Allow),
        ("unshare", 0, 0x80, EPERM),
        ("unshare", 0, 0x4000_0000, EPERM),
        ("ioctl", 1, 0x5401, Answer::Allow),
        ("ioctl", 1, 0x5412, EPERM),
        ("ioctl", 1, 0xffff_ffff_0000_5412, EPERM),
        ("ioctl", 1, 0x541c, EPERM),
        ("ioctl", 1, 0x5423, EPERM),
        ("ioctl", 1, 0x541d, EPERM),
        ("personality", 0, 0, Answer::Allow),
        ("personality", 0, 0xffff_ffff, Answer::Allow),
        ("personality", 0, u64::MAX, Answer::Allow),
        ("personality", 0, 0x4_0000, EPERM),
        ("personality", 0, 0x1_0004_0000, EPERM),
        ("mknod", 1, 0o644, Answer::Allow),
        ("mknod", 1, 0o010_644, Answer::Allow),
        ("mknod", 1, 0o020_644, EPERM),
        ("mknod", 1, 0o060_644, EPERM),
        ("mknod", 1, 0x1_0000 | 0o060_644, EPERM),
        ("mknodat", 2, 0o140_644, Answer::Allow),
        ("mknodat", 2, 0o060_644, EPERM),
    ];
    for arch in [Arch::X86_64, Arch::X86, Arch::X32] {
        for (name, argument, value, wanted) in cases {
            let mut arguments = [0; 6];
            // A register of 32 bits has nothing above.
            arguments[*argument] = if arch == Arch::X86 { value & 0xffff_ffff } else { *value };
            assert_eq!(said(&filter, arch, name, arguments), *wanted, "{arch}: {name} {value:#x}");
        }
    }
}

#[test]
fn newer_calls_are_missing_and_foreign_ones_kill() {
    let native = Profile { architectures: vec![Arch::X86_64], ..Profile::hardened() };
    let filter = Filter::compile(&native).unwrap();
    for number in [472, 600, 0x3fff_ffff, -1] {
        let call = CallData { number, arch: Arch::X86_64.audit(), ..CallData::default() };
        assert_eq!(filter.ask(&call).unwrap().answer(), Answer::Errno(38), "{number:#x}");
    }
    assert_eq!(said(&filter, Arch::X32, "read", [0; 6]), Answer::KillProcess);
    assert_eq!(said(&filter, Arch::X86, "read", [0; 6]), Answer::KillProcess);
}

#[test]
fn what_a_program_needs_can_be_given_back() {
    let profile = Profile { architectures: vec![Arch::X86_64], ..Profile::hardened() };
    let profile = profile.allow(&["ptrace", "personality", "clone3"]);
    let filter = Filter::compile(&profile).unwrap();
    assert_eq!(said(&filter, Arch::X86_64, "ptrace", [0; 6]), Answer::Allow);
    assert_eq!(said(&filter, Arch::X86_64, "clone3", [0; 6]), Answer::Allow);
    assert_eq!(said(&filter, Arch::X86_64, "personality", [0x4_0000, 0, 0, 0, 0, 0]), Answer::Allow);
}

#[test]
fn the_page_is_what_the_lists_say() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/seccomp.md");
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == page(),
        "docs/seccomp.md is out of date: cargo run -p cofferdam-seccomp --example hardened_page"
    );
}
