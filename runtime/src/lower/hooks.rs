//! `hooks`.

use oci_spec::runtime::{Hook as SpecHook, Spec};

use crate::hooks::{Hook, Hooks};
use crate::{Error, Result};

pub(super) fn lower(spec: &Spec) -> Result<Hooks> {
    let Some(hooks) = spec.hooks() else { return Ok(Hooks::default()) };
    Ok(Hooks {
        // Deprecated in the spec and still in use.
        prestart: list("prestart", hooks.prestart().as_deref())?,
        create_runtime: list("createRuntime", hooks.create_runtime().as_deref())?,
        create_container: list("createContainer", hooks.create_container().as_deref())?,
        start_container: list("startContainer", hooks.start_container().as_deref())?,
        poststart: list("poststart", hooks.poststart().as_deref())?,
        poststop: list("poststop", hooks.poststop().as_deref())?,
    })
}

fn list(kind: &str, hooks: Option<&[SpecHook]>) -> Result<Vec<Hook>> {
    let lower = |(number, hook): (usize, &SpecHook)| {
        let field = |name: &str| format!("hooks.{kind}[{number}].{name}");
        if !hook.path().is_absolute() {
            return Err(Error::config(&field("path"), "must be absolute"));
        }
        let timeout = match hook.timeout() {
            None => None,
            Some(seconds) => Some(
                u64::try_from(seconds)
                    .ok()
                    .filter(|seconds| *seconds > 0)
                    .ok_or_else(|| Error::config(&field("timeout"), "must be greater than zero"))?,
            ),
        };
        Ok(Hook {
            path: hook.path().clone(),
            args: hook.args().clone().unwrap_or_default(),
            env: hook.env().clone().unwrap_or_default(),
            timeout,
        })
    };
    hooks.unwrap_or_default().iter().enumerate().map(lower).collect()
}
