//! What the probes say on one kernel.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The answers of one kernel, by `CRATE NAME`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    /// Whether each facility is there.
    pub there: BTreeMap<String, bool>,
    /// The probes that found no answer, and why.
    pub failed: BTreeMap<String, String>,
}

/// The key of a facility in [`Answers`].
pub(super) fn key(owner: &str, name: &str) -> String {
    format!("{owner} {name}")
}

/// Asks every probe of the running kernel.
pub fn ask() -> Answers {
    let mut answers = Answers::default();
    for (owner, probe) in super::probes() {
        let key = key(owner, probe.name);
        match (probe.ask)() {
            Ok(there) => drop(answers.there.insert(key, there)),
            Err(errno) => drop(answers.failed.insert(key, format!("{errno:?}"))),
        }
    }
    answers
}
