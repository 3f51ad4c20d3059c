//! Kernel facilities by name: found by looking, never by the kernel's version.

use crate::features;
use std::path::Path;
use std::{fs, io};

type Probe = fn() -> io::Result<bool>;

/// What tests need and no crate asks for. Next to these: the facilities of the crates' own tables (see
/// [`features`]), `fs:NAME` (a filesystem that is registered now), `v2:NAME` and `v1:NAME` (a cgroup
/// controller in use by that version), `cgroup:NAME` (one that limits cgroups in this guest, whichever the version).
const NAMED: &[(&str, Probe)] = &[
    ("kexec", || Ok(Path::new("/sys/kernel/kexec_loaded").exists())),
    ("sysrq", || Ok(Path::new("/proc/sysrq-trigger").exists())),
];

/// Whether there is a probe of that name.
pub fn known(name: &str) -> bool {
    features::find(name).is_some()
        || NAMED.iter().any(|(known, _)| *known == name)
        || ["fs:", "v1:", "v2:", "cgroup:"]
            .iter()
            .any(|prefix| name.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty()))
}

/// Whether this kernel has the facility.
///
/// # Errors
/// When that could not be found out: a blocked probe is not taken for an old kernel.
pub fn has(name: &str) -> io::Result<bool> {
    if let Some(filesystem) = name.strip_prefix("fs:") {
        return lists("/proc/filesystems", filesystem);
    }
    if let Some(controller) = name.strip_prefix("v2:") {
        let file = "/sys/fs/cgroup/cgroup.controllers";
        return if Path::new(file).exists() { lists(file, controller) } else { Ok(false) };
    }
    if let Some(controller) = name.strip_prefix("v1:") {
        return Ok(Path::new("/sys/fs/cgroup").join(controller).join("cgroup.procs").exists());
    }
    if let Some(controller) = name.strip_prefix("cgroup:") {
        return Ok(super::cgroups::root_of(controller).is_some());
    }
    if let Some(probe) = features::find(name) {
        return Ok((probe.ask)()?);
    }
    match NAMED.iter().find(|(known, _)| *known == name) {
        Some((_, probe)) => probe(),
        None => Err(io::Error::other(format!("there is no probe for {name}"))),
    }
}

/// Whether the file has this word.
fn lists(file: &str, word: &str) -> io::Result<bool> {
    Ok(fs::read_to_string(file)?.split_whitespace().any(|found| found == word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_or_not() {
        assert!(known("psi") && known("fs:overlay") && known("v1:memory") && known("mount_setattr"));
        assert!(!known("fs:") && !known("no-such-thing") && has("no-such-thing").is_err());
    }

    /// A facility is asked for in one way: what a crate has a probe for has none here.
    #[test]
    fn names_are_in_one_table() {
        for (name, _) in NAMED {
            assert!(features::find(name).is_none(), "{name}");
        }
    }

    #[test]
    fn proc_is_a_filesystem_everywhere() {
        assert!(has("fs:proc").unwrap() && !has("fs:no-such-thing").unwrap());
    }
}
