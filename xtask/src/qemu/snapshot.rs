//! Guests resumed from the state of one that has booted: a fifth of a second instead of two.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

use super::Config;
use super::unnamed::Unnamed;
use super::vm::{Failure, Hello, Vm};
use crate::fail;

/// How long the state may take to be written, on a slow disk.
const LIMIT: Duration = Duration::from_mins(2);

/// The state of a guest that waits for a command; any number of guests can be resumed from it, also at once.
#[derive(Debug, Clone)]
pub struct Snapshot {
    config: Config,
    state: Arc<Unnamed>,
    hello: Hello,
}

impl Snapshot {
    /// What the guest said of itself when it had booted.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }
}

impl Vm {
    /// Takes a snapshot; the guest goes on afterwards. To be taken while it waits for a command.
    ///
    /// # Errors
    ///
    /// When QEMU cannot write the state.
    pub fn snapshot(&mut self) -> Result<Snapshot> {
        let state = Unnamed::at(&self.config().qemu.files)?;
        // The default bandwidth is that of a network; the guest must not be stopped before, or it resumes stopped.
        self.ask("migrate-set-parameters", &json!({"max-bandwidth": 1_u64 << 40, "downtime-limit": 60_000}))?;
        self.ask("migrate", &json!({"uri": format!("exec:exec cat >{}", state.path().display())}))?;
        let until = Instant::now() + LIMIT;
        loop {
            let answer = self.ask("query-migrate", &json!({}))?;
            match answer.get("status").and_then(Value::as_str) {
                Some("completed") => break,
                Some("failed" | "cancelled") => {
                    let why = answer.get("error-desc").and_then(Value::as_str).unwrap_or("is the disk full?");
                    return Err(fail::lab(format!("QEMU could not write the guest's state: {why}")));
                }
                _ if Instant::now() > until => {
                    return Err(fail::lab(format!(
                        "QEMU did not write the guest's state in {} s",
                        LIMIT.as_secs()
                    )));
                }
                _ => std::thread::sleep(Duration::from_millis(10)),
            }
        }
        self.ask("cont", &json!({}))?;
        Ok(Snapshot { config: self.config().clone(), state: Arc::new(state), hello: self.hello().clone() })
    }

    /// Resumes a guest, which answers a ping before this returns; its console is logged to `log`.
    ///
    /// # Errors
    ///
    /// When QEMU cannot be started or the guest does not answer in time.
    pub fn resume(snapshot: &Snapshot, log: PathBuf) -> Result<Self, Failure> {
        let config = Config { log, ..snapshot.config.clone() };
        Self::resume_from(&config, snapshot.state.path(), snapshot.hello.clone())
    }
}
