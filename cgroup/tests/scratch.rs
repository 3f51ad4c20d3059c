//! Making branches of cgroups and filtering devices. A mistake here can kill what it should not, so these
//! tests are for a machine to throw away: `cargo xtask test` runs them in a guest.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::ffi::CString;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;

use cofferdam_cgroup::devices::Rule;
use cofferdam_cgroup::{AnyCgroup, Branch, Cgroup, Controllers, ErrorKind, Hierarchy, Limits};
use cofferdam_sys::plan::{At, Exec, Plan, Step};
use cofferdam_sys::spawn::{Request, spawn};

/// The root of the v2 hierarchy, and a name below it that is the test's own.
fn root(test: &str) -> (Cgroup, String) {
    let root = Cgroup::root(&Hierarchy::detect().unwrap()).unwrap();
    (root, format!("cofferdam-{test}-{}", std::process::id()))
}

#[test]
#[ignore = "changes control groups as root: `cargo xtask test` runs it in a guest"]
fn a_branch_is_made_and_taken_back() {
    let (root, name) = root("branch");
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
#[ignore = "changes control groups as root: `cargo xtask test` runs it in a guest"]
fn what_is_empty_is_deleted_at_once_and_what_is_not_is_given_back() {
    let (root, name) = root("empty");
    let layout = Hierarchy::detect().unwrap();
    let make = || AnyCgroup::create(&layout, &format!("{name}/a"), &Controllers::default()).unwrap();
    assert!(make().delete_empty().unwrap().is_none());
    assert_eq!(root.child(&name).unwrap_err().kind(), ErrorKind::NotFound);

    let full = make();
    let below = Cgroup::create(full.v2().unwrap(), "below").unwrap();
    let full = full.delete_empty().unwrap().expect("it has a cgroup below");
    assert!(below.procs().is_ok());
    full.delete().unwrap();
    assert!(below.procs().is_err());
    assert_eq!(root.child(&name).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
#[ignore = "changes control groups as root: `cargo xtask test` runs it in a guest"]
fn many_branches_share_parents_that_come_and_go() {
    let (root, name) = root("race");
    let shared = root.path().join(&name).join("shared");
    std::thread::scope(|scope| {
        let makers: Vec<_> = (0..2)
            .map(|number| {
                let (root, path) = (&root, format!("{name}/shared/{number}"));
                scope.spawn(move || {
                    for _ in 0..500 {
                        Branch::create(root, &path, &Controllers::default()).unwrap().delete().unwrap();
                    }
                })
            })
            .collect();
        // Somebody who tidies up empty parents, as a second runtime does.
        while makers.iter().any(|maker| !maker.is_finished()) {
            let _ = std::fs::remove_dir(&shared);
            let _ = std::fs::remove_dir(root.path().join(&name));
        }
    });
    // A parent may outlive the one that made it when another was in it at that moment.
    if let Ok(left) = root.child(&name) {
        left.delete().unwrap();
    }
}

#[test]
#[ignore = "changes control groups as root: `cargo xtask test` runs it in a guest"]
fn a_controller_that_is_not_there_is_named_and_nothing_stays() {
    let (root, name) = root("lacking");
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
#[ignore = "changes control groups as root: `cargo xtask test` runs it in a guest"]
fn available_controllers_are_enabled_on_the_way() {
    let (root, name) = root("enable");
    let available = root.controllers().unwrap();
    let one = available.iter().next().unwrap();
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
#[ignore = "changes control groups as root: `cargo xtask test` runs it in a guest"]
fn limits_that_cannot_be_are_explained() {
    let (root, name) = root("limits");
    let group = Cgroup::create(&root, &name).unwrap();
    group.apply(&Limits { pids_max: Some(u64::MAX), ..Limits::default() }).unwrap();
    for (file, kind) in [
        ("nosuch.max", ErrorKind::NoController),
        // A file that does no harm should the check be gone: cgroup.procs would take process 1.
        ("cgroup.max.depth", ErrorKind::Invalid),
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
#[ignore = "changes control groups as root: `cargo xtask test` runs it in a guest"]
fn a_child_is_born_in_its_cgroup() {
    let (root, name) = root("born");
    let group = Cgroup::create(&root, &name).unwrap();
    let printed = shell_in(&group, "cat /proc/self/cgroup");
    assert!(printed.lines().any(|line| line == format!("0::/{name}")), "{printed}");
    group.delete().unwrap();
}

#[test]
#[ignore = "changes control groups as root: `cargo xtask test` runs it in a guest"]
fn devices_that_are_not_allowed_cannot_be_opened() {
    let (root, name) = root("devices");
    let group = Cgroup::create(&root, &name).unwrap();
    let char = |minor, access| Rule::new(true, "c", Some(1), Some(minor), access).unwrap();
    // All of null, and zero for reading.
    let rules = [Rule::DENY_ALL, char(3, "rwm"), char(5, "r")];
    group.set_devices(&rules).unwrap();
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
