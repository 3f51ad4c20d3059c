//! A shell in the host's own system, read-only, with a tmpfs on top: what it changes is gone when it ends.
//!
//! `cargo run -p cofferdam-mountfs --example throwaway [-- COMMAND]`, as root. It shows the mounts only: the
//! shell keeps all capabilities, and is no sandbox.

use std::error::Error;
use std::ffi::CString;

use cofferdam_mountfs::{Host, Mount, RootFs, RootSource};
use cofferdam_sys::clone::Namespaces;
use cofferdam_sys::plan::{Exec, Plan};
use cofferdam_sys::spawn::{Request, spawn};

fn main() -> Result<(), Box<dyn Error>> {
    let mut rootfs = RootFs::new(RootSource::host());
    rootfs.mounts = vec![
        Mount::from_options("proc", "proc", "/proc", ["nosuid", "nodev", "noexec"])?,
        Mount::from_options("tmpfs", "tmpfs", "/dev", ["nosuid", "mode=755", "size=64k"])?,
        Mount::from_options("tmpfs", "tmpfs", "/tmp", ["nosuid", "nodev", "mode=1777"])?,
    ];
    let mut args = vec![c"sh".to_owned()];
    if let Some(command) = std::env::args().nth(1) {
        args.extend([c"-c".to_owned(), CString::new(command)?]);
    }
    let env = vec![c"PATH=/usr/sbin:/usr/bin:/sbin:/bin".to_owned()];
    let mut plan = Plan::new(Exec { candidates: vec![c"/bin/sh".into()], args, env });
    rootfs.prepare(&Host::probe()?)?.lower(&mut plan)?;

    let namespaces = Namespaces::MOUNT | Namespaces::PID | Namespaces::IPC;
    let child = spawn(&plan, &Request { namespaces, ..Request::default() })?.finish()?;
    std::process::exit(child.wait()?.status().into());
}
