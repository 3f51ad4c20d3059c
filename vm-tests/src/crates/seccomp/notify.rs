//! A supervisor that answers calls.

use super::only;
use crate::crates::child::{self, Facts};
use crate::crates::kernel::since;
use crate::registry::{Context, OrFail, Result, Test};
use cofferdam_seccomp::notify::{Notification, Place};
use cofferdam_seccomp::{Answer, Arch, ErrorKind, Filter, FilterFlags, Listener, Profile};
use cofferdam_sys::plan::{At, Step};
use cofferdam_sys::process::Exit;
use cofferdam_sys::spawn::{Child, Request, spawn};
use cofferdam_sys::{Errno, process, send};
use nix::libc::SIGKILL;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

pub(in super::super) const TESTS: &[Test] = &[
    Test::integration(
        "seccomp::notify-answers",
        "A supervisor gives a value, an error, or lets pass",
        answers,
    ),
    Test::integration("seccomp::notify-sees", "A supervisor sees the caller and its arguments", sees),
    Test::integration("seccomp::notify-execve", "A supervisor is asked about the execve of a start", execve),
    Test::integration("seccomp::notify-absent", "Without a supervisor the call is missing", absent),
    Test::integration("seccomp::notify-gone", "A caller that is killed is no longer waiting", gone),
    Test::integration("seccomp::notify-end", "A supervisor learns that nobody has the filter any more", ends),
    Test::integration("seccomp::notify-add-fd", "A supervisor puts a descriptor into the caller", add_fd),
    Test::integration("seccomp::notify-killable", "A call that was received is not interrupted", killable),
];

/// A program under a filter, with its answers and the supervisor's side.
struct Supervised {
    child: Child,
    answers: io::PipeReader,
    listener: Listener,
}

impl Supervised {
    /// Starts it; what it does before `execve` is answered by `meanwhile`.
    fn start(profile: &Profile, facts: &[&str], meanwhile: impl FnOnce(&Listener) -> Result) -> Result<Self> {
        let (answers, output) = io::pipe()?;
        let (ours, theirs) = UnixStream::pair()?;
        let mut plan = child::plan(&[&["facts"], facts].concat())?;
        let slot = plan.slot()?;
        plan.push("send the answers back", Step::Duplicate { from: At::from(OwnedFd::from(output)), to: 1 });
        plan.push("no new privileges", Step::NoNewPrivileges);
        plan.push_last("install the filter", Filter::compile(profile)?.step(Some(slot)));
        plan.push_last(
            "send the listener",
            Step::SendDescriptor {
                socket: OwnedFd::from(theirs).into(),
                descriptor: slot.into(),
                payload: b"it".to_vec(),
            },
        );
        let mut spawning = spawn(&plan, &Request::default())?;
        spawning.release()?;
        let pidfd = spawning.pidfd().or_fail("a pidfd")?;
        ensure!(send::wait_for_message(ours.as_fd(), pidfd)?, "the child ended without a listener");
        let mut payload = [0; 8];
        let (length, listener) = send::receive_descriptor(ours.as_fd(), &mut payload)?;
        ensure_eq!(payload.get(..length), Some(b"it".as_slice()), "the payload");
        let listener = Listener::from(listener.or_fail("a descriptor")?);
        meanwhile(&listener)?;
        let child = spawning.finish()?;
        Ok(Self { child, answers, listener })
    }

    fn next(&self) -> Result<Notification> {
        self.listener.receive()?.or_fail("a call")
    }

    /// What it saw in the end.
    fn facts(mut self) -> Result<Facts> {
        let mut text = String::new();
        self.answers.read_to_string(&mut text)?;
        ensure_eq!(self.child.wait()?, Exit::Code(0), "the end of the program");
        child::Facts::parse(&text)
    }
}

fn supervised(names: &[&str], facts: &[&str]) -> Result<Supervised> {
    Supervised::start(&only(Answer::Notify, names), facts, |_| Ok(()))
}

const GETPPID: &str = "call:native:getppid";

fn number(name: &str) -> Result<i32> {
    Ok(Arch::native().and_then(|arch| arch.number(name)).or_fail(name)?.cast_signed())
}

fn answers(_: &mut Context) -> Result {
    // In the order of their names, in which they are looked at.
    let asked = ["call:native:getegid", "call:native:geteuid", "call:native:getgid"];
    let program = supervised(&["getegid", "geteuid", "getgid"], &asked)?;
    for name in ["getegid", "geteuid", "getgid"] {
        let call = program.next()?;
        ensure_eq!(call.data.number, number(name)?, "the call, {name}");
        match name {
            "getegid" => program.listener.give(&call, 4711)?,
            "geteuid" => program.listener.fail(&call, Errno::EXDEV)?,
            _ => program.listener.let_pass(&call)?,
        }
    }
    let facts = program.facts()?;
    ensure_eq!(
        asked.map(|fact| facts.get(fact).unwrap_or("nothing").to_owned()),
        ["4711", "!EXDEV", "0"],
        "the answers"
    );
    Ok(())
}

