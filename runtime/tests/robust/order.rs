//! Giving commands.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use crate::left::children;

/// The program under test.
pub(crate) const RUNTIME: &str = env!("CARGO_BIN_EXE_cofferdam");

/// A command that has not ended by then hangs.
pub(crate) const HANG: Duration = Duration::from_mins(1);

/// Commands that are waited for by who gave them.
static GIVEN: Mutex<BTreeSet<Pid>> = Mutex::new(BTreeSet::new());

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit status, `None` after a signal.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Gives a command and waits for its end. One that hangs is killed, and has no exit status.
pub(crate) fn order<S: AsRef<OsStr>>(words: &[S]) -> Ended {
    // Files, not pipes: a container that lives on keeps the other end.
    let (mut stdout, mut stderr) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    let mut command = Command::new(RUNTIME);
    command.args(words).stdin(Stdio::null());
    command.stdout(stdout.try_clone().unwrap()).stderr(stderr.try_clone().unwrap());
    let mut given = GIVEN.lock().unwrap();
    let mut child = command.spawn().unwrap();
    let pid = Pid::from_raw(child.id().try_into().unwrap());
    given.insert(pid);
    drop(given);
    let end = Instant::now() + HANG;
    let mut nap = Duration::from_micros(200);
    let mut hangs = "";
    let status = loop {
        reap();
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > end && hangs.is_empty() {
            hangs = "hangs: ";
            child.kill().unwrap();
        }
        thread::sleep(nap);
        nap = (nap * 2).min(Duration::from_millis(5));
    };
    GIVEN.lock().unwrap().remove(&pid);
    Ended { code: status.code(), stdout: text(&mut stdout), stderr: format!("{hangs}{}", text(&mut stderr)) }
}

/// Waits for orphans that have ended, as `init` does: the end of a PID namespace waits for its last process to be
/// waited for.
fn reap() {
    let given = GIVEN.lock().unwrap();
    for pid in children(Pid::this()) {
        if !given.contains(&pid) {
            // Another thread may have been quicker.
            let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
        }
    }
}

pub(crate) fn text(file: &mut File) -> String {
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}
