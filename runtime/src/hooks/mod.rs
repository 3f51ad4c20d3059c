//! Hooks: programs that the config has run at certain points (runtime-spec, config, "POSIX-platform Hooks").
//!
//! | hook | when | by whom, and where |
//! |---|---|---|
//! | `prestart`, `createRuntime` | all mounts are made, before the pivot | the runtime, outside |
//! | `createContainer` | after those | the child, in its namespaces, with the old root |
//! | `startContainer` | after `start`, before the program | the child, in the container, with its credentials |
//! | `poststart` | the program runs | the runtime, outside |
//! | `poststop` | the container is deleted | the runtime, outside |
//!
//! Each gets the state as JSON on its standard input, an environment that is empty but for what the config
//! gives it (a `startContainer` hook without any has the program's, as with the common runtimes), `/` as working directory and no descriptor but 0, 1 and 2.

mod outside;

use std::ffi::{CStr, CString};
use std::path::PathBuf;
use std::time::Duration;

use cofferdam_sys::plan::{Errand, Exec, Input, Plan, Step};
use serde::{Deserialize, Serialize};

use crate::state::State;
use crate::{Error, ErrorKind, Result};

pub(crate) use outside::{poststop, run};

/// One hook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// The program, an absolute path.
    pub path: PathBuf,
    /// Its arguments, its own name first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Its whole environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// How many seconds it may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
}

/// The hooks of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the spec, which the table above explains")]
pub struct Hooks {
    pub prestart: Vec<Hook>,
    pub create_runtime: Vec<Hook>,
    pub create_container: Vec<Hook>,
    pub start_container: Vec<Hook>,
    pub poststart: Vec<Hook>,
    pub poststop: Vec<Hook>,
}

impl Hook {
    /// What is executed, in `env` unless the config gives it an environment.
    fn exec(&self, env: &[CString]) -> Result<Exec> {
        let text = |text: &str| {
            CString::new(text).map_err(|_| {
                Error::new(ErrorKind::Config, format!("hook {}: holds a NUL byte", self.path.display()))
            })
        };
        let path = text(&self.path.to_string_lossy())?;
        let args = self.args.iter().map(|arg| text(arg)).collect::<Result<Vec<_>>>()?;
        Ok(Exec {
            args: if args.is_empty() { vec![path.clone()] } else { args },
            candidates: vec![path],
            env: match self.env.as_slice() {
                [] => env.to_vec(),
                own => own.iter().map(|entry| text(entry)).collect::<Result<_>>()?,
            },
        })
    }

    fn timeout(&self) -> Option<Duration> {
        self.timeout.map(Duration::from_secs)
    }
}

/// The words that callers look for when a hook fails.
fn about(kind: &str, number: usize) -> String {
    format!("error running {kind} hook #{number}")
}

/// Adds hooks that the child runs in a directory; behind the last one comes the program with the environment `program`, or else
/// there is more to do.
pub(crate) fn lower(
    kind: &str,
    hooks: &[Hook],
    state: &State,
    program: Option<&[CString]>,
    directory: &CStr,
    plan: &mut Plan,
) -> Result<()> {
    let rest = program.is_some();
    for (number, hook) in hooks.iter().enumerate() {
        let input = input(state)?;
        let program = Errand {
            exec: hook.exec(program.unwrap_or_default())?,
            input,
            directory: directory.to_owned(),
            home: rest && hook.env.is_empty(),
            timeout: hook.timeout(),
            rest,
        };
        plan.push(about(kind, number), Step::Run(Box::new(program)));
    }
    Ok(())
}

/// The state with a gap for the process id, which is not known before the child exists.
fn input(state: &State) -> Result<Input> {
    const FIELD: &str = "\"pid\":";
    let text = json(&State { pid: 0, ..state.clone() })?;
    // The first one: what comes before it are strings, in which a quote is escaped.
    let gap = text.find(FIELD).map_or(0, |at| at.saturating_add(FIELD.len()));
    let (before, after) = text.split_at(gap);
    Ok(Input { before: before.into(), after: after.strip_prefix('0').unwrap_or(after).into() })
}

fn json(state: &State) -> Result<String> {
    serde_json::to_string(state)
        .map_err(|error| Error::new(ErrorKind::Hook, format!("write the state for hooks: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Status;

    #[test]
    fn the_gap_is_where_the_number_goes() {
        let state = State {
            oci_version: "1\"pid\":2".into(),
            id: "\"pid\":".into(),
            pid: 7,
            status: Status::Creating,
            bundle: "/b".into(),
            rootfs: "/b/r".into(),
            created: String::new(),
            annotations: [("\"pid\":0".to_owned(), "\"pid\":0".to_owned())].into(),
            owner: "root".into(),
        };
        let input = input(&state).unwrap();
        let whole = [&input.before[..], b"7", &input.after].concat();
        assert_eq!(String::from_utf8(whole).unwrap(), json(&state).unwrap());
    }
}
