//! The tables, held against each other, libc, and the headers of this machine.

use super::*;
use std::collections::BTreeMap;

#[test]
fn names_and_numbers_are_found_again() {
    for arch in Arch::all() {
        let mut last = "";
        for (name, number) in arch.calls() {
            assert!(last < name, "{arch}: {last} before {name}");
            last = name;
            assert_eq!(arch.number(name), Some(number), "{arch}");
            let found = arch.name(number).unwrap();
            // Two names of 32-bit ARM stand for one call.
            assert!(found == name || number == 341, "{arch}: {number} is {name}, found {found}");
        }
        assert_eq!(arch.number("no_such_call"), None);
        assert_eq!(arch.name(400_000), None);
    }
    assert_eq!(unknown(["openat2", "open_at_2"].into_iter()).collect::<Vec<_>>(), ["open_at_2"]);
}

#[test]
fn calls_since_5_1_have_the_same_number_everywhere() {
    for (name, number) in Arch::X86_64.calls().filter(|(_, number)| *number >= 424) {
        for arch in Arch::all() {
            let wanted = if arch == Arch::X32 { number | X32_BIT } else { number };
            // Not wired up on 32-bit ARM.
            if (arch, name) != (Arch::Arm, "memfd_secret") {
                assert_eq!(arch.number(name), Some(wanted), "{arch}: {name}");
            }
        }
    }
}

#[test]
fn names_are_read_back() {
    for arch in Arch::all() {
        assert_eq!(arch.to_string().parse::<Arch>().unwrap(), arch);
        assert_eq!(format!("SCMP_ARCH_{arch}").parse::<Arch>().unwrap(), arch);
    }
    assert_eq!("NATIVE".parse::<Arch>().ok(), Arch::native());
    assert_eq!("VAX".parse::<Arch>().unwrap_err().kind(), ErrorKind::Architecture);
}

/// The headers are older or newer than the tables, but never say anything else.
#[test]
fn the_headers_of_this_machine_agree() {
    let headers = [
        (Arch::X86_64, "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
        (Arch::X86, "/usr/include/x86_64-linux-gnu/asm/unistd_32.h"),
        (Arch::X32, "/usr/include/x86_64-linux-gnu/asm/unistd_x32.h"),
    ];
    for (arch, path) in headers {
        let Ok(text) = std::fs::read_to_string(path) else {
            eprintln!("{arch} is not compared: there is no {path}");
            continue;
        };
        let mut seen = BTreeMap::new();
        for line in text.lines().filter_map(|line| line.strip_prefix("#define __NR_")) {
            let (name, value) = line.split_once(' ').unwrap();
            let (bit, digits) = match value.strip_prefix("(__X32_SYSCALL_BIT + ") {
                Some(rest) => (X32_BIT, rest.trim_end_matches(')')),
                None => (0, value),
            };
            if let Ok(number) = digits.trim().parse::<u32>() {
                seen.insert(name, number + bit);
            }
        }
        assert!(seen.len() > 300, "{path}");
        for (name, number) in seen {
            match arch.number(name) {
                Some(ours) => assert_eq!(ours, number, "{arch}: {name}"),
                None => assert!(number & !X32_BIT > 471, "{arch}: {name} is missing"),
            }
        }
    }
}
