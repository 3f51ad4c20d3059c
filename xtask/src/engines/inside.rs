//! The processes of a box: this program again, in three roles one after the other.
//!
//! [`ENTER`] joins the box's cgroups and becomes `unshare`, which makes the other namespaces and starts [`FIRST`],
//! process 1 in there. That starts [`RUN`], which drives the engine, and waits for every process that ends: engines
//! leave orphans, and ask whether they are still there. When process 1 ends, all of the box ends.

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};
use std::time::Instant;

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitStatus, wait};
use serde::{Deserialize, Serialize};

use super::cgroups::Hierarchy;
use super::engine::{Engine, Lacks};
use super::place::Place;
use super::{Event, Kind, image, scenarios, view};

/// The first word of this program's arguments in each role; the second is a [`Task`].
pub(super) const ENTER: &str = "engine-box-enter";
const FIRST: &str = "engine-box-first";
const RUN: &str = "engine-box-run";

/// Where the box keeps everything: in memory, below its own `/run`.
pub(super) const DIR: &str = "/run/engine-test";
const TMP: &str = "/run/engine-test/tmp";
/// The box's first cgroup on v2, where a cgroup with children can hold no process.
const LEAF: &str = "init";

/// What a box does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Task {
    /// The engine.
    pub kind: Kind,
    /// The runtime under it.
    pub runtime: PathBuf,
    /// A static busybox.
    pub busybox: PathBuf,
    /// The scenarios, by name.
    pub scenarios: Vec<String>,
    /// The host's hierarchies.
    pub hierarchies: Vec<Hierarchy>,
    /// The name of the box's cgroup in each.
    pub cgroup: String,
}

/// Plays a role when this process was started for one; nothing otherwise.
pub fn intercept() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let role = arguments.next()?;
    let act: fn(&Task, &OsString) -> Result<u8> = match role.to_str()? {
        ENTER => enter,
        FIRST => first,
        RUN => run,
        _ => return None,
    };
    let task = arguments.next()?;
    let result = task
        .to_str()
        .context("the task is no text")
        .and_then(|text| serde_json::from_str(text).context("read the task"))
        .and_then(|parsed| act(&parsed, &task));
    Some(match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // Process 1 or an ancestor of it: the last that this box has to say.
            say(&Event::Cannot { why: format!("{error:#}") });
            ExitCode::FAILURE
        }
    })
}

/// One line to the process outside; it is the only one on standard output.
fn say(event: &Event) {
    if let Ok(line) = serde_json::to_string(event) {
        println!("{line}");
    }
}

/// Joins the cgroups, and becomes `unshare`; returns only on failure.
fn enter(task: &Task, text: &OsString) -> Result<u8> {
    let join = |folder: &Path| {
        fs::write(folder.join("cgroup.procs"), "0").with_context(|| format!("join {}", folder.display()))
    };
    for hierarchy in &task.hierarchies {
        join(&hierarchy.path.join(&task.cgroup))?;
    }
    unshare(CloneFlags::CLONE_NEWCGROUP).context("make a cgroup namespace")?;
    for hierarchy in task.hierarchies.iter().filter(|hierarchy| hierarchy.legacy.is_none()) {
        let root = hierarchy.path.join(&task.cgroup);
        let leaf = root.join(LEAF);
        fs::create_dir(&leaf).with_context(|| format!("make the cgroup {}", leaf.display()))?;
        join(&leaf)?;
        delegate(&root)?;
    }
    let mut command = Command::new("unshare");
    // Elsewhere nothing can be written from now on.
    command.env("TMPDIR", TMP);
    command.args([
        "--mount",
        "--net",
        "--ipc",
        "--uts",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "--",
    ]);
    let program = std::env::current_exe().context("find this program")?;
    Err(command.arg(program).arg(FIRST).arg(text).exec()).context("start unshare")
}

/// Lets cgroups below have all the controllers that this one has.
fn delegate(root: &Path) -> Result<()> {
    let names = fs::read_to_string(root.join("cgroup.controllers")).context("read the controllers")?;
    let words: Vec<String> = names.split_whitespace().map(|name| format!("+{name}")).collect();
    fs::write(root.join("cgroup.subtree_control"), words.join(" ")).context("pass controllers on")
}

/// Makes the view, starts [`RUN`] and waits for everybody until that one ends.
fn first(task: &Task, text: &OsString) -> Result<u8> {
    let dir = Path::new(DIR);
    // The view covers folders in which these may be.
    let own = std::env::current_exe().context("find this program")?;
    let programs = [own.as_path(), &task.busybox, &task.runtime].map(|path| (path, fs::read(path)));
    view::make(dir, &task.hierarchies).context("make the engine's box")?;
    let place = dir.join("bin");
    fs::create_dir_all(&place).with_context(|| format!("make {}", place.display()))?;
    for (path, data) in programs {
        let data = data.with_context(|| format!("read {}", path.display()))?;
        let copy = place.join(path.file_name().context("a program without a name")?);
        fs::write(&copy, data).with_context(|| format!("write {}", copy.display()))?;
        let mode = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
        fs::set_permissions(&copy, mode).with_context(|| format!("make {} a program", copy.display()))?;
    }
    let busybox = place.join(task.busybox.file_name().context("a program without a name")?);
    view::loopback(&busybox).context("make the box's network")?;
    let mut command = Command::new(place.join(own.file_name().context("a program without a name")?));
    // The folder that this was called from may be covered.
    command.arg(RUN).arg(text).current_dir("/").env_clear().envs([
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("HOME", DIR),
        ("TMPDIR", TMP),
        ("TERM", "xterm"),
        ("LC_ALL", "C.UTF-8"),
    ]);
    let child = command.spawn().context("start the box's second process")?;
    loop {
        match wait() {
            Ok(WaitStatus::Exited(pid, code)) if pid.as_raw().cast_unsigned() == child.id() => {
                return Ok(u8::try_from(code).unwrap_or(1));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid.as_raw().cast_unsigned() == child.id() => {
                let status = ExitStatus::from_raw(signal as i32);
                anyhow::bail!("the box's second process: {status}");
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).context("wait for a child"),
        }
    }
}

/// Brings the engine up and runs the scenarios, each exactly once.
fn run(task: &Task, _text: &OsString) -> Result<u8> {
    let dir = Path::new(DIR);
    let name = |path: &Path| path.file_name().map(|name| dir.join("bin").join(name));
    let place = Place::new(dir, name(&task.runtime).context("a runtime without a name")?)?;
    let image = image::make(dir, &name(&task.busybox).context("a program without a name")?)?;
    let engine: Box<dyn Engine> = match task.kind.start(&place, &image) {
        Ok(engine) => engine,
        Err(error) => {
            say(&Event::Cannot { why: format!("{error:#}") });
            return Ok(0);
        }
    };
    say(&Event::Up { version: engine.version().unwrap_or_else(|error| format!("{error:#}")) });
    for scenario in
        scenarios::ALL.iter().filter(|scenario| task.scenarios.iter().any(|name| name == scenario.name))
    {
        eprintln!("\n== {}", scenario.name);
        let started = Instant::now();
        let result = (scenario.run)(engine.as_ref());
        let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let scenario = scenario.name.to_owned();
        say(&match result {
            Ok(()) => Event::Passed { scenario, ms },
            Err(error) => {
                let why = format!("{error:#}");
                eprintln!("!! {why}");
                match error.downcast_ref::<Lacks>() {
                    Some(lacks) => Event::Skipped { scenario, why: lacks.0.clone() },
                    None => Event::Failed { scenario, why, ms },
                }
            }
        });
    }
    Ok(0)
}
