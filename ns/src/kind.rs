//! The eight kinds of namespace and their names.

use std::fmt;
use std::str::FromStr;

use cofferdam_sys::clone::Namespaces;

use crate::Error;

/// The eight kinds of namespace (`namespaces(7)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NsKind {
    /// `cgroup_namespaces(7)`.
    Cgroup,
    /// `ipc_namespaces(7)`.
    Ipc,
    /// `mount_namespaces(7)`.
    Mount,
    /// `network_namespaces(7)`.
    Network,
    /// `pid_namespaces(7)`.
    Pid,
    /// `time_namespaces(7)`.
    Time,
    /// `user_namespaces(7)`.
    User,
    /// `uts_namespaces(7)`.
    Uts,
}

impl NsKind {
    /// Every kind.
    pub const ALL: [NsKind; 8] = [
        NsKind::Cgroup,
        NsKind::Ipc,
        NsKind::Mount,
        NsKind::Network,
        NsKind::Pid,
        NsKind::Time,
        NsKind::User,
        NsKind::Uts,
    ];

    /// The kind's `CLONE_NEW*` flag.
    pub fn flag(self) -> Namespaces {
        match self {
            NsKind::Cgroup => Namespaces::CGROUP,
            NsKind::Ipc => Namespaces::IPC,
            NsKind::Mount => Namespaces::MOUNT,
            NsKind::Network => Namespaces::NET,
            NsKind::Pid => Namespaces::PID,
            NsKind::Time => Namespaces::TIME,
            NsKind::User => Namespaces::USER,
            NsKind::Uts => Namespaces::UTS,
        }
    }

    /// The kind of a single `CLONE_NEW*` flag.
    pub fn of_flag(flag: Namespaces) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.flag() == flag)
    }

    /// The name of its file below `/proc/PID/ns`.
    pub fn proc_name(self) -> &'static str {
        match self {
            NsKind::Cgroup => "cgroup",
            NsKind::Ipc => "ipc",
            NsKind::Mount => "mnt",
            NsKind::Network => "net",
            NsKind::Pid => "pid",
            NsKind::Time => "time",
            NsKind::User => "user",
            NsKind::Uts => "uts",
        }
    }
}

impl fmt::Display for NsKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.proc_name())
    }
}

impl FromStr for NsKind {
    type Err = Error;

    /// Reads a name as `/proc/PID/ns` has it.
    fn from_str(name: &str) -> Result<Self, Error> {
        let known = Self::ALL.into_iter().find(|kind| kind.proc_name() == name);
        known.ok_or_else(|| Error::invalid(format!("`{name}` is no kind of namespace")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn names_and_flags_are_one_to_one() {
        for kind in NsKind::ALL {
            assert_eq!(kind.proc_name().parse::<NsKind>().unwrap(), kind);
            assert_eq!(NsKind::of_flag(kind.flag()), Some(kind));
            assert_eq!(kind.flag().to_string(), kind.proc_name());
        }
        assert_eq!("mount".parse::<NsKind>().unwrap_err().kind(), ErrorKind::Invalid);
        assert_eq!(NsKind::of_flag(Namespaces::all()), None);
    }
}
