//! One change of a thread's privileges: in the model, and in earnest.

use std::fmt;

use cofferdam_sys::cred::CapSets;
use cofferdam_sys::{Errno, cred, process};

use super::Rules;
use crate::{Cap, CapSet, Credentials, Securebits, Sets};

/// One system call that changes the privileges of the calling thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// `capset(2)`.
    Three {
        /// The new effective set.
        effective: CapSet,
        /// The new permitted set.
        permitted: CapSet,
        /// The new inheritable set.
        inheritable: CapSet,
    },
    /// `prctl(PR_CAPBSET_DROP)`.
    DropBounding(Cap),
    /// `prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE)`.
    RaiseAmbient(Cap),
    /// `prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_LOWER)`.
    LowerAmbient(Cap),
    /// `prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)`.
    ClearAmbient,
    /// `prctl(PR_SET_SECUREBITS)`.
    Securebits(Securebits),
    /// `prctl(PR_SET_KEEPCAPS)`: [`Securebits::KEEP_CAPS`] alone, without privilege.
    KeepCaps(bool),
    /// `prctl(PR_SET_NO_NEW_PRIVS, 1)`.
    NoNewPrivs,
    /// `setresuid(2)` of one thread; `None` leaves an id as it is.
    Uids {
        /// Real.
        real: Option<u32>,
        /// Effective.
        effective: Option<u32>,
        /// Saved.
        saved: Option<u32>,
    },
    /// `setresgid(2)` of one thread; `None` leaves an id as it is.
    Gids {
        /// Real.
        real: Option<u32>,
        /// Effective.
        effective: Option<u32>,
        /// Saved.
        saved: Option<u32>,
    },
    /// `setfsuid(2)`.
    FilesystemUid(u32),
}

impl Change {
    /// Makes the change to the calling thread, and to no other thread of its process.
    ///
    /// # Errors
    /// The kernel's answer; `EPERM` for a `setfsuid(2)` that did not take, which says nothing itself.
    pub fn apply(&self) -> Result<(), Errno> {
        match *self {
            Self::Three { effective, permitted, inheritable } => cred::capset(CapSets {
                effective: effective.bits(),
                permitted: permitted.bits(),
                inheritable: inheritable.bits(),
            }),
            Self::DropBounding(cap) => cred::bounding_drop(cap.number()),
            Self::RaiseAmbient(cap) => cred::ambient_raise(cap.number()),
            Self::LowerAmbient(cap) => cred::ambient_lower(cap.number()),
            Self::ClearAmbient => cred::ambient_clear(),
            Self::Securebits(bits) => cred::set_securebits(bits.bits()),
            Self::KeepCaps(keep) => cred::set_keepcaps(keep),
            Self::NoNewPrivs => process::set_no_new_privs(),
            Self::Uids { real, effective, saved } => cred::setresuid(real, effective, saved),
            Self::Gids { real, effective, saved } => cred::setresgid(real, effective, saved),
            // The number that only asks.
            Self::FilesystemUid(u32::MAX) => Err(Errno::EINVAL),
            Self::FilesystemUid(uid) => {
                cred::setfsuid(uid);
                if cred::uids()?.filesystem == uid { Ok(()) } else { Err(Errno::EPERM) }
            }
        }
    }
}

impl fmt::Display for Change {
    /// What is done, as an error begins.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Three { effective, permitted, inheritable } => {
                write!(
                    f,
                    "set the sets to effective {effective}, permitted {permitted}, inheritable {inheritable}"
                )
            }
            Self::DropBounding(cap) => write!(f, "drop {cap} from the bounding set"),
            Self::RaiseAmbient(cap) => write!(f, "raise {cap} in the ambient set"),
            Self::LowerAmbient(cap) => write!(f, "take {cap} out of the ambient set"),
            Self::ClearAmbient => f.write_str("clear the ambient set"),
            Self::Securebits(bits) => write!(f, "set the secure bits to {bits}"),
            Self::KeepCaps(true) => f.write_str("keep capabilities when the user changes"),
            Self::KeepCaps(false) => f.write_str("lose capabilities when the user changes"),
            Self::NoNewPrivs => f.write_str("gain no privileges from now on"),
            Self::Uids { real, effective, saved } => {
                write!(f, "set the user ids to {real:?}, {effective:?}, {saved:?}")
            }
            Self::Gids { real, effective, saved } => {
                write!(f, "set the group ids to {real:?}, {effective:?}, {saved:?}")
            }
            Self::FilesystemUid(uid) => write!(f, "set the user id for files to {uid}"),
        }
    }
}

