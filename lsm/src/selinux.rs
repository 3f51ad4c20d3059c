//! SELinux: contexts of processes, keys and mounts, and whether a policy is enforced.

mod context;
mod mount;

use std::os::fd::AsFd;
use std::path::Path;

use cofferdam_sys::Errno;
use cofferdam_sys::open::Open;

pub use context::Context;
pub use mount::MountLabel;

use crate::label::{Attribute, Label, Module, Wanted, attribute_file};
use crate::{Error, ErrorKind, Proc, active, file};

const DIRECTORY: &str = "/sys/fs/selinux";
/// `SELINUX_MAGIC` of `statfs(2)`.
const SELINUXFS: i64 = 0xf97c_ff8c;

/// What SELinux does on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// It is not active.
    Disabled,
    /// It is active, but no policy is loaded: every label is taken, and none has an effect.
    NoPolicy,
    /// What the policy does not allow is logged.
    Permissive,
    /// What the policy does not allow is refused.
    Enforcing,
}

/// What SELinux does on this machine.
///
/// # Errors
/// [`ErrorKind::Untrusted`] when something else than selinuxfs is on `/sys/fs/selinux`, [`ErrorKind::Os`]; as
/// [`crate::active()`].
pub fn status(proc: &Proc) -> Result<Status, Error> {
    if !active()?.contains(Module::Selinux.name()) {
        return Ok(Status::Disabled);
    }
    let own = proc.read_own(&attribute_file(proc, Module::Selinux, Attribute::Current)?)?;
    // Without a policy the kernel has names of its own for the first processes, which are no contexts.
    if !own.contains(':') {
        return Ok(Status::NoPolicy);
    }
    let what = "read whether SELinux enforces";
    let enforce = file::below(directory()?.as_fd(), c"enforce", Open::empty())
        .map_err(|number| Error::os(what, number))?;
    match file::read(enforce, what)?.trim_end() {
        "0" => Ok(Status::Permissive),
        "1" => Ok(Status::Enforcing),
        other => Err(Error::invalid(format!("{what}: `{}` is neither 0 nor 1", crate::error::shown(other)))),
    }
}

/// Whether the loaded policy knows a context (`/sys/fs/selinux/context`).
///
/// # Errors
/// [`ErrorKind::Unknown`] when it does not; [`ErrorKind::Untrusted`], [`ErrorKind::Os`].
pub fn check(context: &Context) -> Result<(), Error> {
    let what = format!("ask the SELinux policy for {context}");
    let question = file::below(directory()?.as_fd(), c"context", Open::RDWR)
        .map_err(|number| Error::os(&what, number))?;
    // The kernel counts the NUL byte among the text of this file.
    let text = format!("{context}\0");
    file::write(&question, text.as_bytes(), &what).map_err(|error| match error.kind() {
        ErrorKind::Os(Errno::EINVAL) => {
            Error::new(ErrorKind::Unknown, format!("the loaded SELinux policy does not know {context}"))
                .with_hint(
                    "user, role and type must be the policy's, and the type must be allowed for the role",
                )
        }
        _ => error,
    })
}

fn directory() -> Result<std::os::fd::OwnedFd, Error> {
    file::directory(Path::new(DIRECTORY), SELINUXFS, "selinuxfs").map_err(|error| match error.kind() {
        ErrorKind::Untrusted => error.with_hint("mount -t selinuxfs none /sys/fs/selinux"),
        _ => error,
    })
}

/// To execute the program in this context (`setexeccon(3)`).
///
/// With `no_new_privs` the policy must allow the process class's `nnp_transition` (`nosuid_transition` for a
/// program on a nosuid mount), or bound the type.
pub fn exec(context: &Context) -> Label {
    label(Attribute::Exec, context)
}

/// To label the keys that the thread makes until `execve(2)` (`setkeycreatecon(3)`): a session keyring that a
/// container is to use must have the container's label.
pub fn key_create(context: &Context) -> Label {
    label(Attribute::KeyCreate, context)
}

fn label(attribute: Attribute, context: &Context) -> Label {
    let text = context.to_string();
    Label { module: Module::Selinux, attribute, value: text.clone(), wanted: Wanted::Exactly(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_selinux_nothing_is_enforced() {
        let proc = Proc::open().unwrap();
        match status(&proc) {
            Ok(Status::Disabled) => {
                let context = "a:b:c".parse().unwrap();
                assert!(matches!(
                    check(&context).unwrap_err().kind(),
                    ErrorKind::Untrusted | ErrorKind::Os(Errno::ENOENT)
                ));
            }
            Ok(_) => assert!(active().unwrap().contains("selinux")),
            Err(error) => assert_eq!(error.kind(), ErrorKind::NoSecurityfs, "{error}"),
        }
    }

    #[test]
    fn labels_are_the_context_itself() {
        let context: Context = "system_u:system_r:container_t:s0:c1,c2".parse().unwrap();
        assert_eq!(exec(&context).to_string(), "selinux exec `system_u:system_r:container_t:s0:c1,c2`");
        assert_eq!(key_create(&context).attribute(), Attribute::KeyCreate);
    }
}
