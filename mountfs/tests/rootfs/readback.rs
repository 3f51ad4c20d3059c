//! A mount that is not what it was meant to be in the end fails the start.
//!
//! The plan is disturbed right before the child looks at what it has mounted, as a bug or an attacker would.

use std::time::{Duration, Instant};

use cofferdam_mountfs::{Api, RootFs};
use cofferdam_sys::Errno;
use cofferdam_sys::mount::{MountAttrs, MountFlags, Unmount};
use cofferdam_sys::open::{Open, Resolve};
use cofferdam_sys::plan::{Absent, At, Entry, Plan, Step};
use cofferdam_sys::spawn::Failure;

use super::add;
use super::lab::{Lab, in_each_mode};

/// Puts a step before the first that reads something back.
fn before_readback(plan: &mut Plan, step: Step) {
    let first = plan.entries().iter().position(|entry| entry.about.ends_with("read it back")).unwrap();
    plan.insert(first, "disturb", step);
}

/// Opens a path of the new root, and does something with it.
fn with_path(plan: &mut Plan, path: &std::ffi::CStr, step: impl FnOnce(At) -> Step) {
    let slot = plan.slot().unwrap();
    let step = step(slot.into());
    let flags = Open::PATH;
    let open = Step::OpenIn {
        dir: At::Cwd,
        path: path.into(),
        flags,
        resolve: Resolve::empty(),
        absent: Absent::Fail,
        out: slot,
    };
    before_readback(plan, step);
    let at = plan.entries().iter().position(|entry| &*entry.about == "disturb").unwrap();
    plan.insert(at, "open", open);
}

fn rootfs(lab: &Lab) -> RootFs {
    lab.write("image/etc/secret", "s3cret");
    lab.write("volume/file", "");
    let mut rootfs = lab.rootfs();
    add(&mut rootfs, "proc", "proc", "/proc", &["nosuid", "noexec", "nodev"]);
    add(&mut rootfs, "tmpfs", "tmpfs", "/tmp", &["nosuid", "nodev", "ro"]);
    add(&mut rootfs, "bind", lab.dir.join("volume").to_str().unwrap(), "/volume", &["bind", "ro"]);
    rootfs.masked = vec!["/etc/secret".into()];
    rootfs.readonly_paths = vec!["/proc/sys".into()];
    rootfs.readonly = true;
    rootfs
}

/// What the start says after the plan was disturbed.
fn failure(lab: &Lab, disturb: impl FnOnce(&mut Plan)) -> (String, Errno) {
    match lab.run_with(&rootfs(lab), "true", disturb) {
        Err(Failure::Step { about, errno, .. }) => (about, errno),
        other => panic!("{}: {other:?}", lab.mode.name),
    }
}

#[test]
#[ignore = "mounts as root: `cargo xtask test` runs it in a guest"]
fn a_missing_mount_fails_the_start() {
    in_each_mode(|lab| {
        lab.output(&rootfs(lab), "true");
        for (path, wanted) in [
            (c"/tmp", "mount tmpfs on /tmp: read it back"),
            (c"/volume", "bind on /volume: read it back"),
            (c"/etc/secret", "mask /etc/secret: read it back"),
            (c"/proc/sys", "make /proc/sys read-only: read it back"),
        ] {
            let unmount = Step::Unmount { path: path.into(), flags: Unmount::DETACH };
            let (about, errno) = failure(lab, |plan| before_readback(plan, unmount));
            assert_eq!((about.as_str(), errno), (wanted, Errno::ESTALE), "{}", lab.mode.name);
        }
    });
}

