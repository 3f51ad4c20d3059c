//! What `execve(2)` makes of a thread's privileges.

use std::os::fd::AsFd;

use cofferdam_sys::{Errno, file};

use super::change::allow;
use super::{IdChange, Rules, is_root};
use crate::{CapSet, Credentials, Error, FileCaps, Securebits};

/// What a program's file says about privileges.
///
/// For a script it is the file of its interpreter that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Program {
    /// The user that becomes effective: the file's owner, where it has the set-user-ID bit.
    pub set_user_id: Option<u32>,
    /// The group that becomes effective: the file's, where it has the set-group-ID bit and its group may execute it.
    pub set_group_id: Option<u32>,
    /// Its file capabilities, as the thread's user namespace sees them.
    pub caps: Option<FileCaps>,
    /// Whether its mount is `nosuid`, so that none of these counts.
    pub nosuid: bool,
}

impl Program {
    /// A program without set-ID bits and file capabilities, as nearly all are.
    pub const PLAIN: Self = Self { set_user_id: None, set_group_id: None, caps: None, nosuid: false };

    /// That of an open file; a descriptor opened with `O_PATH` does, with a procfs on `/proc`.
    ///
    /// # Errors
    /// As [`FileCaps::read`], and [`crate::ErrorKind::Os`] as `fstat(2)` and `fstatvfs(3)`.
    pub fn of(program: impl AsFd) -> Result<Self, Error> {
        let failed = |errno| Error::os(errno, "look at the program's file");
        let stat = file::fstat(program.as_fd()).map_err(failed)?;
        let flags = file::mount_flags(program.as_fd()).map_err(failed)?;
        // S_ISGID without S_IXGRP once meant mandatory locking.
        let bits = |bits: u32| stat.mode & bits == bits;
        Ok(Self {
            set_user_id: bits(0o4000).then_some(stat.uid),
            set_group_id: bits(0o2010).then_some(stat.gid),
            caps: FileCaps::read(program)?,
            nosuid: cofferdam_sys::mount::MountFlags::from_bits_retain(flags)
                .contains(cofferdam_sys::mount::MountFlags::NOSUID),
        })
    }
}

impl Credentials {
    /// What the program will have after `execve(2)`, or the error number with which the kernel refuses it.
    ///
    /// ```
    /// use cofferdam_caps::{Cap, CapSet, FileCaps, Program, Quad, Rules, Securebits, Sets, Credentials};
    ///
    /// let user = Credentials {
    ///     uids: Quad::all(1000),
    ///     gids: Quad::all(1000),
    ///     groups: vec![],
    ///     sets: Sets { bounding: CapSet::DOCKER_DEFAULT, ..Sets::default() },
    ///     securebits: Securebits::empty(),
    ///     no_new_privs: false,
    /// };
    /// let ping = Program { caps: Some("cap_net_raw=ep".parse()?), ..Program::PLAIN };
    /// let after = user.execve(&ping, Rules::LINUX_6_16)?;
    /// assert_eq!(after.sets.effective, Cap::NET_RAW.into());
    /// // With no_new_privs it gains nothing.
    /// let after = Credentials { no_new_privs: true, ..user }.execve(&ping, Rules::LINUX_6_16)?;
    /// assert!(after.sets.effective.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// `EPERM` for a program with the effective flag that would not get all of its permitted capabilities:
    /// it may not know how to do without.
    pub fn execve(&self, program: &Program, rules: Rules) -> Result<Self, Errno> {
        let old = self;
        let mut new = old.clone();
        let honoured = !program.nosuid && !old.no_new_privs;
        if honoured {
            new.uids.effective = program.set_user_id.unwrap_or(old.uids.effective);
            new.gids.effective = program.set_group_id.unwrap_or(old.gids.effective);
        }

        let caps = program.caps.filter(|caps| !program.nosuid && caps.rootid.is_none_or(is_root));
        let known = CapSet::up_to(rules.last);
        let mut effective = false;
        let mut permitted = CapSet::EMPTY;
        if let Some(caps) = caps {
            let forced = caps.permitted.intersection(known);
            let inherited = caps.inheritable.intersection(known).intersection(old.sets.inheritable);
            permitted = forced.intersection(old.sets.bounding).union(inherited);
            effective = caps.effective;
            allow(!effective || forced.is_subset(permitted))?;
        }
        if let Some(all) = new.roots_share(old, caps.is_some()) {
            permitted = all;
            effective |= is_root(new.uids.effective);
        }

        let id_changed = new.changed_id(old, rules);
        if old.no_new_privs && (id_changed || !permitted.is_subset(old.sets.permitted)) {
            new.uids.effective = old.uids.real;
            new.gids.effective = old.gids.real;
            permitted = permitted.intersection(old.sets.permitted);
        }
        for ids in [&mut new.uids, &mut new.gids] {
            ids.saved = ids.effective;
            ids.filesystem = ids.effective;
        }
        if caps.is_some() || id_changed {
            new.sets.ambient = CapSet::EMPTY;
        }
        new.sets.permitted = permitted.union(new.sets.ambient);
        new.sets.effective = if effective { new.sets.permitted } else { new.sets.ambient };
        new.securebits.remove(Securebits::KEEP_CAPS);
        Ok(new)
    }

    /// What root gets without the file saying so: all that is bounded or inheritable. `self` has the new ids.
    fn roots_share(&self, old: &Self, has_caps: bool) -> Option<CapSet> {
        if old.securebits.contains(Securebits::NOROOT) {
            return None;
        }
        let (real, effective) = (is_root(self.uids.real), is_root(self.uids.effective));
        // A set-user-ID program with capabilities too was meant to have these alone.
        if has_caps && effective && !real {
            return None;
        }
        (real || effective).then(|| old.sets.bounding.union(old.sets.inheritable))
    }

    /// Whether the ids, `self`'s being the new ones, count as changed.
    fn changed_id(&self, old: &Self, rules: Rules) -> bool {
        match rules.id_change {
            IdChange::Real => self.uids.effective != old.uids.real || self.gids.effective != old.gids.real,
            IdChange::Effective => {
                let group = self.gids.effective;
                let member = group == old.gids.filesystem || old.groups.contains(&group);
                self.uids.effective != old.uids.effective || !member
            }
        }
    }
}
