//! What a child has after its walk, as the kernel says.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::ffi::CString;
use std::io::Read;
use std::os::fd::OwnedFd;

use cofferdam_caps::{Cap, CapSet, Ids, Sets, last_cap};
use cofferdam_sys::plan::{At, Exec, Plan, Step};
use cofferdam_sys::process::Exit;
use cofferdam_sys::spawn::{Request, spawn};

/// What a child prints whose sets and ids were lowered so.
fn status(sets: &Sets, ids: &Ids, no_new_privs: bool) -> String {
    let text = |text: &str| CString::new(text).unwrap();
    let (mut read, write) = std::io::pipe().unwrap();
    let mut plan = Plan::new(Exec {
        candidates: vec![text("/bin/cat")],
        args: vec![text("cat"), text("/proc/self/status")],
        env: vec![],
    });
    plan.push("print to the pipe", Step::Duplicate { from: At::from(OwnedFd::from(write)), to: 1 });
    sets.lower(ids, no_new_privs, last_cap().unwrap(), &mut plan).unwrap();
    let mut spawning = spawn(&plan, &Request::default()).unwrap();
    spawning.release().unwrap();
    let child = spawning.finish().unwrap_or_else(|failure| panic!("{failure}"));
    drop(plan);
    let mut printed = String::new();
    read.read_to_string(&mut printed).unwrap();
    assert_eq!(child.wait().unwrap(), Exit::Code(0));
    printed
}

fn field<'a>(status: &'a str, name: &str) -> &'a str {
    let found = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    found.unwrap_or_else(|| panic!("no {name} in {status}")).trim()
}

fn sets_of(status: &str) -> Sets {
    let set = |name: &str| CapSet::from_bits(u64::from_str_radix(field(status, name), 16).unwrap());
    Sets {
        effective: set("CapEff"),
        permitted: set("CapPrm"),
        inheritable: set("CapInh"),
        bounding: set("CapBnd"),
        ambient: set("CapAmb"),
    }
}

/// Whether the caller can give away what the tests ask for.
fn privileged() -> bool {
    let have = Sets::current().unwrap();
    let need = CapSet::HARDENED;
    let able = need.is_subset(have.effective) && need.is_subset(have.bounding);
    if !able {
        eprintln!("skipped: needs {need}, this thread has {}", have.effective);
    }
    able
}

fn shapes() -> Vec<Sets> {
    let three: CapSet = "KILL,CHOWN,NET_BIND_SERVICE".parse().unwrap();
    let one: CapSet = Cap::NET_BIND_SERVICE.into();
    vec![
        Sets::default(),
        Sets::rooted(CapSet::HARDENED),
        Sets::rooted(one),
        Sets { effective: one, ..Sets::rooted(three) },
        Sets { inheritable: three, ambient: one, ..Sets::rooted(three) },
        Sets { inheritable: three, ambient: three, ..Sets::rooted(three) },
        Sets { permitted: one, effective: one, ..Sets::rooted(three) },
        Sets { bounding: CapSet::EMPTY, ..Sets::rooted(three) },
    ]
}

fn check(uid: u32) {
    if !privileged() {
        return;
    }
    let ids = Ids { uid, gid: uid, groups: vec![uid.wrapping_add(5)], set_groups: true };
    for sets in shapes() {
        for no_new_privs in [false, true] {
            let printed = status(&sets, &ids, no_new_privs);
            let expected = sets.after_execve(uid == 0, no_new_privs);
            assert_eq!(sets_of(&printed), expected, "{sets:?}, no_new_privs {no_new_privs}");
            assert_eq!(field(&printed, "NoNewPrivs"), if no_new_privs { "1" } else { "0" });
            assert_eq!(field(&printed, "Uid"), format!("{uid}\t{uid}\t{uid}\t{uid}"));
            assert_eq!(field(&printed, "Gid"), format!("{uid}\t{uid}\t{uid}\t{uid}"));
            assert_eq!(field(&printed, "Groups"), uid.wrapping_add(5).to_string());
        }
    }
}

#[test]
fn root_gets_what_was_asked_for() {
    check(0);
}

#[test]
fn another_user_gets_what_was_asked_for() {
    check(1000);
}

#[test]
fn a_plan_that_gives_too_much_fails_at_its_step() {
    let have = Sets::current().unwrap();
    let known = CapSet::up_to(last_cap().unwrap());
    let Some(lacking) = (known - have.permitted).iter().next() else {
        eprintln!("skipped: this thread has every capability");
        return;
    };
    let sets = Sets { permitted: lacking.into(), bounding: known, ..Sets::default() };
    assert_eq!(sets.beyond(&have), CapSet::from(lacking) | (known - have.bounding));
    let mut plan = Plan::new(Exec { candidates: vec![], args: vec![], env: vec![] });
    let ids = Ids { set_groups: false, ..Ids::default() };
    sets.lower(&ids, true, last_cap().unwrap(), &mut plan).unwrap();
    let mut spawning = spawn(&plan, &Request::default()).unwrap();
    spawning.release().unwrap();
    let failure = spawning.finish().unwrap_err().to_string();
    assert!(failure.contains("EPERM (Operation not permitted)"), "{failure}");
}