#[test]
#[ignore = "mounts as root: `cargo xtask test` runs it in a guest"]
fn a_mount_on_top_fails_the_start() {
    in_each_mode(|lab| {
        for (path, wanted) in [
            (c"/volume", "bind on /volume: read it back"),
            (c"/etc", "mask /etc/secret: read it back"),
            (c"/proc/sys", "make /proc/sys read-only: read it back"),
            (c"/", "root: read it back"),
        ] {
            let (about, errno) = failure(lab, |plan| {
                let slots = [plan.slot().unwrap(), plan.slot().unwrap(), plan.slot().unwrap()];
                let [context, mount, target] = slots;
                let open = Step::OpenIn {
                    dir: At::Cwd,
                    path: path.into(),
                    flags: Open::PATH,
                    resolve: Resolve::empty(),
                    absent: Absent::Fail,
                    out: target,
                };
                before_readback(plan, Step::FsOpen { fstype: c"tmpfs".into(), out: context });
                before_readback(plan, Step::FsMount { context, attrs: MountAttrs::empty(), out: mount });
                before_readback(plan, open);
                before_readback(plan, Step::MoveMount { from: mount.into(), to: target.into() });
            });
            assert_eq!(about, wanted, "{}", lab.mode.name);
            // A path that is gone with what it was in.
            assert!(matches!(errno, Errno::ESTALE | Errno::ENOENT), "{errno} {}", lab.mode.name);
        }
    });
}

#[test]
#[ignore = "mounts as root: `cargo xtask test` runs it in a guest"]
fn a_lost_attribute_fails_the_start() {
    in_each_mode(|lab| {
        for (path, wanted) in [
            (c"/tmp", "mount tmpfs on /tmp: read it back"),
            (c"/volume", "bind on /volume: read it back"),
            (c"/etc/secret", "mask /etc/secret: read it back"),
            (c"/", "root: read it back"),
        ] {
            let (flags, clear) = (MountFlags::empty(), MountFlags::RDONLY);
            let disturb = |plan: &mut Plan| {
                with_path(plan, path, |mount| Step::RemountBind { mount, flags, clear });
                // The remount goes through a procfs on /proc, which is there.
            };
            let (about, errno) = failure(lab, disturb);
            assert_eq!((about.as_str(), errno), (wanted, Errno::EPERM), "{}", lab.mode.name);
        }
    });
}

#[test]
#[ignore = "mounts as root: `cargo xtask test` runs it in a guest"]
fn a_shared_mount_fails_the_start() {
    in_each_mode(|lab| {
        let shared = Step::Propagation { path: c"/volume".into(), flags: MountFlags::SHARED };
        let (about, errno) = failure(lab, |plan| before_readback(plan, shared));
        let wanted = if lab.mode.name.contains("before") || lab.mode.name == "without statmount" {
            "read back the propagation of all mounts"
        } else {
            "bind on /volume: read it back"
        };
        assert_eq!((about.as_str(), errno), (wanted, Errno::EPERM), "{}", lab.mode.name);
    });
}

#[test]
#[ignore = "mounts as root: `cargo xtask test` runs it in a guest"]
fn a_writable_submount_fails_the_start() {
    in_each_mode(|lab| {
        if lab.mode.host.api() < Api::Setattr || lab.mode.name == "without statmount" {
            return;
        }
        lab.write("volume/below/file", "");
        super::tmpfs(&lab.dir.join("volume/below"));
        let mut rootfs = rootfs(lab);
        rootfs.mounts.retain(|mount| mount.target.as_os_str() != "/volume");
        add(&mut rootfs, "bind", lab.dir.join("volume").to_str().unwrap(), "/all", &["rbind", "rro"]);
        lab.output(&rootfs, "true");
        let (flags, clear) = (MountFlags::empty(), MountFlags::RDONLY);
        let disturbed = lab.run_with(&rootfs, "true", |plan| {
            with_path(plan, c"/all/below", |mount| Step::RemountBind { mount, flags, clear });
        });
        super::untmpfs(&lab.dir.join("volume/below"));
        let Err(Failure::Step { about, errno, .. }) = disturbed else { panic!("{disturbed:?}") };
        assert_eq!((about.as_str(), errno), ("bind on /all: read back the mounts below", Errno::EPERM));
    });
}

