//! The label of the container's program: set by the child, read back from outside.

use cofferdam_lsm::apparmor::Confinement;
use cofferdam_lsm::label::Module;
use cofferdam_lsm::selinux::{self, Context};
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
            channel: Channel::probe().map_err(|error| failed(label, error))?,
            proc: Proc::open().map_err(|error| failed(label, error))?,
        })
    }

    /// The child's step. Where the module is not active nothing is started, as nothing would be enforced.
    pub(crate) fn lower(&self, plan: &mut Plan) -> Result<()> {
        self.label.lower(&self.channel, plan).map_err(|error| failed(&self.label, error))
    }
}

/// Reads the label of the program that now runs. The caller kills one that has another.
///
/// A profile that only complains is the administrator's choice for this host, and worth a word.
pub(crate) fn confirm(confined: Option<&Confined>, pid: i32, warn: &mut dyn FnMut(&str)) -> Result<()> {
    let Some(confined) = confined else { return Ok(()) };
    let text = confined.label.confirm(&confined.proc, pid).map_err(|error| failed(&confined.label, error))?;
    if confined.label.module() != Module::AppArmor {
        return Ok(());
    }
    let found = Confinement::parse(&text).map_err(|error| failed(&confined.label, error))?;
    if found.mode().is_some() && !found.enforces() {
        warn(&format!("process.apparmorProfile: {found} does not refuse what it does not allow"));
    }
    Ok(())
}

/// A label of mounts has no meaning where SELinux is off, and the kernel would call it an unknown option.
pub(crate) fn require_selinux(mounts: Option<&Context>) -> Result<()> {
    let Some(label) = mounts else { return Ok(()) };
    let failed =
        |error: cofferdam_lsm::Error| Error::new(ErrorKind::Start, format!("linux.mountLabel: {error}"));
    let status = Proc::open().and_then(|proc| selinux::status(&proc)).map_err(failed)?;
    if status != selinux::Status::Disabled {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Start, format!("linux.mountLabel: {label}: SELinux is not active"))
        .with_hint("boot with security=selinux on a kernel that has it, or leave the label out"))
}

fn failed(label: &Label, error: impl std::fmt::Display) -> Error {
    let field = match label.module() {
        Module::Selinux => "process.selinuxLabel",
        _ => "process.apparmorProfile",
    };
    Error::new(ErrorKind::Start, format!("{field}: {error}"))
}
