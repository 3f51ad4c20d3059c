//! The loopback device of a child in a new network namespace.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::io::Read;
use std::os::fd::OwnedFd;

use cofferdam_sys::Errno;
use cofferdam_sys::clone::Namespaces;
use cofferdam_sys::plan::{At, Exec, Plan, Step};
use cofferdam_sys::spawn::{Request, spawn};

/// The route table of a child: an interface that is up has entries in it.
fn routes(up: bool) -> Option<String> {
    let (mut read, write) = std::io::pipe().unwrap();
    let mut plan = Plan::new(Exec {
        candidates: vec![c"/bin/cat".into()],
        args: vec![c"cat".into(), c"/proc/self/net/fib_trie".into()],
        env: vec![],
    });
    plan.push("print to the pipe", Step::Duplicate { from: At::from(OwnedFd::from(write)), to: 1 });
    if up {
        cofferdam_netbridge::loopback_up(&mut plan);
    }
    // A user namespace of its own gives the right to both without privilege.
    let request = Request { namespaces: Namespaces::USER | Namespaces::NET, ..Request::default() };
    let mut spawning = match spawn(&plan, &request) {
        Ok(spawning) => spawning,
        Err(error) if matches!(error.errno(), Some(Errno::EPERM | Errno::ENOSPC | Errno::ENOSYS)) => {
            eprintln!("skipped: no user namespaces here: {error}");
            return None;
        }
        Err(error) => panic!("{error}"),
    };
    spawning.release().unwrap();
    let child = spawning.finish().unwrap();
    drop(plan);
    let mut printed = String::new();
    read.read_to_string(&mut printed).unwrap();
    child.wait().unwrap();
    Some(printed)
}

#[test]
fn it_is_up_only_when_asked_for() {
    let (Some(down), Some(up)) = (routes(false), routes(true)) else { return };
    assert!(!down.contains("127.0.0.1"), "{down}");
    assert!(up.contains("127.0.0.1"), "{up}");
}
