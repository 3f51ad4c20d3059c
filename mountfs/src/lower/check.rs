//! What was mounted, compared with what was meant to be: the last steps of the child.
//!
//! Right after a mount was made its id is noted. At the end, in the new root, each path must lead to the
//! noted mount: it is there, where it was meant to be, and nothing is on top of it. Its attributes and its
//! propagation are read back too, and with `statmount(2)` those of all mounts below it where they were
//! asked for. The child does it, without a word with its parent: two calls a mount (`statx`, `statmount`),
//! where a second wait for the parent would cost more than all of them.

use cofferdam_sys::mount::{MountAttrs, MountFlags};
use cofferdam_sys::open::{Open, Resolve};
use cofferdam_sys::plan::{Absent, At, Note, Step};
use cofferdam_sys::readback::{IdKind, Wanted};

use super::attach::PROC;
use super::steps::{Entry, Steps, say};
use crate::mount::{Propagation, PropagationKind};
use crate::place::Place;
use crate::{Attributes, Result};

/// A mount to be found again.
pub(super) struct Check {
    about: String,
    /// Where; `None` is the root itself.
    place: Option<Place>,
    note: Note,
    expect: Expect,
}

/// What a mount must be like in the end.
#[derive(Clone, Copy)]
pub(super) struct Expect {
    pub(super) attrs: Attributes,
    /// Attributes of all mounts below it.
    pub(super) below: Option<Attributes>,
    /// `SLAVE` is also met by a private mount: there may be nobody to listen to.
    pub(super) propagation: MountFlags,
    /// Whether the path may be missing from the image, so that nothing was made.
    pub(super) optional: bool,
}

impl Expect {
    /// A private mount with these attributes.
    pub(super) fn private(attrs: MountAttrs) -> Self {
        let attrs = Attributes::set(attrs);
        Self { attrs, below: None, propagation: MountFlags::PRIVATE, optional: false }
    }
}

fn wanted(attrs: Attributes) -> Wanted {
    Wanted { set: attrs.set, clear: attrs.clear }
}

impl Steps<'_> {
    /// Takes note of a mount; the step has to come after the mount was made.
    pub(super) fn note(
        &mut self,
        about: &str,
        place: Option<&Place>,
        mount: &At,
        expect: Expect,
    ) -> Result<Entry> {
        let note = self.new_note()?;
        self.checks.push(Check { about: about.to_owned(), place: place.cloned(), note, expect });
        let step = Step::NoteMount { mount: mount.clone(), kind: self.id_kind, note };
        Ok((say(about, "take note of the mount"), step))
    }

    /// Opens the host's procfs while there is one, for kernels whose `mountinfo` is all there is.
    pub(super) fn begin_checks(&mut self) {
        if self.id_kind == IdKind::Unique {
            return;
        }
        let open = Step::OpenIn {
            dir: At::Cwd,
            path: c"/proc".into(),
            flags: Open::PATH | Open::DIRECTORY,
            resolve: Resolve::NO_SYMLINKS,
            absent: Absent::Fail,
            out: self.proc,
        };
        self.push("read back: open the host's procfs", open);
        let step = Step::RequireFilesystem { fd: self.proc.into(), magic: PROC };
        self.push("read back: the host's /proc is a procfs", step);
    }

    /// Compares all that was noted, in the new root.
    pub(super) fn finish_checks(&mut self, root: Propagation, others_may_be_shared: bool) {
        let checks = std::mem::take(&mut self.checks);
        // The last word on the root's propagation is one on all mounts in it.
        let last =
            matches!(root.kind, PropagationKind::Shared | PropagationKind::Unbindable) && root.recursive;
        let propagation = |check: &Check| if last { root.kind_flag() } else { check.expect.propagation };
        for (number, check) in checks.iter().enumerate() {
            let later = checks.get(number.saturating_add(1)..).unwrap_or_default();
            if is_covered(check, later) {
                continue;
            }
            let path = match &check.place {
                Some(place) => place.path.whole().to_owned(),
                // What a look-up of `..` in the root crosses to, should there be anything.
                None => c"/..".to_owned(),
            };
            let step = Step::RequireMount {
                path,
                note: check.note,
                kind: self.id_kind,
                wanted: wanted(check.expect.attrs),
                propagation: propagation(check),
                optional: check.expect.optional,
            };
            self.push(say(&check.about, "read it back"), step);
            if let (IdKind::Unique, Some(below)) = (self.id_kind, check.expect.below)
                && !has_mounts_below(check, &checks)
            {
                let (note, wanted) = (check.note, wanted(below));
                // Not shared: whatever else the mounts below are, they carry nothing to the host.
                let propagation = match propagation(check) {
                    MountFlags::SHARED => MountFlags::empty(),
                    _ => MountFlags::SLAVE,
                };
                let step = Step::RequireBelow { note, wanted, propagation };
                self.push(say(&check.about, "read back the mounts below"), step);
            }
        }
        if self.id_kind == IdKind::Reused {
            let here = |check: &&Check| !check.expect.optional;
            let noted = checks.iter().filter(here).map(|check| (check.note, propagation(check))).collect();
            let others = !others_may_be_shared && !last;
            let step = Step::RequirePropagation { proc: self.proc.into(), noted, others };
            self.push("read back the propagation of all mounts", step);
            self.close("read back", self.proc);
        }
    }
}

/// Whether a later entry is on the same place or above it, so that no path leads there any more.
fn is_covered(check: &Check, later: &[Check]) -> bool {
    let Some(place) = &check.place else { return false };
    later
        .iter()
        .filter_map(|other| other.place.as_ref())
        .any(|other| place.bytes() == other.bytes() || place.is_below(other))
}

/// Whether other entries, with attributes of their own, are below this one.
fn has_mounts_below(check: &Check, checks: &[Check]) -> bool {
    let Some(place) = &check.place else { return true };
    checks.iter().filter_map(|other| other.place.as_ref()).any(|other| other.is_below(place))
}
