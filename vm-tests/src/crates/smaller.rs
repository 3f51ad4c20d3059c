//! The crates that are small today: netbridge, seccomp, lsm.

use super::child;
use crate::registry::{Context, OrFail, Result, Test};
use cofferdam_ns::{Isolation, Namespaces};
use std::collections::BTreeSet;
use std::fs;

pub(super) const TESTS: &[Test] = &[
    Test::integration(
        "netbridge::loopback",
        "A new network namespace has its loopback device up when asked, and down when not",
        loopback,
    ),
    Test::integration(
        "seccomp::actions",
        "The actions that are probed are those that the kernel lists",
        actions,
    ),
    Test::integration("lsm::active", "The active LSMs are those that the kernel lists", active),
    Test::integration("lsm::landlock", "The Landlock ABI is there where Landlock is active", landlock),
];

fn loopback(_: &mut Context) -> Result {
    /// The routes of a namespace, 127.0.0.1 among them only while the device is up.
    const ROUTES: &str = "file:/proc/self/net/fib_trie";
    let isolation = Isolation { new: Namespaces::NET, ..Isolation::default() };
    for up in [false, true] {
        let mut plan = child::plan(&["facts", ROUTES])?;
        isolation.lower(&mut plan);
        if up {
            cofferdam_netbridge::loopback_up(&mut plan);
        }
        let facts = child::ask_with(&isolation, None, plan)?;
        ensure_eq!(facts.get(ROUTES)?.contains("127.0.0.1"), up, "a route to 127.0.0.1");
    }
    Ok(())
}

fn actions(_: &mut Context) -> Result {
    let listed = fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail")?;
    let probed = cofferdam_seccomp::available_actions()?;
    let probed: BTreeSet<&str> = probed.into_iter().map(cofferdam_seccomp::Action::kernel_name).collect();
    ensure_eq!(probed, listed.split_whitespace().collect::<BTreeSet<_>>(), "the actions");
    Ok(())
}

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
