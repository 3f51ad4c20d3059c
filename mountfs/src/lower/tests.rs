//! Plans as they are printed. Without detached trees no descriptor number is in them, and nobody must be root.

use cofferdam_sys::plan::{Exec, Plan};

use crate::{Api, Host, Mount, RootFs};

const NEW: Host = Host { api: Api::Setattr, nosymfollow: true, statmount: true, detached: false };
const LEGACY: Host = Host { api: Api::Fsmount, nosymfollow: false, statmount: false, detached: false };
const OLDEST: Host = Host { api: Api::Mount, ..LEGACY };

fn rootfs(mounts: &[(&str, &str, &str, &str)]) -> RootFs {
    let mut rootfs = RootFs::new("/");
    rootfs.default_devices = false;
    for (fstype, source, target, options) in mounts {
        let options = crate::split_options(options);
        rootfs.mounts.push(Mount::from_options(fstype, source, target, options).unwrap());
    }
    rootfs
}

fn printed(rootfs: &RootFs, host: Host) -> String {
    let mut plan = Plan::new(Exec { candidates: vec![], args: vec![c"true".into()], env: vec![] });
    rootfs.prepare(&host).unwrap().lower(&mut plan).unwrap();
    plan.to_string()
}

/// Only what the steps are for.
fn reasons(rootfs: &RootFs, host: Host) -> String {
    let mut plan = Plan::new(Exec { candidates: vec![], args: vec![], env: vec![] });
    rootfs.prepare(&host).unwrap().lower(&mut plan).unwrap();
    plan.entries().iter().flat_map(|entry| [&*entry.about, "\n"]).collect()
}

#[test]
fn nothing_but_a_root() {
    insta::assert_snapshot!(printed(&rootfs(&[]), NEW));
}

#[test]
fn file_systems() {
    let mut rootfs = rootfs(&[
        ("proc", "proc", "/proc", "nosuid,noexec,nodev"),
        ("tmpfs", "tmpfs", "/dev", "nosuid,strictatime,mode=755,size=65536k"),
        ("devpts", "devpts", "/dev/pts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620"),
    ]);
    rootfs.default_devices = true;
    insta::assert_snapshot!(printed(&rootfs, NEW));
}

#[test]
fn binds() {
    let mounts = [
        ("bind", "/etc", "/volume", "rbind,ro,rnosuid,rslave"),
        ("bind", "/etc/passwd", "/etc/passwd", "bind,ro,noatime"),
    ];
    insta::assert_snapshot!(printed(&rootfs(&mounts), NEW));
    let mounts = [
        ("bind", "/etc", "/volume", "rbind,ro,rslave"),
        ("bind", "/etc/passwd", "/etc/passwd", "bind,ro,noatime"),
    ];
    insta::assert_snapshot!(printed(&rootfs(&mounts), LEGACY));
    insta::assert_snapshot!(printed(&rootfs(&mounts), OLDEST));
}

#[test]
fn masks_and_readonly() {
    let mut rootfs = rootfs(&[]);
    rootfs.readonly = true;
    rootfs.propagation = "rshared".parse().unwrap();
    rootfs.masked = vec!["/proc/keys".into()];
    rootfs.readonly_paths = vec!["/proc/sys".into()];
    insta::assert_snapshot!(printed(&rootfs, NEW));
    insta::assert_snapshot!(printed(&rootfs, LEGACY));
}

#[test]
fn devices_in_a_user_namespace() {
    let mut rootfs = rootfs(&[]);
    rootfs.default_devices = true;
    rootfs.user_namespace = true;
    insta::assert_snapshot!(reasons(&rootfs, NEW));
}

#[test]
fn skips_end_where_the_next_path_begins() {
    use cofferdam_sys::plan::{Absent, Step};
    let mut rootfs = rootfs(&[]);
    rootfs.masked = vec!["/a".into(), "/b".into()];
    rootfs.readonly_paths = vec!["/c".into(), "/d".into()];
    for host in [NEW, LEGACY, OLDEST] {
        let mut plan = Plan::new(Exec { candidates: vec![], args: vec![], env: vec![] });
        rootfs.prepare(&host).unwrap().lower(&mut plan).unwrap();
        let mut seen = 0;
        for (number, entry) in plan.entries().iter().enumerate() {
            if let Step::OpenIn { absent: Absent::Skip(count), .. } = entry.step {
                let next = &plan.entries()[number + 1 + usize::from(count)].about;
                assert!(
                    next.ends_with("open it, if it is there") || &**next == "enter the new root",
                    "{next}"
                );
                seen += 1;
            }
        }
        assert_eq!(seen, 4);
    }
}

#[test]
fn a_full_plan_is_an_error() {
    let mut plan = Plan::new(Exec { candidates: vec![], args: vec![], env: vec![] });
    while plan.slot().is_ok() {}
    let error = rootfs(&[]).prepare(&NEW).unwrap().lower(&mut plan).unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::PlanFull);
}
