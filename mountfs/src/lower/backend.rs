//! How a mount is made: two ways with the same functions.
//!
//! Each gives the steps that leave a mount in a slot, change it, and attach it; what is on top of them does
//! not know which it is. [`new`] works on detached mounts, [`legacy`] on a stage (see `cofferdam_sys::stage`).

mod legacy;
mod new;

use std::ffi::{CStr, CString};

use cofferdam_sys::mount::{MountAttrs, MountFlags};
use cofferdam_sys::plan::{At, Slot, Step};

use super::steps::{Entry, say};
use crate::{Api, Attributes, Result};

/// One change of a mount's attributes.
#[derive(Clone, Copy)]
pub(super) struct Change {
    pub(super) recursive: bool,
    pub(super) attrs: Attributes,
    /// A kind, or empty to leave it.
    pub(super) propagation: MountFlags,
}

impl Change {
    pub(super) fn is_empty(self) -> bool {
        self.attrs.is_empty() && self.propagation.is_empty()
    }
}

/// A file system that is to be made.
#[derive(Clone, Copy)]
pub(super) struct NewFs<'a> {
    pub(super) fstype: &'a CStr,
    /// Its parameters, `source` included.
    pub(super) data: &'a [(CString, Option<CString>)],
    pub(super) attrs: MountAttrs,
}

/// Which way, and the slots that it works with.
#[derive(Clone, Copy)]
pub(super) struct Backend {
    pub(super) api: Api,
    /// Whether `mount_setattr(2)` knows `nosymfollow`.
    pub(super) nosymfollow: bool,
    /// A file system's context.
    pub(super) context: Slot,
    /// Where every new mount is put.
    pub(super) mount: Slot,
    /// What a copy by path is a copy of.
    pub(super) source: Slot,
    /// Where mounts are made before they are moved.
    pub(super) stage: Slot,
}

impl Backend {
    /// What has to be there before the first mount; it covers the old root.
    pub(super) fn begin(self) -> Vec<Entry> {
        match self.api {
            Api::Mount => legacy::begin(self),
            Api::Fsmount | Api::Setattr => Vec::new(),
        }
    }

    /// Where a file system's parameters go while it is made; `mount(2)` takes them all at once.
    pub(super) fn open_context(self) -> Option<Slot> {
        (self.api != Api::Mount).then_some(self.context)
    }

    /// Makes a file system.
    pub(super) fn filesystem(self, about: &str, fs: &NewFs<'_>) -> Result<Vec<Entry>> {
        match self.api {
            Api::Mount => legacy::filesystem(self, about, fs),
            Api::Fsmount | Api::Setattr => Ok(new::filesystem(self, about, fs)),
        }
    }

    /// Which of a new file system's attributes have to be given afterwards.
    pub(super) fn late(self) -> MountAttrs {
        match self.api {
            Api::Mount => legacy::LATE,
            // mount(2) has had this flag since 5.10, fsmount(2) since 5.14.
            _ if self.nosymfollow => MountAttrs::empty(),
            _ => MountAttrs::NOSYMFOLLOW,
        }
    }

    /// Copies the mount behind a descriptor.
    pub(super) fn copy(self, about: &str, from: &At, recursive: bool) -> Vec<Entry> {
        let step = match self.api {
            Api::Mount => legacy::copy(self, from, recursive),
            Api::Fsmount | Api::Setattr => new::copy(self, from, recursive),
        };
        vec![(about.to_owned(), step)]
    }

    /// The mask of a directory.
    pub(super) fn mask(self, about: &str, mask: Slot) -> Vec<Entry> {
        let step = match self.api {
            Api::Mount => legacy::copy(self, &mask.into(), false),
            Api::Fsmount | Api::Setattr => Step::TakeOrCopy { mount: mask, out: self.mount },
        };
        vec![(about.to_owned(), step)]
    }

    /// Copies what the child finds on the host by path.
    pub(super) fn copy_path(self, about: &str, path: &CStr, recursive: bool) -> Vec<Entry> {
        match self.api {
            Api::Mount => legacy::copy_path(self, about, path, recursive),
            Api::Fsmount | Api::Setattr => vec![(about.to_owned(), new::copy_path(self, path, recursive))],
        }
    }

    /// Attaches a mount with its attributes: given before where the kernel can, right after where not.
    pub(super) fn attach(self, about: &str, mount: &At, to: At, changes: &[Change]) -> Vec<Entry> {
        let changes = changes.iter().copied().filter(|change| !change.is_empty());
        match self.api {
            Api::Mount => legacy::attach(self, about, mount, to, changes),
            Api::Fsmount | Api::Setattr => new::attach(self, about, mount, to, changes),
        }
    }

    /// Changes a mount that is attached already.
    pub(super) fn change(self, about: &str, mount: &At, change: Change) -> Vec<Entry> {
        match self.api {
            Api::Setattr => {
                let (now, later) = new::split(self, change);
                now.into_iter()
                    .map(|change| new::set_attributes(about, mount, change))
                    .chain(later.into_iter().flat_map(|change| remount(about, mount, change)))
                    .collect()
            }
            Api::Fsmount | Api::Mount => remount(about, mount, change),
        }
    }
}

/// A change with `mount(2)`, on a mount that the namespace has.
fn remount(about: &str, mount: &At, change: Change) -> Vec<Entry> {
    let recursive = if change.recursive { MountFlags::REC } else { MountFlags::empty() };
    let mut entries = Vec::new();
    if !change.propagation.is_empty() {
        let step = Step::PropagationOf { mount: mount.clone(), flags: change.propagation | recursive };
        entries.push((say(about, "set the propagation"), step));
    }
    if !change.attrs.is_empty() {
        let (flags, clear) = change.attrs.as_flags();
        let step = Step::RemountBind { mount: mount.clone(), flags, clear };
        entries.push((say(about, "set the attributes"), step));
    }
    entries
}
