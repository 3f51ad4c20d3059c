//! The walk and its reports, with real children.

use std::ffi::CString;

use super::*;
use crate::plan::{At, Exec, Step};
use std::io::Read;

fn exec(program: &str, args: &[&str]) -> Exec {
    let text = |text: &str| CString::new(text).unwrap();
    Exec {
        candidates: Exec::search(program.as_bytes(), b"/usr/bin:/bin").unwrap(),
        args: std::iter::once(program).chain(args.iter().copied()).map(text).collect(),
        env: vec![],
    }
}

fn start(plan: &Plan) -> std::result::Result<Child, Failure> {
    let mut spawning = spawn(plan, &Request::default()).unwrap();
    spawning.release()?;
    spawning.finish()
}

#[test]
fn executes_and_passes_the_status() {
    let plan = Plan::new(exec("sh", &["-c", "exit 42"]));
    assert_eq!(start(&plan).unwrap().wait().unwrap(), Exit::Code(42));
}

#[test]
fn names_the_step_that_failed() {
    let mut plan = Plan::new(exec("true", &[]));
    plan.push("set the umask", Step::FileModeMask(0o22));
    plan.push("enter the nowhere", Step::ChangeDirectory(c"/nowhere".into()));
    let failure = start(&plan).unwrap_err();
    assert_eq!(
        failure.to_string(),
        "enter the nowhere: ENOENT (No such file or directory) [ChangeDirectory(\"/nowhere\")]"
    );
}

#[test]
fn tells_missing_from_forbidden_programs() {
    let failure = start(&Plan::new(exec("no-such-program", &[]))).unwrap_err();
    assert!(matches!(failure, Failure::Exec { errno: Errno::ENOENT, .. }), "{failure}");
    let failure = start(&Plan::new(exec("/etc/passwd", &[]))).unwrap_err();
    assert!(matches!(failure, Failure::Exec { errno: Errno::EACCES, .. }), "{failure}");
}

#[test]
fn a_plan_waits_for_its_parent() {
    let mut plan = Plan::new(exec("true", &[]));
    plan.push("wait", Step::WaitForParent);
    let mut spawning = spawn(&plan, &Request::default()).unwrap();
    let path = format!("/proc/{}/exe", spawning.pid());
    assert_eq!(std::fs::read_link(&path).unwrap(), std::env::current_exe().unwrap());
    spawning.release().unwrap();
    assert_eq!(spawning.finish().unwrap().wait().unwrap(), Exit::Code(0));
}

