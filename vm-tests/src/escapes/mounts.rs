//! Attempts with mounts.

use super::CAPABILITIES;
use super::attempt::{Attempt, Held};
use super::host::{Setting, mounts, read};
use crate::bundle::Layer::{Capabilities, CgroupNamespace, MountPropagation, UserNamespace};
use crate::registry::{Context, Result, Test};
use cofferdam_sys::Errno::{EACCES, EPERM};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::fs;

pub(super) const TESTS: &[Test] = &[
    Test::escape(
        "fs-proc-sys-remount-rw",
        "Remounts /proc/sys read-write with mount(2) and writes a sysctl",
        CAPABILITIES,
        |ctx| proc_sys(ctx, "remount", "remount"),
    ),
    Test::escape(
        "fs-proc-sys-setattr-rw",
        "Makes /proc/sys read-write with mount_setattr(2) and writes a sysctl",
        CAPABILITIES,
        |ctx| proc_sys(ctx, "setattr", "mount_setattr"),
    )
    .facilities(&["mount_setattr"]),
    Test::escape(
        "mnt-ro-volume-remount",
        "Remounts a read-only volume read-write and writes a file of the host",
        CAPABILITIES,
        |ctx| volume(ctx, "remount", "remount"),
    ),
    Test::escape(
        "mnt-ro-volume-setattr",
        "Makes a read-only volume read-write with mount_setattr(2) and writes a file of the host",
        CAPABILITIES,
        |ctx| volume(ctx, "setattr", "mount_setattr"),
    )
    .facilities(&["mount_setattr"]),
    Test::escape(
        "mnt-propagation-to-host",
        "Mounts on a volume, for the mount to appear on the host",
        CAPABILITIES,
        propagation,
    ),
    Test::escape("fs-pseudo-mounts", "Mounts debugfs", CAPABILITIES, debugfs).facilities(&["fs:debugfs"]),
    Test::escape(
        "cg-release-agent",
        "Mounts a cgroup v1 hierarchy and names a program for the host to run",
        CAPABILITIES,
        release_agent,
    )
    .facilities(&["fs:cgroup"])
    .fresh(),
];

/// Without the capabilities as first layer the remount may succeed: the mount was made in the container's
/// own mount namespace. The sysctl still belongs to the root of the host.
fn proc_sys(ctx: &mut Context, way: &str, step: &'static str) -> Result {
    const FILE: &str = "/proc/sys/vm/swappiness";
    let _setting = Setting::new(FILE)?;
    Attempt::new(ctx, &[Capabilities, UserNamespace], &[way, "/proc/sys", FILE, "61"])
        .barrier(step)
        .held(Held::By(&[EPERM, EACCES]), Held::By(&[EPERM, EACCES]))
        .host(|| read(FILE))
        .run()
}

fn volume(ctx: &mut Context, way: &str, step: &'static str) -> Result {
    let volume = ctx.scratch().join("volume");
    let file = volume.join("canary");
    fs::create_dir(&volume)?;
    fs::write(&file, "as it was")?;
    Attempt::new(ctx, &[Capabilities, UserNamespace], &[way, "/data", "/data/canary", "changed"])
        .barrier(step)
        .held(Held::By(&[EPERM, EACCES]), Held::By(&[EPERM, EACCES]))
        .bundle(|bundle| {
            bundle.bind(&volume, "/data", &["bind", "ro"]);
        })
        .host(|| Ok(fs::read_to_string(&file)?))
        .run()
}

const NONE: Option<&str> = None;

fn propagation(ctx: &mut Context) -> Result {
    let volume = ctx.scratch().join("volume");
    let place = volume.join("place");
    fs::create_dir_all(&place)?;
    // A mount of its own that is shared, whatever the rest of the tree is.
    mount(Some(&volume), &volume, NONE, MsFlags::MS_BIND, NONE)?;
    mount(NONE, &volume, NONE, MsFlags::MS_SHARED, NONE)?;
    let result =
        Attempt::new(ctx, &[Capabilities, MountPropagation, UserNamespace], &["mount-shared", "/data/place"])
            .held(Held::By(&[EPERM]), Held::Inside)
            .bundle(|bundle| {
                bundle.bind(&volume, "/data", &["bind", "private"]);
            })
            .host(mounts)
            .run();
    umount2(&volume, MntFlags::MNT_DETACH)?;
    result
}

fn debugfs(ctx: &mut Context) -> Result {
    Attempt::new(ctx, &[Capabilities, UserNamespace], &["mount", "none", "debugfs", "."])
        .host_untouched(mounts)
        .run()
}

/// The hierarchy stays in the kernel for a while after its last mount, hence a guest of its own.
fn release_agent(ctx: &mut Context) -> Result {
    Attempt::new(ctx, &[Capabilities, UserNamespace, CgroupNamespace], &["release-agent", "/attempt"])
        .secret("/attempt")
        .host_untouched(mounts)
        .run()
}
