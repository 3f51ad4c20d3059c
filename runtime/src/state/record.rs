//! `state.json`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::systemd::Unit;
use crate::{Error, ErrorKind, Result};

/// The version of the format. One that adds fields which older programs may ignore keeps its number.
pub(crate) const VERSION: u32 = 1;

/// What is kept of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Record {
    /// The version of this format.
    pub(crate) version: u32,
    /// The container's id.
    pub id: String,
    /// `ociVersion` of its config.
    pub oci_version: String,
    /// The bundle's directory.
    pub bundle: PathBuf,
    /// The root directory of the image.
    pub rootfs: PathBuf,
    /// The config's annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// When it was made (RFC 3339).
    pub created: String,
    /// The user who made it.
    pub owner: u32,
    /// The first process; none while the container is being made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<Init>,
    /// The control group: its path below the root of the hierarchy, and how many of its parents were made
    /// for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cgroup: Option<(String, usize)>,
    /// The resctrl group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rdt: Option<RdtPlace>,
    /// The unit that systemd has made for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unit: Option<Unit>,
    /// Whether the config asks for something that is done once the program runs: hooks, a label to look at.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) config_at_start: bool,
    /// Whether it has no PID namespace of its own, whose end would be that of all its processes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) shares_pids: bool,
    /// The hooks that are run once it is deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) poststop: Vec<crate::hooks::Hook>,
}

/// A resctrl group: the directory of its class, whether it was made for the container, and the one that measures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RdtPlace {
    pub(crate) class: PathBuf,
    pub(crate) made: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) monitor: Option<PathBuf>,
}

/// The first process of a container, told from others that have had or will have its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Init {
    /// Its number.
    pub pid: i32,
    /// Its start time as in `/proc/PID/stat`, in clock ticks after the boot.
    pub start_time: u64,
    /// The boot.
    pub boot: String,
}

/// The part that every version has.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl Record {
    /// Reads the text of a state file.
    pub(crate) fn parse(id: &str, text: &[u8]) -> Result<Self> {
        let broken = |error: &serde_json::Error| {
            let why = if text.is_empty() { "it is empty".to_owned() } else { error.to_string() };
            Error::new(ErrorKind::State, format!("container {id}: state.json cannot be read: {why}"))
                .with_hint("`delete --force` removes the container")
        };
        let Versioned { version } = serde_json::from_slice(text).map_err(|error| broken(&error))?;
        if version != VERSION {
            let what = format!(
                "container {id}: state.json has version {version}, this program knows version {VERSION}"
            );
            return Err(Error::new(ErrorKind::State, what)
                .with_hint("the container was made by another release of cofferdam: use that one for it"));
        }
        serde_json::from_slice(text).map_err(|error| broken(&error))
    }

    pub(crate) fn text(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self)
            .map_err(|error| Error::new(ErrorKind::State, format!("container {}: {error}", self.id)))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::systemd::Manager;

    pub(crate) fn record() -> Record {
        Record {
            version: VERSION,
            id: "box".into(),
            oci_version: "1.2.0".into(),
            bundle: "/b".into(),
            rootfs: "/b/rootfs".into(),
            annotations: BTreeMap::from([("a".into(), "b".into())]),
            created: super::super::now(),
            owner: 0,
            init: Some(Init { pid: 1, start_time: 2, boot: "c".into() }),
            cgroup: Some(("cofferdam/box".into(), 1)),
            rdt: Some(RdtPlace { class: "/r/x".into(), made: true, monitor: None }),
            unit: Some(Unit { name: "cofferdam-box.scope".into(), manager: Manager::System }),
            config_at_start: false,
            shares_pids: false,
            poststop: Vec::new(),
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = record();
        assert_eq!(Record::parse("box", &record.text().unwrap()).unwrap(), record);
    }

    #[test]
    fn broken_files_are_one_clear_line() {
        let text = record().text().unwrap();
        for cut in 0..text.len() {
            let error = Record::parse("box", &text[..cut]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::State);
            let line = error.to_string();
            assert!(line.starts_with("container box: state.json cannot be read") && !line.contains('\n'));
        }
    }

    #[test]
    fn another_version_is_refused_by_number() {
        let error = Record::parse("box", br#"{"version":2,"init":"another shape"}"#).unwrap_err().to_string();
        assert!(error.contains("has version 2, this program knows version 1"), "{error}");
    }
}