#[test]
fn a_child_that_is_given_up_is_gone() {
    let mut plan = Plan::new(exec("sleep", &["1000"]));
    plan.push("wait", Step::WaitForParent);
    let spawning = spawn(&plan, &Request::default()).unwrap();
    let pid = spawning.pid();
    drop(spawning);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn what_the_parent_ignores_the_program_does_not() {
    for signal in [libc::SIGHUP, libc::SIGUSR2, libc::SIGRTMAX()] {
        // SAFETY: SIG_IGN is a disposition, not a handler that could run.
        assert_ne!(unsafe { libc::signal(signal, libc::SIG_IGN) }, libc::SIG_ERR);
    }
    let ignored = "s=$(grep SigIgn: /proc/self/status); test \"${s#SigIgn:?}\" = 0000000000000000";
    let plan = Plan::new(exec("sh", &["-c", ignored]));
    let calls = [(Call::Clone3, "clone3"), (Call::Clone, "clone")];
    for (call, name) in calls.into_iter().filter(|(_, name)| !crate::hidden::by_the_runner(name)) {
        let mut spawning = attempt(&plan, &Request::default(), call).unwrap();
        spawning.release().unwrap();
        assert_eq!(spawning.finish().unwrap().wait().unwrap(), Exit::Code(0), "{name}");
    }
}

/// What hangs on the open file, as a lock does, is then the parent's alone while the child goes on.
#[test]
fn a_child_closes_its_copy_of_a_descriptor() {
    let fd = crate::memfd::create(c"test", crate::memfd::Flags::CLOEXEC).unwrap();
    let fd = std::sync::Arc::new(std::fs::File::from(fd));
    let mut plan = Plan::new(exec("true", &[]));
    plan.push("close the copy", Step::CloseCopy(std::sync::Arc::clone(&fd)));
    plan.push("tell", Step::TellParent);
    plan.push("wait", Step::WaitForParent);
    let mut spawning = spawn(&plan, &Request::default()).unwrap();
    spawning.reached().unwrap();
    let number = fd.as_raw_fd();
    assert!(!std::path::Path::new(&format!("/proc/{}/fd/{number}", spawning.pid())).exists());
    assert!(std::path::Path::new(&format!("/proc/self/fd/{number}")).exists());
    spawning.release().unwrap();
    assert_eq!(spawning.finish().unwrap().wait().unwrap(), Exit::Code(0));
}

#[test]
fn nothing_is_inherited_but_the_standard_descriptors() {
    let (read, write) = pipe().unwrap();
    // An fd that is *not* close-on-exec, as a careless caller leaves it.
    // SAFETY: takes no pointer.
    check_int(unsafe { libc::fcntl(read.as_raw_fd(), libc::F_SETFD, 0) }).unwrap();
    let mut plan = Plan::new(exec("sh", &["-c", "echo /proc/self/fd/*"]));
    plan.push("standard output", Step::Duplicate { from: At::from(write), to: 1 });
    let child = start(&plan).unwrap();
    assert_eq!(child.wait().unwrap(), Exit::Code(0));
    drop(plan);
    let mut text = String::new();
    std::fs::File::from(read).read_to_string(&mut text).unwrap();
    // dash opens the directory itself while it expands the pattern.
    assert!(matches!(text.split_whitespace().count(), 3 | 4), "{text}");
    assert!(text.starts_with("/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2"), "{text}");
}

#[test]
fn what_is_left_open_keeps_its_number() {
    let (read, write) = pipe().unwrap();
    let write = At::from(write);
    let At::Fd(fd) = &write else { unreachable!() };
    let script = format!("echo here > /proc/self/fd/{}", fd.as_raw_fd());
    let mut plan = Plan::new(exec("sh", &["-c", &script]));
    plan.push_last("leave it open", Step::LeaveOpen(write.clone()));
    assert_eq!(start(&plan).unwrap().wait().unwrap(), Exit::Code(0));
    // Without the step it is closed, and the shell says so.
    let closed = Plan::new(exec("sh", &["-c", &format!("({script}) 2>/dev/null")]));
    assert_ne!(start(&closed).unwrap().wait().unwrap(), Exit::Code(0));
    drop((plan, write));
    let mut text = String::new();
    std::fs::File::from(read).read_to_string(&mut text).unwrap();
    assert_eq!(text, "here\n");
}

#[test]
fn a_child_of_another_maker_is_waited_for() {
    let mut child = std::process::Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
    let adopted = Child::adopt(child.id().cast_signed()).unwrap();
    assert_eq!(adopted.wait().unwrap(), Exit::Code(7));
    assert_eq!(child.wait().unwrap_err().raw_os_error(), Some(libc::ECHILD), "it has been waited for");
    assert_eq!(Child::adopt(i32::MAX).unwrap_err(), Errno::ESRCH);
}

#[test]
fn steps_can_be_skipped() {
    use crate::open::{Open, Resolve};
    use crate::plan::Absent;
    let mut plan = Plan::new(exec("true", &[]));
    let out = plan.slot().unwrap();
    plan.push(
        "open what is not there",
        Step::OpenIn {
            dir: At::Cwd,
            path: c"/nowhere".into(),
            flags: Open::PATH,
            resolve: Resolve::empty(),
            absent: Absent::Skip(1),
            out,
        },
    );
    plan.push("use it", Step::ChangeDirectoryTo(out.into()));
    assert_eq!(start(&plan).unwrap().wait().unwrap(), Exit::Code(0));
}

/// A filter that kills for some calls and allows the rest.
fn killing(numbers: &[libc::c_long]) -> Step {
    use crate::seccomp::{FilterFlags, Instruction};
    let op = |code, jump_true, jump_false, operand| Instruction { code, jump_true, jump_false, operand };
    let mut program = vec![op(0x20, 0, 0, 0)];
    for number in numbers {
        program.push(op(0x15, 0, 1, u32::try_from(*number).unwrap()));
        program.push(op(0x06, 0, 0, 0x8000_0000));
    }
    program.push(op(0x06, 0, 0, 0x7fff_0000));
    Step::SystemCallFilter { program: program.into(), flags: FilterFlags::empty(), listener: None }
}

#[test]
fn a_last_filter_need_allow_only_execve() {
    // What the child does between its steps and execve.
    let filter = killing(&[
        libc::SYS_close_range,
        libc::SYS_rt_sigprocmask,
        libc::SYS_fcntl,
        libc::SYS_prctl,
        libc::SYS_write,
    ]);
    let mut plan = Plan::new(exec("true", &[]));
    plan.push("no new privileges", Step::NoNewPrivileges);
    plan.push_last("filter", filter.clone());
    assert_eq!(start(&plan).unwrap().wait().unwrap(), Exit::Code(0));

    let mut plan = Plan::new(exec("true", &[]));
    plan.push("no new privileges", Step::NoNewPrivileges);
    plan.push("filter", filter);
    assert_eq!(start(&plan).unwrap().wait().unwrap(), Exit::Signal(libc::SIGSYS));
}

#[test]
fn a_last_step_that_fails_is_named() {
    let mut plan = Plan::new(exec("true", &[]));
    plan.push("set the umask", Step::FileModeMask(0o22));
    plan.push_last("enter the nowhere", Step::ChangeDirectory(c"/nowhere".into()));
    let failure = start(&plan).unwrap_err();
    assert!(failure.to_string().starts_with("enter the nowhere: ENOENT"), "{failure}");
}

/// The parent of a process.
fn parent_of(pid: i32) -> i32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim().parse().unwrap()
}

