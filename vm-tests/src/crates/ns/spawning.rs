//! Commands in namespaces.

use super::mapped;
use crate::crates::child;
use crate::guest::{cgroups, paths};
use crate::registry::{Context, OrFail, Result};
use cofferdam_ns::{
    ErrorKind, Exit, IdMaps, Isolation, NamespaceLimits, Namespaces, NsKind, Spawn, Stdio, become_subreaper,
};
use cofferdam_sys::hidden::{CLONE3, hide};
use cofferdam_sys::{Errno, facility};
use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn init(words: &[&str]) -> Spawn {
    Spawn::new(paths::INIT).args(words).env_clear()
}

pub(super) fn command(_: &mut Context) -> Result {
    let asked = ["file:/proc/sys/kernel/hostname", "link:/proc/self/ns/user", "list:/proc/self/fd"];
    let child = init(&[&["facts"], &asked[..]].concat())
        .ids(mapped())
        .unshare(Namespaces::all())
        .limits(NamespaceLimits::none())
        .hostname("inside")
        .sysctl("kernel.domainname", "example")
        .current_dir("/proc");
    let output = child.output()?;
    ensure_eq!(output.exit, Exit::Code(0), "its end; it wrote {:?}", String::from_utf8_lossy(&output.stderr));
    let facts: BTreeMap<String, String> = serde_json::from_slice(&output.stdout)?;
    ensure_eq!(facts.get(asked[0]).map(String::as_str), Some("inside\n"), "the host name inside");
    let host = fs::read_link("/proc/self/ns/user")?;
    ensure!(
        facts.get(asked[1]).or_fail(asked[1])? != &*host.to_string_lossy(),
        "its user namespace is the host's"
    );
    ensure_eq!(
        facts.get(asked[2]).map(String::as_str),
        Some("0\n1\n2\n3"),
        "its descriptors and that of the listing"
    );

    let mut sleeper = init(&["sleep", "3600"]).unshare(Namespaces::PID).kill_on_drop(true).spawn()?;
    ensure_eq!(sleeper.try_wait()?, None, "the end of one that sleeps");
    sleeper.kill()?;
    ensure_eq!(sleeper.wait_timeout(Duration::from_secs(20))?, Some(Exit::Signal(9)), "its end");
    Ok(())
}

pub(super) fn command_as_user(_: &mut Context) -> Result {
    super::as_user(|| {
        let asked = "file:/proc/self/status";
        let output = init(&["facts", asked])
            .ids(IdMaps::caller_as_root())
            .unshare(Namespaces::all())
            .limits(NamespaceLimits::no_user_namespaces())
            .output()?;
        let facts: BTreeMap<String, String> = serde_json::from_slice(&output.stdout)?;
        let status = facts.get(asked).or_fail(asked)?;
        ensure!(status.contains("Uid:\t0\t0\t0\t0"), "its status: {status}");
        Ok(())
    })
}

pub(super) fn failure(_: &mut Context) -> Result {
    let children = || fs::read_to_string("/proc/thread-self/children");
    let before = children()?;
    let error = Spawn::new("/no/such/program").unshare(Namespaces::PID).spawn().err().or_fail("a failure")?;
    ensure_eq!(error.kind(), ErrorKind::Exec(Errno::ENOENT), "a program that is not there");
    let named = init(&["facts"]).ids(mapped()).current_dir("/no/such/directory");
    let error = named.spawn().err().or_fail("a failure")?;
    ensure_eq!(error.kind(), ErrorKind::Os(Errno::ENOENT), "a directory that is not there");
    ensure!(error.to_string().starts_with("enter the working directory"), "the error says {error}");
    let error = super::as_user(|| Ok(init(&["facts"]).unshare(Namespaces::NET).spawn().err()))?;
    let error = error.or_fail("a refusal")?;
    ensure_eq!(error.kind(), ErrorKind::Os(Errno::EPERM), "a network namespace for an unprivileged user");
    ensure!(error.to_string().contains("new net namespaces"), "the error says {error}");
    ensure_eq!(children()?, before, "the children of this thread");
    Ok(())
}

