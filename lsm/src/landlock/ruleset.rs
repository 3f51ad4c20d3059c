//! A ruleset as plain data.

use std::path::{Path, PathBuf};

use super::prepared::Prepared;
use super::report::{Missing, Report, missing};
use super::{FsAccess, LogFlags, NetAccess, Scopes, absent, landlock_abi};
use crate::error::shown;
use crate::{Error, ErrorKind};

/// What is allowed on a file, or on a directory and all below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathRule {
    /// The file or directory; links are followed when the ruleset is made.
    pub path: PathBuf,
    /// What is allowed. For a file that is no directory, what has no meaning there is left out.
    pub access: FsAccess,
}

/// What is allowed with a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRule {
    /// The port; 0 for binding means any that the kernel picks.
    pub port: u16,
    /// What is allowed.
    pub access: NetAccess,
}

/// A ruleset (`landlock(7)`): what is handled is refused, but where a rule allows it.
///
/// What is not handled is not touched: with `handled_net` empty the network is as without Landlock.
/// By default all that is named here must be enforced; [`Ruleset::prepare_best_effort`] takes what there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct Ruleset {
    /// The file rights that are refused but where a rule allows them.
    pub handled_fs: FsAccess,
    /// The port rights that are refused but where a rule allows them.
    pub handled_net: NetAccess,
    /// What may not reach processes outside.
    pub scopes: Scopes,
    /// What the audit log is told.
    pub log: LogFlags,
    /// What is allowed with files.
    pub paths: Vec<PathRule>,
    /// What is allowed with ports.
    pub ports: Vec<PortRule>,
}

impl Ruleset {
    /// A ruleset that handles nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Refuses these file rights but where a rule allows them.
    pub fn handle_fs(mut self, access: FsAccess) -> Self {
        self.handled_fs |= access;
        self
    }

    /// Refuses these port rights but where a rule allows them.
    pub fn handle_net(mut self, access: NetAccess) -> Self {
        self.handled_net |= access;
        self
    }

    /// Keeps these from reaching processes outside.
    pub fn scope(mut self, scopes: Scopes) -> Self {
        self.scopes |= scopes;
        self
    }

    /// Tells the audit log so.
    pub fn log(mut self, flags: LogFlags) -> Self {
        self.log |= flags;
        self
    }

    /// Allows this on a file, or on a directory and all below it.
    pub fn allow_path(mut self, path: impl Into<PathBuf>, access: FsAccess) -> Self {
        self.paths.push(PathRule { path: path.into(), access });
        self
    }

    /// Allows this with a port.
    pub fn allow_port(mut self, port: u16, access: NetAccess) -> Self {
        self.ports.push(PortRule { port, access });
        self
    }

    /// Looks for contradictions.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a ruleset that handles nothing, and for a rule that allows nothing or what is
    /// not handled.
    pub fn validate(&self) -> Result<(), Error> {
        let invalid = |what: String| Err(Error::invalid(format!("Landlock ruleset: {what}")));
        if self.handled_fs.is_empty() && self.handled_net.is_empty() && self.scopes.is_empty() {
            return invalid("it handles nothing, so it would forbid nothing".to_owned());
        }
        let unknown = self.handled_fs.bits() & !FsAccess::all().bits();
        if unknown != 0
            || !NetAccess::all().contains(self.handled_net)
            || !Scopes::all().contains(self.scopes)
        {
            return invalid("it handles rights that have no name".to_owned());
        }
        for rule in &self.paths {
            let path = shown(&rule.path.to_string_lossy());
            if rule.path.as_os_str().is_empty() || rule.access.is_empty() {
                return invalid(format!("the rule for `{path}` has no path, or allows nothing"));
            }
            let beyond = rule.access - self.handled_fs;
            if !beyond.is_empty() {
                return invalid(format!("the rule for `{path}` allows {beyond:?}, which is not handled"));
            }
        }
        for rule in &self.ports {
            let beyond = rule.access - self.handled_net;
            if rule.access.is_empty() || !beyond.is_empty() {
                return invalid(format!(
                    "the rule for port {} allows nothing, or what is not handled",
                    rule.port
                ));
            }
        }
        Ok(())
    }

