//! Loop devices: a file as a block device (`loop(4)`).

use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use crate::call::{Dir, check_int};
use crate::open::{Open, Resolve, openat2};
use crate::{Errno, Result};

const LOOP_CONFIGURE: u64 = 0x4c0a;
const LOOP_CTL_GET_FREE: u64 = 0x4c82;
const READ_ONLY: u32 = 1;
const AUTOCLEAR: u32 = 4;

/// The kernel's `struct loop_info64`.
#[repr(C)]
struct Info {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// The kernel's `struct loop_config`.
#[repr(C)]
struct Config {
    fd: u32,
    block_size: u32,
    info: Info,
    reserved: [u64; 8],
}

const _: () = assert!(size_of::<Info>() == 232 && size_of::<Config>() == 304);

/// A loop device that goes away by itself when nothing has it open or mounted.
#[derive(Debug)]
pub struct LoopDevice {
    fd: OwnedFd,
    path: CString,
}

impl LoopDevice {
    /// Attaches a file read-only to a free device: `LOOP_CTL_GET_FREE`, `LOOP_CONFIGURE` with
    /// `LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR` (Linux 5.8).
    ///
    /// Someone else may take the free device first, so that this tries a bounded number of times.
    ///
    /// # Errors
    /// `ENOENT` without `/dev/loop-control` or the device's node, `EACCES` or `EPERM` without privilege,
    /// `EBUSY` when every free device was taken by somebody else.
    pub fn attach_readonly(file: BorrowedFd<'_>) -> Result<Self> {
        let control = openat2(Dir::Cwd, c"/dev/loop-control", Open::RDWR, 0, Resolve::empty())?;
        let mut answer = Errno::EBUSY;
        for _ in 0..64 {
            // SAFETY: the command takes no argument.
            let number = check_int(unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE as _) })?;
            let path = CString::new(format!("/dev/loop{number}")).map_err(|_| Errno::EINVAL)?;
            let fd = openat2(Dir::Cwd, &path, Open::empty(), 0, Resolve::empty())?;
            match configure(&fd, file) {
                Ok(()) => return Ok(Self { fd, path }),
                // EBUSY: taken. ENXIO, EAGAIN: being taken down.
                Err(errno @ (Errno::EBUSY | Errno::ENXIO | Errno::EAGAIN | Errno::EINTR)) => answer = errno,
                Err(errno) => return Err(errno),
            }
        }
        Err(answer)
    }

    /// Its node, such as `/dev/loop7`.
    pub fn path(&self) -> &CString {
        &self.path
    }

    /// Its descriptor; while it is open the device stays.
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }
}

fn configure(device: &OwnedFd, file: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: the structure holds integers only, for which zero is valid.
    let mut config: Config = unsafe { std::mem::zeroed() };
    config.fd = u32::try_from(file.as_raw_fd()).map_err(|_| Errno::EBADF)?;
    config.info.flags = READ_ONLY | AUTOCLEAR;
    // SAFETY: the command reads a loop_config, whose address is valid for the call.
    check_int(unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE as _, &raw const config) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_descriptor_that_is_no_device_is_refused() {
        let null = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(configure(&null.into(), std::io::stdin().as_fd()).unwrap_err(), Errno::ENOTTY);
    }
}
