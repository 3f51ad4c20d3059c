//! The credentials of any task, as a procfs shows them.

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use cofferdam_sys::cred::Quad;
use cofferdam_sys::open::{Dir, Open, Resolve, openat2};
use cofferdam_sys::{Errno, file};

use crate::{CapSet, Error, ErrorKind, Sets};

/// What `/proc/TID/status` says of a task's privileges (`proc_pid_status(5)`).
///
/// Ids and sets are as the reader's user namespace numbers them. Secure bits are not shown there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// User ids.
    pub uids: Quad,
    /// Group ids.
    pub gids: Quad,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// The five capability sets.
    pub sets: Sets,
    /// Whether `execve(2)` gives it no privileges any more.
    pub no_new_privs: bool,
}

/// More than the kernel writes, with room for thousands of groups.
const LONGEST: u64 = 1 << 20;

/// The magic number of procfs in `statfs(2)`.
const PROC_SUPER_MAGIC: i64 = 0x9fa0;

impl Status {
    /// Of the task with this thread id, in the caller's PID namespace, from the procfs on `/proc`.
    ///
    /// A process id is the id of its first thread. No privilege is needed where the procfs shows the task.
    ///
    /// # Errors
    /// [`ErrorKind::Os`] with `ENOENT` when there is no such task or `hidepid` hides it, with `ESRCH` when it has
    /// ended meanwhile; [`ErrorKind::NotInKernel`] where `/proc` is no procfs; [`ErrorKind::Malformed`] as
    /// [`Status::parse`].
    pub fn of(tid: u32) -> Result<Self, Error> {
        Self::of_task_in(procfs()?.as_fd(), tid)
    }

    /// The same, from a procfs that the caller has, such as a private one.
    ///
    /// # Errors
    /// As [`Status::of`].
    pub fn of_task_in(procfs: BorrowedFd<'_>, tid: u32) -> Result<Self, Error> {
        let failed = |errno: Errno| {
            let error = Error::os(errno, format!("read the status of task {tid}"));
            match errno {
                Errno::ENOENT => {
                    error.with_hint("there is no such task, or the procfs was mounted with hidepid")
                }
                _ => error,
            }
        };
        // Digits only, so that nothing but a task is reached; nothing that was mounted over it either.
        let path = std::ffi::CString::new(format!("{tid}/status")).map_err(|_| failed(Errno::EINVAL))?;
        let resolve = Resolve::BENEATH | Resolve::NO_XDEV | Resolve::NO_SYMLINKS;
        let file = openat2(Dir::Fd(procfs), &path, Open::empty(), 0, resolve).map_err(failed)?;
        let mut text = Vec::new();
        std::fs::File::from(file)
            .take(LONGEST)
            .read_to_end(&mut text)
            .map_err(|error| failed(cofferdam_sys::errno::from_io(&error)))?;
        Self::parse(&text)
    }

    /// Reads the text of a status file.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] with the field that is missing or is not what it should be.
    pub fn parse(text: &[u8]) -> Result<Self, Error> {
        let set = |name: &str| {
            let value = field(text, name)?;
            // The kernel writes 16 digits without a sign.
            let digits = value.len() <= 16 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
            let bits = u64::from_str_radix(value, 16).ok().filter(|_| digits);
            bits.map(CapSet::from_bits).ok_or_else(|| bad(name, value))
        };
        Ok(Self {
            uids: quad(text, "Uid")?,
            gids: quad(text, "Gid")?,
            groups: numbers(text, "Groups")?,
            sets: Sets {
                effective: set("CapEff")?,
                permitted: set("CapPrm")?,
                inheritable: set("CapInh")?,
                bounding: set("CapBnd")?,
                ambient: set("CapAmb")?,
            },
            no_new_privs: match field(text, "NoNewPrivs")? {
                "0" => false,
                "1" => true,
                other => return Err(bad("NoNewPrivs", other)),
            },
        })
    }
}

/// The procfs on `/proc`, which must be one.
pub(crate) fn procfs() -> Result<OwnedFd, Error> {
    let failed =
        |errno: Errno| Error::os(errno, "open the procfs on /proc").with_hint("mount a procfs on /proc");
    let flags = Open::PATH | Open::DIRECTORY | Open::NOFOLLOW;
    let directory = openat2(Dir::Cwd, c"/proc", flags, 0, Resolve::empty()).map_err(failed)?;
    if file::filesystem_magic(directory.as_fd()).map_err(failed)? == PROC_SUPER_MAGIC {
        return Ok(directory);
    }
    Err(Error::new(ErrorKind::NotInKernel, "what is mounted on /proc is no procfs")
        .with_hint("mount a procfs on /proc"))
}

