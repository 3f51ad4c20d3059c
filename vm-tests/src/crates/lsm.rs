//! Tests of `cofferdam-lsm`.

use crate::registry::{Context, OrFail, Result, Test};
use std::fs;

pub(super) const TESTS: &[Test] = &[
    Test::integration("lsm::active", "The active LSMs are those that the kernel lists", active),
    Test::integration("lsm::landlock", "The Landlock ABI is there where Landlock is active", landlock),
];

fn active(_: &mut Context) -> Result {
    let listed = fs::read_to_string("/sys/kernel/security/lsm").or_fail("reading the active LSMs")?;
    let active = cofferdam_lsm::active()?;
    ensure_eq!(active.iter().collect::<Vec<_>>(), listed.trim().split(',').collect::<Vec<_>>(), "the LSMs");
    ensure!(active.contains("capability"), "`capability` is always active: {listed}");
    ensure!(!active.contains("capabil"), "a part of a name is no name");
    Ok(())
}

fn landlock(_: &mut Context) -> Result {
    let active = cofferdam_lsm::active()?.contains("landlock");
    let abi = cofferdam_lsm::landlock_abi()?;
    ensure_eq!(abi.is_some(), active, "whether there is a Landlock ABI");
    ensure!(abi.is_none_or(|abi| abi > 0), "ABI {abi:?}");
    Ok(())
}
