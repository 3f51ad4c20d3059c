//! A label that a child gives itself before `execve(2)`, and that its parent reads back.

use std::ffi::CString;
use std::fmt;

use cofferdam_sys::plan::{Plan, Step};
use cofferdam_sys::{Errno, lsm};

use crate::{Error, ErrorKind, Proc, active, apparmor};

/// The security modules that label processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Module {
    /// AppArmor.
    AppArmor,
    /// SELinux.
    Selinux,
    /// Smack.
    Smack,
}

impl Module {
    /// The name that the kernel lists it by.
    pub fn name(self) -> &'static str {
        match self {
            Module::AppArmor => "apparmor",
            Module::Selinux => "selinux",
            Module::Smack => "smack",
        }
    }

    /// `LSM_ID_*` of `linux/lsm.h`.
    fn id(self) -> u64 {
        match self {
            Module::Selinux => 101,
            Module::Smack => 102,
            Module::AppArmor => 104,
        }
    }

    /// Fails unless it is active.
    fn require(self) -> Result<(), Error> {
        match self {
            Module::AppArmor => apparmor::require(),
            Module::Selinux => active::require("selinux", "CONFIG_SECURITY_SELINUX"),
            Module::Smack => active::require("smack", "CONFIG_SECURITY_SMACK"),
        }
    }
}

/// When a label takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attribute {
    /// At once, on the thread that sets it.
    Current,
    /// At the next `execve(2)`.
    Exec,
    /// On the keys that the thread makes, until `execve(2)` (SELinux).
    KeyCreate,
}

impl Attribute {
    /// The file's name in `/proc/PID/attr`.
    fn file(self) -> &'static str {
        match self {
            Attribute::Current => "current",
            Attribute::Exec => "exec",
            Attribute::KeyCreate => "keycreate",
        }
    }

    /// `LSM_ATTR_*` of `linux/lsm.h`.
    fn number(self) -> u32 {
        match self {
            Attribute::Current => lsm::ATTR_CURRENT,
            Attribute::Exec => lsm::ATTR_EXEC,
            Attribute::KeyCreate => lsm::ATTR_KEYCREATE,
        }
    }
}

/// A label as plain data; made by [`apparmor::exec`], [`apparmor::stack`], [`crate::selinux::exec`] and their like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    pub(crate) module: Module,
    pub(crate) attribute: Attribute,
    /// What is written.
    pub(crate) value: String,
    /// What is read back where it is in force.
    pub(crate) wanted: Wanted,
}

/// What the label of a process must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Exactly this text.
    Exactly(String),
    /// An AppArmor label with exactly this name, in whatever mode.
    Profile(String),
    /// An AppArmor label that has this name among those that are stacked.
    Stacked(String),
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} `{}`", self.module.name(), self.attribute.file(), self.value)
    }
}

/// How a child tells the kernel its label. Both give the same answers; see [`Channel::probe`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Channel {
    /// `lsm_set_self_attr(2)` (Linux 6.8): no file that could be another one.
    Call,
    /// A file below `attr` of a verified procfs.
    Procfs(Proc),
}

impl Channel {
    /// The call where there is one, otherwise procfs.
    ///
    /// # Errors
    /// As [`Proc::open`], and [`ErrorKind::Os`] when the kernel's answer is hidden.
    pub fn probe() -> Result<Self, Error> {
        match lsm::has_calls() {
            Ok(true) => Ok(Channel::Call),
            Ok(false) => Proc::open().map(Channel::Procfs),
            Err(number) => Err(Error::os("ask for lsm_set_self_attr", number)),
        }
    }

