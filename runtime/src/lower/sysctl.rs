//! `linux.sysctl`: only parameters that a namespace of the container's own holds.

use cofferdam_ns::Parameter;

use super::namespaces::Lowered;
use crate::spec::Linux;
use crate::{Error, Result};

pub(super) fn lower(linux: &Linux, namespaces: &Lowered) -> Result<Vec<(String, String)>> {
    let mut list = Vec::new();
    for (name, value) in &linux.sysctl {
        let field = format!("linux.sysctl[\"{}\"]", name.escape_default());
        let parameter = Parameter::parse(name).map_err(|error| Error::config(&field, error))?;
        // runc and crun refuse it too: two fields would say one thing.
        if parameter.path() == "kernel/hostname" {
            return Err(Error::config(&field, "is the field `hostname`"));
        }
        let kind = parameter.namespace();
        if !namespaces.has(kind) {
            return Err(Error::config(
                &field,
                format!("needs a {kind} namespace, or it would change the host"),
            ));
        }
        list.push((parameter.path().to_owned(), value.clone()));
    }
    // The config's map has no order; the plan's is the same in every run.
    list.sort();
    Ok(list)
}