impl Credentials {
    /// What one change makes of the thread, or the error number that the kernel answers.
    ///
    /// # Errors
    /// `EPERM` for what the rules of `capabilities(7)` do not allow from here, `EINVAL` for a capability that
    /// the kernel does not have.
    pub fn after(&self, change: &Change, rules: Rules) -> Result<Self, Errno> {
        let mut new = self.clone();
        match *change {
            Change::Three { effective, permitted, inheritable } => {
                // capset(2) drops bits that the kernel does not know without a word.
                let known = CapSet::up_to(rules.last);
                let three = [effective, permitted, inheritable].map(|set| set.intersection(known));
                new.sets = self.capset(three)?;
            }
            Change::DropBounding(cap) => {
                allow(self.has(Cap::SETPCAP))?;
                known(cap, rules)?;
                new.sets.bounding = self.sets.bounding.without(cap);
            }
            Change::RaiseAmbient(cap) => {
                known(cap, rules)?;
                let both = self.sets.permitted.intersection(self.sets.inheritable);
                allow(both.contains(cap) && !self.securebits.contains(Securebits::NO_CAP_AMBIENT_RAISE))?;
                new.sets.ambient = self.sets.ambient.with(cap);
            }
            Change::LowerAmbient(cap) => {
                known(cap, rules)?;
                new.sets.ambient = self.sets.ambient.without(cap);
            }
            Change::ClearAmbient => new.sets.ambient = CapSet::EMPTY,
            Change::Securebits(bits) => {
                self.may_set(bits, rules)?;
                new.securebits = bits;
            }
            Change::KeepCaps(keep) => {
                allow(!self.securebits.contains(Securebits::KEEP_CAPS_LOCKED))?;
                new.securebits.set(Securebits::KEEP_CAPS, keep);
            }
            Change::NoNewPrivs => new.no_new_privs = true,
            Change::Uids { real, effective, saved } => return self.setresuid(real, effective, saved),
            Change::Gids { real, effective, saved } => return self.setresgid(real, effective, saved),
            Change::FilesystemUid(uid) => return self.setfsuid(uid),
        }
        Ok(new)
    }

    /// Whether a capability is effective, so that the kernel finds it when it asks.
    pub(super) fn has(&self, cap: Cap) -> bool {
        self.sets.effective.contains(cap)
    }

    fn capset(&self, [effective, permitted, inheritable]: [CapSet; 3]) -> Result<Sets, Errno> {
        let old = self.sets;
        allow(self.has(Cap::SETPCAP) || inheritable.is_subset(old.inheritable.union(old.permitted)))?;
        allow(inheritable.is_subset(old.inheritable.union(old.bounding)))?;
        allow(permitted.is_subset(old.permitted))?;
        allow(effective.is_subset(permitted))?;
        let ambient = old.ambient.intersection(permitted).intersection(inheritable);
        Ok(Sets { effective, permitted, inheritable, ambient, ..old })
    }

    fn may_set(&self, bits: Securebits, rules: Rules) -> Result<(), Errno> {
        let changed = self.securebits.symmetric_difference(bits);
        allow(!changed.intersects(self.securebits.kept()))?;
        allow(bits.contains(self.securebits.intersection(Securebits::LOCKS)))?;
        allow(rules.securebits.contains(bits))?;
        // The newer bits are for interpreters alone; but what changes nothing is refused as it always was.
        let free = rules.securebits.intersection(Securebits::EXEC);
        allow(self.has(Cap::SETPCAP) || (!changed.is_empty() && free.contains(changed)))
    }
}

pub(super) fn allow(allowed: bool) -> Result<(), Errno> {
    if allowed { Ok(()) } else { Err(Errno::EPERM) }
}

fn known(cap: Cap, rules: Rules) -> Result<(), Errno> {
    if cap <= rules.last { Ok(()) } else { Err(Errno::EINVAL) }
}
