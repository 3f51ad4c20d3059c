//! Attempts on files of the host and of the kernel.

use super::attempt::{Attempt, Held};
use super::host::{Secret, Setting, read};
use super::{CAPABILITIES, MASKS, USER_NAMESPACE};
use crate::bundle::Layer::{Capabilities, Masks, ReadonlyPaths, UserNamespace};
use crate::probe::hex;
use crate::registry::{Context, OrFail, Result, Test};
use cofferdam_sys::Errno::{EACCES, EBADF, ENODATA, ENOENT, EPERM, EROFS, ESTALE};
use cofferdam_sys::open::{Dir, name_to_handle_at};
use std::ffi::CString;
use std::fs::File;
use std::path::Path;
use std::process::Command;

pub(super) const TESTS: &[Test] = &[
    Test::escape(
        "fs-core-pattern",
        "Writes the program that the kernel runs for core dumps, by three ways to the file",
        USER_NAMESPACE,
        core_pattern,
    ),
    Test::escape(
        "fs-sysrq-trigger",
        "Asks the kernel for a magic SysRq (the harmless help)",
        USER_NAMESPACE,
        sysrq,
    )
    .facilities(&["sysrq"]),
    Test::escape("fs-raw-memory-kcore", "Reads the kernel's memory from /proc/kcore", MASKS, kcore),
    Test::escape(
        "fs-mask-peel",
        "Unmounts the mask over /proc/timer_list and reads below it",
        CAPABILITIES,
        mask,
    ),
    Test::escape(
        "fs-open-by-handle",
        "Opens a file of the host by its handle, outside the container's root",
        CAPABILITIES,
        handle,
    ),
    Test::escape(
        "fs-chroot-fchdir",
        "Leaves the root by a nested chroot and a saved directory",
        CAPABILITIES,
        chroot,
    ),
    Test::escape(
        "exec-fd-leak",
        "Looks for a directory of the host that the runtime's caller left open",
        CAPABILITIES,
        descriptors,
    ),
];

fn core_pattern(ctx: &mut Context) -> Result {
    const FILE: &str = "/proc/sys/kernel/core_pattern";
    let _setting = Setting::new(FILE)?;
    Attempt::new(ctx, &[UserNamespace, ReadonlyPaths], &["write", FILE, "attempt"])
        .held(Held::By(&[EACCES]), Held::By(&[EROFS]))
        .host(|| read(FILE))
        .run()
}

fn sysrq(ctx: &mut Context) -> Result {
    let helps = || {
        let log = cofferdam_sys::attempts::kernel_log()?;
        Ok(String::from_utf8_lossy(&log).matches("sysrq: HELP").count().to_string())
    };
    Attempt::new(ctx, &[UserNamespace, ReadonlyPaths], &["write", "/proc/sysrq-trigger", "h"])
        .held(Held::By(&[EACCES]), Held::By(&[EROFS]))
        .host(helps)
        .run()
}

fn kcore(ctx: &mut Context) -> Result {
    if !Path::new("/proc/kcore").exists() {
        skip!("this kernel has no /proc/kcore");
    }
    Attempt::new(ctx, &[Masks, UserNamespace, Capabilities], &["read", "/proc/kcore"])
        .held(Held::By(&[ENODATA]), Held::By(&[EACCES]))
        .secret("ELF")
        .run()
}

fn mask(ctx: &mut Context) -> Result {
    if !Path::new("/proc/timer_list").exists() {
        skip!("this kernel has no /proc/timer_list");
    }
    Attempt::new(ctx, &[Capabilities, UserNamespace], &["unmask", "/proc/timer_list", "Timer List"])
        .held(Held::By(&[EPERM, ENODATA]), Held::By(&[EACCES]))
        .barrier("umount")
        .secret("Timer List")
        .run()
}

/// The root directory of the container and the secret are on one filesystem. From Linux 6.11 on a directory
/// below the container's own mount may be opened inside a user namespace; the secret is not below it.
fn handle(ctx: &mut Context) -> Result {
    let secret = Secret::new(ctx)?;
    let (kind, bytes) = name_to_handle_at(Dir::Cwd, &CString::new(secret.path())?)?;
    Attempt::new(ctx, &[Capabilities, UserNamespace], &["handle", &kind.to_string(), &hex(&bytes)])
        .held(Held::By(&[EPERM]), Held::By(&[EPERM, ESTALE]))
        .secret(&secret.text)
        .run()
}

/// No config leaves `pivot_root(2)` out, so the control is a root directory that was entered by `chroot(2)`.
fn chroot(ctx: &mut Context) -> Result {
    let secret = Secret::new(ctx)?;
    let path = secret.path();
    let probe = ctx.probe();
    Attempt::new(ctx, &[Capabilities], &["chroot", &path])
        .held(Held::By(&[ENOENT]), Held::By(&[ENOENT]))
        .secret(&secret.text)
        .control_outside(|bundle| {
            let mut command = Command::new(probe);
            command.arg("chrooted").arg(bundle.dir().join("rootfs")).args(["try", "chroot", &path]);
            command
        })
        .run()
}

/// No config makes a runtime keep descriptors, so the control is the probe without a runtime.
fn descriptors(ctx: &mut Context) -> Result {
    let secret = Secret::new(ctx)?;
    let path = secret.path();
    let root = File::open("/").or_fail("opening the root directory")?;
    rustix::io::fcntl_setfd(&root, rustix::io::FdFlags::empty())?;
    let probe = ctx.probe();
    let result = Attempt::new(ctx, &[Capabilities], &["descriptors", &path])
        .held(Held::By(&[EBADF]), Held::By(&[EBADF]))
        .secret(&secret.text)
        .control_outside(|_| {
            let mut command = Command::new(probe);
            command.args(["try", "descriptors", &path]);
            command
        })
        .run();
    drop(root);
    result
}
