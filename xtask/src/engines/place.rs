//! What an engine finds in its box.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::resource::{Resource, getrlimit};

/// How long a daemon may take until it answers.
const START: Duration = Duration::from_mins(1);

/// The box, seen from inside.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// A folder in memory, gone with the box.
    pub dir: PathBuf,
    /// The runtime under test.
    pub runtime: PathBuf,
    /// The most open files that a process may have.
    pub open_files: u64,
    /// Whether controllers are on cgroup v2.
    pub unified: bool,
}

impl Place {
    /// Looks around.
    ///
    /// # Errors
    /// The limit of open files cannot be read.
    pub(super) fn new(dir: &Path, runtime: PathBuf) -> Result<Self> {
        let (_, open_files) =
            getrlimit(Resource::RLIMIT_NOFILE).context("ask for the limit of open files")?;
        let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        Ok(Self { dir: dir.to_owned(), runtime, open_files: open_files.min(1 << 20), unified })
    }

    /// Starts a daemon and waits until its socket answers; it ends with the box.
    ///
    /// # Errors
    /// It does not start, ends again, or does not answer.
    pub(super) fn daemon(command: &mut Command, socket: &Path) -> Result<()> {
        let name = command.get_program().to_string_lossy().into_owned();
        let log = socket.with_extension("log");
        let file = fs::File::create(&log).with_context(|| format!("make {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(file.try_clone().context("copy a descriptor")?).stderr(file);
        eprintln!("+ {command:?} &");
        let mut child = command.spawn().with_context(|| format!("start {name}"))?;
        let answered = answers(&mut child, socket);
        if answered.is_err() {
            let said = fs::read_to_string(&log).unwrap_or_default();
            eprintln!("{said}");
            let last: Vec<&str> = said.lines().rev().take(3).collect();
            return answered.with_context(|| format!("{name}: {}", last.join(" <- ")));
        }
        Ok(())
    }
}

fn answers(child: &mut Child, socket: &Path) -> Result<()> {
    let started = Instant::now();
    while started.elapsed() < START {
        if UnixStream::connect(socket).is_ok() {
            return Ok(());
        }
        if let Some(status) = child.try_wait().context("look at the daemon")? {
            bail!("it ended ({status})");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    bail!("it did not answer at {} within {} s", socket.display(), START.as_secs())
}