pub(super) fn from_threads(_: &mut Context) -> Result {
    let descriptors = || -> Result<usize> { Ok(fs::read_dir("/proc/self/fd")?.count()) };
    let before = descriptors()?;
    let stop = AtomicBool::new(false);
    let all = std::thread::scope(|scope| {
        for size in [100usize, 10_000] {
            let stop = &stop;
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::black_box(vec![1u8; size]);
                }
            });
        }
        let spawners: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| -> Result {
                    for _ in 0..3 {
                        let spawn = init(&["facts"]).ids(mapped()).unshare(Namespaces::PID | Namespaces::UTS);
                        ensure_eq!(
                            spawn.stdout(Stdio::Null).spawn()?.wait()?,
                            Exit::Code(0),
                            "a child's end"
                        );
                    }
                    Ok(())
                })
            })
            .collect();
        let ends: Vec<_> = spawners.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        stop.store(true, Ordering::Relaxed);
        ends
    });
    for end in all {
        end.ok().or_fail("a thread that spawns")??;
    }
    ensure_eq!(descriptors()?, before, "the descriptors that are open");
    Ok(())
}

/// Runs `test` in a thread that has no `clone3(2)`, as inside an engine with an old filter.
fn hidden(test: impl FnOnce() -> Result + Send) -> Result {
    let without = || {
        hide(&[CLONE3])?;
        ensure_eq!(facility::has_clone3()?, false, "clone3, where it is hidden");
        test()
    };
    std::thread::scope(|scope| scope.spawn(without).join()).ok().or_fail("the thread without clone3")?
}

pub(super) fn without_clone3(_: &mut Context) -> Result {
    hidden(|| {
        let asked: Vec<String> = NsKind::ALL.map(|kind| format!("link:/proc/self/ns/{kind}")).into();
        let mut facts: Vec<&str> = asked.iter().map(String::as_str).collect();
        facts.push("file:/proc/self/status");
        let isolation = Isolation { new: Namespaces::all(), ids: Some(mapped()), ..Isolation::default() };
        let facts = child::ask(&isolation, None, vec![], &facts)?;
        for (kind, asked) in NsKind::ALL.iter().zip(&asked) {
            let own = fs::read_link(format!("/proc/self/ns/{kind}"))?;
            ensure!(facts.get(asked)? != own.to_string_lossy(), "its {kind} namespace is the host's");
        }
        ensure!(facts.status("NSpid")?.ends_with(" 1"), "its process ids: {}", facts.status("NSpid")?);
        ensure_eq!(facts.status("Uid")?, "0 0 0 0", "user ids inside");
        Ok(())
    })
}

pub(super) fn without_clone3_cgroup(_: &mut Context) -> Result {
    let path = cgroups::CASE_V2.iter().map(std::path::Path::new).find(|path| path.is_dir());
    let path = path.or_fail("the cgroup of this case")?.join("born");
    fs::create_dir(&path)?;
    let cgroup = fs::File::open(&path)?;
    let outcome = hidden(|| {
        let asked = "file:/proc/self/cgroup";
        let new = Namespaces::CGROUP;
        let isolation = Isolation { new, ..Isolation::default() };
        let facts = child::ask(&isolation, Some(cgroup.as_fd()), vec![], &[asked])?;
        // Its cgroup namespace was made when it was there already.
        ensure!(facts.get(asked)?.lines().any(|line| line == "0::/"), "its cgroup: {}", facts.get(asked)?);
        Ok(())
    });
    fs::remove_dir(&path)?;
    outcome
}

pub(super) fn subreaper(_: &mut Context) -> Result {
    become_subreaper()?;
    ensure!(rustix::process::child_subreaper()?.is_some(), "this process is no sub-reaper");
    Ok(())
}
