//! Children that are started by somebody else, that run programs on the way, and that go on in a sibling.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

use std::ffi::CString;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cofferdam_sys::clone::Namespaces;
use cofferdam_sys::plan::{At, Errand, Exec, Input, Plan, Step};
use cofferdam_sys::process::Exit;
use cofferdam_sys::spawn::{Child, Failure, Request, Spawning, spawn, start};
use cofferdam_sys::{Errno, socket};

fn exec(words: &[&str]) -> Exec {
    Exec {
        candidates: Exec::search(words[0].as_bytes(), b"/usr/bin:/bin").unwrap(),
        args: words.iter().map(|word| CString::new(*word).unwrap()).collect(),
        env: vec![c"NAME=value".into()],
    }
}

/// A socket in the file system that is removed again.
struct Gate {
    path: PathBuf,
    listener: At,
}

impl Gate {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("cofferdam-{name}-{}", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        Self { path, listener: At::from(OwnedFd::from(listener)) }
    }

    /// A child that is to be started here.
    fn plan(&self, words: &[&str]) -> Plan {
        let mut plan = Plan::new(exec(words));
        plan.push("wait", Step::WaitForParent);
        plan.push("listen", Step::Listen { socket: self.listener.clone() });
        plan.push("close", Step::CloseOthers);
        plan.push("tell", Step::TellParent);
        plan.push("be started", Step::AcceptStart { listener: self.listener.clone() });
        plan
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn created(plan: &Plan) -> Child {
    let mut spawning = spawn(plan, &Request::default()).unwrap();
    spawning.release().unwrap();
    spawning.reached().unwrap();
    spawning.keep().unwrap()
}

fn descriptors(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

#[test]
fn a_child_waits_for_who_starts_it() {
    let gate = Gate::new("waits");
    let plan = gate.plan(&["sh", "-c", "exit 42"]);
    let child = created(&plan);
    // 0, 1, 2, "go", the report and the socket.
    assert_eq!(descriptors(child.pid()), 6);
    // Callers that go away without a word start nothing.
    for _ in 0..3 {
        drop(UnixStream::connect(&gate.path).unwrap());
    }
    let connection = UnixStream::connect(&gate.path).unwrap();
    assert_eq!(socket::peer_pid(connection.as_fd()).unwrap(), child.pid());
    start(connection.as_fd()).unwrap();
    assert_eq!(child.wait().unwrap(), Exit::Code(42));
    drop(plan);
}

#[test]
fn a_program_that_runs_takes_no_connections() {
    let gate = Gate::new("refuses");
    let path = gate.path.clone();
    let child = {
        let plan = gate.plan(&["sleep", "1000"]);
        created(&plan)
    };
    start(UnixStream::connect(&path).unwrap().as_fd()).unwrap();
    assert_eq!(descriptors(child.pid()), 3);
    // Held by this test still; a runtime's copy is closed when `create` has ended.
    let file = match &gate.listener {
        At::Fd(fd) => fd.as_raw_fd(),
        _ => -1,
    };
    assert!(file > 2);
    cofferdam_sys::process::pidfd_send_signal(child.pidfd(), 9).unwrap();
    assert_eq!(child.wait().unwrap(), Exit::Signal(9));
}

#[test]
fn a_failure_after_the_start_reaches_the_starter() {
    let gate = Gate::new("fails");
    let mut plan = gate.plan(&["true"]);
    plan.push("enter the nowhere", Step::ChangeDirectory(c"/nowhere".into()));
    let child = created(&plan);
    let failure = start(UnixStream::connect(&gate.path).unwrap().as_fd()).unwrap_err();
    assert_eq!(failure.to_string(), "enter the nowhere: ENOENT (No such file or directory)");
    assert_eq!(child.wait().unwrap(), Exit::Code(127));

    let plan = gate.plan(&["/no/such/program"]);
    let child = created(&plan);
    let failure = start(UnixStream::connect(&gate.path).unwrap().as_fd()).unwrap_err();
    let program = c"/no/such/program".to_owned();
    assert_eq!(failure, Failure::Exec { program, errno: Errno::ENOENT });
    child.wait().unwrap();
}

#[test]
fn a_missing_program_is_found_out_before_the_start() {
    let gate = Gate::new("missing");
    for (program, errno) in [
        ("/no/such/program", Errno::ENOENT),
        ("no-such", Errno::ENOENT),
        ("/etc/passwd", Errno::EACCES),
        ("/", Errno::EACCES),
    ] {
        let mut plan = Plan::new(exec(&[program]));
        plan.push("look", Step::RequireProgram);
        plan.push("tell", Step::TellParent);
        let mut spawning = spawn(&plan, &Request::default()).unwrap();
        let failure = spawning.reached().unwrap_err();
        assert_eq!(failure, Failure::Exec { program: CString::new(program).unwrap(), errno });
    }
    drop(gate);
}

/// A plan with a program on the way, which is given a text around the child's number.
fn running(words: &[&str], timeout: Option<Duration>, rest: bool) -> Plan {
    let mut plan = Plan::new(exec(&["true"]));
    plan.push("wait", Step::WaitForParent);
    let input = Input { before: b"pid=".to_vec(), after: b".".to_vec() };
    let program = Errand { exec: exec(words), input, directory: c"/".into(), home: false, timeout, rest };
    plan.push("error running x hook #0", Step::Run(Box::new(program)));
    plan
}

fn released(plan: &Plan) -> Spawning<'_> {
    let mut spawning = spawn(plan, &Request::default()).unwrap();
    spawning.release().unwrap();
    spawning
}

#[test]
fn a_program_on_the_way_is_told_who_the_child_is() {
    let plan = running(&["sh", "-c", "cat; echo \" $NAME $(pwd)\" >&2; exit 3"], None, false);
    let spawning = released(&plan);
    let pid = spawning.pid();
    let failure = spawning.finish().unwrap_err();
    assert_eq!(
        failure.to_string(),
        format!("error running x hook #0: exit status 3, it wrote: pid={pid}. value /")
    );
}

#[test]
fn programs_on_the_way_fail_the_child() {
    let failure = |words: &[&str]| released(&running(words, None, false)).finish().unwrap_err().to_string();
    assert_eq!(failure(&["false"]), "error running x hook #0: exit status 1");
    assert_eq!(failure(&["sh", "-c", "kill -9 $$"]), "error running x hook #0: killed by signal 9");
    assert!(failure(&["/nowhere"]).starts_with("error running x hook #0: ENOENT"));
    released(&running(&["true"], None, false)).finish().unwrap().wait().unwrap();
}

#[test]
fn a_program_that_hangs_is_killed() {
    let plan = running(&["sleep", "1000"], Some(Duration::from_millis(100)), false);
    let begin = Instant::now();
    let failure = released(&plan).finish().unwrap_err();
    assert_eq!(failure.to_string(), "error running x hook #0: its time was over, it was killed");
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_program_runs_with_what_comes_after_it() {
    let umask = |rest| {
        let mut plan = running(&["sh", "-c", "umask; exit 1"], None, rest);
        plan.push("set the umask", Step::FileModeMask(0o77));
        released(&plan).finish().unwrap_err().to_string()
    };
    assert!(umask(true).ends_with("it wrote: 0077"), "{}", umask(true));
    assert!(!umask(false).ends_with("it wrote: 0077"), "{}", umask(false));
}

#[test]
fn a_walk_goes_on_in_a_sibling() {
    let mut plan = Plan::new(exec(&["sh", "-c", "exit 7"]));
    plan.push("wait", Step::WaitForParent);
    plan.push("be another", Step::Fork(Namespaces::empty()));
    plan.push("come this far", Step::TellParent);
    let mut spawning = released(&plan);
    let first = spawning.pid();
    spawning.reached().unwrap();
    assert_ne!(spawning.pid(), first);
    assert!(!Path::new(&format!("/proc/{first}")).exists());
    assert_eq!(spawning.finish().unwrap().wait().unwrap(), Exit::Code(7));
}

#[test]
fn what_is_to_be_inherited_is() {
    let (mut read, write) = std::io::pipe().unwrap();
    let number = write.as_raw_fd();
    let mut plan = Plan::new(exec(&["sh", "-c", &format!("echo here >&{number}")]));
    plan.inherit(vec![u32::try_from(number).unwrap()]);
    let copy = At::from(OwnedFd::from(write));
    // Not close-on-exec, as an engine leaves what it passes on.
    plan.push("pass it on", Step::Duplicate { from: copy, to: number });
    let child = spawn(&plan, &Request::default()).unwrap().finish().unwrap();
    drop(plan);
    let mut text = String::new();
    read.read_to_string(&mut text).unwrap();
    assert_eq!((text.as_str(), child.wait().unwrap()), ("here\n", Exit::Code(0)));
}