    /// What a kernel with this ABI does not know of all this; 0 stands for no Landlock.
    pub fn missing(&self, abi: u32) -> Vec<Missing> {
        let mut all = missing("LANDLOCK_ACCESS_FS_", &self.handled_fs, abi, FsAccess::of_abi);
        all.extend(missing("LANDLOCK_ACCESS_NET_", &self.handled_net, abi, NetAccess::of_abi));
        all.extend(missing("LANDLOCK_SCOPE_", &self.scopes, abi, Scopes::of_abi));
        all.extend(missing("LANDLOCK_RESTRICT_SELF_LOG_", &self.log, abi, LogFlags::of_abi));
        all
    }

    /// What of it a kernel with this ABI can enforce, and the report of it.
    pub fn limited_to(&self, abi: Option<u32>) -> (Self, Report) {
        let known = abi.unwrap_or(0);
        let (fs, net) = (FsAccess::of_abi(known), NetAccess::of_abi(known));
        let limited = Self {
            handled_fs: self.handled_fs & fs,
            handled_net: self.handled_net & net,
            scopes: self.scopes & Scopes::of_abi(known),
            log: self.log & LogFlags::of_abi(known),
            paths: self
                .paths
                .iter()
                .map(|rule| PathRule { path: rule.path.clone(), access: rule.access & fs })
                .filter(|rule| !rule.access.is_empty())
                .collect(),
            ports: self
                .ports
                .iter()
                .map(|rule| PortRule { port: rule.port, access: rule.access & net })
                .filter(|rule| !rule.access.is_empty())
                .collect(),
        };
        let report = Report {
            abi,
            fs: limited.handled_fs,
            net: limited.handled_net,
            scopes: limited.scopes,
            log: limited.log,
            missing: self.missing(known),
        };
        (limited, report)
    }

    /// Makes the ruleset in the kernel, with its paths opened now.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] as [`Ruleset::validate`]; [`ErrorKind::Unsupported`] when the kernel does not know
    /// all of it, with the release that does; [`ErrorKind::Os`] for a path that cannot be opened.
    pub fn prepare(&self) -> Result<Prepared, Error> {
        self.enforceable()?;
        Prepared::new(self, None)
    }

    /// The same for a child that changes its root: the paths are opened by the child, as they are there then.
    ///
    /// `root` is the directory that absolute paths begin at; `/` after `pivot_root(2)`.
    ///
    /// # Errors
    /// As [`Ruleset::prepare`].
    pub fn prepare_for_root(&self, root: &Path) -> Result<Prepared, Error> {
        self.enforceable()?;
        Prepared::new(self, Some(root))
    }

    /// Makes of the ruleset what the kernel knows, which may be nothing at all.
    ///
    /// # Errors
    /// As [`Ruleset::prepare`], but for what the kernel does not know.
    pub fn prepare_best_effort(&self) -> Result<(Prepared, Report), Error> {
        let (limited, report) = self.enforceable_part()?;
        Ok((Prepared::new(&limited, None)?, report))
    }

    /// The same for a child that changes its root, see [`Ruleset::prepare_for_root`].
    ///
    /// # Errors
    /// As [`Ruleset::prepare_best_effort`].
    pub fn prepare_best_effort_for_root(&self, root: &Path) -> Result<(Prepared, Report), Error> {
        let (limited, report) = self.enforceable_part()?;
        Ok((Prepared::new(&limited, Some(root))?, report))
    }

    fn enforceable_part(&self) -> Result<(Self, Report), Error> {
        self.validate()?;
        Ok(self.limited_to(landlock_abi()?))
    }

