//! containerd, with its shim for OCI runtimes and its own client.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::engine::{Ask, Engine, Output, Status, lacks};
use super::image::{self, Image};
use super::place::Place;
use super::process::{output, success, terminal};

/// How long a container that was told to end may take.
const END: Duration = Duration::from_secs(20);

/// containerd and `ctr`.
#[derive(Debug)]
pub(super) struct Containerd {
    dir: PathBuf,
    runtime: String,
}

/// Starts the daemon with this at the head and this at the end of its configuration.
///
/// # Errors
/// It does not come up.
pub(super) fn daemon(place: &Place, first: &str, more: &str) -> Result<PathBuf> {
    let dir = place.dir.join("containerd");
    fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    let config = format!(
        "version = 2\nroot = \"{0}/root\"\nstate = \"{0}/state\"\n{first}\n[grpc]\naddress = \"{0}/sock\"\n\
         [plugins.\"io.containerd.internal.v1.opt\"]\npath = \"{0}/opt\"\n{more}",
        dir.display()
    );
    fs::write(dir.join("config.toml"), config).context("write the daemon's configuration")?;
    let mut command = Command::new("containerd");
    command.arg("--config").arg(dir.join("config.toml"));
    Place::daemon(&mut command, &dir.join("sock"))?;
    Ok(dir)
}

impl Containerd {
    /// Starts the daemon and loads the image.
    ///
    /// # Errors
    /// The daemon does not come up, or does not load the image.
    pub(super) fn start(place: &Place, image: &Image) -> Result<Self> {
        let dir = daemon(place, "disabled_plugins = [\"io.containerd.grpc.v1.cri\"]", "")?;
        let runtime = place.runtime.display().to_string();
        let engine = Self { dir, runtime };
        success(engine.ctr(&["image", "import"]).arg(&image.archive)).context("load the image")?;
        let events = fs::File::create(engine.dir.join("events")).context("make the file of events")?;
        engine.ctr(&["events"]).stdin(Stdio::null()).stdout(events).spawn().context("listen to events")?;
        Ok(engine)
    }

    fn ctr(&self, words: &[&str]) -> Command {
        let mut command = Command::new("ctr");
        command.arg("--address").arg(self.dir.join("sock")).args(["--namespace", "engine-test"]).args(words);
        command
    }

    fn done(&self, words: &[&str]) -> Result<()> {
        success(&mut self.ctr(words)).map(drop)
    }

    fn log(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.log"))
    }

    fn asked(&self, how: &[&str], ask: &Ask<'_>) -> Result<Command> {
        for (wanted, what) in [
            (ask.publish.is_some(), "ctr publishes no ports"),
            (ask.processes.is_some(), "ctr limits no processes"),
            (ask.init, "ctr has no init program"),
            (ask.user.is_some(), "ctr knows no other user than the image's"),
        ] {
            if wanted {
                return lacks(what);
            }
        }
        let mut command = self.ctr(&["run", "--runtime", "io.containerd.runc.v2"]);
        command.args(["--runc-binary", &self.runtime]).args(how);
        if let Some(bytes) = ask.memory {
            command.args(["--memory-limit", &bytes.to_string()]);
        }
        if let Some((outside, inside)) = ask.volume {
            let mount = format!("type=bind,src={outside},dst={inside},options=rbind:ro");
            command.args(["--mount", &mount]);
        }
        if let Some(other) = ask.beside {
            let (pid, _) = self.task(other)?.with_context(|| format!("{other} does not run"))?;
            for kind in ["network:/proc/PID/ns/net", "ipc:/proc/PID/ns/ipc", "pid:/proc/PID/ns/pid"] {
                command.args(["--with-ns", &kind.replace("PID", &pid)]);
            }
        }
        if ask.user_namespace {
            command.args(["--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536"]);
        }
        for (wanted, word) in
            [(ask.read_only, "--read-only"), (ask.privileged, "--privileged"), (ask.terminal, "--tty")]
        {
            command.args(wanted.then_some(word));
        }
        command.args([image::NAME, ask.name]).args(&ask.args);
        Ok(command)
    }

    /// How a task ended, from the events: `ctr` has no other way to tell.
    fn ended(&self, name: &str) -> Result<Status> {
        let path = self.dir.join("events");
        let until = Instant::now() + END;
        loop {
            let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
            if let Some(code) = exit_status(&text, name) {
                return Ok(Status::Exited {
                    code,
                    oom: Some(told(&text, "/tasks/oom", name).next().is_some()),
                });
            }
            ensure!(Instant::now() < until, "no event tells how {name} ended");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The first process of a task and what `ctr` says that it does.
    fn task(&self, name: &str) -> Result<Option<(String, String)>> {
        let text = success(&mut self.ctr(&["task", "list"]))?;
        Ok(text.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some(name)).then(|| {
                let mut word = || words.next().unwrap_or_default().to_owned();
                (word(), word())
            })
        }))
    }
}

impl Engine for Containerd {
    fn version(&self) -> Result<String> {
        let text = success(&mut self.ctr(&["version"]))?;
        let version = text.lines().rev().find_map(|line| line.trim().strip_prefix("Version:"));
        Ok(version.context("ctr says no version")?.trim().to_owned())
    }

    fn run(&self, ask: &Ask<'_>) -> Result<Output> {
        let words = patient(&ask.args);
        let ask = &Ask { args: words.iter().map(String::as_str).collect(), ..ask.clone() };
        let mut command = self.asked(&["--rm"], ask)?;
        if ask.terminal { output(&mut terminal(&command)) } else { output(&mut command) }
    }