#[test]
fn a_fork_goes_on_as_a_child_of_the_same_parent() {
    let mut plan = Plan::new(exec("sh", &["-c", "exit 3"]));
    plan.push("wait", Step::WaitForParent);
    plan.push("fork", Step::Fork(Namespaces::empty()));
    plan.push("wait again", Step::WaitForParent);
    let mut spawning = spawn(&plan, &Request::default()).unwrap();
    let first = spawning.pid();
    spawning.release().unwrap();
    spawning.release().unwrap();
    let child = spawning.finish().unwrap();
    assert_ne!(child.pid(), first);
    assert_eq!(child.wait().unwrap(), Exit::Code(3));
}

#[test]
fn a_fork_before_the_wait_is_what_the_parent_gets() {
    let mut plan = Plan::new(exec("true", &[]));
    plan.push("fork", Step::Fork(Namespaces::empty()));
    plan.push("fork again", Step::Fork(Namespaces::empty()));
    plan.push("wait", Step::WaitForParent);
    let mut spawning = spawn(&plan, &Request::default()).unwrap();
    assert_eq!(parent_of(spawning.pid()), std::process::id().cast_signed());
    spawning.release().unwrap();
    assert_eq!(spawning.finish().unwrap().wait().unwrap(), Exit::Code(0));
}

#[test]
fn a_fork_that_is_given_up_leaves_nobody() {
    let mut plan = Plan::new(exec("sleep", &["1000"]));
    plan.push("wait", Step::WaitForParent);
    plan.push("fork", Step::Fork(Namespaces::empty()));
    let mut spawning = spawn(&plan, &Request::default()).unwrap();
    let stat = format!("/proc/{}/stat", spawning.pid());
    spawning.release().unwrap();
    while !std::fs::read_to_string(&stat).unwrap().contains(") Z ") {
        std::thread::yield_now();
    }
    // Only the news that nobody has read yet tells who has come after it.
    drop(spawning);
    assert_eq!(children(), [""; 0]);
}

/// The program names of this thread's children.
fn children() -> Vec<String> {
    let list = std::fs::read_to_string("/proc/thread-self/children").unwrap();
    let name = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/comm")).ok();
    list.split_whitespace().filter_map(name).map(|name| name.trim().to_owned()).collect()
}

#[test]
fn steps_after_a_fork_are_named_too() {
    let mut plan = Plan::new(exec("true", &[]));
    plan.push("fork", Step::Fork(Namespaces::empty()));
    plan.push("enter the nowhere", Step::ChangeDirectory(c"/nowhere".into()));
    let failure = spawn(&plan, &Request::default()).unwrap().finish().unwrap_err();
    assert!(failure.to_string().starts_with("enter the nowhere: ENOENT"), "{failure}");
}

