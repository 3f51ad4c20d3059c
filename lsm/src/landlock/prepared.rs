//! A ruleset in the kernel, for a child or for the caller itself.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use cofferdam_sys::file::fstat;
use cofferdam_sys::open::{Dir, Open, Resolve, openat2};
use cofferdam_sys::plan::{Absent, At, Plan, Step};
use cofferdam_sys::{landlock as sys, process};
use landlock::{
    AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, Scope,
};

use super::rights::ALL_THREADS_ABI;
use super::ruleset::{PathRule, Ruleset};
use super::{FsAccess, landlock_abi};
use crate::error::shown;
use crate::{Error, ErrorKind};

/// A ruleset that exists as a descriptor; the child only adds what it alone can see, and restricts itself.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// `None` when best effort came to nothing.
    ruleset: Option<Arc<OwnedFd>>,
    /// What the child opens in its own root.
    deferred: Vec<(CString, FsAccess)>,
    flags: u32,
}

impl Prepared {
    /// With a root, the paths are left to the child.
    pub(super) fn new(ruleset: &Ruleset, root: Option<&Path>) -> Result<Self, Error> {
        let nothing =
            ruleset.handled_fs.is_empty() && ruleset.handled_net.is_empty() && ruleset.scopes.is_empty();
        if nothing {
            return Ok(Self { ruleset: None, deferred: Vec::new(), flags: 0 });
        }
        let mut created = create(ruleset)?;
        for rule in &ruleset.ports {
            let access = BitFlags::<AccessNet>::from_bits_truncate(rule.access.bits());
            let what = || format!("allow port {}", rule.port);
            created = created
                .add_rule(NetPort::new(rule.port, access))
                .map_err(|error| refused(&what(), &error))?;
        }
        let mut deferred = Vec::new();
        for rule in &ruleset.paths {
            match root {
                Some(root) => deferred.push((below(root, &rule.path)?, rule.access)),
                None => created = allow(created, rule)?,
            }
        }
        let ruleset_fd: Option<OwnedFd> = created.into();
        let fd = ruleset_fd
            .ok_or_else(|| Error::new(ErrorKind::Unsupported, "the kernel made no Landlock ruleset"))?;
        Ok(Self { ruleset: Some(Arc::new(fd)), deferred, flags: ruleset.log.bits() })
    }

    /// The steps by which a child restricts itself: after its last mount, before its `execve(2)`.
    ///
    /// `no_new_privs` is set first, as the kernel asks for it of everybody without `CAP_SYS_ADMIN`. A restricted
    /// process changes no mounts any more, so that everything about the root belongs before.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the plan has no slot left.
    pub fn lower(&self, plan: &mut Plan) -> Result<(), Error> {
        let Some(ruleset) = &self.ruleset else { return Ok(()) };
        let ruleset = || At::Fd(Arc::clone(ruleset));
        if !self.deferred.is_empty() {
            let slot = plan.slot().map_err(|error| Error::invalid(error.to_string()))?;
            for (path, access) in &self.deferred {
                let shown = path.to_string_lossy();
                let open = Step::OpenIn {
                    dir: At::Cwd,
                    path: path.clone(),
                    flags: Open::PATH,
                    resolve: Resolve::NO_MAGICLINKS,
                    absent: Absent::Fail,
                    out: slot,
                };
                plan.push(format!("Landlock: open {shown}"), open);
                let allow = Step::LandlockAllow {
                    ruleset: ruleset(),
                    file: At::Slot(slot),
                    directory: access.bits(),
                    other: (*access & FsAccess::FOR_FILES).bits(),
                };
                plan.push(format!("Landlock: allow {access:?} on {shown}"), allow);
                plan.push("close what is not needed any more", Step::Close(slot));
            }
        }
        plan.push("Landlock: set no_new_privs", Step::NoNewPrivileges);
        plan.push(
            "Landlock: restrict the process",
            Step::LandlockRestrict { ruleset: ruleset(), flags: self.flags },
        );
        Ok(())
    }

    /// Restricts the calling thread, with `no_new_privs`, and all that it makes from now on.
    ///
    /// Other threads of the process stay as they are.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the ruleset was prepared for another root; [`ErrorKind::Os`] with `E2BIG` when
    /// the thread is in 16 layers of Landlock already.
    pub fn restrict_thread(&self) -> Result<(), Error> {
        self.restrict(0)
    }