/// The text behind `NAME:` without blanks around it; the first such line counts.
fn field<'text>(text: &'text [u8], name: &str) -> Result<&'text str, Error> {
    let line = text
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b":"))
        .ok_or_else(|| {
            Error::new(ErrorKind::Malformed, format!("the status of a task has no field {name}"))
                .with_hint("it is written by Linux 4.10 and later")
        })?;
    let value = std::str::from_utf8(line).map_err(|_| bad(name, &String::from_utf8_lossy(line)))?;
    Ok(value.trim_matches([' ', '\t']))
}

fn numbers(text: &[u8], name: &str) -> Result<Vec<u32>, Error> {
    let value = field(text, name)?;
    let number = |word: &str| word.parse().ok().filter(|_| word.bytes().all(|byte| byte.is_ascii_digit()));
    value.split_ascii_whitespace().map(|word| number(word).ok_or_else(|| bad(name, value))).collect()
}

fn quad(text: &[u8], name: &str) -> Result<Quad, Error> {
    match *numbers(text, name)? {
        [real, effective, saved, filesystem] => Ok(Quad { real, effective, saved, filesystem }),
        _ => Err(bad(name, field(text, name)?)),
    }
}

fn bad(name: &str, value: &str) -> Error {
    let shown: String = value.chars().take(60).collect();
    let what = format!("the field {name} of a task's status is `{}`", shown.escape_default());
    Error::new(ErrorKind::Malformed, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "Name:\tUid: 7\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t9 10 \nNoNewPrivs:\t1\n\
        CapInh:\t0000000000000001\nCapPrm:\t0000000000000003\nCapEff:\t0000000000000002\n\
        CapBnd:\tffffffffffffffff\nCapAmb:\t0000000000000001\n";

    #[test]
    fn fields_are_read() {
        let status = Status::parse(TEXT.as_bytes()).unwrap();
        assert_eq!(status.uids, Quad { real: 1, effective: 2, saved: 3, filesystem: 4 });
        assert_eq!(status.gids, Quad { real: 5, effective: 6, saved: 7, filesystem: 8 });
        assert_eq!(status.groups, [9, 10]);
        assert!(status.no_new_privs);
        let bits = [
            status.sets.inheritable,
            status.sets.permitted,
            status.sets.effective,
            status.sets.bounding,
            status.sets.ambient,
        ];
        assert_eq!(bits.map(CapSet::bits), [1, 3, 2, u64::MAX, 1]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error =
            |from: &str, to: &str| Status::parse(TEXT.replace(from, to).as_bytes()).unwrap_err().to_string();
        assert!(error("CapBnd", "Other").contains("has no field CapBnd"));
        assert!(
            error("\t1\t2\t3\t4", "\t1\t2\t3").contains("the field Uid of a task's status is `1\\t2\\t3`")
        );
        assert!(error("9 10", "-9").contains("the field Groups"));
        assert!(error("9 10", "4294967296").contains("the field Groups"));
        assert!(error("ffffffffffffffff", "1ffffffffffffffff").contains("the field CapBnd"));
        assert!(error("ffffffffffffffff", "+1").contains("the field CapBnd"));
        assert!(error("Privs:\t1", "Privs:\t2").contains("the field NoNewPrivs"));
        assert!(Status::parse(b"").is_err() && Status::parse(b"Uid:\xff\n").is_err());
    }

    #[test]
    fn any_task_can_be_asked_for() {
        let own = Status::of(std::process::id()).unwrap();
        assert_eq!(own.uids, cofferdam_sys::cred::uids().unwrap());
        assert_eq!(Status::of(u32::MAX).unwrap_err().kind(), ErrorKind::Os(Errno::ENOENT));
        assert_eq!(Status::of(0).unwrap_err().kind(), ErrorKind::Os(Errno::ENOENT));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(place in 0..TEXT.len(), bytes in prop::collection::vec(any::<u8>(), 0..9)) {
            let mut text = TEXT.as_bytes().to_vec();
            text.splice(place..place, bytes);
            let _ = Status::parse(&text);
        }
    }
}
