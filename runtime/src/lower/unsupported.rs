//! What the spec has and this build does not enforce: refused by name, never left out in silence.

use crate::spec::Spec;
use crate::{Error, Result};

/// Refuses the first field that is set and not enforced.
pub(super) fn refuse(spec: &Spec) -> Result<()> {
    if spec.vm.is_some() { Err(Error::unsupported("vm")) } else { Ok(()) }
}
