//! What is refused, and the order of a child's first steps.

use super::*;
use crate::{ErrorKind, IdMap, NsKind, Offset};
use cofferdam_sys::plan::Exec;

fn steps(isolation: &Isolation) -> Vec<String> {
    let mut plan = Plan::new(Exec { candidates: vec![], args: vec![], env: vec![] });
    isolation.lower(&mut plan);
    plan.entries().iter().map(|entry| entry.about.clone()).collect()
}

fn own(kind: NsKind) -> Namespace {
    Namespace::of_process(0, kind).unwrap()
}

#[test]
fn contradictions_are_refused() {
    let ids = || Some(IdMaps { uid: vec![IdMap::new(0, 0, 1)], gid: vec![] });
    let process = || Process::open(std::process::id().cast_signed()).unwrap();
    let clocks = Some(TimeOffsets { monotonic: Offset::new(0, 2_000_000_000), ..TimeOffsets::default() });
    let faults: [(&str, Isolation); 8] = [
        (
            "uts namespace is to be new and joined",
            Isolation { new: Namespaces::UTS, join: vec![own(NsKind::Uts)], ..Isolation::default() },
        ),
        (
            "two uts namespaces",
            Isolation { join: vec![own(NsKind::Uts), own(NsKind::Uts)], ..Isolation::default() },
        ),
        (
            "two ipc namespaces",
            Isolation {
                join: vec![own(NsKind::Ipc)],
                join_process: Some((process(), Namespaces::IPC | Namespaces::UTS)),
                ..Isolation::default()
            },
        ),
        (
            "no namespace of process",
            Isolation { join_process: Some((process(), Namespaces::empty())), ..Isolation::default() },
        ),
        ("id maps need", Isolation { new: Namespaces::UTS, ids: ids(), ..Isolation::default() }),
        (
            "would be the host's",
            Isolation { limits: NamespaceLimits::no_user_namespaces(), ..Isolation::default() },
        ),
        ("need a new time namespace", Isolation { clocks, ..Isolation::default() }),
        (
            "monotonic clock: 2000000000 nanoseconds",
            Isolation { new: Namespaces::TIME, clocks, ..Isolation::default() },
        ),
    ];
    for (wanted, isolation) in faults {
        let error = isolation.validate().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(wanted), "{wanted}: {error}");
    }
}

#[test]
fn steps_begin_with_the_wait() {
    let ids = Some(IdMaps { uid: vec![IdMap::new(0, 9, 1)], gid: vec![IdMap::new(1, 9, 1)] });
    let new = Namespaces::USER | Namespaces::CGROUP;
    let isolation = Isolation { new, ids, ..Isolation::default() };
    let wanted = ["wait for the parent", "become user 0 of the user namespace", "make a cgroup namespace"];
    assert_eq!(steps(&isolation), wanted);
}

#[test]
fn clocks_are_set_before_the_first_process_is_inside() {
    let isolation = Isolation {
        new: Namespaces::USER | Namespaces::PID | Namespaces::TIME,
        ids: Some(IdMaps::shifted(100_000, 10)),
        clocks: Some(TimeOffsets::default()),
        limits: NamespaceLimits::no_user_namespaces(),
        ..Isolation::default()
    };
    let wanted = [
        "make a time namespace",
        "set the clocks of the time namespace",
        "go on in the time namespace",
        "wait for the parent",
        "become group 0 of the user namespace",
        "become user 0 of the user namespace",
        "allow 0 user namespaces inside",
    ];
    assert_eq!(steps(&isolation), wanted);
    assert_eq!(isolation.born(), Namespaces::USER);
}

#[test]
fn joining_comes_first_and_forks_where_it_must() {
    // All are owned by the user namespace that is joined, the caller's own.
    let join = || vec![own(NsKind::Mount), own(NsKind::Uts), own(NsKind::User)];
    let inner = own(NsKind::Uts).owner().unwrap().is_some_and(|owner| owner.is_within(&own(NsKind::User)));
    let order = if inner { ["user", "uts", "mnt"] } else { ["uts", "mnt", "user"] };
    let order = order.map(|kind| format!("join the {kind} namespace"));
    let only_join = Isolation { join: join(), ..Isolation::default() };
    let found = steps(&only_join);
    assert_eq!(found.first_chunk(), Some(&order));
    assert_eq!(found.get(3..), Some(&["wait for the parent".to_owned()][..]));

    let with_new = Isolation { new: Namespaces::IPC, join: join(), ..Isolation::default() };
    assert_eq!(steps(&with_new).get(3).unwrap(), "go on in the joined namespaces");
    let pid = Isolation { join: vec![own(NsKind::Pid)], ..Isolation::default() };
    assert_eq!(steps(&pid).get(1).unwrap(), "go on in the joined namespaces");
    let cgroup = Isolation { new: Namespaces::CGROUP, join: join(), ..Isolation::default() };
    assert_eq!(steps(&cgroup).get(4).unwrap(), "make a cgroup namespace");
}
