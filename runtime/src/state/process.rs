//! Telling a container's first process from another that has its number now.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use cofferdam_sys::process::pidfd_open;
use cofferdam_sys::{Errno, errno};

use super::Init;
use crate::{Error, ErrorKind, Result};

/// The id of the machine's boot.
pub(crate) fn boot_id() -> Result<String> {
    const PATH: &str = "/proc/sys/kernel/random/boot_id";
    let text = small(PATH).map_err(|error| Error::new(ErrorKind::System, format!("read {PATH}: {error}")))?;
    Ok(String::from_utf8_lossy(&text).trim_end().to_owned())
}

/// A file of procfs, which tells no length, in one read.
fn small(path: &str) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::with_capacity(1024);
    File::open(path)?.read_to_end(&mut text)?;
    Ok(text)
}

/// What tells a process from others that had or will have its number.
pub(crate) fn identify(pid: i32) -> Result<Init> {
    let gone = || Error::new(ErrorKind::System, format!("process {pid} is gone"));
    let start_time = stat(pid)?.ok_or_else(gone)?.start_time;
    Ok(Init { pid, start_time, boot: boot_id()? })
}

impl Init {
    /// A pidfd of the process, when it is this one and lives.
    ///
    /// The order closes the race: what is opened first is checked by number afterwards, and a number is not
    /// given away while a pidfd's process has not been waited for.
    pub(crate) fn open(&self) -> Result<Option<OwnedFd>> {
        let pidfd = match pidfd_open(self.pid) {
            Ok(pidfd) => pidfd,
            // No such process, or (before Linux 6.9 EINVAL) a thread that has the number now.
            Err(Errno::ESRCH | Errno::EINVAL | Errno::ENOENT) => return Ok(None),
            Err(number) => {
                let what = format!("open process {}: {}", self.pid, errno::describe(number));
                return Err(Error::new(ErrorKind::System, what));
            }
        };
        Ok(if self.lives()? { Some(pidfd) } else { None })
    }

    /// Whether the process lives; a zombie does not.
    pub(crate) fn lives(&self) -> Result<bool> {
        self.is(|stat| !stat.is_zombie())
    }

    /// Whether the process lives and is not about to end. The first of a PID namespace ends only when all others
    /// are killed and waited for.
    pub(crate) fn goes_on(&self) -> Result<bool> {
        self.is(|stat| !stat.is_zombie() && stat.flags & EXITING == 0)
    }

    fn is(&self, like: impl Fn(&Stat) -> bool) -> Result<bool> {
        let Some(stat) = stat(self.pid)? else { return Ok(false) };
        Ok(like(&stat) && stat.start_time == self.start_time && boot_id()? == self.boot)
    }
}

/// `PF_EXITING` of the kernel, which `proc_pid_stat(5)` shows in field 9.
const EXITING: u64 = 4;

/// What `/proc/PID/stat` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    state: u8,
    flags: u64,
    start_time: u64,
}

impl Stat {
    fn is_zombie(self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// State, flags and start time of a process, `None` when there is none.
fn stat(pid: i32) -> Result<Option<Stat>> {
    let path = format!("/proc/{pid}/stat");
    let text = match small(&path) {
        Ok(text) => text,
        Err(error) => match errno::from_io(&error) {
            Errno::ENOENT | Errno::ESRCH => return Ok(None),
            number => {
                let what = format!("read {path}: {}", errno::describe(number));
                return Err(Error::new(ErrorKind::System, what));
            }
        },
    };
    parse(&text)
        .map(Some)
        .ok_or_else(|| Error::new(ErrorKind::System, format!("{path} has not the form of proc_pid_stat(5)")))
}

/// Fields 3, 9 and 22. The second is the program's name in parentheses, which may hold anything.
fn parse(text: &[u8]) -> Option<Stat> {
    let end = text.iter().rposition(|byte| *byte == b')')?;
    let mut fields = text.get(end.checked_add(2)?..)?.split(|byte| *byte == b' ');
    let state = fields.next()?.first().copied()?;
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse().ok();
    let flags = number(fields.nth(5)?)?;
    let start_time = number(fields.nth(12)?)?;
    Some(Stat { state, flags, start_time })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_cannot_forge_fields() {
        let line = |name: &str| {
            let rest = "S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 99";
            format!("42 ({name}) {rest}\n")
        };
        for name in ["sh", "a) R 1 2", ") Z (", ""] {
            let wanted = Stat { state: b'S', flags: 4_194_560, start_time: 4711 };
            assert_eq!(parse(line(name).as_bytes()), Some(wanted), "{name}");
        }
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"1 (a) S 1"), None);
    }

    #[test]
    fn another_process_with_the_number_is_not_taken() {
        let me = identify(std::process::id().cast_signed()).unwrap();
        assert!(me.open().unwrap().is_some() && me.goes_on().unwrap());
        let later = Init { start_time: me.start_time + 1, ..me.clone() };
        assert!(later.open().unwrap().is_none());
        let before = Init { boot: "another".into(), ..me };
        assert!(before.open().unwrap().is_none());
    }

    #[test]
    fn a_zombie_does_not_live() {
        let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
        let init = Init { pid: child.id().cast_signed(), start_time: 0, boot: boot_id().unwrap() };
        let init = Init { start_time: stat(init.pid).unwrap().unwrap().start_time, ..init };
        while init.lives().unwrap() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        assert!(std::path::Path::new(&format!("/proc/{}", init.pid)).exists());
        child.wait().unwrap();
        assert!(init.open().unwrap().is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }
    }
}
