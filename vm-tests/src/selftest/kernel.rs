//! Kernels in trouble: a real panic, and what the console looks like in the other cases.
//!
//! Only the panic is real: stock kernels have no way to be made to oops or to lock up on request. The
//! lines of the others are those of real kernels, written to the kernel's log.

use super::log;
use crate::registry::{Context, Result, Test};
use std::fs;
use std::time::Duration;

pub(super) const TESTS: &[Test] = &[
    Test::selftest("selftest-panic", "The kernel panics: the lab failed", panic).fresh(),
    Test::selftest("selftest-oops", "The console shows an oops: the lab failed", oops).fresh(),
    Test::selftest("selftest-bug", "The console shows a BUG: the lab failed", bug).fresh(),
    Test::selftest("selftest-soft-lockup", "The console shows a soft lockup: the lab failed", soft_lockup)
        .fresh(),
    Test::selftest("selftest-rcu-stall", "The console shows an RCU stall: the lab failed", rcu_stall).fresh(),
    Test::selftest("selftest-hung-task", "The console shows a hung task: the lab failed", hung_task).fresh(),
    Test::selftest("selftest-warn", "The console shows a warning, which is no trouble: a pass", warn),
];

fn panic(_: &mut Context) -> Result {
    fs::write("/proc/sys/kernel/sysrq", "1")?;
    fs::write("/proc/sysrq-trigger", "c")?;
    std::thread::sleep(Duration::from_mins(10));
    Ok(())
}

fn oops(_: &mut Context) -> Result {
    log("<1>BUG: kernel NULL pointer dereference, address: 0000000000000000")?;
    log("<4>Oops: 0002 [#1] SMP NOPTI")
}

fn bug(_: &mut Context) -> Result {
    log("<2>kernel BUG at mm/slub.c:320!")?;
    log("<4>invalid opcode: 0000 [#1] PREEMPT SMP NOPTI")
}

fn soft_lockup(_: &mut Context) -> Result {
    log("<0>watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [guest:77]")
}

fn rcu_stall(_: &mut Context) -> Result {
    log("<3>rcu: INFO: rcu_sched self-detected stall on CPU")
}

fn hung_task(_: &mut Context) -> Result {
    log("<3>INFO: task guest:77 blocked for more than 120 seconds.")
}

fn warn(_: &mut Context) -> Result {
    log("<4>WARNING: CPU: 0 PID: 77 at kernel/fork.c:1 selftest+0x0/0x10")
}
