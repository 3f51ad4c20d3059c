//! Attempts to get more of the host than one's share.

use super::attempt::{Attempt, Held};
use super::host::read;
use super::{LIMITS, USER_NAMESPACE};
use crate::bundle::Bundle;
use crate::bundle::Layer::{CgroupLimits, CgroupNamespace, ReadonlyMounts, Rlimits, UserNamespace};
use crate::guest::cgroups::{Layout, root_of};
use crate::registry::{Context, Result, Test};
use cofferdam_sys::Errno::{EACCES, EAGAIN, ENOMEM, EROFS};
use serde_json::json;

pub(super) const TESTS: &[Test] = &[
    Test::escape("dos-fork-bomb", "Starts tasks without end", LIMITS, tasks).facilities(&["cgroup:pids"]),
    Test::escape("dos-memory-hog", "Takes memory without end", LIMITS, memory).facilities(&["cgroup:memory"]),
    Test::escape(
        "cg-raise-own-limit",
        "Raises a limit of its own cgroup through the host's hierarchy",
        USER_NAMESPACE,
        raise,
    )
    .facilities(&["cgroup:pids"]),
    Test::escape(
        "cg-move-out",
        "Moves itself out of its cgroup, through the host's hierarchy",
        USER_NAMESPACE,
        move_out,
    )
    .facilities(&["cgroup:pids"]),
];

/// The second layer is `RLIMIT_NPROC`, which counts by the host's id, and so only where ids are mapped.
fn tasks(ctx: &mut Context) -> Result {
    Attempt::new(ctx, &[CgroupLimits, Rlimits], &["threads", "300"])
        .barrier("more than 100")
        .held(Held::By(&[EAGAIN]), Held::By(&[EAGAIN]))
        .bundle(|bundle| rlimit(bundle, "RLIMIT_NPROC", 150))
        .host_untouched(|| {
            Ok(std::process::Command::new(ctx.probe()).args(["exit", "0"]).status()?.to_string())
        })
        .run()
}

/// The second layer is `RLIMIT_DATA`.
fn memory(ctx: &mut Context) -> Result {
    Attempt::new(ctx, &[CgroupLimits, Rlimits], &["memory", "96"])
        .held(Held::Killed, Held::By(&[ENOMEM]))
        .bundle(|bundle| {
            rlimit(bundle, "RLIMIT_DATA", 80 << 20);
            if bundle.config().pointer("/linux/resources").is_some() {
                bundle.set("/linux/resources/memory", json!({ "limit": 40 << 20, "swap": 40 << 20 }));
            }
        })
        .run()
}

fn rlimit(bundle: &mut Bundle, kind: &str, value: u64) {
    bundle.list("/process/rlimits").push(json!({ "type": kind, "soft": value, "hard": value }));
}

/// The host's hierarchy is in the container, as a volume: a mistake that happens.
fn hierarchy(bundle: &mut Bundle) {
    let root = root_of("pids").unwrap_or_default();
    bundle.bind(&root, "/data", &["bind", "ro", "nosuid", "nodev", "noexec"]);
}

fn raise(ctx: &mut Context) -> Result {
    Attempt::new(
        ctx,
        &[UserNamespace, ReadonlyMounts, CgroupNamespace],
        &["set-file", "/data/attempt/pids.max", "max"],
    )
    .held(Held::By(&[EACCES]), Held::By(&[EROFS]))
    .bundle(hierarchy)
    .secret("\"max\\n\"")
    .run()
}

fn move_out(ctx: &mut Context) -> Result {
    // The line of /proc/self/cgroup, in v2 and in v1.
    let outside = if ctx.layout() == Layout::V2 { "0::/\\n" } else { ":pids:/\\n" };
    Attempt::new(ctx, &[UserNamespace, ReadonlyMounts, CgroupNamespace], &["join-cgroup", "/data"])
        .held(Held::By(&[EACCES]), Held::By(&[EROFS]))
        .bundle(hierarchy)
        .secret(outside)
        .host_untouched(|| read(&ctx.layout().case().join("cgroup.procs").to_string_lossy()))
        .run()
}
