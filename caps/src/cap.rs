//! One capability: its number, its name, what it permits.

use std::fmt;
use std::str::FromStr;

use crate::suggest::nearest;
use crate::{Error, ErrorKind};

/// A capability by its number, 0 to 63 (`capabilities(7)`).
///
/// Numbers above [`Cap::LAST_NAMED`] are capabilities of a newer kernel; they print as `CAP_41`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cap(u8);

macro_rules! caps {
    ($($number:literal $name:ident $permits:literal,)*) => {
        impl Cap {
            $(
                #[doc = concat!("`CAP_", stringify!($name), "`: ", $permits, ".")]
                pub const $name: Cap = Cap($number);
            )*
        }

        /// Name without prefix and meaning, by number.
        const TABLE: &[(&str, &str)] = &[$((stringify!($name), $permits),)*];
    };
}

caps! {
    0 CHOWN "change the owner and group of any file",
    1 DAC_OVERRIDE "read, write and execute files whatever their permissions",
    2 DAC_READ_SEARCH "read files and search directories whatever their permissions; open_by_handle_at(2)",
    3 FOWNER "act as the owner of any file: chmod, utimes, extended attributes",
    4 FSETID "keep set-user-ID and set-group-ID bits when a file is changed",
    5 KILL "send signals to any process",
    6 SETGID "take any group id and set supplementary groups",
    7 SETUID "take any user id",
    8 SETPCAP "drop from the bounding set, add to the inheritable set, change the secure bits",
    9 LINUX_IMMUTABLE "set the immutable and append-only attributes of files",
    10 NET_BIND_SERVICE "bind to ports below 1024",
    11 NET_BROADCAST "unused by the kernel",
    12 NET_ADMIN "configure interfaces, addresses, routes, firewalls",
    13 NET_RAW "raw and packet sockets, any address with IP_TRANSPARENT",
    14 IPC_LOCK "lock memory beyond the limit",
    15 IPC_OWNER "use System V IPC objects whatever their permissions",
    16 SYS_MODULE "load and unload kernel modules",
    17 SYS_RAWIO "I/O ports, /dev/mem, /proc/kcore and raw device commands",
    18 SYS_CHROOT "chroot(2) and joining a mount namespace",
    19 SYS_PTRACE "trace any process and read its memory",
    20 SYS_PACCT "switch process accounting",
    21 SYS_ADMIN "mount, make and join namespaces, quotas, set the host name, and many more",
    22 SYS_BOOT "reboot(2) and kexec_load(2)",
    23 SYS_NICE "raise priorities, real-time scheduling, CPU affinity of any process",
    24 SYS_RESOURCE "exceed resource limits, quotas and reserved space",
    25 SYS_TIME "set the system clock and the hardware clock",
    26 SYS_TTY_CONFIG "vhangup(2) and privileged ioctls of terminals",
    27 MKNOD "make device nodes",
    28 LEASE "leases on files of others",
    29 AUDIT_WRITE "write records to the audit log",
    30 AUDIT_CONTROL "configure auditing",
    31 SETFCAP "set file capabilities; map id 0 into a user namespace",
    32 MAC_OVERRIDE "override the Smack policy",
    33 MAC_ADMIN "change the Smack policy",
    34 SYSLOG "privileged syslog(2); see kernel addresses in /proc",
    35 WAKE_ALARM "timers that wake the system",
    36 BLOCK_SUSPEND "keep the system from suspending",
    37 AUDIT_READ "read the audit log by netlink",
    38 PERFMON "performance monitoring and tracing (Linux 5.8)",
    39 BPF "load BPF programs and make maps (Linux 5.8)",
    40 CHECKPOINT_RESTORE "checkpoint and restore: choose pids, read map_files (Linux 5.9)",
}

impl Cap {
    /// The newest capability that has a name here.
    pub const LAST_NAMED: Cap = Cap::CHECKPOINT_RESTORE;

    /// The capability with a number; `None` above 63, for which the kernel's sets have no room.
    pub const fn from_number(number: u8) -> Option<Self> {
        if number < 64 { Some(Self(number)) } else { None }
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Its bit in a 64-bit set.
    pub(crate) const fn bit(self) -> u64 {
        1 << self.0
    }

    /// Every capability that has a name, by number.
    pub fn named() -> impl Iterator<Item = Cap> {
        (0..=Self::LAST_NAMED.0).map(Cap)
    }

    /// The names by number, without the prefix `CAP_`.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        TABLE.iter().map(|(name, _)| *name)
    }

