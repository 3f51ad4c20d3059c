//! A container by single commands: `create`, `start`, `exec` and the others, as an engine gives them.

use super::run::Ended;
use super::{At, Bundle};
use crate::registry::{OrFail, Result};
use cofferdam_sys::process::pidfd_open;
use cofferdam_sys::{Errno, pidfd};
use serde_json::Value;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a container may take to end, or to come to a step.
const PATIENCE: Duration = Duration::from_secs(20);

/// A container that was made by `create`. It is deleted when this is dropped.
#[derive(Debug)]
pub struct Created {
    /// Without what it was made from.
    bundle: Bundle,
}

impl Bundle {
    /// A command of the runtime under test, with nothing of the environment.
    pub fn command<S: AsRef<std::ffi::OsStr>>(&self, words: &[S]) -> Command {
        let mut command = Command::new(self.runtime());
        command.args(words).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").current_dir("/");
        command.stdin(Stdio::null());
        command
    }

    /// Gives a command and waits for its end.
    ///
    /// # Errors
    /// When the runtime cannot be started.
    pub fn order<S: AsRef<std::ffi::OsStr>>(&self, words: &[S]) -> Result<Ended> {
        let output = self.command(words).output().or_fail("starting the runtime")?;
        Ok(Ended::of(&output))
    }

    /// The same container, to give commands about.
    fn handle(&self) -> Bundle {
        Bundle {
            id: self.id.clone(),
            dir: self.dir.clone(),
            runtime: self.runtime.clone(),
            config: Value::Null,
            entries: Vec::new(),
            stdin: None,
        }
    }

    /// Writes the bundle and makes the container, whose output goes into a file.
    ///
    /// # Errors
    /// When `create` fails; a skip where the runtime cannot work at all.
    pub fn create(&self) -> Result<Created> {
        self.write()?;
        let (created, ended) = self.try_create(&[])?;
        ended.success()?;
        Ok(created)
    }

    /// Makes the container with these options; the bundle is written.
    ///
    /// # Errors
    /// When the runtime cannot be started.
    pub fn try_create(&self, options: &[&str]) -> Result<(Created, Ended)> {
        let dir = self.dir().to_string_lossy().into_owned();
        let words = [&["create", "--bundle", &dir], options, &[self.id()]].concat();
        let complaints = self.dir().join("complaints");
        let mut command = self.command(&words);
        command.stdout(File::create(self.dir().join("output"))?).stderr(File::create(&complaints)?);
        let status = command.status().or_fail("starting the runtime")?;
        let created = Created { bundle: self.handle() };
        let stderr = fs::read_to_string(complaints)?;
        Ok((created, Ended { status: status.code().unwrap_or(-1), stdout: String::new(), stderr }))
    }
}

impl Created {
    /// Gives a command with the container's id behind it.
    ///
    /// # Errors
    /// When the runtime cannot be started.
    pub fn order(&self, words: &[&str]) -> Result<Ended> {
        self.bundle.order(&[words, &[self.bundle.id()]].concat())
    }

    /// Gives a command that must succeed.
    ///
    /// # Errors
    /// When it does not.
    #[track_caller]
    pub fn must(&self, words: &[&str]) -> Result<Ended> {
        self.order(words)?.success()
    }

    /// `state`, which must succeed.
    ///
    /// # Errors
    /// When it does not, or prints no JSON.
    #[track_caller]
    pub fn state(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.must(&["state"])?.stdout)?)
    }

    /// The id of the container's first process.
    ///
    /// # Errors
    /// As [`Created::state`].
    pub fn pid(&self) -> Result<u64> {
        self.state()?.at("pid").as_u64().or_fail("the pid of the state")
    }

    /// Waits until its first process has ended, after which the container is stopped.
    ///
    /// # Errors
    /// When it does not end, or has another status afterwards.
    #[track_caller]
    pub fn wait_until_stopped(&self) -> Result {
        let before = self.state()?;
        if before.at("status") == "stopped" {
            return Ok(());
        }
        let pid = before.at("pid").as_i64().and_then(|pid| i32::try_from(pid).ok());
        match pidfd_open(pid.or_fail("the pid of the state")?) {
            Ok(pidfd) => {
                let ended = pidfd::ended(pidfd.as_fd(), PATIENCE)?;
                ensure!(ended, "the container does not end: {}", self.state()?);
            }
            // It has ended and was waited for.
            Err(Errno::ESRCH) => {}
            Err(errno) => return Err(errno.into()),
        }
        ensure_eq!(self.state()?.at("status"), "stopped", "the status after the end");
        Ok(())
    }

    /// What the container has printed up to now.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn output(&self) -> Result<Ended> {
        let read = |name: &str| {
            fs::read(self.bundle.dir().join(name)).map(|text| String::from_utf8_lossy(&text).into_owned())
        };
        Ok(Ended { status: 0, stdout: read("output")?, stderr: read("complaints")? })
    }

    /// Waits until the container has printed a line of a step.
    ///
    /// # Errors
    /// When it does not.
    #[track_caller]
    pub fn wait_for_step(&self, step: &str) -> Result<Value> {
        let end = Instant::now() + PATIENCE;
        loop {
            let output = self.output()?;
            if let Ok(value) = output.value(step) {
                return Ok(value);
            }
            ensure!(Instant::now() < end, "the probe did not come to {step}; {output}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Deletes the container by force and makes sure that nothing of it is left.
    ///
    /// # Errors
    /// With what is left.
    pub fn delete(self) -> Result {
        let ended = self.must(&["delete", "--force"])?;
        self.bundle.nothing_left(&ended)
    }

    /// A path beside the bundle's root.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.bundle.dir().join(name)
    }
}

impl Drop for Created {
    fn drop(&mut self) {
        // Gone already, mostly.
        let _ = self.order(&["delete", "--force"]);
    }
}
