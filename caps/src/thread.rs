//! The calling thread: what it has, and giving it other sets.

use cofferdam_sys::cred::Quad;
use cofferdam_sys::{cred, process};

use crate::{Cap, CapSet, Change, Error, ErrorKind, Rules, Securebits, Sets};

/// All that decides about a thread's privileges (`credentials(7)`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Credentials {
    /// User ids.
    pub uids: Quad,
    /// Group ids.
    pub gids: Quad,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// The five capability sets.
    pub sets: Sets,
    /// Secure bits.
    pub securebits: Securebits,
    /// Whether `execve(2)` gives it no privileges any more.
    pub no_new_privs: bool,
}

impl Credentials {
    /// The calling thread's; no procfs is needed.
    ///
    /// # Errors
    /// [`ErrorKind::Os`] where a seccomp filter refuses the questions.
    pub fn current() -> Result<Self, Error> {
        let failed = |errno| Error::os(errno, "read the calling thread's ids and secure bits");
        Ok(Self {
            uids: cred::uids().map_err(failed)?,
            gids: cred::gids().map_err(failed)?,
            groups: cred::groups().map_err(failed)?,
            sets: Sets::current()?,
            securebits: Securebits::from_bits_retain(cred::securebits().map_err(failed)?),
            no_new_privs: process::no_new_privs().map_err(failed)?,
        })
    }
}

impl Sets {
    /// Gives the calling thread, and no other thread of its process, exactly these sets.
    ///
    /// All changes are worked out first, with the rules of [`crate::transition`]; when one of them would be
    /// refused nothing is changed. Shrinking the bounding set needs `CAP_SETPCAP` in the permitted set; it is
    /// made effective for that alone. Capabilities of a process's threads protect nothing from one another:
    /// call it before there are others, or in a thread that executes a program.
    ///
    /// # Errors
    /// [`ErrorKind::Impossible`] for sets that no thread can have; [`ErrorKind::OutOfReach`] with the first change
    /// that would be refused, and why; [`ErrorKind::Os`] when the kernel refuses one all the same (a security
    /// module, a seccomp filter), with what was done by then.
    ///
    /// ```
    /// use cofferdam_caps::Sets;
    ///
    /// // Less than one has is always possible, but for the bounding set.
    /// let have = Sets::current()?;
    /// Sets { bounding: have.bounding, ..Sets::default() }.apply()?;
    /// assert!(Sets::current()?.effective.is_empty());
    /// # Ok::<(), cofferdam_caps::Error>(())
    /// ```
    pub fn apply(&self) -> Result<(), Error> {
        let changes = self.changes_from(&Credentials::current()?, Rules::of_kernel()?)?;
        for (number, change) in changes.iter().enumerate() {
            change.apply().map_err(|errno| {
                let done: Vec<String> = changes.iter().take(number).map(Change::to_string).collect();
                let done = if done.is_empty() { "nothing".to_owned() } else { done.join(", ") };
                Error::os(errno, change.to_string()).with_hint(format!(
                    "a security module or a seccomp filter refuses it; done by then: {done}"
                ))
            })?;
        }
        Ok(())
    }

    /// The changes that give a thread these sets, in an order that the kernel accepts; none where it has them.
    ///
    /// # Errors
    /// [`ErrorKind::Impossible`] and [`ErrorKind::OutOfReach`] as [`Sets::apply`].
    pub fn changes_from(&self, thread: &Credentials, rules: Rules) -> Result<Vec<Change>, Error> {
        self.validate_three()?;
        let have = thread.sets;
        let gained = [
            ("permitted", self.permitted.difference(have.permitted)),
            ("bounding", self.bounding.difference(have.bounding)),
        ];
        for (name, caps) in gained {
            if !caps.is_empty() {
                let what = format!("the thread cannot get {caps} into its {name} set, which never grows");
                return Err(Error::new(ErrorKind::OutOfReach, what)
                    .with_hint("leave it out, or start from a thread that has it"));
            }
        }
        let mut walk = Walk { thread: thread.clone(), changes: Vec::new() };
        for change in self.wanted(&have) {
            walk.take(change, rules)?;
        }
        if walk.thread.sets == *self {
            return Ok(walk.changes);
        }
        let unknown = self.all().difference(CapSet::up_to(rules.last));
        let what = format!("the running kernel has no {unknown}: its last capability is {}", rules.last);
        Err(Error::new(ErrorKind::NotInKernel, what).with_hint("leave it out"))
    }

