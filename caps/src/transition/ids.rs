//! What changes of user and group ids do to capabilities.

use cofferdam_sys::Errno;
use cofferdam_sys::cred::Quad;

use super::change::allow;
use super::{any_root, is_root};
use crate::{Cap, CapSet, Credentials, Securebits};

/// The capabilities that follow the user id for files (`CAP_FS_SET` of the kernel).
const OF_FILES: CapSet = CapSet::of(&[
    Cap::CHOWN,
    Cap::MKNOD,
    Cap::DAC_OVERRIDE,
    Cap::DAC_READ_SEARCH,
    Cap::FOWNER,
    Cap::FSETID,
    Cap::LINUX_IMMUTABLE,
    Cap::MAC_OVERRIDE,
]);

impl Credentials {
    pub(super) fn setresuid(
        &self,
        real: Option<u32>,
        effective: Option<u32>,
        saved: Option<u32>,
    ) -> Result<Self, Errno> {
        let Some(uids) = moved(self.uids, [real, effective, saved], self.has(Cap::SETUID))? else {
            return Ok(self.clone());
        };
        let mut new = Self { uids, ..self.clone() };
        if self.securebits.contains(Securebits::NO_SETUID_FIXUP) {
            return Ok(new);
        }
        if any_root(self.uids) && !any_root(uids) {
            if !self.securebits.contains(Securebits::KEEP_CAPS) {
                new.sets.permitted = CapSet::EMPTY;
                new.sets.effective = CapSet::EMPTY;
            }
            new.sets.ambient = CapSet::EMPTY;
        }
        match (is_root(self.uids.effective), is_root(uids.effective)) {
            (true, false) => new.sets.effective = CapSet::EMPTY,
            (false, true) => new.sets.effective = new.sets.permitted,
            _ => {}
        }
        Ok(new)
    }

    pub(super) fn setresgid(
        &self,
        real: Option<u32>,
        effective: Option<u32>,
        saved: Option<u32>,
    ) -> Result<Self, Errno> {
        let gids = moved(self.gids, [real, effective, saved], self.has(Cap::SETGID))?;
        Ok(Self { gids: gids.unwrap_or(self.gids), ..self.clone() })
    }

    pub(super) fn setfsuid(&self, uid: u32) -> Result<Self, Errno> {
        if uid == u32::MAX {
            return Err(Errno::EINVAL);
        }
        let own = [self.uids.real, self.uids.effective, self.uids.saved, self.uids.filesystem];
        allow(self.has(Cap::SETUID) || own.contains(&uid))?;
        let mut new = self.clone();
        new.uids.filesystem = uid;
        if !self.securebits.contains(Securebits::NO_SETUID_FIXUP) {
            match (is_root(self.uids.filesystem), is_root(uid)) {
                (true, false) => new.sets.effective = self.sets.effective.difference(OF_FILES),
                (false, true) => {
                    let back = self.sets.permitted.intersection(OF_FILES);
                    new.sets.effective = self.sets.effective.union(back);
                }
                _ => {}
            }
        }
        Ok(new)
    }
}

/// The ids afterwards; `None` where the call changes nothing, and then it does not touch the fourth either.
fn moved(
    old: Quad,
    [real, effective, saved]: [Option<u32>; 3],
    privileged: bool,
) -> Result<Option<Quad>, Errno> {
    let given = [real, effective, saved];
    if given.contains(&Some(u32::MAX)) {
        return Err(Errno::EINVAL);
    }
    let same = real.is_none_or(|id| id == old.real)
        && effective.is_none_or(|id| id == old.effective && id == old.filesystem)
        && saved.is_none_or(|id| id == old.saved);
    if same {
        return Ok(None);
    }
    let own = [old.real, old.effective, old.saved];
    allow(privileged || given.into_iter().flatten().all(|id| own.contains(&id)))?;
    let effective = effective.unwrap_or(old.effective);
    Ok(Some(Quad {
        real: real.unwrap_or(old.real),
        effective,
        saved: saved.unwrap_or(old.saved),
        filesystem: effective,
    }))
}