#[test]
#[ignore = "mounts as root: `cargo xtask test` runs it in a guest"]
fn a_shared_submount_fails_the_start() {
    in_each_mode(|lab| {
        lab.write("volume/below/file", "");
        super::tmpfs(&lab.dir.join("volume/below"));
        let mut rootfs = rootfs(lab);
        rootfs.mounts.retain(|mount| mount.target.as_os_str() != "/volume");
        add(&mut rootfs, "bind", lab.dir.join("volume").to_str().unwrap(), "/all", &["rbind"]);
        lab.output(&rootfs, "true");
        let shared = Step::Propagation { path: c"/all/below".into(), flags: MountFlags::SHARED };
        let disturbed = lab.run_with(&rootfs, "true", |plan| before_readback(plan, shared));
        super::untmpfs(&lab.dir.join("volume/below"));
        let Err(Failure::Step { about, errno, .. }) = disturbed else { panic!("{disturbed:?}") };
        let old = lab.mode.name.contains("before") || lab.mode.name == "without statmount";
        let wanted = if old {
            "read back the propagation of all mounts"
        } else {
            "bind on /all: read back the mounts below"
        };
        assert_eq!((about.as_str(), errno), (wanted, Errno::EPERM), "{}", lab.mode.name);
    });
}

fn is_check(entry: &Entry) -> bool {
    entry.about.contains("read it back") || entry.about.starts_with("read back the")
}

/// What reading back costs: what a plan that does it 51 times takes longer than one that does it once.
///
/// `cargo test --release -p cofferdam-mountfs --test rootfs -- --ignored --nocapture cost_of_reading_back`, as
/// root, prints it.
#[test]
#[ignore = "mounts as root: `cargo xtask test` runs it in a guest"]
fn cost_of_reading_back() {
    const COPIES: usize = 50;
    in_each_mode(|lab| {
        if !["plain", "without statmount", "user namespace", "before 5.2"].contains(&lab.mode.name) {
            return;
        }
        let rootfs = as_engines_ask(lab);
        super::lab::own(&lab.dir, lab.mode.user.unwrap_or(0));
        let (mut once, mut often, mut checks) = (vec![], vec![], 0);
        for round in 0..40 {
            let (_output, write) = std::io::pipe().unwrap();
            let mut plan = lab.plan(&rootfs, "true", write.into());
            let first = plan.entries().iter().position(is_check).unwrap();
            let steps: Vec<Entry> = plan.entries().iter().filter(|entry| is_check(entry)).cloned().collect();
            checks = steps.len();
            if round % 2 == 0 {
                for entry in std::iter::repeat_n(&steps, COPIES).flatten() {
                    plan.insert(first, "again", entry.step.clone());
                }
            }
            let begin = Instant::now();
            let child = lab.start(&plan).unwrap().finish().unwrap();
            let list = if round % 2 == 0 { &mut often } else { &mut once };
            list.push(begin.elapsed());
            child.wait().unwrap();
        }
        let least = |times: &[Duration]| times.iter().min().copied().unwrap();
        let cost = least(&often).saturating_sub(least(&once)) / u32::try_from(COPIES).unwrap();
        println!("{}: {checks} checks in {} us", lab.mode.name, cost.as_micros());
        assert!(cost < Duration::from_millis(3), "ten times the budget: {cost:?}");
    });
}

/// The mounts, masks and read-only paths of a container of Docker's or Podman's.
fn as_engines_ask(lab: &Lab) -> RootFs {
    let mut rootfs = super::usual(lab);
    let proc = |names: &[&str]| names.iter().map(|name| format!("/proc/{name}").into()).collect();
    rootfs.masked =
        proc(&["acpi", "asound", "interrupts", "kcore", "keys", "latency_stats", "timer_list", "scsi"]);
    rootfs.masked.extend(["/sys/firmware".into(), "/sys/devices/virtual/powercap".into()]);
    rootfs.readonly_paths = proc(&["bus", "fs", "irq", "sys", "sysrq-trigger"]);
    rootfs
}
