//! Children without namespaces: what works everywhere. Those with them are in `tests/` and in the lab.

use super::*;
use crate::ErrorKind;
use cofferdam_sys::Errno;
use cofferdam_sys::process::Exit;
use std::io::{Read, Write};
use std::time::Duration;

fn shell(script: &str) -> Spawn {
    Spawn::new("sh").args(["-c", script])
}

#[test]
fn output_and_status_come_back() {
    let output = shell("echo out; echo err >&2; exit 4").output().unwrap();
    let wanted = Output { exit: Exit::Code(4), stdout: b"out\n".into(), stderr: b"err\n".into() };
    assert_eq!(output, wanted);
    // More than a pipe holds, on both at once.
    let output = shell("head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2").output().unwrap();
    assert_eq!((output.stdout.len(), output.stderr.len()), (300_000, 300_000));
}

#[test]
fn input_is_written_and_closed() {
    let mut child = Spawn::new("cat").stdin(Stdio::Piped).stdout(Stdio::Piped).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(b"through").unwrap();
    assert_eq!(child.try_wait().unwrap(), None);
    drop(child.stdin.take());
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "through");
    assert_eq!(child.wait().unwrap(), Exit::Code(0));
    assert_eq!(child.wait().unwrap(), Exit::Code(0), "a second time");
}

#[test]
fn a_descriptor_is_passed() {
    let (mut read, write) = std::io::pipe().unwrap();
    let mut child = shell("echo passed").stdout(write).spawn().unwrap();
    let mut text = String::new();
    read.read_to_string(&mut text).unwrap();
    assert_eq!((text.as_str(), child.wait().unwrap()), ("passed\n", Exit::Code(0)));
}

#[test]
fn environment_and_directory_are_those_that_were_said() {
    let child = shell("pwd; echo $A $B; env | wc -l")
        .env_clear()
        .env("A", "one")
        .env("A", "two")
        .env("PATH", "/usr/bin:/bin")
        .current_dir("/tmp");
    let output = String::from_utf8(child.output().unwrap().stdout).unwrap();
    assert!(output.starts_with("/tmp\ntwo\n"), "{output}");
}

#[test]
fn a_child_is_killed_and_waited_for_by_its_pidfd() {
    let mut child = Spawn::new("sleep").arg("60").spawn().unwrap();
    assert_eq!(child.wait_timeout(Duration::from_millis(10)).unwrap(), None);
    assert!(child.process().unwrap().is_there().unwrap());
    assert_eq!(child.signal(1000).unwrap_err().kind(), ErrorKind::Os(Errno::EINVAL));
    child.kill().unwrap();
    assert_eq!(child.wait_timeout(Duration::from_mins(1)).unwrap(), Some(Exit::Signal(9)));
    child.kill().unwrap();
}

#[test]
fn a_child_is_killed_when_dropped_only_if_asked() {
    let dropped = |kill| {
        let child = Spawn::new("sleep").arg("0.3").kill_on_drop(kill).spawn().unwrap();
        let process = child.process().unwrap();
        drop(child);
        process
    };
    assert!(!dropped(true).is_there().unwrap());
    let left = dropped(false);
    assert!(left.is_there().unwrap());
    assert_eq!(cofferdam_sys::process::wait(left.as_fd()).unwrap(), Exit::Code(0));
}

#[test]
fn what_fails_is_named() {
    let error = Spawn::new("no-such-program").env("PATH", "/usr/bin:/bin").spawn().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Exec(Errno::ENOENT));
    assert!(error.to_string().starts_with("execute no-such-program: ENOENT"), "{error}");
    let error = Spawn::new("true").current_dir("/nowhere").spawn().unwrap_err();
    assert!(error.to_string().starts_with("enter the working directory"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Os(Errno::ENOENT));
    for bad in [Spawn::new("a\0"), Spawn::new("true").arg("\0"), Spawn::new("true").env("A", "\0")] {
        assert_eq!(bad.spawn().unwrap_err().kind(), ErrorKind::Invalid);
    }
    let error = Spawn::new("true").sysctl("kernel.sem", "1").plan().unwrap_err();
    assert!(error.to_string().contains("needs a new ipc namespace"), "{error}");
}

#[test]
fn the_plan_is_shown_before_anything_is_done() {
    let spawn = Spawn::new("/bin/true")
        .ids(IdMaps::shifted(100_000, 65_536))
        .unshare(Namespaces::IPC)
        .hostname("inside")
        .sysctl("fs.mqueue.msg_max", "20")
        .subreaper()
        .current_dir("/")
        .end_with_parent(true);
    let plan = spawn.plan().unwrap();
    let about: Vec<&str> = plan.entries().iter().map(|entry| &*entry.about).collect();
    let wanted = [
        "wait for the parent",
        "become group 0 of the user namespace",
        "become user 0 of the user namespace",
        "set the kernel parameter fs/mqueue/msg_max",
        "set the host name",
        "take orphans",
        "enter the working directory",
        "end with the parent",
    ];
    assert_eq!(about, wanted);
}

#[test]
fn orphans_of_a_subreaper_are_its_children() {
    let script = "orphan=$(sh -c 'sleep 9 >/dev/null & echo $!'); \
                  while read -r name id; do [ $name = PPid: ] && echo $id; done < /proc/$orphan/status; \
                  kill $orphan; echo $$";
    let parent = |spawn: Spawn| {
        let output = String::from_utf8(spawn.output().unwrap().stdout).unwrap();
        let lines: Vec<String> = output.lines().map(str::to_owned).collect();
        (lines.first().unwrap().clone(), lines.get(1).unwrap().clone())
    };
    let (orphans, own) = parent(shell(script).subreaper());
    assert_eq!(orphans, own);
    let (orphans, own) = parent(shell(script));
    assert_ne!(orphans, own);
}
