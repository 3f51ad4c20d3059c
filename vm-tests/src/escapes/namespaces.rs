//! Attempts on what the namespaces keep apart.

use super::attempt::{Attempt, Held};
use super::host::{Decoy, Secret, Setting, read};
use super::{CAPABILITIES, IPC_NAMESPACE, PID_NAMESPACE};
use crate::bundle::Layer::{Capabilities, IpcNamespace, PidNamespace, UserNamespace, UtsNamespace};
use crate::registry::{Context, Result, Test};
use cofferdam_sys::Errno::{EACCES, ENOENT, EPERM, ESRCH};
use cofferdam_sys::attempts;

pub(super) const TESTS: &[Test] = &[
    Test::escape("ns-pid-kill", "Kills a process of the host", PID_NAMESPACE, kill),
    Test::escape(
        "ns-pid-root",
        "Reads a file through the root directory of a process of the host",
        PID_NAMESPACE,
        root,
    ),
    Test::escape("ns-pidfd-getfd", "Takes an open file out of a process of the host", PID_NAMESPACE, getfd),
    Test::escape("ns-setns-host", "Enters the namespaces of a process of the host", PID_NAMESPACE, setns),
    Test::escape("ns-ipc-shm", "Reads a shared memory segment of the host", IPC_NAMESPACE, shm),
    Test::escape("ns-hostname", "Names the host", CAPABILITIES, hostname),
];

fn kill(ctx: &mut Context) -> Result {
    let decoy = Decoy::new(ctx, &Secret::new(ctx)?)?;
    Attempt::new(ctx, &[PidNamespace, UserNamespace], &["kill", &decoy.pid()])
        .held(Held::By(&[ESRCH]), Held::By(&[EPERM]))
        .host(|| decoy.state())
        .run()
}

fn root(ctx: &mut Context) -> Result {
    let secret = Secret::new(ctx)?;
    let decoy = Decoy::new(ctx, &secret)?;
    let path = format!("/proc/{}/root{}", decoy.pid(), secret.path());
    Attempt::new(ctx, &[PidNamespace, UserNamespace, Capabilities], &["read", &path])
        .held(Held::By(&[ENOENT]), Held::By(&[EACCES]))
        .secret(&secret.text)
        .run()
}

fn getfd(ctx: &mut Context) -> Result {
    let secret = Secret::new(ctx)?;
    let decoy = Decoy::new(ctx, &secret)?;
    Attempt::new(ctx, &[PidNamespace, UserNamespace, Capabilities], &["getfd", &decoy.pid(), "0"])
        .held(Held::By(&[ESRCH]), Held::By(&[EPERM]))
        .secret(&secret.text)
        .run()
}

fn setns(ctx: &mut Context) -> Result {
    let secret = Secret::new(ctx)?;
    let decoy = Decoy::new(ctx, &secret)?;
    Attempt::new(ctx, &[PidNamespace, UserNamespace, Capabilities], &["setns", &decoy.pid(), &secret.path()])
        .held(Held::By(&[ENOENT]), Held::By(&[EACCES]))
        .secret(&secret.text)
        .run()
}

fn shm(ctx: &mut Context) -> Result {
    const KEY: i32 = 0x0c0f_fe1a;
    let secret = Secret::new(ctx)?;
    let id = attempts::shm_create(KEY, secret.text.as_bytes())?;
    let length = secret.text.len().to_string();
    let result = Attempt::new(ctx, &[IpcNamespace, UserNamespace], &["shm", &KEY.to_string(), &length])
        .held(Held::By(&[ENOENT]), Held::By(&[EACCES]))
        .secret(&secret.text)
        .run();
    attempts::shm_remove(id)?;
    result
}

/// Without the first layer the container renames itself.
fn hostname(ctx: &mut Context) -> Result {
    const FILE: &str = "/proc/sys/kernel/hostname";
    let _setting = Setting::new(FILE)?;
    Attempt::new(ctx, &[Capabilities, UtsNamespace, UserNamespace], &["hostname", "attempt"])
        .held(Held::By(&[EPERM]), Held::Inside)
        .host(|| read(FILE))
        .run()
}
