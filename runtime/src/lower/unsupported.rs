//! What the spec has and this build does not enforce yet: refused by name, never left out in silence.

use crate::spec::{Linux, Spec};
use crate::{Error, Result};

/// Refuses the first field that is set and not enforced.
pub(super) fn refuse(spec: &Spec) -> Result<()> {
    let mut fields: Vec<(&str, bool)> = Vec::new();
    fields.push(("vm", spec.vm.is_some()));
    if let Some(linux) = &spec.linux {
        in_linux(linux, &mut fields);
    }
    first(fields)
}

fn first(fields: Vec<(&str, bool)>) -> Result<()> {
    match fields.into_iter().find(|(_, set)| *set) {
        Some((field, _)) => Err(Error::unsupported(field)),
        None => Ok(()),
    }
}

fn in_linux(linux: &Linux, fields: &mut Vec<(&str, bool)>) {
    fields.extend([("linux.intelRdt", linux.intel_rdt.is_some())]);
}
