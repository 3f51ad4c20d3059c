//! The command line that podman and docker share.

use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::engine::{Ask, Engine, Output, Status, lacks};
use super::image;
use super::process::{output, success, terminal};

/// An engine behind such a command line.
#[derive(Debug)]
pub(super) struct Cli {
    /// The client, with the options that lead it to its engine.
    pub words: Vec<String>,
    /// What the client's environment has beside the box's.
    pub variables: Vec<(String, String)>,
    /// How a container gets a user namespace.
    pub user_namespace: UserNamespace,
    /// The words that remove a container at once.
    pub remove: &'static [&'static str],
    /// Why it cannot limit what a container uses, if so.
    pub no_limits: Option<&'static str>,
}

/// How a container gets a user namespace.
pub(super) enum UserNamespace {
    /// It asks with these words.
    Words(&'static [&'static str]),
    /// This starts another daemon, which gives one to all its containers.
    Daemon(Box<dyn Fn() -> Result<Cli>>),
}

impl std::fmt::Debug for UserNamespace {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Words(_) => "Words",
            Self::Daemon(_) => "Daemon",
        })
    }
}

/// What `inspect` says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    running: bool,
    paused: bool,
    exit_code: i64,
    #[serde(rename = "OOMKilled")]
    oom_killed: bool,
}

impl Cli {
    /// The client with these words.
    pub(super) fn command(&self, words: &[&str]) -> Command {
        let mut client = self.words.iter();
        let mut command = Command::new(client.next().map_or("", String::as_str));
        command.args(client).args(words);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    fn done(&self, words: &[&str]) -> Result<()> {
        success(&mut self.command(words)).map(drop)
    }

    /// `run` with the options of a container, and what it is made of.
    fn asked(&self, how: &[&str], ask: &Ask<'_>) -> Result<Command> {
        if ask.memory.is_some() || ask.processes.is_some() {
            self.limits()?;
        }
        let mut command = self.command(&["run"]);
        command.args(how).args(["--name", ask.name]);
        match (ask.publish, ask.beside) {
            (Some((outside, inside)), _) => {
                command.args(["-p", &format!("127.0.0.1:{outside}:{inside}")]);
            }
            (None, Some(other)) => {
                for kind in ["network", "ipc", "pid"] {
                    command.args([format!("--{kind}"), format!("container:{other}")]);
                }
            }
            (None, None) => {
                command.args(["--network", "none"]);
            }
        }
        if ask.shares {
            command.args(["--ipc", "shareable"]);
        }
        if let Some(bytes) = ask.memory {
            command.args(["--memory", &bytes.to_string()]);
        }
        if let Some(most) = ask.processes {
            command.args(["--pids-limit", &most.to_string()]);
        }
        if let Some(user) = ask.user {
            command.args(["--user", user]);
        }
        if let Some((outside, inside)) = ask.volume {
            command.args(["--volume", &format!("{outside}:{inside}:ro")]);
        }
        for (wanted, word) in [
            (ask.read_only, "--read-only"),
            (ask.privileged, "--privileged"),
            (ask.terminal, "--tty"),
            (ask.init, "--init"),
        ] {
            command.args(wanted.then_some(word));
        }
        if ask.user_namespace {
            match self.user_namespace {
                UserNamespace::Words(words) => command.args(words),
                UserNamespace::Daemon(_) => return lacks("it maps ids for a whole daemon"),
            };
        }
        command.arg(image::NAME).args(&ask.args);
        Ok(command)
    }

    fn limits(&self) -> Result<()> {
        self.no_limits.map_or(Ok(()), lacks)
    }
}

impl Engine for Cli {
    fn version(&self) -> Result<String> {
        Ok(success(&mut self.command(&["version", "--format", "{{.Client.Version}}"]))?.trim().to_owned())
    }

    fn run(&self, ask: &Ask<'_>) -> Result<Output> {
        if let (true, UserNamespace::Daemon(start)) = (ask.user_namespace, &self.user_namespace) {
            return start()?.run(&Ask { user_namespace: false, ..ask.clone() });
        }
        let mut command = self.asked(&["--rm"], ask)?;
        if ask.terminal { output(&mut terminal(&command)) } else { output(&mut command) }
    }

    fn start(&self, ask: &Ask<'_>) -> Result<()> {
        success(&mut self.asked(&["--detach"], ask)?).map(drop)
    }

    fn exec(&self, name: &str, args: &[&str], tty: bool) -> Result<Output> {
        let mut command = self.command(&["exec"]);
        command.args(tty.then_some("--tty")).arg(name).args(args);
        if tty { output(&mut terminal(&command)) } else { output(&mut command) }
    }

