//! Waiting for a child and for signals at once, so that a foreground runtime can pass signals on.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::call::check_int;
use crate::{Errno, Result};

/// What [`Signals::next`] saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wakeup {
    /// This signal arrived.
    Signal(i32),
    /// The process behind the pidfd has ended.
    Ended,
}

/// The calling thread's signals as a descriptor (`signalfd(2)`); dropping it gives them back.
///
/// Blocks every signal but those that a fault of the caller's own raises. Meant for a program with one
/// thread: others would go on to receive signals as before.
#[derive(Debug)]
pub struct Signals {
    fd: OwnedFd,
    old: libc::sigset_t,
}

/// Signals that the kernel sends for the thread's own fault; blocking them would hide the fault.
const FAULTS: [i32; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP];

impl Signals {
    /// Takes the calling thread's signals.
    ///
    /// # Errors
    /// `EMFILE` for want of descriptors.
    pub fn take() -> Result<Self> {
        // SAFETY: all-zero is a valid sigset for the calls below to fill.
        let (mut wanted, mut old): (libc::sigset_t, libc::sigset_t) = unsafe { std::mem::zeroed() };
        // SAFETY: the set is valid for writing.
        check_int(unsafe { libc::sigfillset(&raw mut wanted) })?;
        for fault in FAULTS {
            // SAFETY: the set is valid for writing.
            check_int(unsafe { libc::sigdelset(&raw mut wanted, fault) })?;
        }
        // SAFETY: the set is valid for reading.
        let fd = check_int(unsafe {
            libc::signalfd(-1, &raw const wanted, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
        })?;
        // SAFETY: the kernel just gave us this descriptor.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: both sets are valid.
        match unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const wanted, &raw mut old) } {
            0 => Ok(Self { fd, old }),
            number => Err(Errno::from_raw(number)),
        }
    }

    /// Waits for the next signal or for the end of a process.
    ///
    /// # Errors
    /// As `poll(2)`.
    pub fn next(&self, pidfd: BorrowedFd<'_>) -> Result<Wakeup> {
        loop {
            let entry = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
            let mut fds = [entry(self.fd.as_raw_fd()), entry(pidfd.as_raw_fd())];
            // SAFETY: the array holds as many entries as are given.
            match check_int(unsafe { libc::poll(fds.as_mut_ptr(), 2, -1) }) {
                Err(Errno::EINTR) => continue,
                other => other?,
            };
            let [signal, ended] = fds;
            if signal.revents != 0
                && let Some(number) = self.read()?
            {
                return Ok(Wakeup::Signal(number));
            }
            if ended.revents != 0 {
                return Ok(Wakeup::Ended);
            }
        }
    }

    /// The descriptor, which is readable while a signal waits.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The next signal that waits; `None` when there is none.
    ///
    /// # Errors
    /// None in practice.
    pub fn read(&self) -> Result<Option<i32>> {
        let mut info = std::mem::MaybeUninit::<libc::signalfd_siginfo>::zeroed();
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: the kernel writes at most the size of the structure.
        let read = unsafe { libc::read(self.fd.as_raw_fd(), info.as_mut_ptr().cast(), size) };
        if read < 0 {
            return match Errno::last() {
                Errno::EAGAIN | Errno::EINTR => Ok(None),
                errno => Err(errno),
            };
        }
        // SAFETY: zeroed before and filled by the kernel; every bit pattern is valid.
        let info = unsafe { info.assume_init() };
        i32::try_from(info.ssi_signo).map(Some).map_err(|_| Errno::EINVAL)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // SAFETY: the set is the one that was in force before.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.old, std::ptr::null_mut()) };
    }
}

/// A signal's number by number or name (`signal(7)`): `9`, `KILL`, `SIGKILL`, `rtmin+3`.
pub fn by_name(text: &str) -> Option<i32> {
    let highest = libc::SIGRTMAX();
    if let Ok(number) = text.parse::<i32>() {
        return (1..=highest).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some((_, number)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Some(*number);
    }
    let offset = |rest: &str, sign: char| match rest.strip_prefix(sign) {
        Some(digits) => digits.parse::<i32>().ok(),
        None => rest.is_empty().then_some(0),
    };
    let number = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(rest), _) => libc::SIGRTMIN().checked_add(offset(rest, '+')?)?,
        (None, Some(rest)) => highest.checked_sub(offset(rest, '-')?)?,
        (None, None) => return None,
    };
    (libc::SIGRTMIN()..=highest).contains(&number).then_some(number)
}

