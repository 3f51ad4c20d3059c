//! Commands of the runtime, each with a limit of time.

use std::io::Seek as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::super::bundle::Bundle;
use super::super::peers::Peer;
use crate::fail;

/// A command that takes longer hangs.
const HANG: Duration = Duration::from_secs(30);

/// The runtime, with a state folder of its own.
pub(super) struct Orders {
    program: PathBuf,
    bundle: PathBuf,
    /// Where the state of its containers is.
    pub(super) root: PathBuf,
    watch: Sender<Option<Pid>>,
}

impl Orders {
    pub(super) fn new(peer: &Peer, bundle: &Bundle, root: &Path) -> Result<Self> {
        let (watch, orders) = mpsc::channel();
        thread::Builder::new().name("watch".into()).spawn(move || kill_what_hangs(&orders))?;
        Ok(Self { program: peer.path.clone(), bundle: bundle.dir.clone(), root: root.to_owned(), watch })
    }

    /// What all ids of this run begin with.
    pub(super) fn mark() -> String {
        format!("soak-{}-", std::process::id())
    }

    fn id(number: u32) -> String {
        format!("{}{number}", Self::mark())
    }

    /// A command that makes a container.
    pub(super) fn make(&self, word: &str, number: u32) -> Result<Duration> {
        let mut command = self.command(word);
        command.arg("--bundle").arg(&self.bundle).arg(Self::id(number));
        self.give(command)
    }

    /// A command on a container that is there.
    pub(super) fn on(&self, words: &[&str], number: u32) -> Result<Duration> {
        let (word, options) = words.split_first().context("no command")?;
        let mut command = self.command(word);
        command.args(options).arg(Self::id(number));
        self.give(command)
    }

    /// How many containers the runtime lists as running.
    pub(super) fn running(&self) -> Result<usize> {
        let output = self.command("list").args(["--format", "json"]).stdin(Stdio::null()).output()?;
        let list: serde_json::Value = serde_json::from_slice(&output.stdout).context("read the list")?;
        let running = |state: &&serde_json::Value| {
            state.get("status").and_then(serde_json::Value::as_str) == Some("running")
        };
        Ok(list.as_array().map_or(0, |list| list.iter().filter(running).count()))
    }

    fn command(&self, word: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(&self.root).arg(word);
        command
    }

    /// Gives the command and the time it took.
    fn give(&self, mut command: Command) -> Result<Duration> {
        // A file, not a pipe: a container that lives on keeps the other end.
        let mut said = tempfile::tempfile().context("make a file for what it says")?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said.try_clone()?);
        let begun = Instant::now();
        let mut child = command.spawn().with_context(|| format!("start {}", self.program.display()))?;
        self.watch.send(Some(Pid::from_raw(child.id().try_into()?)))?;
        let status = child.wait().context("wait for the runtime")?;
        let took = begun.elapsed();
        self.watch.send(None)?;
        if status.success() {
            return Ok(took);
        }
        said.rewind()?;
        let text = std::io::read_to_string(said).unwrap_or_default();
        let hangs = if took >= HANG { "hangs: " } else { "" };
        let words: Vec<_> = command.get_args().skip(2).map(|word| word.to_string_lossy()).collect();
        let last = text.lines().last().unwrap_or_default().trim();
        Err(fail::failed(format!("soak: {hangs}{}: {status}: {last}", words.join(" "))))
    }
}

/// Kills a command that is told of and not done in time. Done comes before its number is anybody else's: a process
/// that ended keeps it until it is waited for, which is the moment before.
fn kill_what_hangs(orders: &mpsc::Receiver<Option<Pid>>) {
    while let Ok(order) = orders.recv() {
        let Some(pid) = order else { continue };
        if orders.recv_timeout(HANG) == Err(RecvTimeoutError::Timeout) {
            // Ended in this moment is as good.
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
}

/// Waits for adopted processes that have ended; gives whether some are left.
pub(super) fn reap() -> bool {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}
