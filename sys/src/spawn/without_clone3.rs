//! Spawning where a seccomp filter hides `clone3(2)`: the same, by `clone(2)`.

use std::ffi::CString;
use std::fs;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};

use crate::clone::Namespaces;
use crate::hidden::{CLONE3, by_the_runner, hide};
use crate::plan::{At, Exec, Plan, Step};
use crate::process::Exit;
use crate::spawn::{Failure, Request, spawn};
use crate::{Errno, facility, process};

/// Runs `test` as it is, which may be without `clone3(2)` already, and again in a thread that has none.
fn with_and_without(test: fn()) {
    assert_eq!(facility::has_clone3(), Ok(!by_the_runner("clone3")));
    test();
    let without = std::thread::spawn(move || {
        hide(&[CLONE3]).unwrap();
        assert_eq!(facility::has_clone3(), Ok(false));
        test();
    });
    without.join().unwrap();
}

fn shell(script: &str) -> Plan {
    let text = |text: &str| CString::new(text).unwrap();
    Plan::new(Exec {
        candidates: vec![text("/bin/sh")],
        args: vec![text("sh"), text("-c"), text(script)],
        env: vec![],
    })
}

/// What a shell in these namespaces prints, after its ids were mapped.
fn output(script: &str, request: &Request<'_>) -> String {
    let (mut read, write) = std::io::pipe().unwrap();
    let mut plan = shell(script);
    plan.push("wait", Step::WaitForParent);
    plan.push("become root", Step::Uid(0));
    plan.push("print to the pipe", Step::Duplicate { from: At::from(OwnedFd::from(write)), to: 1 });
    let mut spawning = spawn(&plan, request).unwrap();
    let uid = std::os::unix::fs::MetadataExt::uid(&fs::metadata("/proc/self").unwrap());
    fs::write(format!("/proc/{}/uid_map", spawning.pid()), format!("0 {uid} 1")).unwrap();
    spawning.release().unwrap();
    let child = spawning.finish().unwrap();
    drop(plan);
    let mut text = String::new();
    read.read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap(), Exit::Code(0));
    text
}

fn ask_for_all_namespaces() {
    let kinds = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];
    let request = Request { namespaces: Namespaces::all(), ..Request::default() };
    // /proc is the host's, where $$ is a stranger; its own links are still its own.
    let script = "readlink /proc/self/ns/* && echo $$";
    let inside = output(script, &request);
    let inside: Vec<&str> = inside.lines().collect();
    assert_eq!(inside.last(), Some(&"1"), "{inside:?}");
    for kind in kinds {
        let own = fs::read_link(format!("/proc/thread-self/ns/{kind}")).unwrap();
        assert!(!inside.contains(&own.to_str().unwrap()), "{kind}: {inside:?}");
        let same = inside.iter().filter(|line| line.starts_with(&format!("{kind}:["))).count();
        // The namespaces for children are those of the child itself.
        assert!((1..=2).contains(&same), "{kind}: {inside:?}");
    }
}

#[test]
fn all_namespaces() {
    if cannot_have_user_namespaces() {
        return;
    }
    with_and_without(ask_for_all_namespaces);
}

/// Where the host forbids them there is nothing to compare; said aloud, as the harness knows no skip.
fn cannot_have_user_namespaces() -> bool {
    let request = Request { namespaces: Namespaces::USER, ..Request::default() };
    match spawn(&shell("true"), &request) {
        Ok(_) => false,
        Err(failure) => {
            eprintln!("skipped, this host forbids user namespaces: {failure}");
            true
        }
    }
}

#[test]
fn failures_keep_their_names() {
    with_and_without(|| {
        let mut plan = shell("true");
        plan.push("fork", Step::Fork(Namespaces::empty()));
        plan.push("enter the nowhere", Step::ChangeDirectory(c"/nowhere".into()));
        let failure = spawn(&plan, &Request::default()).unwrap().finish().unwrap_err();
        assert!(failure.to_string().starts_with("enter the nowhere: ENOENT"), "{failure}");
        let bad = Request { exit_signal: Some(300), ..Request::default() };
        let failure = spawn(&plan, &bad).unwrap_err();
        assert!(matches!(failure, Failure::Clone { errno: Errno::EINVAL, .. }), "{failure}");
    });
}

extern "C" fn handler(_: libc::c_int) {
    // SAFETY: takes no pointer, does not return.
    unsafe { libc::_exit(77) }
}

#[test]
fn no_handler_of_the_parent_runs_in_the_child() {
    // SAFETY: the handler only ends its process, and only a child is sent the signal.
    unsafe { libc::signal(libc::SIGUSR2, handler as *const () as libc::sighandler_t) };
    with_and_without(|| {
        let mut plan = shell("true");
        plan.push("wait", Step::WaitForParent);
        let mut spawning = spawn(&plan, &Request::default()).unwrap();
        // Blocked until just before execve, and then it does what it does by default.
        process::pidfd_send_signal(spawning.pidfd().unwrap(), libc::SIGUSR2).unwrap();
        spawning.release().unwrap();
        assert_eq!(spawning.finish().unwrap().wait().unwrap(), Exit::Signal(libc::SIGUSR2));
    });
}

/// The v2 hierarchy of this machine, wherever its layout has it.
fn v2() -> Option<&'static str> {
    ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .into_iter()
        .find(|dir| fs::metadata(format!("{dir}/cgroup.controllers")).is_ok())
}

#[test]
fn a_child_is_moved_before_its_first_step() {
    let Some(root) = v2() else { return eprintln!("skipped, no cgroup v2 is mounted here") };
    let name = format!("/no-clone3-{}", std::process::id());
    let path = format!("{root}{name}");
    if let Err(error) = fs::create_dir(&path) {
        return eprintln!("skipped, cannot make {path}: {error}");
    }
    let cgroup = fs::File::open(&path).unwrap();
    let thread = std::thread::spawn(move || {
        hide(&[CLONE3]).unwrap();
        let mut plan = shell("true");
        plan.push("wait", Step::WaitForParent);
        let request = Request { cgroup: Some(cgroup.as_fd()), ..Request::default() };
        let mut spawning = spawn(&plan, &request).unwrap();
        let at = fs::read_to_string(format!("/proc/{}/cgroup", spawning.pid())).unwrap();
        spawning.release().unwrap();
        assert_eq!(spawning.finish().unwrap().wait().unwrap(), Exit::Code(0));

        // A directory that is no cgroup: nothing is started, and nothing is left.
        let other = fs::File::open("/").unwrap();
        let request = Request { cgroup: Some(other.as_fd()), ..Request::default() };
        let failure = spawn(&plan, &request).unwrap_err();
        (at, failure)
    });
    let outcome = thread.join();
    fs::remove_dir(&path).unwrap();
    let (at, failure) = outcome.unwrap();
    assert!(at.lines().any(|line| line.strip_prefix("0::") == Some(&name)), "{at}");
    assert_eq!(failure, Failure::Cgroup(Errno::ENOENT));
}
