//! What a container does at the moment, worked out from what the kernel says.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::{Directory, Record};
use crate::Result;
use crate::run::Control;

/// The status of a container (runtime-spec, runtime, "State"), and `paused`, which engines know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// A command is making it.
    Creating,
    /// It waits to be started.
    Created,
    /// Its program runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// Its first process has ended.
    Stopped,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Status::Creating => "creating",
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Stopped => "stopped",
        })
    }
}

impl Status {
    /// Looks at the processes, the socket and the cgroup.
    pub(crate) fn of(directory: &Directory<'_>, record: Option<&Record>) -> Result<Self> {
        let Some(init) = record.and_then(|record| record.init.as_ref()) else {
            // Who makes it holds the lock. Without one, its maker was killed.
            return Ok(if directory.is_locked() { Status::Creating } else { Status::Stopped });
        };
        if !init.lives()? {
            return Ok(Status::Stopped);
        }
        if directory.waits() {
            return Ok(Status::Created);
        }
        let frozen = match record.map(Control::of) {
            Some(control) => control?.is_frozen()?,
            None => false,
        };
        Ok(if frozen { Status::Paused } else { Status::Running })
    }
}

/// The state of a container as `state` and `list` print it and hooks are given it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct State {
    /// The version of the OCI runtime specification.
    pub oci_version: String,
    /// The container's id.
    pub id: String,
    /// The first process, 0 when there is none.
    pub pid: i32,
    /// What it does.
    pub status: Status,
    /// The bundle's directory.
    pub bundle: PathBuf,
    /// The root directory of the image.
    pub rootfs: PathBuf,
    /// When it was made (RFC 3339).
    pub created: String,
    /// The config's annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The name of the user who made it.
    pub owner: String,
}

impl State {
    /// The state of a container with that status.
    pub(crate) fn new(record: &Record, status: Status) -> Self {
        let pid = record.init.as_ref().filter(|_| status != Status::Stopped).map_or(0, |init| init.pid);
        Self {
            oci_version: record.oci_version.clone(),
            id: record.id.clone(),
            pid,
            status,
            bundle: record.bundle.clone(),
            rootfs: record.rootfs.clone(),
            created: record.created.clone(),
            annotations: record.annotations.clone(),
            owner: user_name(record.owner),
        }
    }
}

/// The name of a user in `/etc/passwd`, or the number.
fn user_name(uid: u32) -> String {
    if uid == 0 {
        return "root".to_owned();
    }
    let text = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let found = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    found.unwrap_or_else(|| uid.to_string())
}
