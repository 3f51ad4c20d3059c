//! Attempts with mounts.

use super::files::{read, write_once};
use crate::probe::{Steps, Tried, c_string, io};
use cofferdam_sys::Errno;
use cofferdam_sys::mount::{self as call, MountAttrs, MountFlags, OpenTree, Unmount};
use cofferdam_sys::open::Dir;
use serde_json::{Value, json};
use std::fs;
use std::os::fd::AsFd;

/// An empty directory of the container to mount on.
const MNT: &str = "/mnt";

/// `mount(MS_REMOUNT | MS_BIND)` without `MS_RDONLY`, then a write.
pub(super) fn remount(steps: &Steps, target: &str, file: &str, text: &str) -> Tried {
    let place = call::open_tree(Dir::Cwd, &c_string(target)?, OpenTree::empty())?;
    let remounted = call::remount_bind(place.as_fd(), MountFlags::empty(), MountFlags::RDONLY);
    // The write is tried in any case: it must not get through either.
    let _ = steps.step("remount", remounted);
    steps.step("write", write_once(file, text)).map(|()| Value::Null)
}

/// The same with `mount_setattr(2)`.
pub(super) fn setattr(steps: &Steps, target: &str, file: &str, text: &str) -> Tried {
    let place = call::open_tree(Dir::Cwd, &c_string(target)?, OpenTree::empty())?;
    let clear = MountAttrs::RDONLY.bits();
    let cleared = call::mount_setattr(place.as_fd(), false, MountAttrs::empty(), clear, MountFlags::empty());
    let _ = steps.step("mount_setattr", cleared);
    steps.step("write", write_once(file, text)).map(|()| Value::Null)
}

/// Takes a mask away in each way that there is, then reads what was below.
pub(super) fn unmask(steps: &Steps, mask: &str, needle: &str) -> Tried {
    let path = c_string(mask)?;
    let ways =
        [("umount", Unmount::empty()), ("umount, lazy", Unmount::DETACH), ("umount, force", Unmount::FORCE)];
    for (way, flags) in ways {
        if steps.step(way, call::umount2(&path, flags)).is_ok() {
            break;
        }
    }
    let found = read(mask)?;
    if found.as_str().is_some_and(|text| text.contains(needle)) { Ok(found) } else { Err(Errno::ENOMSG) }
}

/// Mounts a filesystem and looks into it.
pub(super) fn mount(steps: &Steps, source: &str, kind: &str, file: &str) -> Tried {
    let mounted = call::mount(
        Some(&c_string(source)?),
        &c_string(MNT)?,
        Some(&c_string(kind)?),
        MountFlags::empty(),
        None,
    );
    steps.step("mount", mounted)?;
    let path = format!("{MNT}/{file}");
    if io(fs::metadata(&path))?.is_dir() { Ok(json!(io(fs::read_dir(path))?.count())) } else { read(&path) }
}

/// Mounts a tmpfs on a directory of a volume, for the host to see.
pub(super) fn shared(target: &str) -> Tried {
    call::mount(Some(c"attempt"), &c_string(target)?, Some(c"tmpfs"), MountFlags::empty(), None)
        .map(|()| Value::Null)
}

/// Mounts a cgroup v1 hierarchy and names the program that the host is to run for it.
pub(super) fn release_agent(steps: &Steps, path: &str) -> Tried {
    let mounted = call::mount(
        Some(c"attempt"),
        &c_string(MNT)?,
        Some(c"cgroup"),
        MountFlags::empty(),
        Some(c"none,name=attempt"),
    );
    steps.step("mount", mounted)?;
    let file = format!("{MNT}/release_agent");
    steps.step("write", write_once(&file, path))?;
    let found = read(&file);
    // Leave no agent behind, even in a guest that is thrown away.
    let _ = write_once(&file, "\n");
    found
}
