//! A box, seen from outside: it is started, listened to, and gone when this is dropped.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::cgroups::{self, Cgroups, Hierarchy};
use super::inside::{ENTER, Task};
use super::results::{Engine, Outcome, Row};
use super::scenarios::Scenario;
use super::{Event, Kind};
use crate::cli::Cgroup;
use crate::fail;
use crate::lab::cancel::Cancel;
use crate::qemu::guard;

/// How long a box may be silent: a scenario makes many commands, each with a limit of its own.
const SILENCE: Duration = Duration::from_mins(5);

/// What all boxes of a run share.
#[derive(Debug)]
pub(super) struct Lab {
    /// A static busybox.
    pub busybox: PathBuf,
    /// The host's cgroup hierarchies.
    pub hierarchies: Vec<Hierarchy>,
    /// Where logs go.
    pub logs: PathBuf,
    /// Ctrl-C.
    pub cancel: Cancel,
}

/// A box that runs.
struct Boxed {
    child: Child,
    /// Removed after the processes are killed.
    cgroups: Cgroups,
}

impl Drop for Boxed {
    fn drop(&mut self) {
        // The end of this one is the end of the process namespace, and of all that is in it.
        self.child.kill().ok();
        self.child.wait().ok();
        for left in self.cgroups.remove() {
            eprintln!("a cgroup is left behind: {left}");
        }
    }
}

impl Lab {
    /// Runs these scenarios on an engine, each with exactly one outcome.
    ///
    /// # Errors
    /// The box cannot be started, or the run was cancelled.
    pub(super) fn run(
        &self,
        kind: Kind,
        runtime: &Path,
        layout: Cgroup,
        scenarios: &[&Scenario],
    ) -> Result<Engine> {
        let label = runtime.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let log = self.logs.join(format!("{}.{label}.log", kind.name()));
        let (boxed, events) = self.start(kind, runtime, layout, scenarios, &log)?;
        let mut engine = Engine { version: None, cannot: None, rows: Vec::new() };
        let progress = |row: &Row| eprintln!("{} on {label}: {}", kind.name(), row.line());
        let mut heard = Instant::now();
        loop {
            if self.cancel.wanted() {
                return Err(fail::lab("cancelled: no report is written"));
            }
            match events.recv_timeout(Duration::from_millis(200)) {
                Ok(event) => {
                    heard = Instant::now();
                    if let Some(row) = engine.hear(event) {
                        progress(row);
                    }
                }
                Err(RecvTimeoutError::Timeout) if heard.elapsed() < SILENCE => {}
                Err(why) => {
                    drop(boxed);
                    let why = match why {
                        RecvTimeoutError::Timeout => format!("nothing was heard for {} s", SILENCE.as_secs()),
                        RecvTimeoutError::Disconnected => "the box ended early".to_owned(),
                    };
                    engine.finish(scenarios, &format!("{why}; see {}", log.display()));
                    return Ok(engine);
                }
            }
        }
    }

    fn start(
        &self,
        kind: Kind,
        runtime: &Path,
        layout: Cgroup,
        scenarios: &[&Scenario],
        log: &Path,
    ) -> Result<(Boxed, Receiver<Event>)> {
        let cgroup = cgroups::name(kind.name());
        let hierarchies = cgroups::of_layout(&self.hierarchies, layout);
        if hierarchies.is_empty() {
            return Err(fail::usage(format!(
                "--cgroup {}: this host mounts no such hierarchy",
                layout.name()
            )));
        }
        let task = Task {
            kind,
            runtime: runtime.to_owned(),
            busybox: self.busybox.clone(),
            scenarios: scenarios.iter().map(|scenario| scenario.name.to_owned()).collect(),
            hierarchies: hierarchies.clone(),
            cgroup: cgroup.clone(),
        };
        let cgroups = Cgroups::create(&hierarchies, &cgroup).context("make the box's cgroups")?;
        let program = std::env::current_exe().context("find this program")?;
        let argv: Vec<OsString> = vec![
            program.into(),
            ENTER.into(),
            serde_json::to_string(&task).context("print the task")?.into(),
        ];
        let mut command = guard::command(&argv);
        let errors = File::create(log).with_context(|| format!("make {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
        let mut child = guard::spawn(command).context("start a box")?;
        let out = child.stdout.take();
        // From here on the child is killed on every way out.
        let boxed = Boxed { child, cgroups };
        let (sender, events) = channel();
        let lines = BufReader::new(out.context("listen to the box")?).lines();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                match serde_json::from_str(&line) {
                    Ok(event) => {
                        // Nobody listens any more: the box is being removed.
                        if sender.send(event).is_err() {
                            return;
                        }
                    }
                    Err(error) => eprintln!("a box said `{line}`: {error}"),
                }
            }
        });
        Ok((boxed, events))
    }
}

impl Engine {
    /// Takes in what the box says; an outcome comes back.
    fn hear(&mut self, event: Event) -> Option<&Row> {
        let row = match event {
            Event::Up { version } => {
                self.version = Some(version);
                return None;
            }
            Event::Cannot { why } => {
                self.cannot = Some(why);
                return None;
            }
            Event::Passed { scenario, ms } => Row::new(&scenario, Outcome::Passed, "", ms),
            Event::Failed { scenario, why, ms } => Row::new(&scenario, Outcome::Failed, why, ms),
            Event::Skipped { scenario, why } => Row::new(&scenario, Outcome::Skipped, why, 0),
        };
        self.rows.push(row);
        self.rows.last()
    }

    /// A scenario without an outcome failed, unless the engine cannot run at all.
    fn finish(&mut self, scenarios: &[&Scenario], why: &str) {
        for scenario in scenarios {
            if self.rows.iter().any(|row| row.scenario == scenario.name) {
                continue;
            }
            let (outcome, reason) = match &self.cannot {
                Some(cannot) => (Outcome::Skipped, cannot.clone()),
                None => (Outcome::Failed, why.to_owned()),
            };
            self.rows.push(Row::new(scenario.name, outcome, reason, 0));
        }
    }
}