#[test]
fn a_listener_reaches_the_parent_before_execve() {
    use crate::seccomp::{self, FilterFlags, Instruction};
    let op = |code, jump_true, jump_false, operand| Instruction { code, jump_true, jump_false, operand };
    // Asks about getppid, which the shell calls once, and about execve itself.
    let asks = [libc::SYS_getppid, libc::SYS_execve].map(|number| u32::try_from(number).unwrap());
    let program = [
        op(0x20, 0, 0, 0),
        op(0x15, 1, 0, asks[0]),
        op(0x15, 0, 1, asks[1]),
        op(0x06, 0, 0, 0x7fc0_0000),
        op(0x06, 0, 0, 0x7fff_0000),
    ];
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut plan = Plan::new(exec("sh", &["-c", "test $PPID = 77"]));
    let slot = plan.slot().unwrap();
    plan.push("no new privileges", Step::NoNewPrivileges);
    plan.push_last(
        "filter",
        Step::SystemCallFilter { program: program.into(), flags: FilterFlags::empty(), listener: Some(slot) },
    );
    plan.push_last(
        "hand the listener over",
        Step::SendDescriptor {
            socket: At::from(OwnedFd::from(theirs)),
            descriptor: slot.into(),
            payload: b"payload".to_vec(),
        },
    );
    let mut spawning = spawn(&plan, &Request::default()).unwrap();
    spawning.release().unwrap();
    // A child that fails has no listener to send, and this process holds the other end of the pair.
    assert!(crate::send::wait_for_message(ours.as_fd(), spawning.pidfd().unwrap()).unwrap());
    let mut payload = [0; 16];
    let (length, listener) = crate::send::receive_descriptor(ours.as_fd(), &mut payload).unwrap();
    assert_eq!(&payload[..length], b"payload");
    let listener = listener.unwrap();
    let mut asked = Vec::new();
    while asked.last() != Some(&libc::SYS_getppid) {
        let call = seccomp::receive(listener.as_fd()).unwrap();
        asked.push(call.data.number.into());
        let mut response = seccomp::Response { id: call.id, ..seccomp::Response::default() };
        if call.data.number == i32::try_from(libc::SYS_getppid).unwrap() {
            response.value = 77;
        } else {
            response.flags = seccomp::RESPONSE_CONTINUE;
        }
        seccomp::respond(listener.as_fd(), response).unwrap();
    }
    assert_eq!(asked.first(), Some(&libc::SYS_execve), "{asked:?}");
    assert_eq!(spawning.finish().unwrap().wait().unwrap(), Exit::Code(0));
}

#[test]
fn a_failure_before_the_wait_comes_from_spawn() {
    let mut plan = Plan::new(exec("true", &[]));
    plan.push("enter the nowhere", Step::ChangeDirectory(c"/nowhere".into()));
    plan.push("fork", Step::Fork(Namespaces::empty()));
    plan.push("wait", Step::WaitForParent);
    let failure = spawn(&plan, &Request::default()).unwrap_err();
    assert!(failure.to_string().starts_with("enter the nowhere: ENOENT"), "{failure}");
}

#[test]
fn a_waiting_child_does_not_hold_others_up() {
    let mut patient = Plan::new(exec("true", &[]));
    patient.push("wait", Step::WaitForParent);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Children that wait for long are made all the time, while others are to reach their program.
        scope.spawn(|| {
            let mut waiting = Vec::new();
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                waiting.push(spawn(&patient, &Request::default()).unwrap());
                if waiting.len() > 20 {
                    std::thread::sleep(std::time::Duration::from_millis(5));
                    waiting.truncate(10);
                }
            }
        });
        let plan = Plan::new(exec("true", &[]));
        for _ in 0..200 {
            assert_eq!(start(&plan).unwrap().wait().unwrap(), Exit::Code(0));
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn another_exit_signal_is_waited_for_too() {
    let plan = Plan::new(exec("no-such-program", &[]));
    let request = Request { exit_signal: Some(0), ..Request::default() };
    let failure = spawn(&plan, &request).unwrap().finish().unwrap_err();
    assert!(matches!(failure, Failure::Exec { errno: Errno::ENOENT, .. }), "{failure}");
    assert_eq!(children(), [""; 0]);
    let bad = Request { exit_signal: Some(65), ..Request::default() };
    assert!(matches!(spawn(&plan, &bad).unwrap_err(), Failure::Clone { errno: Errno::EINVAL, .. }));
}
