//! Running a bundle and looking at what came of it.

use super::Bundle;
use crate::probe::{BREACH, Line};
use crate::registry::{OrFail, Result};
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

/// More output than this is thrown away.
const OUTPUT: u64 = 1 << 20;

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// The runtime's exit status; 128 + N if signal N killed the runtime itself.
    pub status: i32,
    /// What was printed.
    pub stdout: String,
    /// What was complained about.
    pub stderr: String,
}

impl Bundle {
    /// Writes the bundle, runs it, waits for its end, and makes sure that nothing of it is left.
    ///
    /// # Errors
    /// When the runtime cannot be started or leaves something behind.
    pub fn run(&self) -> Result<Ended> {
        self.write()?;
        let ended = self.start()?.end()?;
        self.nothing_left(&ended)?;
        Ok(ended)
    }

    /// Starts a bundle that is written.
    ///
    /// # Errors
    /// When the runtime cannot be started.
    pub fn start(&self) -> Result<Running> {
        let mut command = Command::new(&self.runtime);
        command.args(["run", "--bundle"]).arg(&self.dir).arg(&self.id);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").current_dir("/");
        command.stdin(if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.or_fail(format_args!("starting {}", self.runtime.display()))?;
        if let (Some(mut pipe), Some(data)) = (child.stdin.take(), self.stdin.clone()) {
            // A container that does not read is no error of its own.
            thread::spawn(move || drop(pipe.write_all(&data)));
        }
        Ok(Running { child })
    }

    /// Fails when the runtime left state or a cgroup behind.
    ///
    /// # Errors
    /// With the path of what is left.
    pub fn nothing_left(&self, ended: &Ended) -> Result {
        let mut left = Vec::new();
        named(Path::new("/run"), &self.id, 3, &mut left);
        named(Path::new("/sys/fs/cgroup"), &self.id, 2, &mut left);
        left.retain(|path| !path.starts_with(&self.dir));
        ensure!(left.is_empty(), "the runtime left {left:?} behind; {ended}");
        Ok(())
    }
}

/// Looks for directories of that name.
fn named(dir: &Path, name: &str, depth: u32, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if entry.file_name() == *name {
            found.push(entry.path());
        } else if depth > 1 {
            named(&entry.path(), name, depth - 1, found);
        }
    }
}

/// A container that runs.
#[derive(Debug)]
pub struct Running {
    child: Child,
}

impl Running {
    /// The runtime's process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Reads up to the end of the first line of output.
    ///
    /// # Errors
    /// When the output ends before.
    pub fn first_line(&mut self) -> Result<String> {
        let pipe = self.child.stdout.as_mut().or_fail("the output")?;
        let mut line = Vec::new();
        let mut byte = [0u8];
        while pipe.read(&mut byte)? == 1 && byte != *b"\n" {
            line.extend(byte);
        }
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// When the runtime cannot be waited for.
    pub fn end(mut self) -> Result<Ended> {
        let stderr = self.child.stderr.take().map(|pipe| thread::spawn(move || collect(pipe)));
        let stdout = self.child.stdout.take().map(collect).unwrap_or_default();
        let status = self.child.wait().or_fail("waiting for the runtime")?;
        let status = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1);
        let stderr = stderr.and_then(|thread| thread.join().ok()).unwrap_or_default();
        Ok(Ended { status, stdout, stderr })
    }
}

/// Reads to the end and keeps the beginning.
fn collect(mut pipe: impl Read) -> String {
    let mut data = Vec::new();
    // What can be read before an error is worth keeping.
    let _ = pipe.by_ref().take(OUTPUT).read_to_end(&mut data);
    let _ = std::io::copy(&mut pipe, &mut std::io::sink());
    String::from_utf8_lossy(&data).into_owned()
}

impl Ended {
    /// What a command printed that has ended.
    pub(crate) fn of(output: &std::process::Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let signal = output.status.signal().map(|signal| 128 + signal);
        let status = output.status.code().or(signal).unwrap_or(-1);
        Self { status, stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// The probe's lines.
    pub fn lines(&self) -> Vec<Line> {
        self.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// What a step of the probe found.
    ///
    /// # Errors
    /// When the step was not made or failed.
    #[track_caller]
    pub fn value(&self, step: &str) -> Result<Value> {
        let line = self.lines().into_iter().find(|line| line.step == step);
        match line {
            Some(line) if line.ok => Ok(line.value),
            Some(line) => {
                Err(crate::registry::Failure::failed(format!("step {step} failed: {line:?}; {self}")))
            }
            None => Err(crate::registry::Failure::failed(format!("no step {step}; {self}"))),
        }
    }

    /// The last line of an attempt.
    pub fn breach(&self) -> Option<Line> {
        self.lines().into_iter().find(|line| line.step == BREACH)
    }

    /// Fails unless the container ended with 0.
    ///
    /// # Errors
    /// With all the output.
    #[track_caller]
    pub fn success(self) -> Result<Self> {
        if self.status == 0 {
            Ok(self)
        } else {
            Err(crate::registry::Failure::failed(format!("the container did not end well; {self}")))
        }
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "status {}, stdout {:?}, stderr {:?}", self.status, self.stdout, self.stderr)
    }
}
