//! What this crate asks the kernel for.

use cofferdam_sys::probe::Probe;
use cofferdam_sys::{Result, errno, facility, nsfs};

/// The facilities that this crate asks for.
pub const PROBES: &[Probe] = &[
    Probe {
        name: "clone3",
        since: "5.3",
        used_for: "a child born in its namespaces and cgroup, time namespaces included",
        without: "clone(2), a move to the cgroup before the first step, one more fork for a time namespace",
        ask: facility::has_clone3,
    },
    Probe {
        name: "setns_pidfd",
        since: "5.8",
        used_for: "joining several namespaces of a process in one call",
        without: "only namespace files are joined",
        ask: nsfs::has_setns_pidfd,
    },
    Probe {
        name: "time_namespace",
        since: "5.6",
        used_for: "clocks of a container's own",
        without: "a time namespace is refused",
        ask: has_time_namespaces,
    },
    Probe {
        name: "namespace_id",
        since: "6.18",
        used_for: "a number of a namespace that is never used again",
        without: "device and inode, which are used again after its end",
        ask: nsfs::has_id,
    },
    Probe {
        name: "mount_namespace_id",
        since: "6.11",
        used_for: "such a number of a mount namespace",
        without: "device and inode",
        ask: nsfs::has_mount_id,
    },
];

/// Whether `/proc/PID/ns` has the file (`CONFIG_TIME_NS`).
fn has_time_namespaces() -> Result<bool> {
    match std::fs::metadata("/proc/thread-self/ns/time") {
        Ok(_) => Ok(true),
        // Without procfs nothing is known.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            std::fs::metadata("/proc/thread-self/ns/user")
                .map(|_| false)
                .map_err(|error| errno::from_io(&error))
        }
        Err(error) => Err(errno::from_io(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_has_an_answer() {
        for probe in PROBES {
            assert!((probe.ask)().is_ok(), "{}", probe.name);
        }
    }
}
