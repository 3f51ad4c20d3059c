//! Attributes of mounts that criu does not bring back: those of a cgroup file system in its own namespace, for one.
//!
//! The config asks for them, so they are given again while no process of the container runs: by a child that joins
//! the mount namespace, does that, and is ended.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use cofferdam_ns::Namespaces;
use cofferdam_sys::mount::{MountAttrs, MountFlags};
use cofferdam_sys::open::{Open, Resolve};
use cofferdam_sys::plan::{Absent, At, Exec, Plan, Step, TooManySlots};
use cofferdam_sys::spawn::{Request, spawn};

use crate::{Error, ErrorKind, Result};

/// Gives mounts of a process's namespace their attributes (Linux 5.12).
pub(super) fn mend(init: i32, mounts: &[(PathBuf, MountAttrs)]) -> Result<()> {
    let fail = |why: &dyn std::fmt::Display| {
        Error::new(ErrorKind::Start, format!("give restored mounts the attributes of the config: {why}"))
            .with_hint("this needs mount_setattr(2) of Linux 5.12, as criu leaves them out")
    };
    let namespace = File::open(format!("/proc/{init}/ns/mnt")).map_err(|error| fail(&error))?;
    let plan = plan(At::from(OwnedFd::from(namespace)), mounts).map_err(|error| fail(&error))?;
    let mut child = spawn(&plan, &Request::default()).map_err(|failure| fail(&failure))?;
    // It waits then, and is killed when it is dropped.
    child.reached().map_err(|failure| fail(&failure))
}

fn plan(namespace: At, mounts: &[(PathBuf, MountAttrs)]) -> std::result::Result<Plan, TooManySlots> {
    // Nothing is executed.
    let mut plan = Plan::new(Exec { candidates: Vec::new(), args: Vec::new(), env: Vec::new() });
    plan.push("be closed to other processes", Step::Dumpable(false));
    let join = Step::JoinNamespace { fd: namespace, kinds: Namespaces::MOUNT };
    plan.push("join the container's mount namespace", join);
    let mount = plan.slot()?;
    for (place, attrs) in mounts {
        let about = |what: &str| format!("{}: {what}", place.display());
        let open = Step::OpenIn {
            dir: At::Cwd,
            path: CString::new(place.as_os_str().as_bytes()).unwrap_or_default(),
            flags: Open::PATH,
            resolve: Resolve::NO_SYMLINKS | Resolve::NO_MAGICLINKS,
            absent: Absent::Fail,
            out: mount,
        };
        plan.push(about("open it"), open);
        let set = Step::SetAttributes {
            mount: mount.into(),
            recursive: false,
            set: *attrs,
            clear: 0,
            propagation: MountFlags::empty(),
        };
        plan.push(about("give it its attributes"), set);
        plan.push(about("close it"), Step::Close(mount));
    }
    plan.push("tell that all is done", Step::TellParent);
    plan.push("wait for the end", Step::WaitForParent);
    Ok(plan)
}
