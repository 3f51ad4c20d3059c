//! Mounts: made detached, given their attributes, attached by descriptor.

use cofferdam_sys::mount::{MountAttrs, MountFlags};
use cofferdam_sys::plan::{At, Step};

use super::SAME;
use super::steps::{Entry, Steps};
use crate::Attributes;
use crate::mount::{Propagation, PropagationKind};
use crate::place::Place;
use crate::prepare::{Item, Tree, What};

/// `PROC_SUPER_MAGIC` of `statfs(2)`.
const PROC: i64 = 0x9fa0;
/// `SYSFS_MAGIC` of `statfs(2)`.
const SYSFS: i64 = 0x6265_6572;

/// One change of a mount's attributes.
#[derive(Clone, Copy)]
pub(super) struct Change {
    pub(super) recursive: bool,
    pub(super) attrs: Attributes,
    /// A kind, or empty to leave it.
    pub(super) propagation: MountFlags,
}

impl Change {
    fn is_empty(self) -> bool {
        self.attrs.is_empty() && self.propagation.is_empty()
    }
}

impl Steps<'_> {
    /// The steps of one entry of the list.
    pub(super) fn item(&mut self, item: &Item) {
        match &item.what {
            What::Bind { tree, directory } => self.bind(item, tree, *directory),
            What::Fs { fstype, data } => self.file_system(item, fstype, data),
            What::Seal => self.seal(item),
            What::Link { to } => self.link_beside(&item.place, to),
        }
    }

    fn bind(&mut self, item: &Item, tree: &Tree, directory: bool) {
        let about = format!("bind on {}", item.place.shown);
        let (mount, recursive) = self.source(&about, tree);
        self.open_target(&about, &item.place, directory);
        self.check_target(&about, &item.place);
        let changes = changes_of_bind(item, recursive);
        self.attach(&about, &mount, self.target.into(), &changes);
        self.close(&about, self.target);
        self.close_source(&about, tree);
        if item.place.bytes() == b"proc" {
            self.verify(&about, &item.place, PROC);
        }
    }

    fn file_system(
        &mut self,
        item: &Item,
        fstype: &std::ffi::CStr,
        data: &[(std::ffi::CString, Option<std::ffi::CString>)],
    ) {
        let kind = fstype.to_string_lossy();
        let about = format!("mount {kind} on {}", item.place.shown);
        self.push(format!("{about}: begin"), Step::FsOpen { fstype: fstype.into(), out: self.context });
        for (key, value) in data {
            self.parameter(&about, key, value.as_deref());
        }
        let (attrs, later) = self.attributes_of_new(item);
        let step = Step::FsMount { context: self.context, attrs, out: self.mount };
        self.push(format!("{about}: create"), step);
        self.close(&about, self.context);
        self.open_target(&about, &item.place, true);
        let magic = match fstype.to_bytes() {
            b"proc" => Some(PROC),
            b"sysfs" => Some(SYSFS),
            _ => None,
        };
        if magic.is_some() && !item.place.is_strict() {
            self.close(&about, self.target);
            self.reopen_strictly(&about, &item.place);
        }
        self.check_target(&about, &item.place);
        self.attach(&about, &self.mount.into(), self.target.into(), &[later]);
        self.close(&about, self.target);
        self.close(&about, self.mount);
        if let Some(magic) = magic {
            self.verify(&about, &item.place, magic);
        }
    }

    pub(super) fn parameter(&mut self, about: &str, key: &std::ffi::CStr, value: Option<&std::ffi::CStr>) {
        let (context, name) = (self.context, key.to_string_lossy());
        let (about, step) = match value {
            Some(value) => (
                format!("{about}: set {name}={}", value.to_string_lossy()),
                Step::FsString { context, key: key.into(), value: value.into() },
            ),
            None => (format!("{about}: set {name}"), Step::FsFlag { context, key: key.into() }),
        };
        self.push(about, step);
    }

    /// The attributes that a new file system is mounted with, and what has to be changed afterwards.
    ///
    /// A new mount is one mount, so that its recursive attributes are its own, and is private.
    fn attributes_of_new(&self, item: &Item) -> (MountAttrs, Change) {
        let all = both(item.attrs, item.recursive_attrs);
        let mut later = Change { recursive: false, attrs: Attributes::default(), propagation: SAME };
        if item.propagation.kind != PropagationKind::Private {
            later.propagation = item.propagation.kind_flag();
        }
        // mount(2) has had this flag since 5.10, fsmount(2) since 5.14.
        let hidden = if self.mount_setattr { MountAttrs::empty() } else { MountAttrs::NOSYMFOLLOW };
        later.attrs = Attributes::set(all.set & hidden);
        (all.set - hidden, later)
    }

    /// The descriptor of a source, and whether it may hold more than one mount.
    pub(super) fn source(&mut self, about: &str, tree: &Tree) -> (At, bool) {
        match tree {
            Tree::Detached { tree, recursive } => (tree.clone(), *recursive),
            Tree::ByPath { path, recursive } => {
                let about = format!("{about}: copy {}", path.to_string_lossy());
                let step = self.copy_of_path(path, *recursive);
                self.push(about, step);
                (self.mount.into(), *recursive)
            }
        }
    }

    pub(super) fn close_source(&mut self, about: &str, tree: &Tree) {
        if let Tree::ByPath { .. } = tree {
            self.close(about, self.mount);
        }
    }

    /// Refuses a target that a link or an earlier mount led into a procfs.
    pub(super) fn check_target(&mut self, about: &str, place: &Place) {
        if !place.may_be_in_proc() {
            let step = Step::RefuseFilesystem { fd: self.target.into(), magic: PROC };
            self.push(format!("{about}: the target is not inside a procfs"), step);
        }
    }

    /// Attaches a detached mount with its attributes: before where the kernel can, right after where not.
    pub(super) fn attach(&mut self, about: &str, mount: &At, to: At, changes: &[Change]) {
        let entries = self.attach_entries(about, mount, to, changes);
        self.extend(entries);
    }

    pub(super) fn attach_entries(&self, about: &str, mount: &At, to: At, changes: &[Change]) -> Vec<Entry> {
        let changes = changes.iter().filter(|change| !change.is_empty());
        let attach = (format!("{about}: attach"), Step::MoveMount { from: mount.clone(), to });
        if self.mount_setattr {
            let entries = changes.map(|change| set_attributes(about, mount, *change));
            return entries.chain([attach]).collect();
        }
        let entries = changes.flat_map(|change| change_attached(about, mount, *change));
        std::iter::once(attach).chain(entries).collect()
    }

    /// Looks at the place again: it is the file system that was meant.
    fn verify(&mut self, about: &str, place: &Place, magic: i64) {
        self.reopen_strictly(about, place);
        let step = Step::RequireFilesystem { fd: self.target.into(), magic };
        self.push(format!("{about}: verify the file system"), step);
        self.close(about, self.target);
    }

    /// Gives its attributes to a mount that had to be filled first.
    fn seal(&mut self, item: &Item) {
        let about = format!("finish {}", item.place.shown);
        self.open_target(&about, &item.place, true);
        let change = Change { recursive: false, attrs: item.attrs, propagation: SAME };
        let entries = self.change_entries(&about, &self.target.into(), change);
        self.extend(entries);
        self.close(&about, self.target);
    }

    /// Changes a mount that is attached already.
    pub(super) fn change_entries(&self, about: &str, mount: &At, change: Change) -> Vec<Entry> {
        if self.mount_setattr {
            vec![set_attributes(about, mount, change)]
        } else {
            change_attached(about, mount, change).collect()
        }
    }
}

