//! The label of the container's program: set by the child, read back from outside.

use cofferdam_lsm::apparmor::Confinement;
use cofferdam_lsm::{Channel, Label, Proc};
use cofferdam_sys::plan::Plan;

use crate::{Error, ErrorKind, Result};

/// What setting and reading the label takes, made before anything is started.
pub(crate) struct Confined {
    label: Label,
    channel: Channel,
    proc: Proc,
}

impl Confined {
    pub(crate) fn new(label: &Label) -> Result<Self> {
        Ok(Self {
            label: label.clone(),
            channel: Channel::probe().map_err(failed)?,
            proc: Proc::open().map_err(failed)?,
        })
    }

    /// The child's step. Where AppArmor is not active nothing is started, as the profile would not be enforced.
    pub(crate) fn lower(&self, plan: &mut Plan) -> Result<()> {
        self.label.lower(&self.channel, plan).map_err(failed)
    }
}

/// Reads the label of the program that now runs. The caller kills one that has another.
///
/// A profile that only complains is the administrator's choice for this host, and worth a word.
pub(crate) fn confirm(confined: Option<&Confined>, pid: i32, warn: &mut dyn FnMut(&str)) -> Result<()> {
    let Some(confined) = confined else { return Ok(()) };
    let found = confined.label.confirm(&confined.proc, pid).and_then(|text| Confinement::parse(&text));
    let found = found.map_err(failed)?;
    if found.mode().is_some() && !found.enforces() {
        warn(&format!("process.apparmorProfile: {found} does not refuse what it does not allow"));
    }
    Ok(())
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Start, format!("process.apparmorProfile: {error}"))
}
