//! The child's look at what it has mounted, before it gives its privileges away.

use std::ffi::CStr;
use std::os::fd::AsFd;

use super::Walk;
use crate::call::Dir;
use crate::mount::MountFlags;
use crate::mountinfo::scan::{Peers, scan};
use crate::open::{Open, Resolve, openat2};
use crate::plan::{At, Note, Step};
use crate::readback::{self, IdKind, MountId, Wanted};
use crate::{Errno, Result};

/// What was found is not what was made.
const ANOTHER: Errno = Errno::ESTALE;
/// It is the right mount with the wrong attributes or propagation.
const DIFFERENT: Errno = Errno::EPERM;

impl Walk<'_> {
    pub(super) fn readback_step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::NoteMount { mount, kind, note } => {
                let id = readback::mount_id(self.fd(mount)?.into(), c"", *kind)?;
                let place = self.notes.get_mut(usize::from(note.0)).ok_or(Errno::EBADF)?;
                *place = id.0;
                Ok(())
            }
            Step::RequireMount { path, note, kind, wanted, propagation, optional } => {
                match self.noted(*note) {
                    Some(id) => require(path, id, *kind, *wanted, *propagation),
                    None if *optional => Ok(()),
                    None => Err(ANOTHER),
                }
            }
            Step::RequireBelow { note, wanted, propagation } => {
                // Whether it has to be there was asked by `RequireMount`.
                self.noted(*note).map_or(Ok(()), |id| require_below(id, *wanted, *propagation))
            }
            Step::RequirePropagation { proc, noted, others } => {
                self.require_propagation(proc, noted, *others)
            }
            #[cfg(feature = "attempts")]
            Step::Barrier { say, hear } => {
                crate::file::write_once(self.fd(say)?, b"x")?;
                match crate::file::read(self.fd(hear)?, &mut [0])? {
                    1 => Ok(()),
                    _ => Err(Errno::EPIPE),
                }
            }
            // Every other step is handled above; a new one that is forgotten fails the start.
            _ => Err(Errno::ENOSYS),
        }
    }

    fn noted(&self, note: Note) -> Option<MountId> {
        let id = self.notes.get(usize::from(note.0)).copied().filter(|id| *id != 0)?;
        Some(MountId(id))
    }

    /// One pass over `mountinfo`; a noted mount that is not in it is somewhere where no path leads.
    fn require_propagation(&self, proc: &At, noted: &[(Note, MountFlags)], others: bool) -> Result<()> {
        let beneath = Resolve::BENEATH | Resolve::NO_MAGICLINKS | Resolve::NO_XDEV;
        let mountinfo = openat2(self.dir(proc)?, c"self/mountinfo", Open::empty(), 0, beneath)?;
        let mut seen = 0usize;
        scan(mountinfo.as_fd(), &mut |line: Peers| {
            let mut known = false;
            for (note, wanted) in noted {
                if self.noted(*note) == Some(MountId(line.id)) {
                    if !propagation_met(*wanted, kind_of(&line)) {
                        return Err(DIFFERENT);
                    }
                    known = true;
                    seen = seen.saturating_add(1);
                }
            }
            if others && !known && line.shared { Err(DIFFERENT) } else { Ok(()) }
        })?;
        let taken = noted.iter().filter(|(note, _)| self.noted(*note).is_some()).count();
        if seen == taken { Ok(()) } else { Err(ANOTHER) }
    }
}

/// The propagation of a line in the flags of `mount(2)`; a peer group that listens to another one is shared.
fn kind_of(line: &Peers) -> MountFlags {
    if line.shared {
        MountFlags::SHARED
    } else if line.slave {
        MountFlags::SLAVE
    } else if line.unbindable {
        MountFlags::UNBINDABLE
    } else {
        MountFlags::PRIVATE
    }
}

/// Whether a mount has the propagation that was asked for; empty asks for none.
///
/// `MS_SLAVE` makes a private mount of one that has nobody to listen to.
fn propagation_met(wanted: MountFlags, found: MountFlags) -> bool {
    match wanted {
        MountFlags::SHARED | MountFlags::UNBINDABLE => found.contains(wanted),
        MountFlags::SLAVE => !found.contains(MountFlags::SHARED),
        MountFlags::PRIVATE => found == MountFlags::PRIVATE,
        _ => wanted.is_empty(),
    }
}

fn require(path: &CStr, id: MountId, kind: IdKind, wanted: Wanted, propagation: MountFlags) -> Result<()> {
    match kind {
        IdKind::Unique => {
            if readback::mount_id(Dir::Cwd, path, kind)? != id {
                return Err(ANOTHER);
            }
            require_state(id, wanted, propagation)
        }
        IdKind::Reused => {
            let there = openat2(Dir::Cwd, path, Open::PATH, 0, Resolve::NO_MAGICLINKS)?;
            if readback::mount_id((&there).into(), c"", kind)? != id {
                return Err(ANOTHER);
            }
            // The file system may be read-only by itself.
            let wanted = Wanted { clear: wanted.clear & !1, ..wanted };
            if wanted.met_by(readback::attributes(there.as_fd())?) { Ok(()) } else { Err(DIFFERENT) }
        }
    }
}

fn require_state(id: MountId, wanted: Wanted, propagation: MountFlags) -> Result<()> {
    let state = readback::statmount(id)?;
    if wanted.met_by(state.attrs) && propagation_met(propagation, state.propagation) {
        Ok(())
    } else {
        Err(DIFFERENT)
    }
}

fn require_below(id: MountId, wanted: Wanted, propagation: MountFlags) -> Result<()> {
    let mut ids = [0u64; 64];
    let mut after = None;
    loop {
        let count = readback::listmount(id, after, &mut ids)?;
        for id in ids.iter().take(count) {
            require_state(MountId(*id), wanted, propagation)?;
            after = Some(MountId(*id));
        }
        if count < ids.len() {
            return Ok(());
        }
    }
}
