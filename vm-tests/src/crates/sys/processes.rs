//! Calls on processes, their own and others'.

use super::super::child::{self, Sleeper};
use super::super::kernel::since;
use crate::registry::{Context, OrFail, Result};
use cofferdam_ns::Isolation;
use cofferdam_sys::keyring::{self, Permissions};
use cofferdam_sys::plan::{At, Step};
use cofferdam_sys::process::{cloexec_from, pidfd_getfd, pidfd_open, pidfd_send_signal};
use cofferdam_sys::signal::{Signals, Wakeup};
use cofferdam_sys::{Errno, cred, memfd, prctl, process, tty};
use nix::fcntl::OFlag;
use nix::mount::{MsFlags, mount, umount};
use nix::sys::signal::{Signal, raise};
use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

fn no_isolation() -> Isolation {
    Isolation::default()
}

pub(super) fn descriptors_of_others(_: &mut Context) -> Result {
    let mut file = File::from(memfd::create(c"theirs", memfd::Flags::CLOEXEC)?);
    file.write_all(b"theirs")?;
    let steps = vec![("keep the file", Step::Duplicate { from: At::from(OwnedFd::from(file)), to: 1 })];
    let sleeper = Sleeper::start(&no_isolation(), None, steps)?;
    let pidfd = pidfd_open(sleeper.pid())?;
    let mut copy = File::from(pidfd_getfd(pidfd.as_fd(), 1)?);
    copy.rewind()?;
    let mut text = String::new();
    copy.read_to_string(&mut text)?;
    ensure_eq!(text, "theirs", "what is in the copy");
    ensure!(rustix::io::fcntl_getfd(&copy)?.contains(rustix::io::FdFlags::CLOEXEC), "it is close-on-exec");
    ensure_eq!(pidfd_getfd(pidfd.as_fd(), 99).err(), Some(Errno::EBADF), "one that is not open");
    let strangers = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            cred::setresuid(Some(1000), Some(1000), Some(1000))?;
            pidfd_getfd(pidfd.as_fd(), 1)
        });
        thread.join().or_else(|_| fail!("the thread panicked"))
    })?;
    ensure_eq!(strangers.err(), Some(Errno::EPERM), "for another user");
    drop(sleeper);
    ensure_eq!(pidfd_getfd(pidfd.as_fd(), 1).err(), Some(Errno::ESRCH), "of a process that is gone");
    Ok(())
}

pub(super) fn closed_on_exec(ctx: &mut Context) -> Result {
    let careless = rustix::io::dup(&File::open(ctx.scratch())?)?;
    rustix::io::fcntl_setfd(&careless, rustix::io::FdFlags::empty())?;
    let answer = cloexec_from(3);
    let marked = rustix::io::fcntl_getfd(&careless)?.contains(rustix::io::FdFlags::CLOEXEC);
    if since(5, 11)? {
        ensure_eq!((answer, marked), (Ok(()), true), "since Linux 5.11");
    } else {
        ensure_eq!((answer, marked), (Err(Errno::EINVAL), false), "before Linux 5.11");
    }
    Ok(())
}

pub(super) fn signals_and_the_end(_: &mut Context) -> Result {
    let sleeper = Sleeper::start(&no_isolation(), None, vec![])?;
    let pidfd = pidfd_open(sleeper.pid())?;
    let signals = Signals::take()?;
    raise(Signal::SIGUSR1)?;
    ensure_eq!(signals.next(pidfd.as_fd())?, Wakeup::Signal(Signal::SIGUSR1 as i32), "the first");
    pidfd_send_signal(pidfd.as_fd(), Signal::SIGKILL as i32)?;
    // The child's end may come as SIGCHLD first.
    let mut next = signals.next(pidfd.as_fd())?;
    if next == Wakeup::Signal(Signal::SIGCHLD as i32) {
        next = signals.next(pidfd.as_fd())?;
    }
    ensure_eq!(next, Wakeup::Ended, "the next");
    Ok(())
}

pub(super) fn terminal(ctx: &mut Context) -> Result {
    let at = ctx.scratch().join("pts");
    fs::create_dir(&at)?;
    mount(Some("devpts"), &at, Some("devpts"), MsFlags::empty(), Some("newinstance,ptmxmode=0666"))?;
    let answers = on_terminal(&at);
    umount(&at)?;
    answers
}