/// What to change in a copy of the host's tree. It comes as a peer of the host's mounts where those are
/// shared, so that its propagation is always said.
fn changes_of_bind(item: &Item, recursive: bool) -> Vec<Change> {
    let Propagation { kind, recursive: everywhere } = item.propagation;
    let propagation = item.propagation.kind_flag();
    if !recursive {
        let attrs = both(item.attrs, item.recursive_attrs);
        return vec![Change { recursive: false, attrs, propagation }];
    }
    // Said of the top alone: the mounts below still must not carry to the host what the container does,
    // except where the top is to be its peer, which cannot be taken back and given again.
    let below = match kind {
        _ if everywhere => propagation,
        PropagationKind::Shared => SAME,
        _ => MountFlags::SLAVE,
    };
    let top = if everywhere { SAME } else { propagation };
    vec![
        Change { recursive: true, attrs: item.recursive_attrs, propagation: below },
        Change { recursive: false, attrs: item.attrs, propagation: top },
    ]
}

/// First one, then the other.
fn both(first: Attributes, second: Attributes) -> Attributes {
    let mut all = first;
    all.set = MountAttrs::from_bits_retain(all.set.bits() & !second.clear) | second.set;
    all.clear = (all.clear & !second.set.bits()) | second.clear;
    all
}

fn set_attributes(about: &str, mount: &At, change: Change) -> Entry {
    let Attributes { set, clear } = change.attrs;
    let step = Step::SetAttributes {
        mount: mount.clone(),
        recursive: change.recursive,
        set,
        clear,
        propagation: change.propagation,
    };
    (format!("{about}: set the attributes"), step)
}

/// The same with `mount(2)`, on an attached mount.
fn change_attached(about: &str, mount: &At, change: Change) -> impl Iterator<Item = Entry> + use<> {
    let recursive = if change.recursive { MountFlags::REC } else { SAME };
    let propagation = (!change.propagation.is_empty()).then(|| {
        let step = Step::PropagationOf { mount: mount.clone(), flags: change.propagation | recursive };
        (format!("{about}: set the propagation"), step)
    });
    let attributes = (!change.attrs.is_empty()).then(|| {
        let (flags, clear) = change.attrs.as_flags();
        (format!("{about}: set the attributes"), Step::RemountBind { mount: mount.clone(), flags, clear })
    });
    propagation.into_iter().chain(attributes)
}
