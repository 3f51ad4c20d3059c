//! TOMOYO: domains, their policy and their profile, through securityfs (`Documentation/admin-guide/LSM/tomoyo.rst`).
//!
//! A domain is the history of programs that were executed on the way to a process, and a profile says whether
//! what its policy does not list is refused. The kernel enforces nothing before `/sbin/init` was executed while
//! `/sbin/tomoyo-init` exists; afterwards only managers may write policy.

mod domain;

use std::ffi::CStr;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use cofferdam_sys::Errno;
use cofferdam_sys::open::Open;
use cofferdam_sys::plan::{At, Plan, Step};

pub use domain::{Domain, DomainPolicy, escape_path};

use crate::apparmor::SECURITYFS;
use crate::{Error, ErrorKind, active, file};

const DIRECTORY: &str = "/sys/kernel/security/tomoyo";

/// Where a process stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The number of the profile of its domain.
    pub profile: u8,
    /// Its domain.
    pub domain: Domain,
}

/// What a profile does with a file operation that the domain's policy does not list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// It is allowed.
    Disabled,
    /// It is allowed and added to the policy.
    Learning,
    /// It is allowed and logged.
    Permissive,
    /// It is refused.
    Enforcing,
}

const MODES: [(&str, Mode); 4] = [
    ("disabled", Mode::Disabled),
    ("learning", Mode::Learning),
    ("permissive", Mode::Permissive),
    ("enforcing", Mode::Enforcing),
];

impl Mode {
    /// Its name, as the kernel prints it.
    pub fn name(self) -> &'static str {
        MODES.iter().find(|(_, mode)| *mode == self).map_or("disabled", |(name, _)| name)
    }
}

/// TOMOYO's files.
#[derive(Debug)]
pub struct Tomoyo {
    directory: Arc<OwnedFd>,
}

impl Tomoyo {
    /// Opens `/sys/kernel/security/tomoyo`.
    ///
    /// # Errors
    /// [`ErrorKind::NotActive`] without TOMOYO, [`ErrorKind::Untrusted`] when something else is mounted there,
    /// [`ErrorKind::Os`].
    pub fn open() -> Result<Self, Error> {
        active::require("tomoyo", "CONFIG_SECURITY_TOMOYO")?;
        file::directory(Path::new(DIRECTORY), SECURITYFS, "securityfs")
            .map(|directory| Self { directory: Arc::new(directory) })
    }

    /// The domain of the calling thread.
    ///
    /// # Errors
    /// [`ErrorKind::Os`], [`ErrorKind::Invalid`] when the kernel prints something else.
    pub fn own_domain(&self) -> Result<Domain, Error> {
        let what = "read the own TOMOYO domain";
        file::read(self.file(c"self_domain", Open::empty(), what)?, what)?.trim_end().parse()
    }

    /// The domain and profile of a process, as it is seen from outside.
    ///
    /// # Errors
    /// [`ErrorKind::Unknown`] when there is no such process, otherwise as [`Tomoyo::own_domain`].
    pub fn status(&self, pid: i32) -> Result<Status, Error> {
        let what = format!("ask for the TOMOYO domain of process {pid}");
        let mut question = self.file(c".process_status", Open::RDWR, &what)?;
        question.write_all(format!("{pid}\n").as_bytes()).map_err(|error| Error::io(&what, &error))?;
        let answer = file::read(&question, &what)?;
        // `PID PROFILE DOMAIN`, and nothing for a process that is not there.
        let mut parts = answer.trim_end().splitn(3, ' ');
        let numbers =
            (parts.next().and_then(|pid| pid.parse::<i32>().ok()), parts.next().and_then(|n| n.parse().ok()));
        match (numbers, parts.next()) {
            ((Some(found), Some(profile)), Some(domain)) if found == pid => {
                Ok(Status { profile, domain: domain.parse()? })
            }
            _ => Err(Error::new(ErrorKind::Unknown, format!("{what}: there is none"))),
        }
    }

    /// What a profile does with file operations, `CONFIG::file` before `CONFIG`.
    ///
    /// # Errors
    /// [`ErrorKind::Unknown`] when the profile is not defined, otherwise as [`Tomoyo::own_domain`].
    pub fn mode(&self, profile: u8) -> Result<Mode, Error> {
        let what = "read the TOMOYO profiles";
        let text = file::read(self.file(c"profile", Open::empty(), what)?, what)?;
        mode(&text, profile).ok_or_else(|| {
            Error::new(ErrorKind::Unknown, format!("{what}: profile {profile} is not defined"))
        })
    }

    /// Defines a profile that does this with files, and leaves everything else alone.
    ///
    /// Before the kernel is made to enforce (see the module's text), the profiles of all domains must be defined,
    /// profile 0 among them: the kernel panics over one that is not.
    ///
    /// # Errors
    /// [`ErrorKind::Os`] with `EPERM` when the caller is no manager.
    pub fn define(&self, profile: u8, files: Mode) -> Result<(), Error> {
        let mode = files.name();
        let text = format!(
            "PROFILE_VERSION=20150505\n{profile}-CONFIG={{ mode=disabled }}\n{profile}-CONFIG::file={{ mode={mode} }}\n"
        );
        self.write(c"profile", &text, &format!("define the TOMOYO profile {profile}"))
    }

