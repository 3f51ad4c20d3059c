//! Tests of `cofferdam-seccomp`.

use crate::registry::{Context, Result, Test};
use std::collections::BTreeSet;
use std::fs;

pub(super) const TESTS: &[Test] = &[Test::integration(
    "seccomp::actions",
    "The actions that are probed are those that the kernel lists",
    actions,
)];

fn actions(_: &mut Context) -> Result {
    let listed = fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail")?;
    let probed = cofferdam_seccomp::available_actions()?;
    let probed: BTreeSet<&str> = probed.into_iter().map(cofferdam_seccomp::Action::kernel_name).collect();
    ensure_eq!(probed, listed.split_whitespace().collect::<BTreeSet<_>>(), "the actions");
    Ok(())
}
