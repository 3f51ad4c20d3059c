//! Attempts on parts of the kernel that a container has no use for: the system call filter stops them first.

use super::SECCOMP;
use super::attempt::{Attempt, Held};
use crate::bundle::Bundle;
use crate::bundle::Layer::{self, Capabilities, Seccomp, UserNamespace};
use crate::registry::{Context, Result, Test};
use cofferdam_sys::Errno::{ENOSYS, EPERM};

pub(super) const TESTS: &[Test] = &[
    Test::escape("sc-io-uring", "Makes calls that no filter sees, through a ring", SECCOMP, |ctx| {
        inside(ctx, &["io-uring"], Held::By(&[ENOSYS]))
    }),
    Test::escape("sc-userfaultfd", "Stops the kernel in the middle of a copy", SECCOMP, |ctx| {
        inside(ctx, &["userfaultfd"], Held::By(&[EPERM]))
    }),
    Test::escape("sc-nested-userns", "Makes a user namespace to have every capability", SECCOMP, |ctx| {
        inside(ctx, &["nested"], Held::By(&[EPERM]))
    }),
    Test::escape("sc-keyring", "Puts keys into the kernel, where all containers' keys are", SECCOMP, |ctx| {
        inside(ctx, &["key", "cofferdam-key"], Held::By(&[EPERM]))
    }),
    Test::escape("sc-packet-socket", "Opens a socket that sees every packet", SECCOMP, |ctx| {
        attempt(ctx, &[Seccomp, Capabilities], &["packet"])
    }),
    Test::escape("sc-new-mount-api", "Mounts by descriptor, past what looks at mount(2)", SECCOMP, |ctx| {
        attempt(ctx, &[Seccomp, Capabilities], &["fsopen"])
    }),
    Test::escape("sc-bpf", "Loads a program into the kernel", SECCOMP, |ctx| {
        attempt(ctx, &[Seccomp, Capabilities, UserNamespace], &["bpf"])
    }),
];

fn with_filter(bundle: &mut Bundle) {
    bundle.seccomp();
}

/// An attempt that another layer stops behind the filter.
fn attempt(ctx: &Context, layers: &'static [Layer], words: &[&str]) -> Result {
    Attempt::new(ctx, layers, words).bundle(with_filter).run()
}

/// One that is harmless to the host as long as the kernel has no bug there: nothing else stops it.
fn inside(ctx: &Context, words: &[&str], full: Held) -> Result {
    Attempt::new(ctx, &[Seccomp], words).bundle(with_filter).held(full, Held::Inside).run()
}