/// A signal's number, with what it says where that is the reason of many an end.
#[must_use]
pub fn describe(signal: i32) -> String {
    let says = match signal {
        libc::SIGSYS => "bad system call",
        libc::SIGSEGV => "segmentation fault",
        libc::SIGABRT => "aborted",
        libc::SIGPIPE => "broken pipe",
        _ => return signal.to_string(),
    };
    format!("{signal} ({says})")
}

const NAMES: [(&str, i32); 35] = [
    ("ABRT", libc::SIGABRT),
    ("ALRM", libc::SIGALRM),
    ("BUS", libc::SIGBUS),
    ("CHLD", libc::SIGCHLD),
    ("CLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("FPE", libc::SIGFPE),
    ("HUP", libc::SIGHUP),
    ("ILL", libc::SIGILL),
    ("INT", libc::SIGINT),
    ("IO", libc::SIGIO),
    ("IOT", libc::SIGABRT),
    ("KILL", libc::SIGKILL),
    ("PIPE", libc::SIGPIPE),
    ("POLL", libc::SIGIO),
    ("PROF", libc::SIGPROF),
    ("PWR", libc::SIGPWR),
    ("QUIT", libc::SIGQUIT),
    ("SEGV", libc::SIGSEGV),
    ("STKFLT", libc::SIGSTKFLT),
    ("STOP", libc::SIGSTOP),
    ("SYS", libc::SIGSYS),
    ("TERM", libc::SIGTERM),
    ("TRAP", libc::SIGTRAP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("UNUSED", libc::SIGSYS),
    ("URG", libc::SIGURG),
    ("USR1", libc::SIGUSR1),
    ("USR2", libc::SIGUSR2),
    ("VTALRM", libc::SIGVTALRM),
    ("WINCH", libc::SIGWINCH),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
];

/// Whether a signal is worth passing on to a child: not its own end, not the terminal's stops.
pub fn is_forwarded(signal: i32) -> bool {
    !matches!(signal, libc::SIGCHLD | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU | libc::SIGPIPE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::pidfd_open;
    use std::os::fd::AsFd;

    #[test]
    fn signals_have_names_and_numbers() {
        for (text, number) in [("9", 9), ("KILL", 9), ("SIGKILL", 9), ("sigterm", 15), ("Hup", 1)] {
            assert_eq!(by_name(text), Some(number), "{text}");
        }
        assert_eq!(by_name("RTMIN"), Some(libc::SIGRTMIN()));
        assert_eq!(by_name("SIGRTMIN+3"), Some(libc::SIGRTMIN() + 3));
        assert_eq!(by_name("RTMAX-1"), Some(libc::SIGRTMAX() - 1));
        for bad in
            ["", "0", "-1", "65", "SIG", "SIGSIGKILL", "KILLER", "RTMIN+99", "RTMAX+1", "RTMIN-1", "9x"]
        {
            assert_eq!(by_name(bad), None, "{bad}");
        }
    }

    #[test]
    fn sees_signals_and_the_end() {
        let mut child = std::process::Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let pidfd = pidfd_open(child.id().cast_signed()).unwrap();
        let signals = Signals::take().unwrap();
        // SAFETY: takes no pointer; the signal is blocked in this thread.
        unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGUSR1) };
        assert_eq!(signals.next(pidfd.as_fd()).unwrap(), Wakeup::Signal(libc::SIGUSR1));
        crate::process::pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL).unwrap();
        let end = std::iter::repeat_with(|| signals.next(pidfd.as_fd()).unwrap());
        assert!(end.take(3).any(|wakeup| wakeup == Wakeup::Ended));
        child.wait().unwrap();
    }
}
