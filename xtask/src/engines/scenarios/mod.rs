//! What every engine is asked to do.

mod confine;
mod inside;
mod life;
mod limits;
mod many;
mod net;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::engine::{Ask, Engine, Output, Status};

/// Something that an engine is asked to do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scenario {
    /// Its name in the table.
    pub name: &'static str,
    /// What it shows.
    pub about: &'static str,
    /// Does it; an error is what was wrong.
    pub run: fn(&dyn Engine) -> Result<()>,
    /// Whether it belongs to the short run.
    pub fast: bool,
}

/// All of them, in the order of the table.
pub(super) const ALL: &[Scenario] = &[
    fast("run", "output on both streams, and exit status 0 and 42", life::run),
    fast("no-program", "127 for a program that is not there, 126 for one that is none", life::no_program),
    fast("exec", "output, exit status, environment and user of a second process", inside::exec),
    fast("terminal", "run with a terminal", inside::terminal),
    fast("exec-terminal", "a second process with a terminal, and one without", inside::exec_terminal),
    slow("logs", "what a container wrote is kept", life::logs),
    slow("top", "the engine lists the container's processes", inside::top),
    slow("stats", "the engine knows how much memory is used", limits::stats),
    fast("pause", "a paused container stands still, a resumed one goes on", life::pause),
    fast("limits", "memory is limited as asked", limits::memory),
    fast("processes", "the number of processes is limited as asked", limits::processes),
    fast("update", "a limit is changed while the container runs", limits::update),
    slow("restart", "stopped by its own handler, then started anew", life::restart),
    fast("kill", "by SIGKILL, and by a signal that the program handles", life::kill),
    fast("oom", "a container killed for want of memory is reported as that", limits::oom),
    slow("publish", "a port of the host leads into the container", net::publish),
    slow("beside", "a container in the network, IPC and process namespaces of another", net::beside),
    slow("user-namespace", "root inside is somebody else outside", confine::user_namespace),
    fast("read-only", "the root cannot be written, /dev/shm and /proc/self can", confine::read_only),
    fast("user", "another user: ids, no capabilities", confine::user),
    slow("volume", "a folder of the host, read-only", confine::volume),
    fast(
        "confined",
        "by default few capabilities, a seccomp filter, masked paths, no host devices",
        confine::confined,
    ),
    slow("privileged", "every capability that the host has, no filter, mounts allowed", confine::privileged),
    slow("init", "the engine's init program is process 1", inside::init),
    slow("build", "an image is built, its steps run in containers", life::build),
    slow("many", "50 containers at once, each of them answers", many::many),
];

const fn fast(name: &'static str, about: &'static str, run: fn(&dyn Engine) -> Result<()>) -> Scenario {
    Scenario { name, about, run, fast: true }
}

const fn slow(name: &'static str, about: &'static str, run: fn(&dyn Engine) -> Result<()>) -> Scenario {
    Scenario { name, about, run, fast: false }
}

/// Waits for SIGTERM, says so and ends with status 7; says `ready` first.
const SLEEPER: &[&str] =
    &["sh", "-c", "trap 'echo stopping; exit 7' TERM; echo ready; while :; do sleep 1000 & wait $!; done"];
/// How long a container may take to do what it was told.
const SOON: Duration = Duration::from_secs(15);

/// A container in the background; removed when dropped.
struct Started<'a> {
    engine: &'a dyn Engine,
    name: &'a str,
}

impl<'a> Started<'a> {
    fn new(engine: &'a dyn Engine, ask: &Ask<'a>) -> Result<Self> {
        // One that failed halfway is to be removed as well.
        let started = Self { engine, name: ask.name };
        engine.start(ask)?;
        Ok(started)
    }

    /// Runs a program inside, which must succeed, and gives its output.
    fn sh(&self, script: &str) -> Result<String> {
        let output = self.engine.exec(self.name, &["sh", "-c", script], false)?;
        ensure!(
            output.status == 0,
            "`{script}` inside: exit {}: {}",
            output.status,
            super::process::said(&output)
        );
        Ok(output.stdout.trim().to_owned())
    }

    /// Waits until the container has said this.
    fn says(&self, what: &str) -> Result<()> {
        until(&format!("`{what}` in the logs"), || Ok(self.engine.logs(self.name)?.contains(what)))
    }

    fn exited(&self) -> Result<(i64, Option<bool>)> {
        self.engine.wait(self.name)?;
        match self.engine.status(self.name)? {
            Status::Exited { code, oom } => Ok((code, oom)),
            other => bail!("the container has ended, and the engine says {other:?}"),
        }
    }
}

impl Drop for Started<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.engine.remove(self.name) {
            eprintln!("cannot remove {}: {error:#}", self.name);
        }
    }
}

/// Asks again until the answer is yes.
fn until(what: &str, mut answer: impl FnMut() -> Result<bool>) -> Result<()> {
    let started = Instant::now();
    loop {
        if answer().with_context(|| format!("wait for {what}"))? {
            return Ok(());
        }
        ensure!(started.elapsed() < SOON, "waited {} s for {what}", SOON.as_secs());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn expect(output: &Output, status: i32, stdout: &str) -> Result<()> {
    let found = output.stdout.replace('\r', "");
    ensure!(
        output.status == status && found.trim() == stdout,
        "exit {status} and `{stdout}` expected, found exit {}: {}",
        output.status,
        super::process::said(output)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_plain() {
        for (index, scenario) in ALL.iter().enumerate() {
            assert!(scenario.name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{}", scenario.name);
            assert!(ALL[..index].iter().all(|other| other.name != scenario.name), "{}", scenario.name);
        }
    }

    #[test]
    fn an_output_must_be_what_was_expected() {
        let output = Output { status: 3, stdout: "a\r\n".into(), stderr: "why".into() };
        assert!(expect(&output, 3, "a").is_ok());
        assert!(expect(&output, 3, "b").is_err());
        let error = expect(&output, 0, "a").unwrap_err().to_string();
        assert!(error.contains("exit 3") && error.contains("why"), "{error}");
    }
}