fn on_terminal(at: &Path) -> Result {
    let open = |name: &str| {
        let flags = OFlag::O_NOCTTY.bits();
        File::options().read(true).write(true).custom_flags(flags).open(at.join(name))
    };
    let ptmx = open("ptmx")?;
    rustix::pty::unlockpt(&ptmx)?;
    let terminal = open("0")?;
    tty::set_size(ptmx.as_fd(), 24, 80)?;
    let size = rustix::termios::tcgetwinsize(&terminal)?;
    ensure_eq!((size.ws_row, size.ws_col), (24, 80), "the size");
    let take = |fd: OwnedFd| ("take the terminal", Step::ControllingTerminal { fd: At::from(fd) });
    let terminal = OwnedFd::from(terminal);
    let refused =
        child::ask(&no_isolation(), None, vec![take(terminal.try_clone()?)], &["link:/proc/self/exe"]);
    let error = refused.err().or_fail("an error without a session of its own")?.to_string();
    ensure!(error.contains("take the terminal: EPERM"), "the error says {error}");
    let steps = vec![("lead a session", Step::NewSession), take(terminal)];
    let facts = child::ask(&no_isolation(), None, steps, &["file:/proc/self/stat"])?;
    let stat = facts.get("file:/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().or_fail("fields")?.split_whitespace().collect();
    let field = |place: usize| fields.get(place).copied().or_fail("a field");
    // After the state: parent, group, session, terminal.
    ensure_eq!(field(3)?, stat.split(' ').next().or_fail("a pid")?, "the session that the child leads");
    ensure_eq!(field(4)?, (136 << 8).to_string(), "its terminal, the first of the pseudo-terminals");
    Ok(())
}

pub(super) fn session_keyring(_: &mut Context) -> Result {
    let permissions = Permissions::POSSESSOR | Permissions::USER_SEARCH;
    let steps = vec![
        ("join a keyring", Step::SessionKeyring(c"cofferdam-guest".into())),
        ("let few use it", Step::KeyPermissions { key: keyring::SESSION, permissions }),
    ];
    let facts = child::ask(&no_isolation(), None, steps, &["file:/proc/keys"])?;
    let keys = facts.get("file:/proc/keys")?;
    let line = keys.lines().find(|line| line.contains("cofferdam-guest")).or_fail(keys)?;
    ensure!(line.contains(" 3f080000 ") && line.contains(" keyring "), "the keyring: {line}");
    // The calling thread, with one of its own.
    let named = std::thread::spawn(|| {
        process::join_session_keyring(c"cofferdam-thread")?;
        Ok((keyring::id(keyring::SESSION)?, keyring::describe(keyring::SESSION)?))
    });
    let named: std::result::Result<_, Errno> = named.join().or_else(|_| fail!("the thread panicked"))?;
    let (id, text) = named?;
    ensure!(
        id > 0 && text.starts_with("keyring;0;0;") && text.ends_with(";cofferdam-thread"),
        "{id}: {text}"
    );
    let own = fs::read_to_string("/proc/keys")?;
    ensure!(!own.contains("cofferdam-guest"), "the child's keyring is the parent's: {own}");
    Ok(())
}

pub(super) fn process_controls(_: &mut Context) -> Result {
    ensure_eq!(prctl::dumpable()?, 1, "whether it may be inspected");
    process::set_dumpable(false)?;
    ensure_eq!(prctl::dumpable()?, 0, "whether it may be inspected then");
    ensure!(!prctl::child_subreaper()?, "it takes orphans");
    process::set_child_subreaper()?;
    ensure!(prctl::child_subreaper()?, "it takes no orphans then");
    process::set_parent_death_signal(Signal::SIGKILL as i32)?;
    ensure_eq!(prctl::parent_death_signal()?, Signal::SIGKILL as i32, "the signal at its parent's end");
    ensure_eq!(process::set_parent_death_signal(99), Err(Errno::EINVAL), "a signal that is none");
    prctl::set_name(c"controls")?;
    ensure_eq!(fs::read_to_string("/proc/thread-self/comm")?, "controls\n", "its name");

    ensure_eq!(prctl::has_mdwe()?, since(6, 3)?, "memory-deny-write-execute, there since 6.3");
    if prctl::has_mdwe()? {
        ensure!(!prctl::refuses_exec_gain()?, "it refuses already");
        prctl::refuse_exec_gain()?;
        ensure!(prctl::refuses_exec_gain()?, "it does not refuse");
    } else {
        ensure_eq!(prctl::refuse_exec_gain(), Err(Errno::EINVAL), "before Linux 6.3");
    }
    Ok(())
}
