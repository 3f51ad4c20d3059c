//! What was mounted is compared with the plan: the plan is disturbed right before the child looks.

use super::attributes::Volume;
use super::{Way, add, ask, ask_disturbed, contained, light, proc, ways};
use crate::registry::{Context, OrFail, Result, Test};
use cofferdam_mountfs::{Host, RootFs};
use cofferdam_sys::mount::{MountAttrs, MountFlags, Unmount};
use cofferdam_sys::open::{Open, Resolve};
use cofferdam_sys::plan::{Absent, At, Plan, Slot, Step};
use std::ffi::CStr;
use std::fs;

pub(in super::super) const TESTS: &[Test] = &[
    Test::integration(
        "mountfs::readback-missing",
        "A mount that is gone in the end fails the start",
        missing,
    ),
    Test::integration("mountfs::readback-covered", "A mount that is covered fails the start", covered),
    Test::integration(
        "mountfs::readback-attributes",
        "A mount that lost an attribute fails the start",
        attributes,
    ),
    Test::integration(
        "mountfs::readback-propagation",
        "A mount that became shared fails the start",
        propagation,
    ),
    Test::integration(
        "mountfs::readback-submounts",
        "A submount that became writable fails the start, where statmount tells",
        submounts,
    )
    .facilities(&["statmount", "mount_setattr"]),
    Test::integration(
        "mountfs::readback-lets-later-mounts-cover",
        "A list whose later mounts cover earlier ones is no difference",
        later_mounts_cover,
    ),
];

fn root(ctx: &Context) -> Result<RootFs> {
    let mut root = light(ctx)?;
    root.mounts.push(proc()?);
    add(&mut root, "tmpfs", "tmpfs", "/tmp", &["ro"])?;
    root.masked = vec!["/etc".into()];
    root.readonly_paths = vec!["/proc/sys".into()];
    Ok(root)
}

/// Where reading back begins.
fn begin(plan: &Plan) -> usize {
    plan.entries().iter().position(|entry| entry.about.contains("read it back")).unwrap_or(usize::MAX)
}

fn disturb(plan: &mut Plan, step: Step) {
    let at = begin(plan);
    plan.insert(at, "disturb", step);
}

fn open(path: &CStr, out: Slot) -> Step {
    let (dir, path) = (At::Cwd, path.into());
    Step::OpenIn { dir, path, flags: Open::PATH, resolve: Resolve::empty(), absent: Absent::Fail, out }
}

/// What the start says after the plan was disturbed.
fn said(way: &Way, root: &RootFs, change: impl FnOnce(&mut Plan)) -> Result<String> {
    Ok(ask_disturbed(way, root, &[], change)
        .err()
        .or_fail(format_args!("a refusal, {}", way.name))?
        .to_string())
}

fn missing(ctx: &mut Context) -> Result {
    let root = root(ctx)?;
    for way in ways()? {
        drop(ask(&way, &root, &[])?);
        let unmount = |path: &CStr| Step::Unmount { path: path.into(), flags: Unmount::DETACH };
        for (path, wanted) in [
            (c"/tmp", "mount tmpfs on /tmp: read it back: ESTALE"),
            (c"/etc", "mask /etc: read it back: ESTALE"),
        ] {
            let error = said(&way, &root, |plan| disturb(plan, unmount(path)))?;
            ensure!(error.contains(wanted), "{error}, {}", way.name);
        }
    }
    Ok(())
}

fn covered(ctx: &mut Context) -> Result {
    let root = root(ctx)?;
    for way in ways()? {
        for (path, wanted) in [
            (c"/proc/sys", "make /proc/sys read-only: read it back: ESTALE"),
            (c"/", "root: read it back: ESTALE"),
        ] {
            let error = said(&way, &root, |plan| cover(plan, path))?;
            ensure!(error.contains(wanted), "{error}, {}", way.name);
        }
    }
    Ok(())
}

/// Mounts a tmpfs on a path.
fn cover(plan: &mut Plan, path: &CStr) {
    let slots = [plan.slot(), plan.slot(), plan.slot()];
    let [Ok(context), Ok(mount), Ok(target)] = slots else { return };
    disturb(plan, Step::FsOpen { fstype: c"tmpfs".into(), out: context });
    disturb(plan, Step::FsMount { context, attrs: MountAttrs::empty(), out: mount });
    disturb(plan, open(path, target));
    disturb(plan, Step::MoveMount { from: mount.into(), to: target.into() });
}

/// Makes the mount on a path writable.
fn unseal(plan: &mut Plan, path: &CStr) {
    let Ok(slot) = plan.slot() else { return };
    disturb(plan, open(path, slot));
    let (flags, clear) = (MountFlags::empty(), MountFlags::RDONLY);
    disturb(plan, Step::RemountBind { mount: slot.into(), flags, clear });
}

fn attributes(ctx: &mut Context) -> Result {
    let root = root(ctx)?;
    for way in ways()? {
        let error = said(&way, &root, |plan| unseal(plan, c"/tmp"))?;
        ensure!(error.contains("mount tmpfs on /tmp: read it back: EPERM"), "{error}, {}", way.name);
    }
    Ok(())
}

fn propagation(ctx: &mut Context) -> Result {
    let root = root(ctx)?;
    let statmount = ctx.has("statmount")?;
    for way in ways()? {
        let shared = Step::Propagation { path: c"/tmp".into(), flags: MountFlags::SHARED };
        let error = said(&way, &root, |plan| disturb(plan, shared))?;
        let wanted = if statmount && way.host != way.host.without_statmount() {
            "mount tmpfs on /tmp: read it back: EPERM"
        } else {
            "read back the propagation of all mounts: EPERM"
        };
        ensure!(error.contains(wanted), "{error}, {}", way.name);
    }
    Ok(())
}

fn submounts(ctx: &mut Context) -> Result {
    let outer = Volume::new(ctx, "outer")?;
    let inner = Volume::new(ctx, "outer/inner")?;
    fs::write(inner.path.join("file"), "")?;
    let mut root = root(ctx)?;
    add(&mut root, "bind", outer.text()?, "/data", &["rbind", "rro"])?;
    let way = contained()?;
    drop(ask(&way, &root, &[])?);
    let error = said(&way, &root, |plan| unseal(plan, c"/data/inner"))?;
    ensure!(error.contains("bind on /data: read back the mounts below: EPERM"), "{error}");
    ensure!(Host::probe()? == way.host, "the host that was asked");
    Ok(())
}

fn later_mounts_cover(ctx: &mut Context) -> Result {
    let mut root = light(ctx)?;
    for target in ["/tmp/below", "/tmp", "/data", "/data"] {
        root.mounts.push(super::tmpfs(target)?);
    }
    root.readonly_paths = vec!["/data".into()];
    root.masked = vec!["/data".into()];
    for way in ways()? {
        let facts = ask(&way, &root, &["list:/tmp", "list:/data"])?;
        ensure_eq!(facts.get("list:/tmp")?, "", "{}", way.name);
        ensure_eq!(facts.get("list:/data")?, "", "{}", way.name);
    }
    Ok(())
}