    /// The caller's own label by a module; empty when the attribute is not set.
    ///
    /// # Errors
    /// [`ErrorKind::NotActive`] when the module is not active; [`ErrorKind::Os`], or as [`Proc::read`].
    pub fn own(&self, module: Module, attribute: Attribute) -> Result<String, Error> {
        module.require()?;
        match self {
            Channel::Procfs(proc) => match proc.read_own(&attribute_file(proc, module, attribute)?) {
                // AppArmor's word for an attribute that is not set.
                Err(error) if error.kind() == ErrorKind::Os(Errno::EINVAL) => Ok(String::new()),
                other => other,
            },
            Channel::Call => {
                let what = format!("ask for the own {} {}", module.name(), attribute.file());
                let all = match lsm::self_attribute(attribute.number()) {
                    // No module has the attribute, or none has it set.
                    Err(Errno::EOPNOTSUPP | Errno::ENOENT) => Vec::new(),
                    other => other.map_err(|number| Error::os(&what, number))?,
                };
                let own = all.into_iter().find(|(id, _)| *id == module.id());
                let text = String::from_utf8(own.map(|(_, text)| text).unwrap_or_default())
                    .map_err(|_| Error::invalid(format!("{what}: it is not UTF-8")))?;
                Ok(text.trim_end_matches(['\n', '\0']).to_owned())
            }
        }
    }
}

impl Label {
    /// The module that it is for.
    pub fn module(&self) -> Module {
        self.module
    }

    /// When it takes effect.
    pub fn attribute(&self) -> Attribute {
        self.attribute
    }

    /// What is written to the kernel.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The file below `/proc/PID` that it is written to: the module's own directory where the kernel has one
    /// (Linux 5.1 for Smack, 5.8 for AppArmor), as what is directly in `attr` is the first module's.
    fn file(&self, proc: &Proc) -> Result<String, Error> {
        attribute_file(proc, self.module, self.attribute)
    }

    /// The step by which a child gives itself the label.
    ///
    /// It may come late, after the root is changed too: the procfs is a descriptor that was opened before. A label
    /// for `execve(2)` survives changes of ids and capabilities.
    ///
    /// # Errors
    /// [`ErrorKind::NotActive`] when the module is not active: what was asked for would not be enforced.
    pub fn lower(&self, channel: &Channel, plan: &mut Plan) -> Result<(), Error> {
        self.module.require()?;
        let step = match channel {
            Channel::Call => Step::SelfAttribute {
                attribute: self.attribute.number(),
                context: lsm::context(self.module.id(), self.value.as_bytes()),
            },
            Channel::Procfs(proc) => {
                let path = self.file(proc)?;
                let path = CString::new(path)
                    .map_err(|_| Error::invalid("the attribute's path holds a NUL byte"))?;
                Step::WriteOwn { proc: proc.at(), path, data: self.value.clone().into_bytes() }
            }
        };
        plan.push(self.about(), step);
        Ok(())
    }

    /// The words that a failure of the step begins with.
    pub fn about(&self) -> String {
        format!("set the label {self}")
    }

    /// What most likely causes an error of the step, and how to mend it, where that is known.
    pub fn explain(&self, number: Errno) -> Option<&'static str> {
        match (self.module, number) {
            (Module::AppArmor, Errno::ENOENT) => Some(
                "no profile of that name is loaded on this host: `aa-status` lists them, `apparmor_parser -r` loads one",
            ),
            (Module::AppArmor, Errno::EACCES | Errno::EPERM) => Some(
                "the profile of the caller has no change_profile rule for it, or no_new_privs lets it stack only",
            ),
            (Module::Selinux, Errno::EINVAL) => Some(
                "the loaded policy does not know the context: user, role and type must be the policy's own",
            ),
            (Module::Selinux, Errno::EACCES) => {
                Some("the policy does not let the caller's domain set it (setexec, setkeycreate)")
            }
            (_, Errno::EXDEV | Errno::ELOOP | Errno::ESTALE) => {
                Some("something was put over the file in procfs, or procfs is that of other processes")
            }
            _ => None,
        }
    }

    /// Reads the label of a process that has executed its program, and compares.
    ///
    /// Gives what was read. For a label of keys see [`Label::pending`].
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] when the process has another label than was asked for; as [`Proc::read`].
    pub fn confirm(&self, proc: &Proc, pid: i32) -> Result<String, Error> {
        let found = proc.read(pid, &attribute_file(proc, self.module, Attribute::Current)?)?;
        self.compare(found, pid)
    }

    /// Reads the attribute itself of a child that waits before its `execve(2)`, and compares.
    ///
    /// The kernel tells SELinux's attributes of any process, but AppArmor's `exec` only of the reader itself:
    /// there [`Label::confirm`] is the answer.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] when the process has another label than was asked for; [`ErrorKind::Unsupported`]
    /// for AppArmor's `exec`; as [`Proc::read`].
    pub fn pending(&self, proc: &Proc, pid: i32) -> Result<String, Error> {
        if self.module == Module::AppArmor && self.attribute == Attribute::Exec {
            let what = "AppArmor tells nobody else what a process is about to execute under";
            return Err(Error::new(ErrorKind::Unsupported, what)
                .with_hint("read the label back after execve(2), when it is in force"));
        }
        let found = proc.read(pid, &self.file(proc)?)?;
        self.compare(found, pid)
    }

    fn compare(&self, found: String, pid: i32) -> Result<String, Error> {
        let same = match &self.wanted {
            Wanted::Exactly(text) => found == *text,
            Wanted::Profile(name) => apparmor::Confinement::parse(&found)?.label() == name,
            Wanted::Stacked(name) => {
                apparmor::Confinement::parse(&found)?.profiles().any(|found| found == name)
            }
        };
        if same {
            return Ok(found);
        }
        let what =
            format!("process {pid} was to have the label {self} and has `{}`", crate::error::shown(&found));
        Err(Error::new(ErrorKind::Mismatch, what).with_hint(
            "the loaded policy sends it elsewhere, or there is no policy: the process must not go on",
        ))
    }
}