fn sees(_: &mut Context) -> Result {
    const DUP: &str = "call:native:dup=0xfedcba9876543210";
    let program = supervised(&["dup"], &[DUP])?;
    let call = program.next()?;
    ensure_eq!(call.pid, program.child.pid().unsigned_abs(), "the caller");
    ensure_eq!(call.data.number, number("dup")?, "the number");
    ensure_eq!(Some(call.data.arch), Arch::native().map(Arch::audit), "the architecture");
    ensure_eq!(call.data.arguments.first(), Some(&0xfedc_ba98_7654_3210), "the argument");
    ensure!(program.listener.is_waiting(&call)?, "it does not wait");
    program.listener.give(&call, 3)?;
    ensure!(!program.listener.is_waiting(&call)?, "it still waits");
    let error = program.listener.give(&call, 3).err().or_fail("a failure")?;
    ensure_eq!(error.kind(), ErrorKind::Gone, "{error}");
    ensure_eq!(program.facts()?.get(DUP)?, "3", "the answer");
    Ok(())
}

fn execve(_: &mut Context) -> Result {
    let program = Supervised::start(&only(Answer::Notify, &["execve"]), &[GETPPID], |listener| {
        let call = listener.receive()?.or_fail("a call")?;
        ensure_eq!(call.data.number, number("execve")?, "the first call");
        Ok(listener.let_pass(&call)?)
    })?;
    program.facts().map(drop)
}

fn absent(_: &mut Context) -> Result {
    // Nobody has taken the listener: the kernel cannot ask.
    let facts = super::ask(&Filter::compile(&only(Answer::Notify, &["getppid"]))?, &[GETPPID])?;
    ensure_eq!(facts.get(GETPPID)?, "!ENOSYS", "without a listener");
    let program = supervised(&["getppid"], &[GETPPID])?;
    let call = program.next()?;
    let Supervised { child, answers, listener } = program;
    drop(listener);
    let (own, _) = io::pipe()?;
    let facts = Supervised { child, answers, listener: Listener::from(OwnedFd::from(own)) }.facts()?;
    ensure_eq!(facts.get(GETPPID)?, "!ENOSYS", "call {} after the supervisor has gone", call.id);
    Ok(())
}

fn gone(_: &mut Context) -> Result {
    let program = supervised(&["getppid"], &[GETPPID])?;
    let call = program.next()?;
    process::pidfd_send_signal(program.child.pidfd(), SIGKILL)?;
    ensure_eq!(program.child.wait()?, Exit::Signal(SIGKILL), "the end of the program");
    ensure!(!program.listener.is_waiting(&call)?, "a dead process waits");
    for result in [program.listener.give(&call, 0), program.listener.let_pass(&call)] {
        let error = result.err().or_fail("a failure")?;
        ensure_eq!(error.kind(), ErrorKind::Gone, "{error}");
    }
    Ok(())
}

fn ends(_: &mut Context) -> Result {
    let mut program = supervised(&["getppid"], &["call:native:getpid"])?;
    if !since(6, 11)? {
        // Before Linux 6.11 a filter stays with a process until that has been waited for.
        std::io::copy(&mut program.answers, &mut io::sink())?;
        ensure_eq!(program.child.wait()?, Exit::Code(0), "the end of the program");
    }
    ensure_eq!(program.listener.receive()?, None, "a call of a program that makes none");
    if since(6, 11)? {
        program.facts()?;
    }
    Ok(())
}

fn add_fd(ctx: &mut Context) -> Result {
    let file = ctx.scratch().join("given");
    std::fs::write(&file, "handed over")?;
    let given = std::fs::File::open(&file)?;
    let program = supervised(&["getppid"], &[GETPPID, "file:/proc/self/fd/77"])?;
    let call = program.next()?;
    let place = Place { number: Some(77), close_on_exec: true };
    let (there, one_step) = (since(5, 14)?, program.listener.give_fd(&call, given.as_fd(), place));
    if there {
        ensure_eq!(one_step?, 77, "the number");
    } else {
        let error = one_step.err().or_fail("a failure")?;
        ensure_eq!(error.kind(), ErrorKind::Os(Errno::EINVAL), "{error}");
        ensure_eq!(program.listener.add_fd(&call, given.as_fd(), place)?, 77, "the number");
        program.listener.give(&call, 77)?;
    }
    let facts = program.facts()?;
    ensure_eq!(facts.get(GETPPID)?, "77", "the answer");
    ensure_eq!(facts.get("file:/proc/self/fd/77")?, "handed over", "what the program reads from it");
    Ok(())
}

fn killable(_: &mut Context) -> Result {
    let profile = Profile { flags: FilterFlags::WAIT_KILLABLE_RECV, ..only(Answer::Notify, &["getppid"]) };
    if !since(5, 19)? {
        let failure = Supervised::start(&profile, &[GETPPID], |_| Ok(())).err().or_fail("a failure")?;
        ensure!(failure.to_string().contains("ended without a listener"), "{failure}");
        return Ok(());
    }
    let program = Supervised::start(&profile, &[GETPPID], |_| Ok(()))?;
    let call = program.next()?;
    // A signal that the program ignores would interrupt the call without the flag; SIGCONT is one.
    process::pidfd_send_signal(program.child.pidfd(), nix::libc::SIGCONT)?;
    ensure!(program.listener.is_waiting(&call)?, "the call was interrupted");
    program.listener.give(&call, 5)?;
    ensure_eq!(program.facts()?.get(GETPPID)?, "5", "the answer");
    Ok(())
}
