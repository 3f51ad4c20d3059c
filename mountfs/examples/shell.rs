//! A shell in a directory that holds a Linux system, with a fresh `/proc`, `/dev` and `/tmp`.
//!
//! `cargo run -p cofferdam-mountfs --example shell -- ROOT [COMMAND]`, as root. It shows the mounts only:
//! the shell keeps all capabilities, and is no sandbox.

use std::error::Error;
use std::ffi::CString;

use cofferdam_mountfs::{Host, Mount, RootFs};
use cofferdam_sys::clone::Namespaces;
use cofferdam_sys::plan::{Exec, Plan};
use cofferdam_sys::spawn::{Request, spawn};

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let root = words.next().ok_or("usage: shell ROOT [COMMAND]")?;
    let root = std::fs::canonicalize(root)?;

    let mut rootfs = RootFs::new(root);
    rootfs.mounts = vec![
        Mount::from_options("proc", "proc", "/proc", ["nosuid", "nodev", "noexec"])?,
        Mount::from_options("tmpfs", "tmpfs", "/dev", ["nosuid", "mode=755", "size=64k"])?,
        Mount::from_options(
            "devpts",
            "devpts",
            "/dev/pts",
            ["nosuid", "noexec", "newinstance", "ptmxmode=0666"],
        )?,
        Mount::from_options("tmpfs", "tmpfs", "/tmp", ["nosuid", "nodev", "mode=1777"])?,
    ];
    rootfs.masked = vec!["/proc/kcore".into(), "/proc/keys".into()];
    rootfs.readonly_paths = vec!["/proc/sys".into(), "/proc/sysrq-trigger".into()];

    let mut args = vec![c"sh".to_owned()];
    if let Some(command) = words.next() {
        args.extend([c"-c".to_owned(), CString::new(command)?]);
    }
    let env = vec![c"PATH=/usr/sbin:/usr/bin:/sbin:/bin".to_owned()];
    let mut plan = Plan::new(Exec { candidates: vec![c"/bin/sh".into()], args, env });
    let prepared = rootfs.prepare(&Host::probe()?).map_err(|error| match error.hint() {
        Some(hint) => format!("{error}\n  {hint}"),
        None => error.to_string(),
    })?;
    prepared.lower(&mut plan)?;

    let namespaces = Namespaces::MOUNT | Namespaces::PID | Namespaces::IPC;
    let child = spawn(&plan, &Request { namespaces, ..Request::default() })?.finish()?;
    std::process::exit(child.wait()?.status().into());
}
