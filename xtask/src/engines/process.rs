//! Runs a program of an engine, with a limit of time; everything goes to the log, which is standard error.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::engine::Output;

/// How long one command of an engine may take.
const LIMIT: Duration = Duration::from_mins(1);
/// The longest part of what a command said that an error repeats.
const SAID: usize = 600;

/// Runs a command to its end and gives what it said, whatever its status.
///
/// # Errors
/// It cannot be started, or takes longer than a minute.
pub(super) fn output(command: &mut Command) -> Result<Output> {
    let shown = shown(command);
    let started = Instant::now();
    // Files, not pipes: a daemon that inherits a pipe would keep its reader waiting.
    let mut out = tempfile::tempfile().context("make a file for the output")?;
    let mut err = tempfile::tempfile().context("make a file for the errors")?;
    command.stdin(Stdio::null());
    command.stdout(out.try_clone().context("copy a descriptor")?);
    command.stderr(err.try_clone().context("copy a descriptor")?);
    let status = ended(command).with_context(|| format!("run `{shown}`"))?;
    let output =
        Output { status: status.map_or(-1, number), stdout: text(&mut out)?, stderr: text(&mut err)? };
    eprintln!(
        "+ {shown}\n= {} after {} ms\n{}{}",
        output.status,
        started.elapsed().as_millis(),
        output.stdout,
        output.stderr
    );
    if status.is_none() {
        bail!("`{shown}` took longer than {} s: {}", LIMIT.as_secs(), said(&output));
    }
    Ok(output)
}

/// Runs a command that must succeed, and gives its standard output.
///
/// # Errors
/// Those of [`output`], and a status other than 0.
pub(super) fn success(command: &mut Command) -> Result<String> {
    let output = output(command)?;
    if output.status != 0 {
        bail!("exit {}: {} (`{}`)", output.status, said(&output), shown(command));
    }
    Ok(output.stdout)
}

/// The same command with a terminal, as a user has one.
pub(super) fn terminal(command: &Command) -> Command {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let quoted = words.map(|word| format!("'{}'", word.to_string_lossy().replace('\'', r"'\''")));
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &quoted.collect::<Vec<_>>().join(" "), "/dev/null"]);
    script.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    script
}

/// The end of what a command said, for an error.
pub(super) fn said(output: &Output) -> String {
    let text = format!("{}{}", output.stdout, output.stderr);
    let text = text.trim();
    let start = text.char_indices().rev().take(SAID).last().map_or(0, |(start, _)| start);
    text.get(start..).unwrap_or_default().to_owned()
}

/// The status of the command, or nothing when it was killed for taking too long.
fn ended(command: &mut Command) -> Result<Option<ExitStatus>> {
    let mut child = command.spawn().context("start it")?;
    let pid = Pid::from_raw(child.id().cast_signed());
    let (sender, ended) = channel();
    // The receiver is there until it has heard this, or has given up.
    let waiter = std::thread::spawn(move || drop(sender.send(child.wait())));
    let status = ended.recv_timeout(LIMIT);
    if status.is_err() {
        // Not waited for yet, so the number is still its own.
        kill(pid, Signal::SIGKILL).ok();
    }
    waiter.join().ok();
    status.ok().transpose().context("wait for it")
}

fn number(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128_i32.saturating_add(signal))).unwrap_or(-1)
}

fn text(file: &mut File) -> Result<String> {
    file.rewind().context("go to the start of the output")?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).context("read the output")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_and_both_outputs_are_kept() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2; exit 3"]);
        let found = output(&mut command).unwrap();
        assert_eq!(found, Output { status: 3, stdout: "out\n".into(), stderr: "err\n".into() });
        let error = success(&mut command).unwrap_err().to_string();
        assert!(error.contains("exit 3") && error.contains("err"), "{error}");
    }

    #[test]
    fn a_signal_is_128_and_its_number() {
        assert_eq!(output(Command::new("sh").args(["-c", "kill -9 $$"])).unwrap().status, 137);
    }

    /// A daemon that a command leaves behind has its output open.
    #[test]
    fn a_child_that_stays_keeps_nobody_waiting() {
        let started = Instant::now();
        output(Command::new("sh").args(["-c", "sleep 5 & echo $!"])).unwrap();
        assert!(started.elapsed() < Duration::from_secs(4));
    }

    #[test]
    fn a_terminal_is_one_and_quotes_survive() {
        let mut command = Command::new("sh");
        command.args(["-c", "test -t 1 && echo \"it's $X\"; exit 4"]).env("X", "here");
        let found = output(&mut terminal(&command)).unwrap();
        assert_eq!((found.status, found.stdout.as_str()), (4, "it's here\r\n"));
    }

    #[test]
    fn only_the_end_of_a_long_text_is_repeated() {
        let output = Output { status: 0, stdout: "é".repeat(2000), stderr: "the end".into() };
        let said = said(&output);
        assert!(said.ends_with("éthe end") && said.chars().count() == SAID, "{said}");
    }
}
