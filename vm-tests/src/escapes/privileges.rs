//! Attempts to get capabilities back, or what only they allow.

use super::attempt::{Attempt, Held};
use super::kernel::with_clock_changed;
use super::{CAPABILITIES, NO_NEW_PRIVILEGES};
use crate::bundle::Bundle;
use crate::bundle::Layer::{Capabilities, NoNewPrivileges, UserNamespace};
use crate::registry::{Context, Result, Test};
use cofferdam_sys::Errno::{EACCES, EPERM};
use serde_json::json;

pub(super) const TESTS: &[Test] = &[
    Test::escape(
        "cap-regain-by-exec",
        "Executes a set-user-ID program to regain capabilities",
        NO_NEW_PRIVILEGES,
        by_exec,
    ),
    Test::escape(
        "cap-regain-bounding",
        "Regains capabilities beyond the bounding set by a set-user-ID program, and sets the clock",
        CAPABILITIES,
        bounding,
    ),
    Test::escape("cap-raise-rlimit", "Raises its hard limit of open files", CAPABILITIES, |ctx| {
        Attempt::new(ctx, &[Capabilities, UserNamespace], &["raise-limit", "RLIMIT_NOFILE"]).run()
    }),
    Test::escape("cap-nice", "Goes before every process of the host", CAPABILITIES, |ctx| {
        Attempt::new(ctx, &[Capabilities, UserNamespace], &["nice", "-10"])
            .held(Held::By(&[EACCES, EPERM]), Held::By(&[EACCES, EPERM]))
            .run()
    }),
];

/// `CAP_SYS_TIME`.
const SYS_TIME: &str = "25";
const PROGRAM: &str = "/setuid-probe";

/// A user of the container, and a program that makes its root of whoever executes it.
fn unprivileged(ctx: &Context, bundle: &mut Bundle) {
    bundle.copy(ctx.probe(), PROGRAM, 0o4755);
    bundle.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    for set in ["effective", "permitted"] {
        bundle.set(&format!("/process/capabilities/{set}"), json!([]));
    }
}

fn by_exec(ctx: &mut Context) -> Result {
    Attempt::new(ctx, &[NoNewPrivileges, Capabilities], &["setuid-exec", PROGRAM, SYS_TIME])
        .barrier("become root")
        .bundle(|bundle| unprivileged(ctx, bundle))
        .run()
}

/// `no_new_privs` would fire first, so this one is without it in every mode.
fn bounding(ctx: &mut Context) -> Result {
    let words = ["setuid-exec", PROGRAM, SYS_TIME, "clock", "3600"];
    with_clock_changed(ctx, &[Capabilities, UserNamespace], &words, |bundle| {
        unprivileged(ctx, bundle);
        bundle.peel(NoNewPrivileges);
    })
}
