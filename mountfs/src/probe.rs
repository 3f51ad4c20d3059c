//! The facilities of the kernel that this crate asks for.

use std::os::fd::AsFd;

use cofferdam_sys::clone::Namespaces;
use cofferdam_sys::facility::{self, mounts};
use cofferdam_sys::mount::{self, MountAttrs};
use cofferdam_sys::plan::{Exec, Plan, Step};
use cofferdam_sys::probe::Probe;
use cofferdam_sys::spawn::{Failure, Request, Spawning, spawn};
use cofferdam_sys::{Errno, Result};

use crate::idmap::{self, IdMaps};

/// The facilities that this crate asks for.
pub const PROBES: &[Probe] = &[
    Probe {
        name: "open_tree",
        since: "5.2",
        used_for: "mounts that are made apart and attached by descriptor (fsopen, fsmount, move_mount)",
        without: "mount(2), on a stage that only the child sees",
        ask: mounts::has_open_tree,
    },
    Probe {
        name: "overlay_in_user_namespace",
        since: "5.11",
        used_for: "an overlay for a caller without privilege; an ephemeral root in a user namespace",
        without: "the start fails at the step that makes the overlay",
        ask: overlay_in_user_namespace,
    },
    Probe {
        name: "mount_setattr",
        since: "5.12",
        used_for: "attributes of a tree of mounts before it is attached; recursive attributes",
        without: "one mount at a time with mount(2); recursive attributes are refused",
        ask: facility::has_mount_setattr,
    },
    Probe {
        name: "mount_idmap",
        since: "5.12",
        used_for: "id maps of mounts (idmap, ridmap)",
        without: "refused",
        ask: mounts::setattr_knows_idmap,
    },
    Probe {
        name: "mount_setattr_nosymfollow",
        since: "5.14",
        used_for: "nosymfollow together with the other attributes",
        without: "mount(2) for one mount; rnosymfollow is refused",
        ask: mounts::setattr_knows_nosymfollow,
    },
    Probe {
        name: "tmpfs_idmap",
        since: "6.3",
        used_for: "an id map of a new tmpfs",
        without: "refused",
        ask: tmpfs_idmap,
    },
    Probe {
        name: "overlay_layers_one_by_one",
        since: "6.7",
        used_for: "an overlay of more layers than fit into 255 bytes (lowerdir+)",
        without: "about 15 layers",
        ask: overlay_layers_one_by_one,
    },
    Probe {
        name: "unique_mount_ids",
        since: "6.8",
        used_for: "finding in the end the very mount that was made",
        without: "the ids of mountinfo, which are used again after an unmount",
        ask: mounts::has_unique_mount_ids,
    },
    Probe {
        name: "statmount",
        since: "6.8",
        used_for: "reading back attributes and propagation, of mounts below a recursive bind too",
        without: "statvfs and mountinfo",
        ask: facility::has_statmount,
    },
    Probe {
        name: "open_tree_attr",
        since: "6.15",
        used_for: "another id map for a source that has one already",
        without: "refused",
        ask: mounts::has_open_tree_attr,
    },
];

/// Whether a tmpfs can have an id map (Linux 6.3).
///
/// # Errors
/// Where the caller may make neither a detached tmpfs nor a user namespace.
fn tmpfs_idmap() -> Result<bool> {
    if !mounts::setattr_knows_idmap()? {
        return Ok(false);
    }
    let context = mount::fsopen(c"tmpfs")?;
    mount::fsconfig_create(context.as_fd())?;
    let tmpfs = mount::fsmount(context.as_fd(), MountAttrs::empty())?;
    let maps = IdMaps::range(0, 0, 1);
    let namespace = idmap::make(&maps, "probe").map_err(|error| error.errno().unwrap_or(Errno::EIO))?;
    match mount::mount_idmap(tmpfs.as_fd(), false, namespace.as_fd()) {
        Ok(()) => Ok(true),
        Err(Errno::EINVAL) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Whether the layers of an overlay can be given one by one.
///
/// # Errors
/// `ENODEV` where the kernel has no overlay file system, `EPERM` without privilege.
pub(crate) fn overlay_layers_one_by_one() -> Result<bool> {
    let context = mount::fsopen(c"overlay")?;
    // Before Linux 6.5 every word is taken, and refused when the overlay is created.
    match mount::fsconfig_string(context.as_fd(), c"no-option-of-any-kernel", c"/") {
        Ok(()) => return Ok(false),
        Err(Errno::EINVAL) => {}
        Err(errno) => return Err(errno),
    }
    match mount::fsconfig_string(context.as_fd(), c"lowerdir+", c"/") {
        Ok(()) => Ok(true),
        Err(Errno::EINVAL) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Whether an overlay can be made in a user namespace (Linux 5.11).
///
/// # Errors
/// `ENODEV` where the kernel has no overlay file system; where no user namespace can be made.
fn overlay_in_user_namespace() -> Result<bool> {
    let mut plan = Plan::new(Exec { candidates: vec![], args: vec![], env: vec![] });
    let context = plan.slot().map_err(|_| Errno::EMFILE)?;
    let mount = plan.slot().map_err(|_| Errno::EMFILE)?;
    plan.push("begin", Step::FsOpen { fstype: c"overlay".into(), out: context });
    plan.push("create", Step::FsMount { context, attrs: MountAttrs::empty(), out: mount });
    let request = Request {
        namespaces: Namespaces::USER | Namespaces::MOUNT,
        exit_signal: Some(0),
        ..Request::default()
    };
    // The kernel asks whether it is allowed before it finds that there are no layers.
    match spawn(&plan, &request).and_then(Spawning::finish) {
        Err(Failure::Step { about, errno: Errno::EINVAL, .. }) if about == "create" => Ok(true),
        Err(Failure::Step { about, errno: Errno::EPERM, .. }) if about == "create" => Ok(false),
        Err(failure) => Err(failure.errno().unwrap_or(Errno::EIO)),
        Ok(child) => child.wait().and(Err(Errno::EIO)),
    }
}