    /// Fails unless the kernel knows all of it.
    fn enforceable(&self) -> Result<(), Error> {
        self.validate()?;
        let abi = landlock_abi()?.ok_or_else(absent)?;
        let missing = self.missing(abi);
        let Some(newest) = missing.iter().max_by_key(|missing| missing.abi) else { return Ok(()) };
        let names: Vec<&str> = missing.iter().map(|missing| missing.name.as_str()).collect();
        let linux = super::linux_of_abi(newest.abi).unwrap_or("newer");
        let what = format!("Landlock ABI {abi} of this kernel does not know {}", names.join(", "));
        let hint = format!(
            "needs Linux {linux} (ABI {}), or ask for best effort and look at the report",
            newest.abi
        );
        Err(Error::new(ErrorKind::Unsupported, what).with_hint(hint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ruleset() -> Ruleset {
        Ruleset::new()
            .handle_fs(FsAccess::READ | FsAccess::WRITE)
            .handle_net(NetAccess::BIND_TCP)
            .scope(Scopes::SIGNAL)
            .allow_path("/etc", FsAccess::READ)
            .allow_path("/tmp", FsAccess::REFER)
            .allow_port(80, NetAccess::BIND_TCP)
    }

    #[test]
    fn contradictions_are_named() {
        assert_eq!(ruleset().validate(), Ok(()));
        let texts = [
            (Ruleset::new(), "it handles nothing, so it would forbid nothing"),
            (
                ruleset().allow_path("/x", FsAccess::EXECUTE),
                "the rule for `/x` allows FsAccess(EXECUTE), which is not handled",
            ),
            (
                ruleset().allow_path("/x", FsAccess::empty()),
                "the rule for `/x` has no path, or allows nothing",
            ),
            (ruleset().allow_path("", FsAccess::READ), "the rule for `` has no path, or allows nothing"),
            (
                ruleset().allow_port(1, NetAccess::BIND_UDP),
                "the rule for port 1 allows nothing, or what is not handled",
            ),
            (ruleset().handle_fs(FsAccess::from_bits_retain(1 << 60)), "it handles rights that have no name"),
        ];
        for (ruleset, text) in texts {
            assert_eq!(ruleset.validate().unwrap_err().to_string(), format!("Landlock ruleset: {text}"));
        }
    }

    #[test]
    fn an_older_kernel_enforces_less_and_says_so() {
        let (limited, report) = ruleset().limited_to(Some(1));
        assert_eq!(limited.handled_fs, (FsAccess::READ | FsAccess::WRITE) & FsAccess::of_abi(1));
        assert_eq!(limited.paths, [PathRule { path: "/etc".into(), access: FsAccess::READ }]);
        assert_eq!((limited.ports.len(), limited.scopes), (0, Scopes::empty()));
        let names: Vec<&str> = report.missing.iter().map(|missing| missing.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "LANDLOCK_ACCESS_FS_REFER",
                "LANDLOCK_ACCESS_FS_TRUNCATE",
                "LANDLOCK_ACCESS_NET_BIND_TCP",
                "LANDLOCK_SCOPE_SIGNAL"
            ]
        );
        let (none, report) = ruleset().limited_to(None);
        assert!(report.is_nothing() && none.paths.is_empty() && !report.is_complete());
        let (all, report) = ruleset().limited_to(Some(99));
        assert!(report.is_complete() && all == ruleset());
    }

    proptest! {
        /// What is enforced and what is missing are together what was asked for.
        #[test]
        fn nothing_is_lost(fs in 0u64..1 << 17, net in 0u64..16, scopes in 0u64..4, abi in 0u32..12) {
            let asked = Ruleset {
                handled_fs: FsAccess::from_bits_retain(fs),
                handled_net: NetAccess::from_bits_retain(net),
                scopes: Scopes::from_bits_retain(scopes),
                ..Ruleset::new()
            };
            let (limited, report) = asked.limited_to(Some(abi));
            let count = |ruleset: &Ruleset| {
                ruleset.handled_fs.bits().count_ones()
                    + ruleset.handled_net.bits().count_ones()
                    + ruleset.scopes.bits().count_ones()
            };
            prop_assert_eq!(count(&limited) as usize + report.missing.len(), count(&asked) as usize);
            prop_assert!(report.missing.iter().all(|missing| missing.abi > abi));
            prop_assert!(limited.missing(abi).is_empty());
        }
    }
}
