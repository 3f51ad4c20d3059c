//! What this crate asks of a kernel.

use std::os::fd::AsFd;

use cofferdam_sys::probe::Probe;
use cofferdam_sys::{Errno, Result, cred, memfd, xattr};

use crate::{Cap, CapSet, FileCaps, Securebits};

/// The facilities that this crate uses where they are there.
pub const PROBES: &[Probe] = &[
    Probe {
        name: "ambient_capabilities",
        since: "4.3",
        used_for: "capabilities of a user that is not root, across execve",
        without: "such sets are refused",
        ask: has_ambient,
    },
    Probe {
        name: "file_capabilities_v3",
        since: "4.14",
        used_for: "file capabilities that count in one user namespace",
        without: "a root id is refused",
        ask: has_namespaced_file_caps,
    },
    Probe {
        name: "cap_checkpoint_restore",
        since: "5.9",
        used_for: "the last capability with a name, CAP_CHECKPOINT_RESTORE",
        without: "it is refused by its name",
        ask: has_checkpoint_restore,
    },
    Probe {
        name: "xattrat",
        since: "6.13",
        used_for: "file capabilities by directory and name, without a procfs",
        without: "through /proc/self/fd",
        ask: xattr::has_xattrat,
    },
    Probe {
        name: "exec_securebits",
        since: "6.14",
        used_for: "secure bits that restrict interpreters",
        without: "they are refused",
        ask: has_exec_securebits,
    },
];

/// Whether there is an ambient set (Linux 4.3).
///
/// # Errors
/// `EPERM` where a seccomp filter hides the answer.
pub fn has_ambient() -> Result<bool> {
    known(cred::ambient_has(Cap::CHOWN.number()))
}

/// Whether the kernel has `CAP_CHECKPOINT_RESTORE` (Linux 5.9).
///
/// # Errors
/// `EPERM` where a seccomp filter hides the answer.
pub fn has_checkpoint_restore() -> Result<bool> {
    known(cred::bounding_has(Cap::CHECKPOINT_RESTORE.number()))
}

fn known(answer: Result<bool>) -> Result<bool> {
    match answer {
        Ok(_) => Ok(true),
        Err(Errno::EINVAL) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Whether file capabilities may have a root id (Linux 4.14), tried on a file in memory.
///
/// # Errors
/// `EPERM` without `CAP_SETFCAP`, `EOPNOTSUPP` on a kernel whose tmpfs has no attributes.
pub fn has_namespaced_file_caps() -> Result<bool> {
    let file = memfd::create(c"cofferdam-probe", memfd::Flags::CLOEXEC)?;
    let caps = FileCaps { rootid: Some(0), ..FileCaps::effective(CapSet::EMPTY) };
    match xattr::fsetxattr(file.as_fd(), c"security.capability", &caps.to_bytes()) {
        Ok(()) => Ok(true),
        Err(Errno::EINVAL) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Whether there are the secure bits for interpreters (Linux 6.14), tried by a thread that ends with them.
///
/// # Errors
/// `EAGAIN` where no thread can be made, `EPERM` where a seccomp filter hides the secure bits altogether.
pub fn has_exec_securebits() -> Result<bool> {
    let now = Securebits::from_bits_retain(cred::securebits()?);
    if now.intersects(Securebits::EXEC) {
        return Ok(true);
    }
    // No bit of the four is set or locked, so that only a kernel which does not know them refuses.
    let wanted = now | Securebits::EXEC_RESTRICT_FILE;
    let tried =
        std::thread::Builder::new().stack_size(64 << 10).spawn(move || cred::set_securebits(wanted.bits()));
    match tried.map_err(|_| Errno::EAGAIN)?.join().map_err(|_| Errno::EAGAIN)? {
        Ok(()) => Ok(true),
        Err(Errno::EPERM) => Ok(false),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_change_nothing() {
        let before = crate::Credentials::current().unwrap();
        for probe in PROBES {
            match (probe.ask)() {
                Ok(_) => {}
                // An ordinary user may not try file capabilities.
                Err(errno) => assert!(
                    probe.name == "file_capabilities_v3" && matches!(errno, Errno::EPERM | Errno::EOPNOTSUPP),
                    "{}: {errno}",
                    probe.name
                ),
            }
        }
        assert_eq!(crate::Credentials::current().unwrap(), before);
    }

    #[test]
    fn a_locked_bit_does_not_hide_the_others() {
        let locked = || {
            let before = has_exec_securebits().unwrap();
            // Refused where the kernel has none of them, and then there is nothing to hide.
            let _ = cred::set_securebits(Securebits::EXEC_RESTRICT_FILE_LOCKED.bits());
            (before, has_exec_securebits().unwrap())
        };
        let (before, after) = std::thread::spawn(locked).join().unwrap();
        assert_eq!(before, after);
    }
}
