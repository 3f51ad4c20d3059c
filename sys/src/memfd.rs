//! Files in memory, and the seals that keep them from being changed (`memfd_create(2)`, `fcntl(2)`).

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use crate::Result;
use crate::call::{check_int, new_fd};

bitflags::bitflags! {
    /// Flags of [`create`]: `MFD_*`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct Flags: u32 {
        /// `MFD_CLOEXEC`.
        const CLOEXEC = 1;
        /// `MFD_ALLOW_SEALING`: seals may be added.
        const ALLOW_SEALING = 2;
        /// `MFD_NOEXEC_SEAL` (Linux 6.3): without execute permission, which cannot be given.
        const NOEXEC_SEAL = 8;
        /// `MFD_EXEC` (Linux 6.3): may be executed, where `vm.memfd_noexec` lets it.
        const EXEC = 16;
        const _ = !0;
    }

    /// What cannot be done to a sealed file any more: `F_SEAL_*`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct Seals: u32 {
        /// `F_SEAL_SEAL`: add seals.
        const SEAL = 1;
        /// `F_SEAL_SHRINK`.
        const SHRINK = 2;
        /// `F_SEAL_GROW`.
        const GROW = 4;
        /// `F_SEAL_WRITE`.
        const WRITE = 8;
        /// `F_SEAL_FUTURE_WRITE` (Linux 5.1): write, except through a mapping that is there already.
        const FUTURE_WRITE = 16;
        /// `F_SEAL_EXEC` (Linux 6.3): change the execute permissions.
        const EXEC = 32;
        const _ = !0;
    }
}

/// `int memfd_create(const char *name, unsigned flags)` (`memfd_create(2)`, Linux 3.17).
///
/// The name is for debugging alone; several files may have the same.
///
/// # Errors
/// `EINVAL` for a name of more than 249 bytes and for a flag that the kernel does not know, `EACCES` where
/// `vm.memfd_noexec` refuses a file that could be executed, `EMFILE`, `ENOMEM`.
pub fn create(name: &CStr, flags: Flags) -> Result<OwnedFd> {
    // SAFETY: the name is a valid C string.
    new_fd(unsafe { libc::syscall(libc::SYS_memfd_create, name.as_ptr(), flags.bits()) })
}

/// `fcntl(fd, F_ADD_SEALS, seals)` (`fcntl(2)`, Linux 3.17).
///
/// # Errors
/// `EPERM` for a file that was made without [`Flags::ALLOW_SEALING`], is sealed against seals, or is not open
/// for writing; `EBUSY` for [`Seals::WRITE`] while it is mapped for writing, or the kernel has a page of it
/// in hand for longer than 150 ms; `EINVAL` for another kind of file.
pub fn add_seals(fd: BorrowedFd<'_>, seals: Seals) -> Result<()> {
    // SAFETY: takes no pointer.
    check_int(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, seals.bits()) }).map(drop)
}

/// `fcntl(fd, F_GET_SEALS)` (`fcntl(2)`, Linux 3.17).
///
/// # Errors
/// `EINVAL` for a file that has no seals.
pub fn seals(fd: BorrowedFd<'_>) -> Result<Seals> {
    // SAFETY: takes no pointer.
    let bits = check_int(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GET_SEALS) })?;
    Ok(Seals::from_bits_retain(bits.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Errno;
    use std::io::Write;
    use std::os::fd::AsFd;

    #[test]
    fn a_sealed_file_cannot_be_written() {
        let fd = create(c"test", Flags::CLOEXEC | Flags::ALLOW_SEALING).unwrap();
        let mut file = std::fs::File::from(fd);
        file.write_all(b"before").unwrap();
        let wanted = Seals::WRITE | Seals::GROW | Seals::SHRINK | Seals::SEAL;
        add_seals(file.as_fd(), wanted).unwrap();
        assert_eq!(seals(file.as_fd()).unwrap(), wanted);
        assert_eq!(file.write(b"after").unwrap_err().raw_os_error(), Some(libc::EPERM));
        assert_eq!(add_seals(file.as_fd(), Seals::EXEC).unwrap_err(), Errno::EPERM);
    }

    #[test]
    fn other_files_have_no_seals() {
        let null = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(seals(null.as_fd()).unwrap_err(), Errno::EINVAL);
        let unsealable = create(c"test", Flags::CLOEXEC).unwrap();
        assert_eq!(add_seals(unsealable.as_fd(), Seals::WRITE).unwrap_err(), Errno::EPERM);
    }
}