    /// Makes the program at this path, or what is in this domain, a manager, who may write policy.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a path that is not absolute, [`ErrorKind::Os`].
    pub fn add_manager(&self, program: &Path) -> Result<(), Error> {
        let text = format!("{}\n", escape_path(program)?);
        self.write(c"manager", &text, &format!("make {} a manager of TOMOYO", program.display()))
    }

    /// Adds a domain with its profile and rules.
    ///
    /// # Errors
    /// [`ErrorKind::Os`] with `EPERM` when the caller is no manager. A rule that the kernel does not understand
    /// is left out by it without a word, so what was written is read back: [`ErrorKind::Mismatch`].
    pub fn add(&self, policy: &DomainPolicy) -> Result<(), Error> {
        let what = format!("write the TOMOYO policy of {}", policy.domain);
        self.write(c"domain_policy", &policy.text()?, &what)?;
        let all = file::read(self.file(c"domain_policy", Open::empty(), &what)?, &what)?;
        policy.found_in(&all).map_err(|missing| {
            let missing = crate::error::shown(&missing);
            Error::new(ErrorKind::Mismatch, format!("{what}: the kernel left out `{missing}`"))
        })
    }

    /// Has a child leave its domain for this one; it takes effect at once.
    ///
    /// The policy of the domain that it leaves must have `task manual_domain_transition` for it.
    pub fn lower_transition(&self, domain: &Domain, plan: &mut Plan) {
        let write = Step::Write {
            dir: At::Fd(Arc::clone(&self.directory)),
            path: c"self_domain".to_owned(),
            data: domain.as_str().as_bytes().to_vec(),
        };
        plan.push(format!("go to the TOMOYO domain {domain}"), write);
    }

    /// Compares the domain of a process with the one that it was to be in.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] when it is in another, otherwise as [`Tomoyo::status`].
    pub fn confirm(&self, pid: i32, domain: &Domain) -> Result<Status, Error> {
        let status = self.status(pid)?;
        if status.domain == *domain {
            return Ok(status);
        }
        let what =
            format!("process {pid} was to be in the TOMOYO domain {domain} and is in {}", status.domain);
        Err(Error::new(ErrorKind::Mismatch, what))
    }

    fn file(&self, name: &CStr, flags: Open, what: &str) -> Result<std::fs::File, Error> {
        file::below(self.directory.as_fd(), name, flags)
            .map_err(|number| not_manager(Error::os(what, number)))
    }

    /// One write a line: the kernel takes lines, and one that it refuses must be known.
    fn write(&self, name: &CStr, text: &str, what: &str) -> Result<(), Error> {
        let file = self.file(name, Open::WRONLY, what)?;
        for line in text.split_inclusive('\n') {
            file::write(&file, line.as_bytes(), &format!("{what}: `{}`", line.trim_end()))
                .map_err(not_manager)?;
        }
        Ok(())
    }
}

fn not_manager(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Os(Errno::EPERM) => error.with_hint(
            "once policy is loaded only a manager writes it: have the program's path or domain in \
             /sys/kernel/security/tomoyo/manager before",
        ),
        _ => error,
    }
}

/// The mode in the text of the file `profile`.
fn mode(text: &str, profile: u8) -> Option<Mode> {
    let config = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{profile}-{name}={{")))?;
        let found = line.split_whitespace().find_map(|word| word.strip_prefix("mode="))?;
        MODES.iter().find(|(name, _)| *name == found).map(|(_, mode)| *mode)
    };
    config("CONFIG::file").or_else(|| config("CONFIG"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_of_files_is_the_profiles_or_its_own() {
        let text = "PROFILE_VERSION=20150505\n0-COMMENT=\n\
                    0-CONFIG={ mode=disabled grant_log=yes reject_log=yes }\n\
                    3-CONFIG={ mode=disabled grant_log=yes }\n3-CONFIG::file={ mode=enforcing }\n\
                    30-CONFIG={ mode=learning }\n4-CONFIG={ mode=odd }\n";
        assert_eq!(mode(text, 0), Some(Mode::Disabled));
        assert_eq!(mode(text, 3), Some(Mode::Enforcing));
        assert_eq!(mode(text, 30), Some(Mode::Learning));
        assert_eq!((mode(text, 4), mode(text, 5)), (None, None));
    }

    #[test]
    fn without_tomoyo_there_is_nothing_to_open() {
        match Tomoyo::open() {
            Ok(tomoyo) => drop(tomoyo.own_domain()),
            Err(error) => assert!(
                matches!(error.kind(), ErrorKind::NotActive | ErrorKind::NoSecurityfs | ErrorKind::Os(_)),
                "{error}"
            ),
        }
    }
}
