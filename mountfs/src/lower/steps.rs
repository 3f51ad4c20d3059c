//! The steps that many mounts share.

use cofferdam_sys::mount::MountAttrs;
use cofferdam_sys::open::{Open, Resolve};
use cofferdam_sys::plan::{Absent, At, Note, Plan, Slot, Step};
use cofferdam_sys::readback::IdKind;

use super::backend::Backend;
use super::check::Check;
use crate::place::Place;
use crate::{Host, Result};

/// Resolution below the root: links stay inside.
pub(super) const INSIDE: Resolve = Resolve::IN_ROOT.union(Resolve::NO_MAGICLINKS);

/// Resolution that refuses links.
const STRICT: Resolve = Resolve::BENEATH.union(Resolve::NO_SYMLINKS).union(Resolve::NO_MAGICLINKS);

/// A plan that grows, with the slots that every mount uses anew.
pub(super) struct Steps<'plan> {
    plan: &'plan mut Plan,
    pub(super) backend: Backend,
    pub(super) id_kind: IdKind,
    /// What is to be read back in the end.
    pub(super) checks: Vec<Check>,
    /// The new root.
    pub(super) root: At,
    /// The slot of the new root, when the child opens it.
    pub(super) root_slot: Slot,
    /// What is mounted on.
    pub(super) target: Slot,
    /// A mount that is not attached yet.
    pub(super) mount: Slot,
    /// The directory that masks are copies of.
    pub(super) mask: Slot,
    /// The host's procfs.
    pub(super) proc: Slot,
    /// How many mounts cover the old root, to be taken away after the pivot.
    pub(super) covers: Vec<&'static str>,
}

/// A step with its reason, before it is in the plan.
pub(super) type Entry = (String, Step);

/// The opening of a place that other parts of the system rely on, in the words that tests of the common runtimes
/// look for.
const STRICTLY: &str = "open the target, it must be mounted on ordinary directory, no link";

impl<'plan> Steps<'plan> {
    pub(super) fn new(plan: &'plan mut Plan, host: Host) -> Result<Self> {
        let root_slot = plan.slot()?;
        let (target, context, mount) = (plan.slot()?, plan.slot()?, plan.slot()?);
        let (mask, source, stage, proc) = (plan.slot()?, plan.slot()?, plan.slot()?, plan.slot()?);
        let Host { api, nosymfollow, .. } = host;
        let backend = Backend { api, nosymfollow, context, mount, source, stage };
        Ok(Self {
            plan,
            backend,
            id_kind: host.id_kind(),
            checks: Vec::new(),
            root: root_slot.into(),
            root_slot,
            target,
            mount,
            mask,
            proc,
            covers: Vec::new(),
        })
    }

    /// The plan itself, for steps that are not this crate's.
    pub(super) fn plan(&mut self) -> &mut Plan {
        self.plan
    }

    pub(super) fn push(&mut self, about: impl Into<String>, step: Step) {
        self.plan.push(about, step);
    }

    pub(super) fn extend(&mut self, entries: Vec<Entry>) {
        for (about, step) in entries {
            self.push(about, step);
        }
    }

    pub(super) fn close(&mut self, about: &str, slot: Slot) {
        self.push(say(about, "close"), Step::Close(slot));
    }

    pub(super) fn new_slot(&mut self) -> Result<Slot> {
        Ok(self.plan.slot()?)
    }

    pub(super) fn new_note(&mut self) -> Result<Note> {
        Ok(self.plan.note()?)
    }

    /// Has every new mount put into this slot.
    pub(super) fn use_mount_slot(&mut self, slot: Slot) {
        self.mount = slot;
        self.backend.mount = slot;
    }

    pub(super) fn keep(&mut self, fd: At) {
        self.plan.keep(fd);
    }

    /// An attribute that only `statmount(2)` shows.
    pub(super) fn read_back(&self, attr: MountAttrs) -> MountAttrs {
        if self.id_kind == IdKind::Unique { attr } else { MountAttrs::empty() }
    }

    /// Opens the place to mount on, making it when it is missing.
    pub(super) fn open_target(&mut self, about: &str, place: &Place, directory: bool) {
        let (root, path, out) = (self.root.clone(), place.path.clone(), self.target);
        let step = if directory {
            Step::EnsureDir { root, path, out }
        } else {
            Step::EnsureFile { root, path, out }
        };
        let what = if place.is_strict() { STRICTLY } else { "open the target" };
        self.push(say(about, what), step);
        if place.is_strict() {
            self.close(about, out);
            self.reopen_strictly(about, place);
        }
    }

    /// Opens a directory that must be one itself and no link to one.
    pub(super) fn reopen_strictly(&mut self, about: &str, place: &Place) {
        let step = Step::OpenIn {
            dir: self.root.clone(),
            path: place.path.whole().to_owned(),
            flags: Open::PATH | Open::DIRECTORY,
            resolve: STRICT,
            absent: Absent::Fail,
            out: self.target,
        };
        self.push(say(about, STRICTLY), step);
    }

    /// Opens a path and does the rest; both are left out when the path is not there.
    pub(super) fn if_there(&mut self, about: &str, place: &Place, rest: Vec<Entry>) {
        let step = Step::OpenIn {
            dir: self.root.clone(),
            path: place.path.whole().to_owned(),
            flags: Open::PATH,
            resolve: INSIDE,
            absent: Absent::Skip(count(&rest)),
            out: self.target,
        };
        self.push(say(about, "open it, if it is there"), step);
        self.extend(rest);
    }
}

/// `about: what`. Most of what a plan takes to make is such words: no formatter, and no growing.
pub(super) fn say(about: &str, what: &str) -> String {
    [about, ": ", what].concat()
}

/// How many steps to leave out. A list here has fewer than thirty.
pub(super) fn count(entries: &[Entry]) -> u16 {
    u16::try_from(entries.len()).unwrap_or(u16::MAX)
}
