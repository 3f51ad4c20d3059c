//! Starting a program and following it to its end.

use super::processes::Children;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;
use std::time::{Duration, Instant};

/// The longest wait without a look at the children: a signal that another thread took must not be the last word.
const NAP: Duration = Duration::from_secs(1);

/// A pipe to read, and who takes what it gives.
pub(super) type Source<'a> = (OwnedFd, &'a mut dyn FnMut(&[u8]));

/// Starts a program; its end is to be seen by [`watch`]. The command's own ends of pipes are closed.
pub(super) fn spawn(command: &mut Command) -> io::Result<Pid> {
    let child = command.current_dir("/").spawn()?;
    // Drops the pipes that the command holds.
    *command = Command::new("");
    i32::try_from(child.id()).map(Pid::from_raw).map_err(io::Error::other)
}

/// Reads the sources until the process ends, reaping everything else meanwhile; `None` when the deadline
/// came first. The sources' other ends may be open still, in processes that the program started.
pub(super) fn watch(
    pid: Pid,
    children: &Children,
    deadline: Option<Instant>,
    sources: &mut [Source<'_>],
) -> io::Result<Option<WaitStatus>> {
    for (fd, _) in sources.iter() {
        fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    }
    let mut open = vec![true; sources.len()];
    loop {
        // First the children, then the pipes: what a process wrote before its end is not missed.
        let ended = children.reap(pid);
        for ((fd, take), open) in sources.iter_mut().zip(&mut open) {
            *open = *open && drain(fd, take)?;
        }
        if ended.is_some() {
            return Ok(ended);
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Ok(None);
        }
        wait(children, deadline, sources, &open)?;
    }
}

/// Reads what is there, but not for ever; whether the pipe is open still.
fn drain(fd: &OwnedFd, take: &mut dyn FnMut(&[u8])) -> io::Result<bool> {
    let mut buffer = [0; 16 * 1024];
    for _ in 0..64 {
        match nix::unistd::read(fd, &mut buffer) {
            Ok(0) => return Ok(false),
            Ok(length) => take(buffer.get(..length).unwrap_or_default()),
            Err(Errno::EAGAIN) => return Ok(true),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(true)
}

fn wait(
    children: &Children,
    deadline: Option<Instant>,
    sources: &[Source<'_>],
    open: &[bool],
) -> io::Result<()> {
    let mut fds = vec![PollFd::new(children.as_fd(), PollFlags::POLLIN)];
    let open = sources.iter().zip(open).filter(|(_, open)| **open);
    fds.extend(open.map(|((fd, _), _)| PollFd::new(fd.as_fd(), PollFlags::POLLIN)));
    let left = deadline.map_or(NAP, |deadline| deadline.saturating_duration_since(Instant::now()).min(NAP));
    let timeout = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
    match poll(&mut fds, timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Stdio;
    use std::sync::Mutex;

    /// Reaping takes any child of this process, so one test at a time.
    static ONE: Mutex<()> = Mutex::new(());

    fn follow(script: &str, limit: Duration) -> (Option<WaitStatus>, String) {
        let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let children = Children::watch().unwrap();
        let (read, write) = io::pipe().unwrap();
        let pid = spawn(Command::new("/bin/sh").args(["-c", script]).stdout(Stdio::from(write))).unwrap();
        let mut text = Vec::new();
        let status = watch(
            pid,
            &children,
            Some(Instant::now() + limit),
            &mut [(read.into(), &mut |piece| text.extend_from_slice(piece))],
        );
        if status.as_ref().is_ok_and(Option::is_none) {
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
        }
        (status.unwrap(), String::from_utf8(text).unwrap())
    }

    #[test]
    fn output_and_status_are_seen() {
        let (status, text) = follow("echo hello; exit 3", Duration::from_secs(20));
        assert!(matches!(status, Some(WaitStatus::Exited(_, 3))), "{status:?}");
        assert_eq!(text, "hello\n");
    }

    #[test]
    fn a_deadline_holds_even_under_a_flood() {
        let (status, text) = follow("while :; do echo x; done", Duration::from_millis(300));
        assert_eq!(status, None);
        assert!(!text.is_empty());
    }
}