/// The file below `/proc/PID` for a module's attribute.
pub(crate) fn attribute_file(proc: &Proc, module: Module, attribute: Attribute) -> Result<String, Error> {
    let own = match module {
        Module::AppArmor | Module::Smack => Some(format!("attr/{}/{}", module.name(), attribute.file())),
        Module::Selinux => None,
    };
    match own {
        Some(path) if proc.has(&path)? => Ok(path),
        _ => Ok(format!("attr/{}", attribute.file())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apparmor::ProfileName;
    use cofferdam_sys::plan::Exec;

    fn label(wanted: Wanted) -> Label {
        Label { module: Module::AppArmor, attribute: Attribute::Exec, value: "exec x".into(), wanted }
    }

    #[test]
    fn what_is_read_back_must_be_what_was_asked_for() {
        let exact = label(Wanted::Exactly("a:b:c".into()));
        assert_eq!(exact.compare("a:b:c".into(), 1).unwrap(), "a:b:c");
        let error = exact.compare("kernel".into(), 7).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Mismatch);
        assert!(
            error
                .to_string()
                .starts_with("process 7 was to have the label apparmor exec `exec x` and has `kernel`; ")
        );
        let profile = label(Wanted::Profile("x".into()));
        assert!(profile.compare("x (enforce)".into(), 1).is_ok());
        // A name that only begins or ends the same, and one that is among others.
        for found in ["x2 (enforce)", "unconfined", "x//&y (enforce)", "y//x (enforce)"] {
            assert!(profile.compare(found.into(), 1).is_err(), "{found}");
        }
        let stacked = label(Wanted::Stacked("x".into()));
        assert!(stacked.compare("unconfined//&x (enforce)".into(), 1).is_ok());
        assert!(stacked.compare("unconfined//&x2 (enforce)".into(), 1).is_err());
    }

    #[test]
    fn likely_causes_are_told() {
        let label = label(Wanted::Profile("x".into()));
        assert!(label.explain(Errno::ENOENT).unwrap().contains("apparmor_parser"));
        assert!(label.explain(Errno::EXDEV).is_some() && label.explain(Errno::EIO).is_none());
    }

    #[test]
    fn a_module_that_is_not_active_is_refused_before_anything_starts() {
        let label = apparmor::exec(&ProfileName::new("x").unwrap());
        let mut plan = Plan::new(Exec { candidates: vec![], args: vec![], env: vec![] });
        let lowered = label.lower(&Channel::Call, &mut plan);
        if apparmor::enabled().unwrap() {
            lowered.unwrap();
            let step = &plan.entries()[0];
            assert_eq!(&*step.about, "set the label apparmor exec `exec x`");
        } else {
            assert_eq!(lowered.unwrap_err().kind(), ErrorKind::NotActive);
            assert!(plan.entries().is_empty());
        }
    }
}