    fn start(&self, ask: &Ask<'_>) -> Result<()> {
        let log = format!("file://{}", self.log(ask.name).display());
        success(&mut self.asked(&["--detach", "--log-uri", &log], ask)?).map(drop)
    }

    fn exec(&self, name: &str, args: &[&str], tty: bool) -> Result<Output> {
        let mut command = self.ctr(&["task", "exec", "--exec-id", "another"]);
        command.args(tty.then_some("--tty")).arg(name).args(patient(args));
        if tty { output(&mut terminal(&command)) } else { output(&mut command) }
    }

    fn logs(&self, name: &str) -> Result<String> {
        let path = self.log(name);
        fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
    }

    fn memory(&self, name: &str) -> Result<u64> {
        let text = success(&mut self.ctr(&["task", "metrics", "--format", "json", name]))?;
        let metrics: Value = serde_json::from_str(&text).with_context(|| format!("metrics say `{text}`"))?;
        // v1 has an object of usage in it, v2 the number.
        let usage = metrics.pointer("/memory/usage/usage").or_else(|| metrics.pointer("/memory/usage"));
        usage.and_then(Value::as_u64).with_context(|| format!("metrics say `{text}`"))
    }

    fn processes(&self, name: &str) -> Result<String> {
        success(&mut self.ctr(&["task", "ps", name]))
    }

    fn pause(&self, name: &str) -> Result<()> {
        self.done(&["task", "pause", name])
    }

    fn resume(&self, name: &str) -> Result<()> {
        self.done(&["task", "resume", name])
    }

    fn limit_memory(&self, _name: &str, _bytes: u64) -> Result<()> {
        lacks("ctr has no update")
    }

    fn kill(&self, name: &str, signal: &str) -> Result<()> {
        self.done(&["task", "kill", "--signal", signal, name])
    }

    fn wait(&self, name: &str) -> Result<()> {
        let started = Instant::now();
        while self.task(name)?.is_some_and(|(_, status)| status != "STOPPED") {
            ensure!(started.elapsed() < END, "{name} did not end within {} s", END.as_secs());
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    fn status(&self, name: &str) -> Result<Status> {
        match self.task(name)?.with_context(|| format!("there is no task {name}"))?.1.as_str() {
            "RUNNING" => Ok(Status::Running),
            "PAUSED" => Ok(Status::Paused),
            "STOPPED" => self.ended(name),
            other => bail!("{name} is {other}"),
        }
    }

    fn remove(&self, name: &str) -> Result<()> {
        if self.task(name)?.is_some() {
            // The status of a task that was killed is the status of this command.
            output(&mut self.ctr(&["task", "delete", "--force", name]))?;
        }
        self.done(&["container", "delete", name])
    }

    fn filters(&self) -> bool {
        // `ctr` has an option for it, its default is none.
        false
    }
}

/// `ctr` drops what it has not read when a process ends, with any runtime: a script leaves it a moment.
fn patient(args: &[&str]) -> Vec<String> {
    match args {
        ["sh", "-c", script, rest @ ..] => {
            let script = format!("trap 'sleep 0.1' EXIT; {script}");
            let words = ["sh", "-c", &script].into_iter().chain(rest.iter().copied());
            words.map(str::to_owned).collect()
        }
        others => others.iter().map(|word| (*word).to_owned()).collect(),
    }
}

/// The events of a topic about a container.
fn told(text: &str, topic: &str, name: &str) -> impl Iterator<Item = Value> {
    text.lines().filter(move |line| line.split(' ').any(|word| word == topic)).filter_map(move |line| {
        let event: Value = serde_json::from_str(line.get(line.find('{')?..)?).ok()?;
        (event.get("container_id")?.as_str()? == name).then_some(event)
    })
}

/// The status of a container's first process; the others have ids of their own. 0 is left out of an event.
fn exit_status(text: &str, name: &str) -> Option<i64> {
    let mut ends = told(text, "/tasks/exit", name);
    let end = ends.find(|event| event.get("id").and_then(Value::as_str) == Some(name))?;
    end.get("exit_status").map_or(Some(0), Value::as_i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: &str = r#"
2026-01-01 10:00:00.1 +0000 UTC engine-test /tasks/start {"container_id":"c","pid":7}
2026-01-01 10:00:00.2 +0000 UTC engine-test /tasks/exit {"container_id":"c","id":"another","pid":8,"exit_status":3}
2026-01-01 10:00:00.3 +0000 UTC engine-test /tasks/oom {"container_id":"c"}
2026-01-01 10:00:00.3 +0000 UTC engine-test /tasks/exit {"container_id":"c","id":"c","pid":7,"exit_status":137}
2026-01-01 10:00:00.4 +0000 UTC engine-test /tasks/exit {"container_id":"d","id":"d","pid":9}
"#;

    #[test]
    fn events_tell_how_a_container_ended() {
        assert_eq!(exit_status(EVENTS, "c"), Some(137));
        assert_eq!(exit_status(EVENTS, "d"), Some(0));
        assert_eq!(exit_status(EVENTS, "e"), None);
        assert_eq!(told(EVENTS, "/tasks/oom", "c").count(), 1);
        assert_eq!(told(EVENTS, "/tasks/oom", "d").count(), 0);
    }
}
