//! The label of the container's program: set by the child, read back from outside.

use cofferdam_lsm::apparmor::Confinement;
use cofferdam_lsm::{Channel, Label, Proc};
use cofferdam_sys::plan::Plan;
use cofferdam_sys::process;
use cofferdam_sys::spawn::Child;

use crate::{Error, ErrorKind, Result};

/// What setting and reading the label takes, made before anything is started.
pub(super) struct Confined<'l> {
    label: &'l Label,
    channel: Channel,
    proc: Proc,
}

impl<'l> Confined<'l> {
    pub(super) fn new(label: &'l Label) -> Result<Self> {
        Ok(Self { label, channel: Channel::probe().map_err(failed)?, proc: Proc::open().map_err(failed)? })
    }

    /// The child's step. Where AppArmor is not active nothing is started, as the profile would not be enforced.
    pub(super) fn lower(&self, plan: &mut Plan) -> Result<()> {
        self.label.lower(&self.channel, plan).map_err(failed)
    }
}

/// Reads the label of the program that now runs; one that has another is killed.
///
/// A profile that only complains is the administrator's choice for this host, and worth a word.
pub(super) fn confirm(
    confined: Option<&Confined<'_>>,
    child: Child,
    warn: &mut dyn FnMut(&str),
) -> Result<Child> {
    let Some(confined) = confined else { return Ok(child) };
    let found = confined.label.confirm(&confined.proc, child.pid());
    match found.and_then(|text| Confinement::parse(&text)) {
        Ok(found) => {
            if found.mode().is_some() && !found.enforces() {
                warn(&format!("process.apparmorProfile: {found} does not refuse what it does not allow"));
            }
            Ok(child)
        }
        Err(error) => {
            let error = failed(error);
            let ended = process::pidfd_send_signal(child.pidfd(), KILL).and_then(|()| child.wait());
            Err(match ended {
                Ok(_) => error,
                Err(number) => error.with_cleanup(format!("kill the container: {number}")),
            })
        }
    }
}

/// `SIGKILL`.
const KILL: i32 = 9;

fn failed(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Start, format!("process.apparmorProfile: {error}"))
}
