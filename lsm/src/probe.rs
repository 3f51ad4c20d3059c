//! The kernel facilities that this crate asks for.

use std::path::Path;

pub use cofferdam_sys::probe::Probe;
use cofferdam_sys::{Errno, errno, facility, lsm};

/// Each facility with its history and its question.
pub const PROBES: &[Probe] = &[
    Probe {
        name: "landlock",
        since: "5.13",
        used_for: "confining a process by its own rules",
        without: "a ruleset is refused",
        ask: || has_abi(1),
    },
    Probe {
        name: "landlock_refer",
        since: "5.19",
        used_for: "allowing links and renames between directories (Landlock ABI 2)",
        without: "they are refused to every restricted process",
        ask: || has_abi(2),
    },
    Probe {
        name: "landlock_truncate",
        since: "6.2",
        used_for: "forbidding to truncate files (Landlock ABI 3)",
        without: "a ruleset that handles it is refused, or the report has it as missing",
        ask: || has_abi(3),
    },
    Probe {
        name: "landlock_tcp",
        since: "6.7",
        used_for: "forbidding to bind and connect TCP ports (Landlock ABI 4)",
        without: "a ruleset that handles it is refused, or the report has it as missing",
        ask: || has_abi(4),
    },
    Probe {
        name: "landlock_ioctl_dev",
        since: "6.10",
        used_for: "forbidding ioctl(2) on devices (Landlock ABI 5)",
        without: "a ruleset that handles it is refused, or the report has it as missing",
        ask: || has_abi(5),
    },
    Probe {
        name: "landlock_scope",
        since: "6.12",
        used_for: "keeping signals and abstract sockets inside (Landlock ABI 6)",
        without: "a ruleset that asks for it is refused, or the report has it as missing",
        ask: || has_abi(6),
    },
    Probe {
        name: "landlock_log",
        since: "6.15",
        used_for: "telling the audit log more or less (Landlock ABI 7)",
        without: "a ruleset with log flags is refused, or the report has them as missing",
        ask: || has_abi(7),
    },
    Probe {
        name: "landlock_all_threads",
        since: "7.0",
        used_for: "restricting all threads of a process at once (Landlock ABI 8)",
        without: "only one thread at a time is restricted, restrict_process is refused",
        ask: || has_abi(8),
    },
    Probe {
        name: "landlock_resolve_unix",
        since: "7.1",
        used_for: "forbidding to connect to sockets by their path (Landlock ABI 9)",
        without: "a ruleset that handles it is refused, or the report has it as missing",
        ask: || has_abi(9),
    },
    Probe {
        name: "landlock_udp",
        since: "7.2",
        used_for: "forbidding to bind, connect and send by UDP ports (Landlock ABI 10)",
        without: "a ruleset that handles it is refused, or the report has it as missing",
        ask: || has_abi(10),
    },
    Probe {
        name: "lsm_calls",
        since: "6.8",
        used_for: "listing the security modules and setting labels by system call",
        without: "securityfs and a verified procfs are used",
        ask: lsm::has_calls,
    },
    Probe {
        name: "apparmor_attr",
        since: "5.8",
        used_for: "AppArmor's attributes in a directory of their own, whatever module is the first",
        without: "the files that all modules share are used",
        ask: || exists("/proc/self/attr/apparmor/exec"),
    },
];

fn has_abi(wanted: u32) -> cofferdam_sys::Result<bool> {
    Ok(facility::landlock_abi()?.is_some_and(|abi| abi >= wanted))
}

fn exists(path: &str) -> cofferdam_sys::Result<bool> {
    match Path::new(path).metadata().map_err(|error| errno::from_io(&error)) {
        Ok(_) => Ok(true),
        Err(Errno::ENOENT) => Ok(false),
        Err(number) => Err(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_has_an_answer_here() {
        for probe in PROBES {
            assert!((probe.ask)().is_ok(), "{}", probe.name);
        }
    }
}
