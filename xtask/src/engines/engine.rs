//! What a scenario can ask of an engine.

use std::fmt;

use anyhow::Result;

/// A container that a scenario wants.
#[expect(clippy::struct_excessive_bools, reason = "each is an option of an engine of its own")]
#[derive(Debug, Clone, Default)]
pub(super) struct Ask<'a> {
    /// Its name, unique in the engine.
    pub name: &'a str,
    /// The program and its arguments.
    pub args: Vec<&'a str>,
    /// Bytes of memory, no swap.
    pub memory: Option<u64>,
    /// How many processes.
    pub processes: Option<u32>,
    /// The root file system cannot be written.
    pub read_only: bool,
    /// All that the engine calls privileged.
    pub privileged: bool,
    /// A user namespace in which root is somebody else outside.
    pub user_namespace: bool,
    /// `UID:GID` of the process.
    pub user: Option<&'a str>,
    /// A folder of the host, and where the container sees it, read-only.
    pub volume: Option<(&'a str, &'a str)>,
    /// A port of the host's loopback address, and the container's port that it leads to.
    pub publish: Option<(u16, u16)>,
    /// Others may share its IPC namespace.
    pub shares: bool,
    /// The container whose network, IPC and process namespaces it shares.
    pub beside: Option<&'a str>,
    /// A terminal.
    pub terminal: bool,
    /// An init program of the engine is its first process.
    pub init: bool,
}

impl<'a> Ask<'a> {
    /// A plain container.
    pub(super) fn new(name: &'a str, args: &[&'a str]) -> Self {
        Self { name, args: args.to_vec(), ..Self::default() }
    }
}

/// How a command ended, and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Output {
    /// The exit status, 128 and the signal's number for a program that was killed.
    pub status: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// What an engine says about a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// It runs.
    Running,
    /// It is frozen.
    Paused,
    /// It has ended.
    Exited {
        /// With this status.
        code: i64,
        /// Because it wanted more memory than it may have; nothing when the engine does not say.
        oom: Option<bool>,
    },
}

/// An engine has no such thing: the scenario is skipped with this reason.
#[derive(Debug)]
pub(super) struct Lacks(pub String);

impl fmt::Display for Lacks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Lacks {}

/// The error of an engine that has no such thing.
pub(super) fn lacks<T>(what: impl Into<String>) -> Result<T> {
    Err(Lacks(what.into()).into())
}

/// An engine that is up, with the image loaded.
///
/// Every operation fails when the engine does; what the *container* answers is in [`Output`] and [`Status`].
/// The defaults are those of an engine that has no such operation.
pub(super) trait Engine {
    /// What it says about itself, in one line.
    fn version(&self) -> Result<String>;

    /// Runs a container in the foreground and removes it.
    fn run(&self, ask: &Ask<'_>) -> Result<Output>;

    /// Starts a container in the background.
    fn start(&self, _ask: &Ask<'_>) -> Result<()> {
        lacks("it runs nothing in the background")
    }

    /// Runs a program in a container that was started.
    fn exec(&self, _name: &str, _args: &[&str], _terminal: bool) -> Result<Output> {
        lacks("it has no exec")
    }

    /// What a container has written so far, standard output before standard error.
    fn logs(&self, _name: &str) -> Result<String> {
        lacks("it keeps no logs")
    }

    /// Bytes of memory that a container uses.
    fn memory(&self, _name: &str) -> Result<u64> {
        lacks("it has no statistics")
    }

    /// The processes of a container, as the engine lists them.
    fn processes(&self, _name: &str) -> Result<String> {
        lacks("it lists no processes")
    }

    /// Freezes a container.
    fn pause(&self, _name: &str) -> Result<()> {
        lacks("it has no pause")
    }

    /// Thaws a container.
    fn resume(&self, _name: &str) -> Result<()> {
        lacks("it has no pause")
    }

    /// Changes the limit of memory.
    fn limit_memory(&self, _name: &str, _bytes: u64) -> Result<()> {
        lacks("it has no update")
    }

    /// Stops a container and starts it again.
    fn restart(&self, _name: &str) -> Result<()> {
        lacks("it has no restart")
    }

    /// Sends a signal to the first process.
    fn kill(&self, _name: &str, _signal: &str) -> Result<()> {
        lacks("it has no kill")
    }

    /// Waits for the end of a container.
    fn wait(&self, _name: &str) -> Result<()> {
        lacks("it has no wait")
    }

    /// What a container does.
    fn status(&self, _name: &str) -> Result<Status> {
        lacks("it keeps no status")
    }

    /// Kills and removes a container.
    fn remove(&self, _name: &str) -> Result<()> {
        lacks("it has no remove")
    }

    /// Whether it gives containers a seccomp filter unless told otherwise.
    fn filters(&self) -> bool {
        true
    }

    /// Builds an image from a folder with a `Dockerfile` and runs `cat /built` in it.
    fn build(&self, _folder: &str) -> Result<Output> {
        lacks("it builds no images")
    }
}
