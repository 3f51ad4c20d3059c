//! The rules by which privileges change, as pure functions: what a thread, and what a program, will have.
//!
//! [Credentials](crate::Credentials) are all that the kernel looks at. [`after`](crate::Credentials::after)
//! says what one [`Change`] makes of them, and [`execve`](crate::Credentials::execve) what a [`Program`] will
//! have. Neither asks the kernel anything; [`Change::apply`] does the same to the calling thread in earnest.
//! The lab holds the two against each other on every kernel.
//!
//! What is not in the model: tracers, a file system context shared with another process (`CLONE_FS`), and
//! security modules, which may refuse what these rules allow. Ids are those of the thread's user namespace.

mod change;
mod execve;
mod ids;

pub use change::Change;
pub use execve::Program;

use cofferdam_sys::cred;

use crate::{Cap, Error, Securebits, last_cap, probe};

/// Where kernels differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rules {
    /// The last capability that the kernel has.
    pub last: Cap,
    /// The secure bits that the kernel has.
    pub securebits: Securebits,
    /// What `execve(2)` compares to see whether it changes an id.
    pub id_change: IdChange,
}

/// What `execve(2)` compares to see whether a program changes an id, which clears the ambient set.
///
/// It makes a difference only where the real and the effective id differ before, and for a set-group-ID
/// program of a group that the thread is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdChange {
    /// The new effective id with the old real one: before Linux 6.17.
    Real,
    /// The new effective user id with the old effective one, the new effective group with the groups that the
    /// thread is in: since Linux 6.17.
    Effective,
}

impl Rules {
    /// Those of Linux 5.10 to 6.13.
    pub const LINUX_5_10: Self =
        Self { last: Cap::CHECKPOINT_RESTORE, securebits: Securebits::SINCE_4_3, id_change: IdChange::Real };

    /// Those of Linux 6.17 and later.
    pub const LINUX_6_16: Self = Self {
        last: Cap::CHECKPOINT_RESTORE,
        securebits: Securebits::SINCE_4_3.union(Securebits::EXEC),
        id_change: IdChange::Effective,
    };

    /// Those of the running kernel, as far as it can be asked; [`Rules::id_change`] cannot, and is the later one.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Os`] where a seccomp filter refuses the questions.
    pub fn of_kernel() -> Result<Self, Error> {
        let exec = probe::has_exec_securebits().map_err(|errno| {
            Error::os(errno, "ask the kernel for its secure bits (prctl PR_SET_SECUREBITS)")
        })?;
        let securebits = if exec { Securebits::SINCE_4_3 | Securebits::EXEC } else { Securebits::SINCE_4_3 };
        Ok(Self { last: last_cap()?, securebits, id_change: IdChange::Effective })
    }
}

/// Whether an id is root's.
const fn is_root(id: u32) -> bool {
    id == 0
}

/// Whether any of the three ids that `setresuid(2)` sets is root's.
const fn any_root(ids: cred::Quad) -> bool {
    is_root(ids.real) || is_root(ids.effective) || is_root(ids.saved)
}
