//! Every number, called under the hardened profile, gives what the profile says.
//!
//! Errors of the filter are replaced by numbers that the kernel never gives, so that a refused call cannot be
//! taken for one that the kernel itself refuses. Calls are made with all ones, at which each fails or is harmless;
//! the few that end, fork or stop the caller are not made (`cofferdam_sys::attempts::calls`).

use super::{KILLED, ask, end, ones};
use crate::registry::{Context, OrFail, Result, Test};
use cofferdam_seccomp::{Answer, Arch, Filter, Profile};

pub(in super::super) const TESTS: &[Test] = &[
    Test::integration(
        "seccomp::sweep-native",
        "Every number from 0 to 599 gives what the hardened profile says",
        |_| sweep(Arch::native().or_fail("a table")?, "native"),
    ),
    Test::integration("seccomp::sweep-x32", "The same with the numbers of x32", |_| sweep(Arch::X32, "x32")),
    Test::integration("seccomp::sweep-i386", "The same through int 0x80", |_| sweep(Arch::X86, "i386")),
    Test::integration(
        "seccomp::sweep-foreign",
        "Where x32 and i386 are not listed, any number kills",
        foreign,
    ),
];

/// Errors from here on are the filter's.
const BASE: u16 = 3000;

fn marked(answer: Answer) -> Answer {
    match answer {
        Answer::Errno(number) => Answer::Errno(BASE + number),
        other => other,
    }
}

fn sweep(arch: Arch, name: &str) -> Result {
    if !arch.is_possible() {
        skip!("the machine makes no calls of {arch}");
    }
    let mut profile =
        Profile { architectures: vec![Arch::native().or_fail("a table")?, arch], ..Profile::hardened() };
    profile.default = marked(profile.default);
    profile.newer = profile.newer.map(marked);
    for rule in &mut profile.rules {
        rule.answer = marked(rule.answer);
    }
    let fact = format!("sweep:{name}:0-600");
    let facts = ask(&Filter::compile(&profile)?, &[&fact])?;
    let bit = if arch == Arch::X32 { cofferdam_seccomp::arch::X32_BIT } else { 0 };
    let (mut allowed, mut refused, mut left_out) = (0, 0, 0);
    for line in facts.get(&fact)?.lines() {
        let (number, found) = line.split_once(' ').or_fail("two words")?;
        let number = number.parse::<u32>()? | bit;
        let call = arch.name(number).unwrap_or("no call");
        let from_filter =
            found.strip_prefix('!').and_then(|digits| digits.parse::<u16>().ok()).filter(|n| *n >= BASE);
        match (profile.answer(&ones(arch, number))?, found) {
            (_, "-") => left_out += 1,
            (Answer::Errno(wanted), _) => {
                ensure_eq!(from_filter, Some(wanted), "{call} ({number:#x}) gave {found}");
                refused += 1;
            }
            (Answer::Allow, _) => {
                ensure_eq!(from_filter, None, "{call} ({number:#x}), which is allowed");
                allowed += 1;
            }
            (other, _) => fail!("{call} ({number:#x}): {other} in the hardened profile"),
        }
    }
    ensure!(allowed > 150 && refused > 100, "{allowed} allowed, {refused} refused");
    ensure_eq!(allowed + refused + left_out, 600, "numbers, {left_out} left out");
    ensure!(left_out <= 9, "{left_out} are left out");
    Ok(())
}

/// A sample, for each kills a process of its own.
fn foreign(_: &mut Context) -> Result {
    if Arch::native() != Some(Arch::X86_64) {
        skip!("the machine is no x86-64");
    }
    let filter = Filter::compile(&Profile::hardened())?;
    for number in [0, 20, 39, 102, 248, 329, 425, 514, 599] {
        for name in ["x32", "i386"] {
            let fact = format!("sweep:{name}:{number}-{}", number + 1);
            ensure_eq!(end(&filter, &fact)?, KILLED, "the end of who makes call {number} of {name}");
        }
    }
    Ok(())
}