    /// The name between two words, without a formatter: a child drops most of the capabilities that there are.
    pub(crate) fn within(self, before: &str, after: &str) -> String {
        match self.entry() {
            Some((name, _)) => [before, "CAP_", name, after].concat(),
            None => format!("{before}{self}{after}"),
        }
    }

    /// The name as `getcap(8)` writes it: `cap_sys_admin`, and a number for one without a name.
    pub(crate) fn lower_case(self) -> String {
        match self.entry() {
            Some((name, _)) => format!("cap_{}", name.to_ascii_lowercase()),
            None => self.0.to_string(),
        }
    }

    /// What it permits, in a few words, as an error's hint has room for.
    pub fn permits(self) -> &'static str {
        self.entry().map_or("unknown to this program: the kernel is newer", |(_, permits)| permits)
    }

    fn entry(self) -> Option<&'static (&'static str, &'static str)> {
        TABLE.get(usize::from(self.0))
    }
}

impl fmt::Display for Cap {
    /// The name as in `capabilities(7)`: `CAP_SYS_ADMIN`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entry() {
            Some((name, _)) => write!(f, "CAP_{name}"),
            None => write!(f, "CAP_{}", self.0),
        }
    }
}

impl fmt::Debug for Cap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Cap {
    type Err = Error;

    /// Reads `CAP_SYS_ADMIN` or `SYS_ADMIN` in either case, and `CAP_41` to `CAP_63`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        let named = Self::named().find(|cap| cap.entry().is_some_and(|(known, _)| *known == name));
        let numbered = || {
            let digits = name.bytes().all(|byte| byte.is_ascii_digit()) && !name.starts_with('0');
            let number = name.parse().ok().filter(|_| digits)?;
            Self::from_number(number).filter(|cap| *cap > Self::LAST_NAMED)
        };
        named.or_else(numbered).ok_or_else(|| {
            let hint = match nearest(text, Self::names()) {
                Some(name) => format!("did you mean CAP_{name}?"),
                None => "capabilities(7) lists the names, such as CAP_NET_BIND_SERVICE".to_owned(),
            };
            Error::new(ErrorKind::UnknownName, format!("`{}` is no capability", text.escape_default()))
                .with_hint(hint)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_kernels() {
        // From include/uapi/linux/capability.h.
        assert_eq!(Cap::CHOWN.number(), 0);
        assert_eq!(Cap::SETPCAP.number(), 8);
        assert_eq!(Cap::SYS_ADMIN.number(), 21);
        assert_eq!(Cap::SETFCAP.number(), 31);
        assert_eq!(Cap::CHECKPOINT_RESTORE.number(), 40);
        assert_eq!(Cap::named().count(), TABLE.len());
    }

    #[test]
    fn names_are_read_in_all_forms() {
        for text in ["CAP_SYS_ADMIN", "SYS_ADMIN", "cap_sys_admin", "sys_admin"] {
            assert_eq!(text.parse::<Cap>().unwrap(), Cap::SYS_ADMIN);
        }
        assert_eq!("CAP_41".parse::<Cap>().unwrap().number(), 41);
        assert_eq!(Cap::from_number(64), None);
        for text in ["", "CAP_", "ADMIN", "CAP_CAP_KILL", "CAP_21", "041", "64", "+41", " KILL", "ALL"] {
            assert_eq!(text.parse::<Cap>().unwrap_err().kind(), ErrorKind::UnknownName, "{text}");
        }
    }

    #[test]
    fn a_slip_is_answered_with_the_near_name() {
        let error = "CAP_NET_ADMN".parse::<Cap>().unwrap_err();
        assert_eq!(error.to_string(), "`CAP_NET_ADMN` is no capability; did you mean CAP_NET_ADMIN?");
        assert!("X".parse::<Cap>().unwrap_err().to_string().contains("capabilities(7)"));
    }

    #[test]
    fn each_meaning_is_one_line_of_its_own() {
        let mut seen = std::collections::HashSet::new();
        for cap in Cap::named() {
            let permits = cap.permits();
            assert!(
                seen.insert(permits) && permits.len() < 90 && !permits.ends_with('.'),
                "{cap}: {permits}"
            );
        }
        assert!(Cap::from_number(41).unwrap().permits().contains("newer"));
    }

    #[test]
    fn what_is_printed_is_read_back() {
        for number in 0..64 {
            let cap = Cap::from_number(number).unwrap();
            assert_eq!(cap.to_string().parse::<Cap>().unwrap(), cap);
            assert!(!cap.permits().is_empty());
        }
    }
}
