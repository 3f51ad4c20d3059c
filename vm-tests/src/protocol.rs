//! What the contributor's machine and a guest say to each other.
//!
//! One JSON object a line, on the guest's second serial port (`ttyS1`), which needs no driver of a
//! module, works under lockdown and is never opened by a container. The guest says [`Event::Hello`],
//! then waits for a [`Command`]; a snapshot taken between the two can be resumed any number of times.
//! `xtask` includes this file by path, so both ends are compiled from one definition.

use serde::{Deserialize, Serialize};

/// The version of this protocol; both ends refuse another one.
pub const PROTOCOL: u32 = 2;

/// What the machine outside asks of a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Command {
    /// Answer [`Event::Pong`]: shows that a resumed guest is alive.
    Ping,
    /// Mount the cgroup hierarchies in this layout (`v2`, `v1` or `hybrid`): once, before anything runs. A guest can be
    /// resumed from one snapshot for each layout.
    Cgroups {
        /// The layout.
        layout: String,
    },
    /// Run these cases in this order, then say [`Event::Done`] and wait again.
    Run {
        /// The cases to run.
        cases: Vec<Case>,
        /// The limit of one case, in milliseconds of guest time.
        limit_ms: u64,
    },
    /// Run a program that was packed into the image; its output comes back as [`Event::Output`].
    Exec {
        /// The program and its arguments.
        argv: Vec<String>,
        /// `NAME=value` pairs, the whole environment.
        env: Vec<String>,
    },
    /// Give the console (`ttyS0`) to an interactive shell, then say [`Event::Exited`].
    Shell {
        /// Put the shell into a hardened container.
        container: bool,
        /// Rows and columns of the terminal outside, to be set on the console.
        size: Option<(u16, u16)>,
    },
    /// Reboot, which ends QEMU.
    Stop,
}

/// One test in one mode.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Case {
    /// The test's name, `crate::what` or `attempt-id`.
    pub test: String,
    /// `full`, `peel:LAYER` or `control`.
    pub mode: String,
}

/// What a guest reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// PID 1 is up, modules are loaded, and a command is awaited.
    Hello {
        /// [`PROTOCOL`].
        protocol: u32,
        /// `uname -r`.
        release: String,
        /// Milliseconds between the kernel's start and PID 1's first instruction (`CLOCK_BOOTTIME`).
        init_ms: u64,
    },
    /// The answer to [`Command::Ping`].
    Pong,
    /// A case begins.
    Started(Case),
    /// A case has ended; exactly one for each [`Event::Started`].
    Outcome(Outcome),
    /// Output of an [`Command::Exec`] program, lossy UTF-8.
    Output {
        /// The text.
        data: String,
    },
    /// The program of [`Command::Exec`] or [`Command::Shell`] ended; 128 + N for signal N.
    Exited {
        /// Its exit status.
        code: i32,
    },
    /// All cases of a [`Command::Run`] were run.
    Done {
        /// How many outcomes were reported.
        outcomes: usize,
    },
    /// PID 1 itself cannot go on.
    Fault {
        /// What failed.
        message: String,
    },
}

/// How a case ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Which case.
    #[serde(flatten)]
    pub case: Case,
    /// The verdict.
    pub outcome: Verdict,
    /// Why it failed or was skipped; empty when it passed.
    #[serde(default)]
    pub reason: String,
    /// Milliseconds of guest time.
    pub ms: u64,
}

/// The three ways a case can end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Everything the test asserts held.
    Passed,
    /// Something did not hold, or the case ran out of time.
    Failed,
    /// A declared need is not met here.
    Skipped,
}

/// A test as `guest list` prints it, one JSON array of these; runs on any machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestInfo {
    /// `integration`, `escape`, `checkpoint` (a run asks for it) or `selftest` (the lab's own).
    pub suite: String,
    /// The test's name, unique over all suites.
    pub name: String,
    /// What it shows, in one sentence.
    pub about: String,
    /// `["full"]` for integration tests; `["full", "peel:LAYER", "control"]` for attempts.
    pub modes: Vec<String>,
    /// Whether it reaches the runtime only through OCI, so that any runtime can stand in.
    pub oci: bool,
    /// What it needs of the guest.
    pub needs: Needs,
}

/// What a test needs of its guest; the lab boots machines that fit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Needs {
    /// Kernel modules by name; their closure is packed and loaded.
    #[serde(default)]
    pub modules: Vec<String>,
    /// The cgroup layout it can run on; any when absent.
    #[serde(default)]
    pub cgroup: Option<String>,
    /// An ext4 scratch disk as `/dev/vda` (machine q35).
    #[serde(default)]
    pub disk: bool,
    /// The programs and libraries of systemd; see `xtask/src/image/systemd.rs`.
    #[serde(default)]
    pub systemd: bool,
    /// A guest of its own for each mode, resumed from a snapshot.
    #[serde(default)]
    pub fresh: bool,
    /// A major LSM: boots with `security=NAME`.
    #[serde(default)]
    pub lsm: Option<String>,
    /// A lockdown level: boots with `lockdown=LEVEL` and signed modules.
    #[serde(default)]
    pub lockdown: Option<String>,
    /// Kernel facilities, by the name of a probe in the guest; the case is skipped where one is absent.
    #[serde(default)]
    pub facilities: Vec<String>,
}
