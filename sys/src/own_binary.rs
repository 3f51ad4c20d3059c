//! The running program's own file, which a container must not be able to write.
//!
//! A process that joins a container shows the way to its own program as `/proc/PID/exe`. Before `execve(2)` it
//! is closed to the container's processes. But the container chooses what is executed, and may choose
//! `/proc/self/exe`, or a script that begins with `#!/proc/self/exe`: then the host's program itself runs in
//! there, as open as any, and who opened its `/proc/PID/exe` can write to it once nothing executes it any more
//! (CVE-2019-5736). No check before `execve(2)` helps, as the container can change its files behind it.
//!
//! So a program whose file the caller may write goes on from a read-only copy of the mount it is on
//! (`open_tree(2)`, `mount_setattr(2)`, Linux 5.12). No path leads to that copy, and its last descriptor is
//! closed before [`is_sealed`] answers: from then on it belongs to no mount namespace, so that nobody can make
//! it writable again, whatever their capabilities. The file's content is not copied.
//!
//! A static program takes the copy for its own before it has begun (`entry::exchange`). Another, or one that
//! lacks the rights for that, is executed again from it, which costs most in a program's own start: the entry
//! point in `entry` does that before it, too.

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod entry;

use std::convert::Infallible;
use std::ffi::{CStr, CString, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use crate::call::{Dir, check};
use crate::memfd::{self, Seals};
use crate::mount::{MountAttrs, MountFlags, OpenTree, mount_setattr, open_tree};
use crate::open::{Open, Resolve, openat2};
use crate::{Errno, Result, access, errno};

const OWN: &CStr = c"/proc/self/exe";

/// What a sealed copy in memory does not allow any more.
const SEALS: Seals = Seals::SEAL.union(Seals::SHRINK).union(Seals::GROW).union(Seals::WRITE);

/// Whether the caller, and so no process that has at most its rights, can write to the program's file.
///
/// True for a file of another user, on a read-only mount, that is immutable (`chattr +i`), or in memory and
/// sealed.
///
/// # Errors
/// `ENOENT` without a procfs on `/proc`.
pub fn is_sealed() -> Result<bool> {
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    entry::close::wait()?;
    if !access::writable(Dir::Cwd, OWN)? {
        return Ok(true);
    }
    let file = openat2(Dir::Cwd, OWN, Open::empty(), 0, Resolve::empty())?;
    match memfd::seals(file.as_fd()) {
        Ok(seals) => Ok(seals.contains(Seals::WRITE)),
        // No file in memory.
        Err(Errno::EINVAL) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Executes the program once more with its arguments and environment, in a way that [`is_sealed`] is true of:
/// from a read-only copy of its mount, or where the caller may not make one from a sealed copy in memory.
///
/// # Errors
/// What the second way met: `EACCES` where `vm.memfd_noexec` forbids it, `ENOMEM`.
pub fn execute_sealed() -> Result<Infallible> {
    let words = std::env::args_os().map(c_string).collect::<Result<Vec<_>>>()?;
    let environment = std::env::vars_os().map(|(name, value)| {
        let mut entry = name.into_vec();
        entry.push(b'=');
        entry.extend(value.into_vec());
        CString::new(entry).map_err(|_| Errno::EINVAL)
    });
    let environment = environment.collect::<Result<Vec<_>>>()?;
    if let Ok(program) = read_only() {
        // What is refused here is tried with the copy.
        let _ = execute(program.as_fd(), &words, &environment);
    }
    Err(execute(sealed_copy()?.as_fd(), &words, &environment))
}

fn c_string(text: OsString) -> Result<CString> {
    CString::new(text.into_vec()).map_err(|_| Errno::EINVAL)
}

/// The program's file by a read-only mount of its own.
fn read_only() -> Result<OwnedFd> {
    let tree = open_tree(Dir::Cwd, OWN, OpenTree::CLONE)?;
    mount_setattr(tree.as_fd(), false, MountAttrs::RDONLY, 0, MountFlags::empty())?;
    let path = CString::new(format!("/proc/self/fd/{}", tree.as_raw_fd())).map_err(|_| Errno::EINVAL)?;
    // Were it writable all the same, this would be done over and over again.
    if access::writable(Dir::Cwd, &path)? { Err(Errno::EROFS) } else { Ok(tree) }
}

/// The program's file copied into memory.
fn sealed_copy() -> Result<OwnedFd> {
    let flags = memfd::Flags::CLOEXEC | memfd::Flags::ALLOW_SEALING;
    let copy = match memfd::create(c"own-binary", flags | memfd::Flags::EXEC) {
        // Before Linux 6.3 every such file may be executed.
        Err(Errno::EINVAL) => memfd::create(c"own-binary", flags),
        other => other,
    }?;
    let mut copy = File::from(copy);
    let mut own = File::from(openat2(Dir::Cwd, OWN, Open::empty(), 0, Resolve::empty())?);
    io::copy(&mut own, &mut copy).map_err(|error| errno::from_io(&error))?;
    seal(copy.as_fd())?;
    Ok(copy.into())
}

/// Seals a file that nobody else has.
///
/// Against writing it can be sealed only while the kernel itself has no page of it in hand, as it has for a moment
/// when it compacts memory. The call waits 150 ms for that at most, which on a machine short of memory is too little.
fn seal(file: BorrowedFd<'_>) -> Result<()> {
    const TIMES: u32 = 40;
    for _ in 1..TIMES {
        match memfd::add_seals(file, SEALS) {
            Err(Errno::EBUSY) => {}
            other => return other,
        }
    }
    memfd::add_seals(file, SEALS)
}

/// `execveat(fd, "", argv, envp, AT_EMPTY_PATH)` (`execveat(2)`). Returns only on failure.
fn execute(program: BorrowedFd<'_>, words: &[CString], environment: &[CString]) -> Errno {
    let pointers = |strings: &[CString]| -> Vec<*const libc::c_char> {
        strings.iter().map(|text| text.as_ptr()).chain(std::iter::once(std::ptr::null())).collect()
    };
    let (argv, envp) = (pointers(words), pointers(environment));
    // SAFETY: the path is a C string; both arrays end in null, and their strings outlive the call.
    let value = unsafe {
        libc::syscall(
            libc::SYS_execveat,
            program.as_raw_fd(),
            c"".as_ptr(),
            argv.as_ptr(),
            envp.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    check(value).err().unwrap_or(Errno::EINVAL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// A page of a file in a pipe is one that the kernel has in hand.
    #[test]
    fn a_page_in_use_is_waited_for() {
        let flags = memfd::Flags::CLOEXEC | memfd::Flags::ALLOW_SEALING;
        let mut file = File::from(memfd::create(c"test", flags).unwrap());
        file.write_all(&[7; 4096]).unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        let mut from: libc::loff_t = 0;
        // SAFETY: the offset is valid for the call, and the other pointer may be null.
        let moved = unsafe {
            libc::splice(file.as_raw_fd(), &raw mut from, writer.as_raw_fd(), std::ptr::null_mut(), 4096, 0)
        };
        assert_eq!(moved, 4096);
        assert_eq!(memfd::add_seals(file.as_fd(), SEALS), Err(Errno::EBUSY));
        drop(writer);
        let emptied = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(300));
            io::Read::read_to_end(&mut reader, &mut Vec::new()).unwrap()
        });
        seal(file.as_fd()).unwrap();
        assert_eq!(emptied.join().unwrap(), 4096);
        assert!(memfd::seals(file.as_fd()).unwrap().contains(SEALS));
    }

    #[test]
    fn the_copies_cannot_be_written() {
        let copy = sealed_copy().unwrap();
        assert!(memfd::seals(copy.as_fd()).unwrap().contains(SEALS));
        assert_eq!(File::from(copy).write(b"x").unwrap_err().raw_os_error(), Some(libc::EPERM));
        // Without the rights to mounts there is no such copy.
        if let Ok(tree) = read_only() {
            // Opening it would say ETXTBSY, as this test is executed from it.
            let flags = crate::file::mount_flags(tree.as_fd()).unwrap();
            assert_eq!(flags & libc::MS_RDONLY, libc::MS_RDONLY);
        }
    }

    #[test]
    fn a_program_that_its_user_may_write_is_not_sealed() {
        let own = std::fs::metadata("/proc/self/exe").unwrap();
        let may = access::writable(Dir::Cwd, OWN).unwrap();
        assert_eq!(is_sealed(), Ok(!may), "{:?}", own.permissions());
    }
}
