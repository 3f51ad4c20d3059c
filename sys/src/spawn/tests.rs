//! The walk and its reports, with real children.

use super::*;
use crate::plan::{At, Step};
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
