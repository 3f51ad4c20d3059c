//! Who may install a filter, and where.

use super::{MARK, MARKED, only};
use crate::crates::child;
use crate::crates::kernel::since;
use crate::crates::ns;
use crate::registry::{Context, OrFail, Result, Test};
use cofferdam_caps::{CapSet, Ids, Sets, last_cap};
use cofferdam_ns::{Isolation, Namespaces};
use cofferdam_seccomp::{Answer, ErrorKind, Filter, FilterFlags, Profile, probe::PROBES};
use cofferdam_sys::attempts::calls::{Abi, with_ones};
use cofferdam_sys::{Errno, process};
use std::thread;

pub(in super::super) const TESTS: &[Test] = &[
    Test::integration("seccomp::probes", "Each probe says yes from its kernel on, and no before", probes),
    Test::integration(
        "seccomp::unprivileged",
        "Without no_new_privs a user installs no filter",
        unprivileged,
    ),
    Test::integration(
        "seccomp::user-namespace",
        "Root of a user namespace installs a filter without no_new_privs",
        user_namespace,
    ),
    Test::integration("seccomp::one-thread", "A filter is that of the thread that installs it", one_thread),
    Test::integration("seccomp::all-threads", "With TSYNC all threads get the filter", all_threads),
    Test::integration(
        "seccomp::unsupported-flag",
        "What the kernel does not have is refused before anything is started",
        unsupported,
    ),
];

fn probes(_: &mut Context) -> Result {
    for probe in PROBES {
        let (major, minor) = probe.since.split_once('.').or_fail("a version")?;
        let there = (probe.ask)().or_fail(probe.name)?;
        ensure_eq!(there, since(major.parse()?, minor.parse()?)?, "{}, since {}", probe.name, probe.since);
    }
    // Asking leaves nothing behind.
    let status = std::fs::read_to_string("/proc/self/status")?;
    ensure!(status.contains("Seccomp:\t0") && status.contains("NoNewPrivs:\t0"), "{status}");
    Ok(())
}

const GETPPID: &str = "call:native:getppid";

fn filter() -> Result<Filter> {
    Ok(Filter::compile(&only(Answer::Errno(MARK), &["getppid"]))?)
}

/// Installs a filter as a user with these capabilities.
fn as_user(sets: &Sets, no_new_privs: bool) -> Result<std::result::Result<String, String>> {
    let ids = Ids { uid: 1000, gid: 1000, set_groups: true, ..Ids::default() };
    let mut plan = child::plan(&["facts", GETPPID])?;
    sets.lower(&ids, no_new_privs, last_cap()?, &mut plan)?;
    filter()?.lower_last(&mut plan);
    match child::ask_with(&Isolation::default(), None, plan) {
        Ok(facts) => Ok(Ok(facts.get(GETPPID)?.to_owned())),
        Err(failure) => Ok(Err(failure.to_string())),
    }
}

fn unprivileged(_: &mut Context) -> Result {
    let refused = as_user(&Sets::default(), false)?;
    let message = refused.err().or_fail("a failure")?;
    ensure!(message.contains("install the system call filter: EACCES"), "{message}");
    ensure_eq!(as_user(&Sets::default(), true)?, Ok(MARKED.to_owned()), "with no_new_privs");
    Ok(())
}

fn user_namespace(_: &mut Context) -> Result {
    let isolation = Isolation { new: Namespaces::USER, ids: Some(ns::mapped()), ..Isolation::default() };
    let mut plan = child::plan(&["facts", GETPPID, "file:/proc/self/status"])?;
    isolation.lower(&mut plan);
    plan.push("install the filter", filter()?.step(None));
    let ids = Ids { set_groups: true, ..Ids::default() };
    Sets::rooted(CapSet::EMPTY).lower(&ids, false, last_cap()?, &mut plan)?;
    let facts = child::ask_with(&isolation, None, plan)?;
    ensure_eq!(facts.get(GETPPID)?, MARKED, "a refused call");
    ensure_eq!(facts.status("NoNewPrivs")?, "0", "no_new_privs");
    ensure_eq!(facts.status("Seccomp")?, "2", "the mode");
    Ok(())
}

/// What `getppid` gives on the calling thread.
fn getppid() -> Option<i64> {
    let number = cofferdam_seccomp::Arch::native()?.number("getppid")?;
    with_ones(Abi::Native, number)
}

const REFUSED: Option<i64> = Some(-4000);

fn one_thread(_: &mut Context) -> Result {
    let filter = filter()?;
    let found = thread::spawn(move || {
        process::set_no_new_privs()?;
        filter.install().map(|()| getppid()).map_err(|_| Errno::EINVAL)
    });
    let found = found.join().map_err(|_| Errno::EIO)?;
    ensure_eq!(found?, REFUSED, "the call on the thread with the filter");
    ensure!(getppid() != REFUSED, "this thread has the filter too");
    Ok(())
}

/// This process is not needed afterwards, and makes no such call.
fn all_threads(_: &mut Context) -> Result {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let other = thread::spawn(move || wait.recv().map(|()| getppid()));
    process::set_no_new_privs()?;
    let profile = Profile { flags: FilterFlags::TSYNC, ..only(Answer::Errno(MARK), &["getppid"]) };
    Filter::compile(&profile)?.install()?;
    go.send(())?;
    let found = other.join().map_err(|_| Errno::EIO)?;
    ensure_eq!(found?, REFUSED, "the call on another thread");

    // A thread that has gone its own way cannot be given the filter, and then nobody gets it.
    let (ready, is_ready) = std::sync::mpsc::channel::<()>();
    let (end, wait) = std::sync::mpsc::channel::<()>();
    let own = filter()?;
    let diverged = thread::spawn(move || {
        let installed = own.install().is_ok();
        let _ = ready.send(());
        let _ = wait.recv();
        installed
    });
    is_ready.recv()?;
    let error = Filter::compile(&profile)?.install().err().or_fail("a failure")?;
    ensure_eq!(error.kind(), ErrorKind::Os(Errno::ESRCH), "{error}");
    end.send(())?;
    ensure!(diverged.join().map_err(|_| Errno::EIO)?, "the other thread had no filter");
    Ok(())
}

fn unsupported(_: &mut Context) -> Result {
    let profile = Profile { flags: FilterFlags::WAIT_KILLABLE_RECV, ..only(Answer::Notify, &["getppid"]) };
    let checked = Filter::compile(&profile)?.check_kernel();
    if since(5, 19)? {
        checked?;
    } else {
        let error = checked.err().or_fail("a failure")?;
        ensure_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        ensure!(error.to_string().contains("WAIT_KILLABLE_RECV (Linux 5.19)"), "{error}");
    }
    Ok(())
}