    /// The order: inheritable while the bounding set is whole, bounding, the three sets, ambient.
    fn wanted(&self, have: &Sets) -> impl Iterator<Item = Change> {
        let three = |effective, permitted, inheritable| Change::Three { effective, permitted, inheritable };
        let dropped = have.bounding.difference(self.bounding);
        let setpcap = CapSet::from(Cap::SETPCAP).intersection(have.permitted);
        let before = (!dropped.is_empty() || !self.inheritable.is_subset(have.inheritable))
            .then(|| three(have.effective.union(setpcap), have.permitted, self.inheritable));
        let after = three(self.effective, self.permitted, self.inheritable);
        let lowered = have.ambient.difference(self.ambient);
        let raised = self.ambient.difference(have.ambient);
        before
            .into_iter()
            .chain(dropped.iter().map(Change::DropBounding))
            .chain([after])
            .chain(lowered.iter().map(Change::LowerAmbient))
            .chain(raised.iter().map(Change::RaiseAmbient))
    }
}

/// The thread as the changes make it.
struct Walk {
    thread: Credentials,
    changes: Vec<Change>,
}

impl Walk {
    fn take(&mut self, change: Change, rules: Rules) -> Result<(), Error> {
        let after = self.thread.after(&change, rules).map_err(|_| {
            let hint = match change {
                Change::RaiseAmbient(_) => "the secure bit NO_CAP_AMBIENT_RAISE of the thread forbids it",
                Change::Three { .. } => {
                    "without CAP_SETPCAP only what is permitted can become inheritable, and nothing from outside \
                     the bounding set"
                }
                _ => "it needs CAP_SETPCAP in the permitted set",
            };
            Error::new(ErrorKind::OutOfReach, format!("the thread may not {change}")).with_hint(hint)
        })?;
        // A change that changes nothing may still have been what needed a right; it is left out, though.
        if after != self.thread {
            self.changes.push(change);
            self.thread = after;
        }
        Ok(())
    }
}

/// Sets `no_new_privs` of the calling thread, for good (`prctl(2)`, `PR_SET_NO_NEW_PRIVS`).
///
/// # Errors
/// [`ErrorKind::Os`] where a seccomp filter refuses it.
pub fn set_no_new_privs() -> Result<(), Error> {
    process::set_no_new_privs().map_err(|errno| Error::os(errno, Change::NoNewPrivs.to_string()))
}

/// Sets the secure bits of the calling thread (`prctl(2)`, `PR_SET_SECUREBITS`).
///
/// # Errors
/// [`ErrorKind::Os`] with `EPERM` without `CAP_SETPCAP`, for a bit that is locked, and for one that the kernel
/// does not have; the hint says which.
pub fn set_securebits(bits: Securebits) -> Result<(), Error> {
    cred::set_securebits(bits.bits()).map_err(|errno| {
        let error = Error::os(errno, Change::Securebits(bits).to_string());
        match (Credentials::current(), Rules::of_kernel()) {
            (Ok(thread), Ok(rules)) => error.with_hint(why_not(bits, &thread, rules)),
            _ => error,
        }
    })
}

fn why_not(bits: Securebits, thread: &Credentials, rules: Rules) -> String {
    let now = thread.securebits;
    let unknown = bits.difference(rules.securebits);
    let held = now.symmetric_difference(bits).intersection(now.kept());
    let locks = now.intersection(Securebits::LOCKS).difference(bits);
    if !unknown.is_empty() {
        format!("the running kernel has no secure bit {unknown}")
    } else if !held.is_empty() {
        format!("the thread has {held} locked")
    } else if !locks.is_empty() {
        format!("nothing takes the lock {locks} away")
    } else {
        "it needs CAP_SETPCAP in the effective set".to_owned()
    }
}

/// Keeps or loses the permitted capabilities when the last user id 0 goes (`prctl(2)`, `PR_SET_KEEPCAPS`).
///
/// # Errors
/// [`ErrorKind::Os`] with `EPERM` when [`Securebits::KEEP_CAPS_LOCKED`] is set.
pub fn set_keep_caps(keep: bool) -> Result<(), Error> {
    cred::set_keepcaps(keep).map_err(|errno| {
        Error::os(errno, Change::KeepCaps(keep).to_string())
            .with_hint("the thread's secure bit KEEP_CAPS_LOCKED forbids it")
    })
}

#[cfg(test)]
mod tests;
