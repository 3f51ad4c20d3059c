//! Writing limits to a v2 cgroup, and what a refusal means.

use cofferdam_sys::Errno;

use super::Limits;
use crate::{Cgroup, Error, ErrorKind, Result};

impl Cgroup {
    /// Writes limits; the first that the kernel refuses ends it, and those before it stay.
    ///
    /// For a new cgroup, which is deleted when this fails. For one in use see [`Cgroup::update`].
    ///
    /// # Errors
    /// [`ErrorKind::NoController`] for a file that is not there; [`ErrorKind::Invalid`] for a name that
    /// belongs to no controller or a value that the kernel does not take; [`ErrorKind::Unsupported`] for
    /// [`Limits::legacy`]; otherwise as the write. The error names file and value.
    pub fn apply(&self, limits: &Limits) -> Result<()> {
        check(limits)?;
        limits.writes().iter().try_for_each(|(file, value)| self.write_limit(file, value))
    }

    /// Writes limits, or none: what was written before a refusal gets its old value again.
    ///
    /// # Errors
    /// As [`Cgroup::apply`], with what could not be put back.
    pub fn update(&self, limits: &Limits) -> Result<()> {
        check(limits)?;
        let writes = limits.writes();
        let old: Vec<Option<String>> =
            writes.iter().map(|(file, value)| self.old(file, value)).collect::<Result<_>>()?;
        for (number, (file, value)) in writes.iter().enumerate() {
            let Err(error) = self.write_limit(file, value) else { continue };
            let mut back = writes.iter().zip(&old).take(number).rev();
            let failed = back.find_map(|((file, _), old)| self.files().write(file, old.as_ref()?).err());
            return Err(match failed {
                Some(failed) => error.with_cleanup(&failed),
                None => error,
            });
        }
        Ok(())
    }

    /// What puts the present value back, for a file and the value that replaces it.
    fn old(&self, file: &str, value: &str) -> Result<Option<String>> {
        let Some(text) = self.files().read_if_there(file)? else { return Ok(None) };
        // A file with a line for each device: the line of that device, or what the kernel has without one.
        let Some((key, _)) = value.split_once(' ').filter(|_| file != "cpu.max") else {
            return Ok(Some(text.trim_end().to_owned()));
        };
        let line = text.lines().find(|line| line.split(' ').next() == Some(key));
        Ok(line.map(str::to_owned).or_else(|| none(file, key)))
    }

    fn write_limit(&self, file: &str, value: &str) -> Result<()> {
        match self.files().write(file, value) {
            Err(error) if error.errno() == Some(Errno::ENOENT) && value == "max" => Ok(()),
            result => result.map_err(|error| explain(error, file)),
        }
    }
}

/// What a file with a line for each device is told to have none for this one.
fn none(file: &str, key: &str) -> Option<String> {
    Some(match file {
        "io.max" => format!("{key} rbps=max wbps=max riops=max wiops=max"),
        "io.latency" => format!("{key} target=0"),
        "io.weight" => format!("{key} default"),
        "rdma.max" => format!("{key} hca_handle=max hca_object=max"),
        "misc.max" | "dmem.max" => format!("{key} max"),
        "dmem.low" | "dmem.min" => format!("{key} 0"),
        _ => return None,
    })
}

fn check(limits: &Limits) -> Result<()> {
    if let Some((file, _)) = limits.legacy.first() {
        let what = format!("`{}` is a file of cgroup v1, and this cgroup is of v2", file.escape_default());
        return Err(Error::new(ErrorKind::Unsupported, what));
    }
    let wrong = |file: &str| {
        let (controller, _) = file.split_once('.').unwrap_or_default();
        controller.is_empty() || controller == "cgroup" || file.contains(['/', '\0'])
    };
    match limits.unified.iter().find(|(file, _)| wrong(file)) {
        Some((file, _)) => {
            let what = format!("`{}` is no interface file of a controller", file.escape_default());
            Err(Error::new(ErrorKind::Invalid, what))
        }
        None => Ok(()),
    }
}

/// Adds the likely cause to a refused write.
pub(crate) fn explain(error: Error, file: &str) -> Error {
    match error.errno() {
        Some(Errno::ENOENT) => error.with_kind(ErrorKind::NoController).with_hint(missing(file)),
        Some(Errno::ENODEV) => error.with_kind(ErrorKind::Invalid).with_hint(
            "there is no such device, or it is a partition, or its scheduler or driver does not take this",
        ),
        Some(Errno::EINVAL | Errno::ERANGE | Errno::EDOM) => {
            error.with_kind(ErrorKind::Invalid).with_hint("the kernel does not take this value")
        }
        Some(Errno::ENOSPC) => {
            error.with_kind(ErrorKind::Invalid).with_hint("the cpuset would have processes and no processors")
        }
        Some(Errno::EBUSY) => error.with_hint("more is in use than that and cannot be taken back"),
        Some(Errno::EOPNOTSUPP) => {
            error.with_hint("the kernel has switched this off for the present setting")
        }
        _ => error,
    }
}

/// Files that came after Linux 5.10, or that a kernel may be built without.
const LATER: [(&str, &str); 14] = [
    ("memory.swap.", "the kernel does not count swap (CONFIG_SWAP, swapaccount=1)"),
    ("memory.zswap.writeback", "it is there since Linux 6.8, with CONFIG_ZSWAP"),
    ("memory.zswap.", "it is there since Linux 5.19, with CONFIG_ZSWAP"),
    ("memory.peak", "it is there since Linux 5.19"),
    ("memory.reclaim", "it is there since Linux 5.19"),
    ("cpu.max.burst", "it is there since Linux 5.14"),
    ("cpu.idle", "it is there since Linux 5.15"),
    ("cpu.uclamp.", "the kernel was built without CONFIG_UCLAMP_TASK_GROUP"),
    ("cpuset.cpus.exclusive", "it is there since Linux 6.7"),
    ("io.prio.class", "it is there since Linux 5.14, with CONFIG_BLK_CGROUP_IOPRIO"),
    ("io.latency", "the kernel was built without CONFIG_BLK_CGROUP_IOLATENCY"),
    ("io.bfq.weight", "the kernel has no BFQ scheduler (CONFIG_BFQ_GROUP_IOSCHED, modprobe bfq)"),
    ("io.weight", "the kernel has neither BFQ nor iocost (CONFIG_BLK_CGROUP_IOCOST, modprobe bfq)"),
    ("dmem.", "it is there since Linux 6.14, with CONFIG_CGROUP_DMEM and a driver that uses it"),
];

fn missing(file: &str) -> String {
    let controller = file.split_once('.').map_or(file, |(controller, _)| controller);
    let enable = format!("the controller {controller} is not enabled in the parent's cgroup.subtree_control");
    match LATER.iter().find(|(prefix, _)| file.starts_with(prefix)) {
        Some((_, why)) => format!("{why}; or {enable}"),
        None => format!("{enable}, or the kernel is too old for this file"),
    }
}
