//! Which Linux security modules are active.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use cofferdam_sys::{Errno, errno};

use crate::{Error, ErrorKind};

const LIST: &str = "/sys/kernel/security/lsm";

/// More than any kernel's list.
const READ_LIMIT: u64 = 4096;

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
                let shown: String = name.chars().take(40).collect();
                let what =
                    format!("list of security modules: `{}` is no name of one", shown.escape_default());
                Error::new(ErrorKind::Invalid, what)
            })
        };
        text.split(',').map(module).collect::<Result<_, _>>().map(Self)
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

/// The security modules that are active on this machine, from `/sys/kernel/security/lsm` (Linux 4.16).
///
/// # Errors
/// [`ErrorKind::NoSecurityfs`] when that is not mounted; [`ErrorKind::Os`] otherwise.
pub fn active() -> Result<ActiveModules, Error> {
    read(Path::new(LIST))
}

fn read(path: &Path) -> Result<ActiveModules, Error> {
    let what = || format!("read {}", path.display());
    let os = |error: &io::Error| match errno::from_io(error) {
        Errno::ENOENT | Errno::ENOTDIR => {
            Error::new(ErrorKind::NoSecurityfs, format!("{}: securityfs is not mounted there", what()))
        }
        number => Error::new(ErrorKind::Os(number), what()),
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| os(&error))?;
    file.take(READ_LIMIT).read_to_end(&mut bytes).map_err(|error| os(&error))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Error::new(ErrorKind::Invalid, format!("{}: it is not UTF-8", what())))?;
    ActiveModules::parse(&text)
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
}
