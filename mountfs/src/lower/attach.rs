//! Mounts: made apart, given their attributes, attached by descriptor.

use cofferdam_sys::mount::{MountAttrs, MountFlags};
use cofferdam_sys::open::Open;
use cofferdam_sys::plan::{Absent, At, Step};

use super::SAME;
use super::backend::{Change, NewFs};
use super::check::Expect;
use super::steps::{Entry, INSIDE, Steps, say};
use crate::mount::{Propagation, PropagationKind};
use crate::place::Place;
use crate::prepare::{Item, What};
use crate::tree::Tree;
use crate::{Attributes, Result};

/// `PROC_SUPER_MAGIC` of `statfs(2)`.
pub(super) const PROC: i64 = 0x9fa0;
/// `SYSFS_MAGIC` of `statfs(2)`.
const SYSFS: i64 = 0x6265_6572;

impl Steps<'_> {
    /// The steps of one entry of the list.
    pub(super) fn item(&mut self, item: &Item) -> Result<()> {
        match &item.what {
            What::Bind { tree, directory } => self.bind(item, tree, *directory),
            What::Fs { fstype, data } => {
                let fs = NewFs { fstype, data, attrs: MountAttrs::empty() };
                self.file_system(item, fs)
            }
            What::Seal => self.seal(item),
            What::Link { to } => {
                self.link_beside(&item.place, to);
                Ok(())
            }
        }
    }

    fn bind(&mut self, item: &Item, tree: &Tree, directory: bool) -> Result<()> {
        let about = format!("bind on {}", item.place.shown);
        let (mount, recursive) = self.source(&about, tree)?;
        self.open_target(&about, &item.place, directory);
        self.check_target(&about, &item.place);
        let changes = changes_of_bind(item, recursive);
        self.attach(&about, &mount, self.target.into(), &changes);
        let mut attrs = attributes_of_bind(item, recursive);
        if item.idmapped {
            attrs.give(self.read_back(MountAttrs::IDMAP));
        }
        let expect = Expect {
            attrs,
            below: recursive.then_some(item.recursive_attrs),
            propagation: item.propagation.kind_flag(),
            optional: false,
        };
        self.note_now(&about, &item.place, &mount, expect)?;
        self.close(&about, self.target);
        self.close_source(&about, tree);
        if item.place.bytes() == b"proc" {
            self.verify(&about, &item.place, PROC);
        }
        Ok(())
    }

    fn file_system(&mut self, item: &Item, fs: NewFs<'_>) -> Result<()> {
        let about = format!("mount {} on {}", fs.fstype.to_string_lossy(), item.place.shown);
        let magic = match fs.fstype.to_bytes() {
            b"proc" => Some(PROC),
            b"sysfs" => Some(SYSFS),
            _ => None,
        };
        let (attrs, later) = self.attributes_of_new(item);
        let entries = self.backend.filesystem(&about, &NewFs { attrs, ..fs })?;
        let mode = self.mode_of_target(&about, item, &fs);
        for (about, step) in entries {
            if matches!(step, Step::FsMount { .. }) {
                self.extend(mode.clone());
            }
            self.push(about, step);
        }
        self.open_target(&about, &item.place, true);
        if magic.is_some() && !item.place.is_strict() {
            self.close(&about, self.target);
            self.reopen_strictly(&about, &item.place);
        }
        self.check_target(&about, &item.place);
        let mount = At::from(self.mount);
        if let Some(copy_up) = item.copy_up {
            let (from, to) = (self.target.into(), mount.clone());
            let step = Step::CopyContent { from, to, top: copy_up.top };
            self.push(say(&about, "copy up what it covers"), step);
        }
        self.attach(&about, &mount, self.target.into(), &[later]);
        let expect = Expect {
            attrs: both(item.attrs, item.recursive_attrs),
            below: None,
            propagation: item.propagation.kind_flag(),
            optional: false,
        };
        self.note_now(&about, &item.place, &mount, expect)?;
        self.close(&about, self.target);
        self.close(&about, self.mount);
        if let Some(magic) = magic {
            self.verify(&about, &item.place, magic);
        }
        Ok(())
    }

    /// A tmpfs without permissions of its own has those of the directory that it covers, as with the common
    /// runtimes: who has `/run` there means the image's `/run`, and not one for everybody.
    fn mode_of_target(&self, about: &str, item: &Item, fs: &NewFs<'_>) -> Vec<Entry> {
        let given = fs.data.iter().any(|(key, _)| key.as_c_str() == c"mode");
        if fs.fstype != c"tmpfs" || given || item.copy_up.is_some() {
            return Vec::new();
        }
        let open = Step::OpenIn {
            dir: self.root.clone(),
            path: item.place.path.whole().to_owned(),
            flags: Open::PATH | Open::DIRECTORY,
            resolve: INSIDE,
            absent: Absent::Skip(2),
            out: self.target,
        };
        let Some(context) = self.backend.open_context() else { return Vec::new() };
        vec![
            (format!("{about}: open what it covers, if it is there"), open),
            (format!("{about}: take its permissions"), Step::FsModeOf { context, of: self.target.into() }),
            (format!("{about}: close"), Step::Close(self.target)),
        ]
    }

    pub(super) fn note_now(&mut self, about: &str, place: &Place, mount: &At, expect: Expect) -> Result<()> {
        let (about, step) = self.note(about, Some(place), mount, expect)?;
        self.push(about, step);
        Ok(())
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
        let mut late = self.backend.late();
        if item.copy_up.is_some() {
            // It is filled first.
            late |= MountAttrs::RDONLY;
        }
        later.attrs = Attributes::set(all.set & late);
        (all.set - late, later)
    }

    /// The descriptor of a source, and whether it may hold more than one mount.
    pub(super) fn source(&mut self, about: &str, tree: &Tree) -> Result<(At, bool)> {
        let entries = match tree {
            Tree::Detached { tree, recursive } => return Ok((tree.clone(), *recursive)),
            Tree::ByPath { path, recursive } => {
                let about = format!("{about}: copy {}", path.to_string_lossy());
                self.backend.copy_path(&about, path, *recursive)
            }
            Tree::New { fstype, data, keep } => {
                if let Some(keep) = keep {
                    self.keep(keep.clone());
                }
                let fs = NewFs { fstype, data, attrs: MountAttrs::empty() };
                self.backend.filesystem(about, &fs)?
            }
            Tree::Scratch { lower, tmpfs, user } => return self.scratch(lower, tmpfs, *user),
        };
        self.extend(entries);
        Ok((self.mount.into(), tree.is_recursive()))
    }

    pub(super) fn close_source(&mut self, about: &str, tree: &Tree) {
        if !matches!(tree, Tree::Detached { .. }) {
            self.close(about, self.mount);
        }
    }

    /// Refuses a target that a link or an earlier mount led into a procfs.
    pub(super) fn check_target(&mut self, about: &str, place: &Place) {
        if !place.may_be_in_proc() {
            let step = Step::RefuseFilesystem { fd: self.target.into(), magic: PROC };
            self.push(say(about, "the target is not inside a procfs"), step);
        }
    }

    /// Attaches a mount with its attributes.
    pub(super) fn attach(&mut self, about: &str, mount: &At, to: At, changes: &[Change]) {
        let entries = self.backend.attach(about, mount, to, changes);
        self.extend(entries);
    }

    /// Looks at the place again: it is the file system that was meant.
    fn verify(&mut self, about: &str, place: &Place, magic: i64) {
        self.reopen_strictly(about, place);
        let step = Step::RequireFilesystem { fd: self.target.into(), magic };
        self.push(say(about, "verify the file system"), step);
        self.close(about, self.target);
    }

    /// Gives its attributes to a mount that had to be filled first.
    fn seal(&mut self, item: &Item) -> Result<()> {
        let about = format!("finish {}", item.place.shown);
        self.open_target(&about, &item.place, true);
        let change = Change { recursive: false, attrs: item.attrs, propagation: SAME };
        let target = self.target.into();
        let entries = self.backend.change(&about, &target, change);
        self.extend(entries);
        let expect = Expect { attrs: item.attrs, ..Expect::private(MountAttrs::empty()) };
        self.note_now(&about, &item.place, &target, expect)?;
        self.close(&about, self.target);
        Ok(())
    }
}

/// What to change in a copy of the host's tree. It comes as a peer of the host's mounts where those are
/// shared, so that its propagation is always said.
fn changes_of_bind(item: &Item, recursive: bool) -> Vec<Change> {
    let Propagation { kind, recursive: everywhere } = item.propagation;
    let propagation = item.propagation.kind_flag();
    if !recursive {
        let attrs = attributes_of_bind(item, recursive);
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

/// What the top of a bind has in the end: its own attributes come last where the others reach further.
fn attributes_of_bind(item: &Item, recursive: bool) -> Attributes {
    if recursive { both(item.recursive_attrs, item.attrs) } else { both(item.attrs, item.recursive_attrs) }
}

/// First one, then the other.
fn both(first: Attributes, second: Attributes) -> Attributes {
    let mut all = first;
    all.set = MountAttrs::from_bits_retain(all.set.bits() & !second.clear) | second.set;
    all.clear = (all.clear & !second.set.bits()) | second.clear;
    all
}
