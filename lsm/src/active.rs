//! Which Linux security modules are active.

use std::path::Path;

use cofferdam_sys::{Errno, lsm};

use crate::error::shown;
use crate::file;
use crate::{Error, ErrorKind};

const LIST: &str = "/sys/kernel/security/lsm";

/// `LSM_ID_*` of `linux/lsm.h` with the names that the kernel prints.
const IDS: [(u64, &str); 14] = [
    (100, "capability"),
    (101, "selinux"),
    (102, "smack"),
    (103, "tomoyo"),
    (104, "apparmor"),
    (105, "yama"),
    (106, "loadpin"),
    (107, "safesetid"),
    (108, "lockdown"),
    (109, "bpf"),
    (110, "landlock"),
    (111, "ima"),
    (112, "evm"),
    (113, "ipe"),
];

/// The active security modules, in the order in which the kernel asks them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveModules(Vec<String>);

impl ActiveModules {
    /// Reads a list as the kernel prints it: names with commas between.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for anything else.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
        let module = |name: &str| {
            let good = !name.is_empty() && name.bytes().all(plain);
            good.then(|| name.to_owned()).ok_or_else(|| {
                Error::invalid(format!("list of security modules: `{}` is no name of one", shown(name)))
            })
        };
        text.split(',').map(module).collect::<Result<_, _>>().map(Self)
    }

    /// The modules with these `LSM_ID_*`; `None` when this build does not know the name of one.
    fn of_ids(ids: &[u64]) -> Option<Self> {
        let name = |id: &u64| IDS.iter().find(|(known, _)| known == id).map(|(_, name)| (*name).to_owned());
        ids.iter().map(name).collect::<Option<_>>().map(Self)
    }

    /// Whether a module is active: `apparmor`, `selinux`, `smack`, `tomoyo`, `landlock`, `lockdown` …
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|module| module == name)
    }

    /// The names in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// The security modules that are active on this machine.
///
/// Asked with `lsm_list_modules(2)` (Linux 6.8), which needs no mount; before that, or when the kernel names a
/// module that this build does not know, read from `/sys/kernel/security/lsm` (Linux 4.16).
///
/// # Errors
/// [`ErrorKind::NoSecurityfs`] when that is needed and not mounted; [`ErrorKind::Os`] otherwise.
pub fn active() -> Result<ActiveModules, Error> {
    match lsm::list_modules() {
        Ok(ids) => match ActiveModules::of_ids(&ids) {
            Some(modules) => Ok(modules),
            None => listed(),
        },
        // Old, or a seccomp filter that does not know the call: both say the same.
        Err(Errno::ENOSYS | Errno::EPERM) => listed(),
        Err(number) => Err(Error::os("list the security modules (lsm_list_modules)", number)),
    }
}

/// The same as securityfs tells it, whatever system calls there are.
///
/// # Errors
/// [`ErrorKind::NoSecurityfs`] when that is not mounted; [`ErrorKind::Os`] otherwise.
pub fn listed() -> Result<ActiveModules, Error> {
    read(Path::new(LIST))
}

fn read(path: &Path) -> Result<ActiveModules, Error> {
    let text = file::text(path).map_err(|error| match error.kind() {
        ErrorKind::Os(Errno::ENOENT | Errno::ENOTDIR) => Error::new(
            ErrorKind::NoSecurityfs,
            format!("read {}: securityfs is not mounted there", path.display()),
        ),
        _ => error,
    })?;
    ActiveModules::parse(&text)
}

/// Fails unless a module is active.
pub(crate) fn require(name: &str, config: &'static str) -> Result<(), Error> {
    let modules = active()?;
    if modules.contains(name) {
        return Ok(());
    }
    let active = modules.iter().collect::<Vec<_>>().join(",");
    let what = format!("{name} is not active; the active security modules are {active}");
    let hint = format!("boot with lsm={active},{name} or security={name} (needs {config})");
    Err(Error::new(ErrorKind::NotActive, what).with_hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_in_order() {
        let modules = ActiveModules::parse("capability,landlock,lockdown,yama,apparmor,bpf\n").unwrap();
        assert!(modules.contains("apparmor") && !modules.contains("app"));
        assert_eq!(modules.iter().next(), Some("capability"));
        assert_eq!(ActiveModules::parse("").unwrap().iter().count(), 0);
    }

    #[test]
    fn ids_have_names_or_the_list_is_read() {
        let modules = ActiveModules::of_ids(&[108, 100, 104]).unwrap();
        assert_eq!(modules.iter().collect::<Vec<_>>(), ["lockdown", "capability", "apparmor"]);
        assert_eq!(ActiveModules::of_ids(&[100, 999]), None);
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        for text in ["capability,", ",", "a b", "Capability", "a\n\n", "a\u{0}", "\u{e9}"] {
            assert_eq!(ActiveModules::parse(text).unwrap_err().kind(), ErrorKind::Invalid, "{text:?}");
        }
        let error = ActiveModules::parse("yama,<x>").unwrap_err();
        assert_eq!(error.to_string(), "list of security modules: `<x>` is no name of one");
    }

    #[test]
    fn a_machine_without_securityfs_is_told_so() {
        let error = read(Path::new("/nowhere/lsm")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSecurityfs);
        assert_eq!(
            error.to_string(),
            "read /nowhere/lsm: securityfs is not mounted there; \
             mount -t securityfs none /sys/kernel/security (needs CONFIG_SECURITYFS)"
        );
        let error = read(Path::new("/proc")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Os(Errno::EISDIR));
        match active() {
            Ok(modules) => assert!(modules.iter().count() > 0),
            Err(error) => assert_eq!(error.kind(), ErrorKind::NoSecurityfs, "{error}"),
        }
    }

    #[test]
    fn what_is_not_active_is_named_with_its_remedy() {
        if active().is_err() {
            // Neither the call nor securityfs: nothing to ask here.
            return;
        }
        let error = require("nosuchmodule", "CONFIG_SECURITY_NONE").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotActive);
        let text = error.to_string();
        assert!(text.starts_with("nosuchmodule is not active; ") && text.contains("CONFIG_SECURITY_NONE"));
    }
}
