//! `run` and `exec` in the foreground pass the caller's terminal on, or whatever it has in its place.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use cofferdam_sys::process::{pidfd_open, pidfd_send_signal};
use cofferdam_sys::tty;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::json;

use super::bundle::{Bundle, Ended, HANG, hides};

const SIGWINCH: i32 = 28;

fn bundle() -> Option<Bundle> {
    if hides("open_tree", "a terminal in the container") {
        return None;
    }
    let mut bundle = Bundle::new()?;
    for applet in ["stty", "tty"] {
        std::os::unix::fs::symlink("busybox", bundle.path("rootfs/bin").join(applet)).unwrap();
    }
    bundle.config["process"]["terminal"] = json!(true);
    Some(bundle)
}

#[test]
fn newlines_for_a_pipe_come_as_they_are_written() {
    let Some(mut bundle) = bundle() else { return };
    bundle.script("echo one; echo two");
    assert_eq!(bundle.run().good(), "one\ntwo\n");
    let Some(mut bundle) = self::bundle() else { return };
    bundle.config["process"]["terminal"] = json!(false);
    bundle.config["process"]["args"] = json!(["sleep", "1000"]);
    bundle.start();
    assert_eq!(bundle.order(&["exec", "--tty", bundle.id(), "echo", "one"]).good(), "one\n");
}

/// What a terminal of ours shows, and what is typed at it.
struct Screen {
    master: File,
    shown: String,
}

impl Screen {
    /// A terminal, and its other end for a command.
    fn new(rows: u16, columns: u16) -> (Self, OwnedFd) {
        let master = File::options().read(true).write(true).open("/dev/ptmx").unwrap();
        tty::unlock(master.as_fd()).unwrap();
        let peer = tty::peer(master.as_fd()).unwrap();
        tty::set_size(peer.as_fd(), rows, columns).unwrap();
        (Self { master, shown: String::new() }, peer)
    }

    /// Waits until these words are shown.
    #[track_caller]
    fn shows(&mut self, words: &str) {
        let end = Instant::now() + HANG;
        while !self.shown.contains(words) {
            let left = end.saturating_duration_since(Instant::now());
            let mut master = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
            let ready = poll(&mut master, PollTimeout::try_from(left).unwrap()).unwrap();
            assert!(ready > 0, "{words}: not within {HANG:?}, but {:?}", self.shown);
            let mut bytes = [0; 1000];
            let count = self.master.read(&mut bytes).unwrap();
            self.shown.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    }
}

fn spawn(bundle: &Bundle, words: &[&str], terminal: &OwnedFd) -> Child {
    let end = || Stdio::from(terminal.try_clone().unwrap());
    bundle.command(words).stdin(end()).stdout(end()).stderr(end()).spawn().unwrap()
}

/// Whether what is typed at a terminal is shown by it.
fn echoes(terminal: &OwnedFd) -> bool {
    let output = std::process::Command::new("stty")
        .args(["-a"])
        .stdin(Stdio::from(terminal.try_clone().unwrap()))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("echo"), "{output:?}");
    !text.contains("-echo ")
}

#[test]
fn a_pipe_is_passed_on_up_to_its_end() {
    let Some(mut bundle) = bundle() else { return };
    bundle.script("test -t 0 && test -t 1 && test -t 2 && echo a terminal; cat");
    bundle.write();
    let mut command = bundle.command(&["run", bundle.id()]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"one\ntwo").unwrap();
    let text = Ended::of(&child.wait_with_output().unwrap()).good();
    // Each line by the terminal's echo and by the program.
    assert!(text.contains("a terminal\n"), "{text:?}");
    assert_eq!((text.matches("one").count(), text.matches("two").count()), (2, 2), "{text:?}");
}

#[test]
fn much_is_passed_on_whole() {
    let Some(mut bundle) = bundle() else { return };
    bundle.script("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo line $i; done");
    let text = bundle.run().good();
    assert_eq!(text.lines().count(), 20_000);
    assert!(text.ends_with("line 20000\n"));
}

#[test]
fn a_terminal_is_raw_meanwhile_and_gives_its_size() {
    let Some(mut bundle) = bundle() else { return };
    // What tells the shell of the size may come before it reads: so it does not read for long.
    bundle.script(
        "trap 'echo now $(stty size)' WINCH; echo first $(stty size); until read -t 1 line; do :; done; echo got $line; exit 3",
    );
    bundle.write();
    let (mut screen, terminal) = Screen::new(33, 77);
    assert!(echoes(&terminal));
    let mut child = spawn(&bundle, &["run", bundle.id()], &terminal);
    screen.shows("first 33 77");
    assert!(!echoes(&terminal), "the terminal is not raw");
    tty::set_size(terminal.as_fd(), 11, 22).unwrap();
    let pidfd = pidfd_open(child.id().cast_signed()).unwrap();
    pidfd_send_signal(pidfd.as_fd(), SIGWINCH).unwrap();
    screen.shows("now 11 22");
    screen.master.write_all(b"words\r").unwrap();
    screen.shows("got words");
    assert_eq!(child.wait().unwrap().code(), Some(3));
    assert!(echoes(&terminal), "the terminal was left raw");
}

#[test]
fn the_keys_of_the_terminal_are_the_containers() {
    let Some(mut bundle) = bundle() else { return };
    // A shell that is told before it reads goes on to read: so it does not.
    bundle.script("trap 'echo interrupted; exit 4' INT; echo ready; while :; do sleep 1; done");
    bundle.write();
    let (mut screen, terminal) = Screen::new(24, 80);
    let mut child = spawn(&bundle, &["run", bundle.id()], &terminal);
    screen.shows("ready");
    screen.master.write_all(&[3]).unwrap();
    screen.shows("interrupted");
    assert_eq!(child.wait().unwrap().code(), Some(4));
}

#[test]
fn exec_ends_with_its_process_and_not_with_what_that_leaves() {
    let Some(mut bundle) = bundle() else { return };
    bundle.config["process"]["terminal"] = json!(false);
    bundle.config["process"]["args"] = json!(["sleep", "1000"]);
    bundle.start();
    let begin = Instant::now();
    let words = ["exec", "--tty", bundle.id(), "sh", "-c", "trap '' HUP; sleep 1000 & tty; echo bye"];
    let text = bundle.order(&words).good();
    assert!(begin.elapsed() < Duration::from_secs(10), "it waited for the terminal's other users");
    assert!(text.starts_with("/dev/pts/") && text.ends_with("bye\n"), "{text:?}");
}

#[test]
fn who_does_not_stay_needs_a_socket() {
    let Some(bundle) = bundle() else { return };
    bundle.write();
    for words in [&["create", bundle.id()][..], &["run", "--detach", bundle.id()]] {
        let line = bundle.order(words).bad(2);
        assert!(line.contains("process.terminal needs --console-socket"), "{line}");
    }
}