    /// Restricts all threads of the calling process at once (ABI 8, Linux 7.0).
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] on an older kernel, where the other threads would stay as they are; otherwise as
    /// [`Prepared::restrict_thread`].
    pub fn restrict_process(&self) -> Result<(), Error> {
        const TSYNC: u32 = 1 << 3;
        if self.ruleset.is_some() && landlock_abi()?.is_none_or(|abi| abi < ALL_THREADS_ABI) {
            let what = "this kernel restricts one thread at a time only";
            return Err(Error::new(ErrorKind::Unsupported, what).with_hint(
                "needs Linux 7.0 (Landlock ABI 8); before that, restrict the first thread before it makes others",
            ));
        }
        self.restrict(TSYNC)
    }

    fn restrict(&self, more: u32) -> Result<(), Error> {
        if !self.deferred.is_empty() {
            return Err(Error::invalid("this Landlock ruleset was prepared for the root of a child"));
        }
        let Some(ruleset) = &self.ruleset else { return Ok(()) };
        process::set_no_new_privs().map_err(|number| Error::os("set no_new_privs", number))?;
        sys::restrict_self(ruleset.as_fd(), self.flags | more)
            .map_err(|number| Error::os("restrict oneself (landlock_restrict_self)", number))
    }
}

/// The ruleset without rules. The crate checks again that the kernel knows all of it.
fn create(ruleset: &Ruleset) -> Result<RulesetCreated, Error> {
    let mut builder = landlock::Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    let what = "make a Landlock ruleset";
    let failed = |error: &landlock::RulesetError| refused(what, error);
    if !ruleset.handled_fs.is_empty() {
        let access = BitFlags::<AccessFs>::from_bits_truncate(ruleset.handled_fs.bits());
        builder = builder.handle_access(access).map_err(|error| failed(&error))?;
    }
    if !ruleset.handled_net.is_empty() {
        let access = BitFlags::<AccessNet>::from_bits_truncate(ruleset.handled_net.bits());
        builder = builder.handle_access(access).map_err(|error| failed(&error))?;
    }
    if !ruleset.scopes.is_empty() {
        let scopes = BitFlags::<Scope>::from_bits_truncate(ruleset.scopes.bits());
        builder = builder.scope(scopes).map_err(|error| failed(&error))?;
    }
    builder.create().map_err(|error| failed(&error))
}

/// Opens the path and allows what has a meaning for it.
fn allow(created: RulesetCreated, rule: &PathRule) -> Result<RulesetCreated, Error> {
    let what = format!("Landlock: allow {}", shown(&rule.path.to_string_lossy()));
    let path = text(&rule.path)?;
    let file = openat2(Dir::Cwd, &path, Open::PATH, 0, Resolve::empty())
        .map_err(|number| Error::os(format!("{what}: open it"), number))?;
    let stat = fstat(file.as_fd()).map_err(|number| Error::os(format!("{what}: look at it"), number))?;
    let access = if stat.is_dir() { rule.access } else { rule.access & FsAccess::FOR_FILES };
    if access.is_empty() {
        return Err(Error::invalid(format!(
            "{what}: {:?} has no meaning for what is no directory",
            rule.access
        )));
    }
    let access = BitFlags::<AccessFs>::from_bits_truncate(access.bits());
    created.add_rule(PathBeneath::new(file, access)).map_err(|error| refused(&what, &error))
}

fn refused(what: &str, error: &landlock::RulesetError) -> Error {
    Error::new(ErrorKind::Unsupported, format!("{what}: {error}"))
}

/// An absolute path below the root that the child sees.
fn below(root: &Path, path: &Path) -> Result<CString, Error> {
    if !path.is_absolute() || path.components().any(|part| part == std::path::Component::ParentDir) {
        let path = shown(&path.to_string_lossy());
        return Err(Error::invalid(format!("Landlock: path `{path}` is not absolute, or has `..`")));
    }
    text(&root.join(path.strip_prefix("/").unwrap_or(path)))
}

fn text(path: &Path) -> Result<CString, Error> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| {
        Error::invalid(format!("Landlock: path `{}` holds a NUL byte", shown(&path.to_string_lossy())))
    })
}

#[cfg(test)]
mod tests;
