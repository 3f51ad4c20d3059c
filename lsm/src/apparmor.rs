//! AppArmor (`apparmor(7)`): profiles that are loaded, a generated one, and executing a program under one.

mod confinement;
mod name;
mod parser;
mod policy;
mod profile;

use std::path::Path;

pub use confinement::{Confinement, Mode};
pub use name::ProfileName;
pub use parser::Parser;
pub(crate) use policy::SECURITYFS;
pub use policy::{Loaded, Policy};
pub use profile::Profile;

use crate::label::{Attribute, Label, Module, Wanted};
use crate::{Error, ErrorKind, file};
use cofferdam_sys::Errno;

const ENABLED: &str = "/sys/module/apparmor/parameters/enabled";

/// Whether AppArmor is built in and switched on (`/sys/module/apparmor/parameters/enabled`).
///
/// # Errors
/// [`ErrorKind::Os`] when that cannot be read, [`ErrorKind::Invalid`] for another answer than `Y` or `N`.
pub fn enabled() -> Result<bool, Error> {
    let text = match file::text(Path::new(ENABLED)) {
        Err(error) if error.kind() == ErrorKind::Os(Errno::ENOENT) => return Ok(false),
        other => other?,
    };
    match text.trim_end() {
        "Y" => Ok(true),
        "N" => Ok(false),
        other => Err(Error::invalid(format!(
            "read {ENABLED}: `{}` is neither Y nor N",
            crate::error::shown(other)
        ))),
    }
}

/// Fails unless it is enabled.
pub(crate) fn require() -> Result<(), Error> {
    if enabled()? {
        return Ok(());
    }
    Err(Error::new(ErrorKind::NotActive, "AppArmor is not active")
        .with_hint("boot with apparmor=1 security=apparmor (needs CONFIG_SECURITY_APPARMOR)"))
}

/// To execute the program under this profile instead of the caller's (`aa_change_onexec(2)`).
///
/// With `no_new_privs` the kernel allows it to a caller that is unconfined, otherwise only [`stack`].
pub fn exec(profile: &ProfileName) -> Label {
    Label {
        module: Module::AppArmor,
        attribute: Attribute::Exec,
        value: format!("exec {profile}"),
        wanted: Wanted::Profile(profile.as_str().to_owned()),
    }
}

/// To execute the program under this profile as well as the caller's (`aa_stack_onexec(2)`): what either
/// forbids is forbidden.
pub fn stack(profile: &ProfileName) -> Label {
    Label {
        module: Module::AppArmor,
        attribute: Attribute::Exec,
        value: format!("stack {profile}"),
        wanted: Wanted::Stacked(profile.as_str().to_owned()),
    }
}
