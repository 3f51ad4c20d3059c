//! What the running kernel has, asked of the kernel and never of its version number.

use std::ffi::CString;

use cofferdam_sys::open::{Dir, Open, Resolve, openat2};
use cofferdam_sys::probe::Probe;
use cofferdam_sys::{Errno, Result, bpf};

use crate::{Cgroup, Controllers, Error, Hierarchy};

macro_rules! file_probe {
    ($file:literal, $since:literal, $beside:expr, $used:literal, $without:literal) => {
        Probe {
            name: $file,
            since: $since,
            used_for: $used,
            without: $without,
            ask: || has_file($file, $beside),
        }
    };
}

/// The facilities that this crate asks for. Those that are files of a v2 cgroup are looked for in the caller's
/// own cgroup, or where that is the root, in a child of it: on a machine without any they give `ENODATA`.
pub const PROBES: &[Probe] = &[
    file_probe!(
        "cgroup.kill",
        "5.14",
        None,
        "killing a cgroup at once",
        "processes are frozen and signalled"
    ),
    file_probe!("cgroup.pressure", "6.1", None, "switching pressure off for one cgroup", "refused"),
    file_probe!("cpu.max.burst", "5.14", Some("cpu.max"), "saving processor time up", "refused"),
    file_probe!("cpu.idle", "5.15", Some("cpu.max"), "running when nobody else wants to", "refused"),
    file_probe!(
        "cpuset.cpus.exclusive",
        "6.7",
        Some("cpuset.cpus"),
        "partitions below cgroups that are none",
        "refused"
    ),
    file_probe!("io.prio.class", "5.14", Some("io.max"), "changing the priority of I/O", "refused"),
    file_probe!("memory.peak", "5.19", Some("memory.max"), "the most memory that was used", "not reported"),
    file_probe!("memory.reclaim", "5.19", Some("memory.max"), "taking memory away", "refused"),
    file_probe!("memory.swap.peak", "6.5", Some("memory.swap.max"), "the most swap", "not reported"),
    file_probe!("memory.zswap.max", "5.19", Some("memory.max"), "a limit of compressed swap", "refused"),
    file_probe!(
        "memory.zswap.writeback",
        "6.8",
        Some("memory.max"),
        "keeping compressed swap off the disk",
        "refused"
    ),
    file_probe!("pids.peak", "6.1", Some("pids.max"), "the most processes there were", "not reported"),
    file_probe!(
        "pids.events.local",
        "6.11",
        Some("pids.max"),
        "forks refused by the own limit",
        "not reported"
    ),
    Probe {
        name: "misc_controller",
        since: "5.13",
        used_for: "limits of scalar resources",
        without: "refused",
        ask: || has_controller("misc"),
    },
    Probe {
        name: "dmem_controller",
        since: "6.14",
        used_for: "limits of device memory",
        without: "refused",
        ask: || has_controller("dmem"),
    },
    Probe {
        name: "psi",
        since: "4.20",
        used_for: "pressure and its triggers",
        without: "refused, with the option that brings it",
        ask: has_psi,
    },
    Probe {
        name: "cgroup_device_programs",
        since: "4.15",
        used_for: "device lists on v2, replaced in one step (5.6)",
        without: "refused",
        ask: has_device_programs,
    },
];

/// Whether a cgroup has a file. `beside` is a file that the controller had from its first day: without it
/// there is no answer.
fn has_file(file: &str, beside: Option<&str>) -> Result<bool> {
    let layout = Hierarchy::detect().map_err(number)?;
    let root = Cgroup::root(&layout).map_err(number)?;
    let own = layout.own_position().unwrap_or_default();
    let first = (!own.as_os_str().is_empty()).then(|| root.open(&own));
    let below = root.children().map_err(number)?.into_iter().map(|name| root.child(&name));
    for cgroup in first.into_iter().chain(below).flatten() {
        let Some(beside) = beside else { return there(&cgroup, file) };
        if there(&cgroup, beside)? {
            return there(&cgroup, file);
        }
    }
    Err(Errno::ENODATA)
}

fn there(cgroup: &Cgroup, file: &str) -> Result<bool> {
    let name = CString::new(file).map_err(|_| Errno::EINVAL)?;
    match openat2(Dir::Fd(cgroup.fd()), &name, Open::PATH, 0, Resolve::BENEATH) {
        Ok(_) => Ok(true),
        Err(Errno::ENOENT) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Whether the kernel has a controller, on either version.
fn has_controller(name: &str) -> Result<bool> {
    let text =
        std::fs::read_to_string("/proc/cgroups").map_err(|error| cofferdam_sys::errno::from_io(&error));
    let on_v1 = text.map(|text| text.lines().any(|line| line.split('\t').next() == Some(name)));
    if on_v1 == Ok(true) {
        return Ok(true);
    }
    // From Linux 6.12 some are listed here alone.
    let layout = Hierarchy::detect().map_err(number)?;
    let controllers: Controllers =
        Cgroup::root(&layout).and_then(|root| root.controllers()).map_err(number)?;
    Ok(controllers.contains(name))
}

fn has_psi() -> Result<bool> {
    match std::fs::read("/proc/pressure/memory").map_err(|error| cofferdam_sys::errno::from_io(&error)) {
        Ok(_) => Ok(true),
        // Not built in, or switched off.
        Err(Errno::ENOENT | Errno::EOPNOTSUPP) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn has_device_programs() -> Result<bool> {
    let root = Hierarchy::detect().and_then(|layout| Cgroup::root(&layout)).map_err(number)?;
    match bpf::cgroup_query(root.fd(), bpf::ATTACH_CGROUP_DEVICE, false) {
        Ok(_) => Ok(true),
        Err(Errno::ENOSYS | Errno::EINVAL) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// The kernel's answer in an error; a layout without v2 has none.
#[expect(clippy::needless_pass_by_value, reason = "as map_err takes it")]
fn number(error: Error) -> Errno {
    error.errno().unwrap_or(Errno::ENODATA)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_question_can_be_asked() {
        let mut names = std::collections::BTreeSet::new();
        for probe in PROBES {
            assert!(names.insert(probe.name), "{} is there twice", probe.name);
            // What this machine answers is its own business; it must not be a panic or a surprise.
            let answer = (probe.ask)();
            let refused = [Errno::ENODATA, Errno::EPERM, Errno::EACCES, Errno::ENOENT];
            assert!(answer.is_ok_and(|_| true) || refused.contains(&answer.unwrap_err()), "{}", probe.name);
        }
    }
}
