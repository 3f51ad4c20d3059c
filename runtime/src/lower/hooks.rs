//! `hooks`.

use crate::hooks::{Hook, Hooks};
use crate::spec::{Hook as SpecHook, Spec};
use crate::{Error, Result};

pub(super) fn lower(spec: &Spec) -> Result<Hooks> {
    let Some(hooks) = &spec.hooks else { return Ok(Hooks::default()) };
    Ok(Hooks {
        // Deprecated in the spec and still in use.
        prestart: list("prestart", &hooks.prestart)?,
        create_runtime: list("createRuntime", &hooks.create_runtime)?,
        create_container: list("createContainer", &hooks.create_container)?,
        start_container: list("startContainer", &hooks.start_container)?,
        poststart: list("poststart", &hooks.poststart)?,
        poststop: list("poststop", &hooks.poststop)?,
    })
}

fn list(kind: &str, hooks: &[SpecHook]) -> Result<Vec<Hook>> {
    let lower = |(number, hook): (usize, &SpecHook)| {
        let field = |name: &str| format!("hooks.{kind}[{number}].{name}");
        if !hook.path.is_absolute() {
            return Err(Error::config(&field("path"), "must be absolute"));
        }
        let timeout = match hook.timeout {
            None => None,
            Some(seconds) => Some(
                u64::try_from(seconds)
                    .ok()
                    .filter(|seconds| *seconds > 0)
                    .ok_or_else(|| Error::config(&field("timeout"), "must be greater than zero"))?,
            ),
        };
        Ok(Hook { path: hook.path.clone(), args: hook.args.clone(), env: hook.env.clone(), timeout })
    };
    hooks.iter().enumerate().map(lower).collect()
}