    fn logs(&self, name: &str) -> Result<String> {
        let output = output(&mut self.command(&["logs", name]))?;
        Ok(output.stdout + &output.stderr)
    }

    fn memory(&self, name: &str) -> Result<u64> {
        let text = success(&mut self.command(&["stats", "--no-stream", "--format", "{{.MemUsage}}", name]))?;
        let used = text.split('/').next().unwrap_or_default().trim();
        bytes(used).with_context(|| format!("`stats` says `{}`, no amount of memory", text.trim()))
    }

    fn processes(&self, name: &str) -> Result<String> {
        success(&mut self.command(&["top", name]))
    }

    fn pause(&self, name: &str) -> Result<()> {
        self.done(&["pause", name])
    }

    fn resume(&self, name: &str) -> Result<()> {
        self.done(&["unpause", name])
    }

    fn limit_memory(&self, name: &str, bytes: u64) -> Result<()> {
        self.limits()?;
        self.done(&["update", "--memory", &bytes.to_string(), name])
    }

    fn restart(&self, name: &str) -> Result<()> {
        self.done(&["restart", name])
    }

    fn kill(&self, name: &str, signal: &str) -> Result<()> {
        self.done(&["kill", "--signal", signal, name])
    }

    fn wait(&self, name: &str) -> Result<()> {
        self.done(&["wait", name])
    }

    fn status(&self, name: &str) -> Result<Status> {
        let text = success(&mut self.command(&[
            "inspect",
            "--type",
            "container",
            "--format",
            "{{json .State}}",
            name,
        ]))?;
        let state: State = serde_json::from_str(&text).with_context(|| format!("`inspect` says `{text}`"))?;
        Ok(match state {
            State { paused: true, .. } => Status::Paused,
            State { running: true, .. } => Status::Running,
            _ => Status::Exited { code: state.exit_code, oom: Some(state.oom_killed) },
        })
    }

    fn remove(&self, name: &str) -> Result<()> {
        success(self.command(self.remove).arg(name)).map(drop)
    }

    fn build(&self, folder: &str) -> Result<Output> {
        let built = output(&mut self.command(&["build", "--tag", "localhost/built:1", folder]))?;
        if built.status != 0 {
            bail!("`build`: exit {}: {}", built.status, super::process::said(&built));
        }
        output(&mut self.command(&["run", "--rm", "--network", "none", "localhost/built:1"]))
    }
}

/// `1.5MiB`, `20.3kB`, `812B` as bytes.
fn bytes(text: &str) -> Option<u64> {
    let end = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at_checked(end)?;
    let factor = match unit {
        "B" => 1,
        "kB" | "KB" => 1000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        _ => return None,
    };
    // Three decimals at most are printed: whole numbers do.
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits: u64 = if part.is_empty() { 0 } else { part.parse().ok()? };
    let scale = 10_u64.checked_pow(u32::try_from(part.len()).ok()?)?;
    let whole: u64 = whole.parse().ok()?;
    whole.checked_mul(factor)?.checked_add(digits.checked_mul(factor)?.checked_div(scale)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cli() -> Cli {
        Cli {
            words: vec!["engine".into(), "--root".into(), "/r".into()],
            variables: Vec::new(),
            remove: &["rm", "--force"],
            user_namespace: UserNamespace::Daemon(Box::new(|| Ok(cli()))),
            no_limits: None,
        }
    }

    fn words(command: &Command) -> String {
        command.get_args().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn amounts_of_memory() {
        assert_eq!(bytes("1.5MiB"), Some(3 << 19));
        assert_eq!(bytes("20.25kB"), Some(20_250));
        assert_eq!(bytes("812B"), Some(812));
        for wrong in ["", "12", "x", "1.2.3MB", "12PB", "--"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_container_is_asked_for_by_its_options() {
        let ask = Ask {
            memory: Some(4096),
            read_only: true,
            publish: Some((18080, 80)),
            ..Ask::new("c", &["sh", "-c", "true"])
        };
        assert_eq!(
            words(&cli().asked(&["--rm"], &ask).unwrap()),
            format!(
                "--root /r run --rm --name c -p 127.0.0.1:18080:80 --memory 4096 --read-only {} sh -c true",
                image::NAME
            )
        );
    }

    #[test]
    fn what_an_engine_lacks_is_no_failure() {
        let ask = Ask { user_namespace: true, ..Ask::new("c", &["true"]) };
        let error = cli().asked(&[], &ask).unwrap_err();
        assert_eq!(
            error.downcast_ref::<crate::engines::engine::Lacks>().unwrap().0,
            "it maps ids for a whole daemon"
        );
    }
}
