//! Detached mounts: `fsopen(2)`, `open_tree(2)`, `move_mount(2)`, and `mount_setattr(2)` where it is there.

use std::ffi::CStr;

use cofferdam_sys::mount::{MountAttrs, MountFlags, OpenTree};
use cofferdam_sys::plan::{At, Step};

use super::super::steps::{Entry, say};
use super::{Backend, Change, NewFs, remount};
use crate::{Api, Attributes};

pub(super) fn filesystem(backend: Backend, about: &str, fs: &NewFs<'_>) -> Vec<Entry> {
    let context = backend.context;
    let mut entries = vec![(say(about, "begin"), Step::FsOpen { fstype: fs.fstype.into(), out: context })];
    for (key, value) in fs.data {
        let name = key.to_string_lossy();
        entries.push(match value {
            Some(value) => (
                format!("{about}: set {name}={}", value.to_string_lossy()),
                Step::FsString { context, key: key.clone(), value: value.clone() },
            ),
            None => (format!("{about}: set {name}"), Step::FsFlag { context, key: key.clone() }),
        });
    }
    let step = Step::FsMount { context, attrs: fs.attrs, out: backend.mount };
    entries.push((say(about, "create"), step));
    entries.push((say(about, "close"), Step::Close(context)));
    entries
}

pub(super) fn copy(backend: Backend, from: &At, recursive: bool) -> Step {
    let flags = OpenTree::CLONE | OpenTree::EMPTY_PATH | below(recursive);
    Step::OpenTree { dir: from.clone(), path: c"".into(), flags, out: backend.mount }
}

pub(super) fn copy_path(backend: Backend, path: &CStr, recursive: bool) -> Step {
    let flags = OpenTree::CLONE | below(recursive);
    Step::OpenTree { dir: At::Cwd, path: path.into(), flags, out: backend.mount }
}

fn below(recursive: bool) -> OpenTree {
    if recursive { OpenTree::RECURSIVE } else { OpenTree::empty() }
}

pub(super) fn attach(
    backend: Backend,
    about: &str,
    mount: &At,
    to: At,
    changes: impl Iterator<Item = Change>,
) -> Vec<Entry> {
    let attach = (say(about, "attach"), Step::MoveMount { from: mount.clone(), to });
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for change in changes {
        if backend.api == Api::Setattr {
            let (now, later) = split(backend, change);
            before.extend(now.map(|change| set_attributes(about, mount, change)));
            after.extend(later.into_iter().flat_map(|change| remount(about, mount, change)));
        } else {
            after.extend(remount(about, mount, change));
        }
    }
    before.into_iter().chain([attach]).chain(after).collect()
}

/// What `mount_setattr(2)` can change, and what is left for `mount(2)`.
pub(super) fn split(backend: Backend, change: Change) -> (Option<Change>, Option<Change>) {
    let unknown = if backend.nosymfollow { MountAttrs::empty() } else { MountAttrs::NOSYMFOLLOW };
    let Attributes { set, clear } = change.attrs;
    let later = Attributes { set: set & unknown, clear: clear & unknown.bits() };
    let now = Attributes { set: set - unknown, clear: clear & !unknown.bits() };
    let some = |change: Change| (!change.is_empty()).then_some(change);
    (
        some(Change { attrs: now, ..change }),
        some(Change { attrs: later, propagation: MountFlags::empty(), ..change }),
    )
}

pub(super) fn set_attributes(about: &str, mount: &At, change: Change) -> Entry {
    let Attributes { set, clear } = change.attrs;
    let step = Step::SetAttributes {
        mount: mount.clone(),
        recursive: change.recursive,
        set,
        clear,
        propagation: change.propagation,
    };
    (say(about, "set the attributes"), step)
}
