//! Making branches of cgroups and filtering devices, where the machine allows it; nothing is left behind.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::ffi::CString;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;

use cofferdam_cgroup::devices::Rule;
use cofferdam_cgroup::{Branch, Cgroup, Controllers, ErrorKind, Hierarchy, Limits};
use cofferdam_sys::plan::{At, Exec, Plan, Step};
use cofferdam_sys::spawn::{Request, spawn};

/// The root of the v2 hierarchy, and a name below it that is the test's own.
fn root(test: &str) -> Option<(Cgroup, String)> {
    let layout = Hierarchy::detect().unwrap();
    let Ok(root) = Cgroup::root(&layout) else {
        eprintln!("skipped: no cgroup v2 hierarchy ({layout:?})");
        return None;
    };
    let name = format!("cofferdam-{test}-{}", std::process::id());
    match Cgroup::create(&root, &name) {
        Ok(probe) => probe.delete().unwrap(),
        Err(error) => {
            eprintln!("skipped: {error}");
            return None;
        }
    }
    Some((root, name))
}

#[test]
fn a_branch_is_made_and_taken_back() {
    let Some((root, name)) = root("branch") else { return };
    let none = Controllers::default();
    let one = Branch::create(&root, &format!("{name}/a/one"), &none).unwrap();
    let two = Branch::create(&root, &format!("{name}/a/two"), &none).unwrap();
    assert_eq!(one.leaf().path(), root.path().join(&name).join("a/one"));
    assert_eq!(root.open(Path::new(&name)).unwrap().children().unwrap(), ["a"]);
    let again = Branch::create(&root, &format!("{name}/a/two"), &none).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AlreadyExists);

    // The parents were made for the first, and the second still uses them.
    one.delete().unwrap();
    assert!(root.child(&name).is_ok());
    two.delete().unwrap();
    let parents = root.child(&name).unwrap();
    parents.delete().unwrap();
    assert_eq!(root.child(&name).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn many_branches_share_parents_that_come_and_go() {
    let Some((root, name)) = root("race") else { return };
    std::thread::scope(|scope| {
        for number in 0..4 {
            let (root, name) = (&root, &name);
            scope.spawn(move || {
                for _ in 0..100 {
                    let path = format!("{name}/shared/{number}");
                    Branch::create(root, &path, &Controllers::default()).unwrap().delete().unwrap();
                }
            });
        }
    });
    // A parent may outlive the one that made it when another was in it at that moment.
    if let Ok(left) = root.child(&name) {
        left.delete().unwrap();
    }
}

#[test]
fn a_controller_that_is_not_there_is_named_and_nothing_stays() {
    let Some((root, name)) = root("lacking") else { return };
    let wanted: Controllers = ["nosuch"].into_iter().collect();
    let error = Branch::create(&root, &format!("{name}/a/b"), &wanted).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoController);
    assert!(error.to_string().contains("the controllers nosuch are not available in /"), "{error}");
    assert_eq!(root.child(&name).unwrap_err().kind(), ErrorKind::NotFound);
    let bad = Branch::create(&root, &format!("{name}/a/../../b"), &Controllers::default()).unwrap_err();
    assert_eq!(bad.kind(), ErrorKind::Invalid);
    assert_eq!(root.child(&name).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn available_controllers_are_enabled_on_the_way() {
    let Some((root, name)) = root("enable") else { return };
    let available = root.controllers().unwrap();
    let Some(one) = available.iter().next() else {
        eprintln!("skipped: the v2 hierarchy has no controller");
        return;
    };
    let before = root.enabled().unwrap();
    let wanted: Controllers = [one].into_iter().collect();
    let branch = Branch::create(&root, &format!("{name}/a/b"), &wanted).unwrap();
    assert!(branch.leaf().controllers().unwrap().contains(one));
    assert!(!branch.leaf().enabled().unwrap().contains(one));
    branch.delete().unwrap();
    // The root's own setting is put back for the machine.
    if !before.contains(one) {
        std::fs::write(root.path().join("cgroup.subtree_control"), format!("-{one}")).unwrap();
    }
}

#[test]
fn limits_that_cannot_be_are_explained() {
    let Some((root, name)) = root("limits") else { return };
    let group = Cgroup::create(&root, &name).unwrap();
    group.apply(&Limits { pids_max: Some(u64::MAX), ..Limits::default() }).unwrap();
    for (file, kind) in [
        ("nosuch.max", ErrorKind::NoController),
        ("cgroup.procs", ErrorKind::Invalid),
        ("../x.max", ErrorKind::Invalid),
        ("plain", ErrorKind::Invalid),
    ] {
        let limits = Limits { unified: vec![(file.to_owned(), "1".to_owned())], ..Limits::default() };
        let error = group.apply(&limits).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(file), "{error}");
    }
    assert!(group.stats().unwrap().cpu.is_some());
    group.delete().unwrap();
}

/// What a child prints that was born in a cgroup.
fn shell_in(group: &Cgroup, script: &str) -> String {
    let text = |text: &str| CString::new(text).unwrap();
    let (mut read, write) = std::io::pipe().unwrap();
    let mut plan = Plan::new(Exec {
        candidates: vec![text("/bin/sh")],
        args: vec![text("sh"), text("-c"), text(script)],
        env: vec![text("PATH=/usr/bin:/bin")],
    });
    plan.push("print to the pipe", Step::Duplicate { from: At::from(OwnedFd::from(write)), to: 1 });
    let request = Request { cgroup: Some(group.fd()), ..Request::default() };
    let mut spawning = spawn(&plan, &request).unwrap();
    spawning.release().unwrap();
    let child = spawning.finish().unwrap();
    drop(plan);
    let mut printed = String::new();
    read.read_to_string(&mut printed).unwrap();
    child.wait().unwrap();
    printed
}

#[test]
fn a_child_is_born_in_its_cgroup() {
    let Some((root, name)) = root("born") else { return };
    let group = Cgroup::create(&root, &name).unwrap();
    let printed = shell_in(&group, "cat /proc/self/cgroup");
    assert!(printed.lines().any(|line| line == format!("0::/{name}")), "{printed}");
    group.delete().unwrap();
}

#[test]
fn devices_that_are_not_allowed_cannot_be_opened() {
    let Some((root, name)) = root("devices") else { return };
    let group = Cgroup::create(&root, &name).unwrap();
    let char = |minor, access| Rule::new(true, "c", Some(1), Some(minor), access).unwrap();
    // All of null, and zero for reading.
    let rules = [Rule::DENY_ALL, char(3, "rwm"), char(5, "r")];
    match group.set_devices(&rules) {
        Ok(()) => {
            let printed = shell_in(
                &group,
                "exec 2>&-; true </dev/null && echo null-r; true >/dev/null && echo null-w; \
                 true <>/dev/null && echo null-rw; true </dev/zero && echo zero-r; true >/dev/zero && echo zero-w; \
                 true <>/dev/zero && echo zero-rw; true </dev/full && echo full-r; echo end",
            );
            group.delete().unwrap();
            let seen: Vec<&str> = printed.lines().collect();
            assert_eq!(seen, ["null-r", "null-w", "null-rw", "zero-r", "end"]);
        }
        Err(error) => {
            group.delete().unwrap();
            assert!(matches!(error.kind(), ErrorKind::System | ErrorKind::Unsupported), "{error}");
            eprintln!("skipped: {error}");
        }
    }
}
