//! A cgroup of its own for a box, in every hierarchy of the host.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::cli::Cgroup as Layout;

/// How long the processes of a killed box may take to be gone.
const GONE: Duration = Duration::from_secs(20);

/// A mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hierarchy {
    /// Where it is mounted.
    pub path: PathBuf,
    /// Nothing for v2, else the options that name it: `memory`, `cpu,cpuacct`, `name=systemd`.
    pub legacy: Option<String>,
}

/// The hierarchies that this process sees.
///
/// # Errors
/// The list of mounts cannot be read, or has none.
pub(super) fn hierarchies() -> Result<Vec<Hierarchy>> {
    let text = fs::read_to_string("/proc/self/mountinfo").context("read the mounts")?;
    let found: Vec<Hierarchy> = text.lines().filter_map(hierarchy).collect();
    if found.is_empty() {
        bail!("no cgroup hierarchy is mounted below /sys/fs/cgroup");
    }
    Ok(found)
}

fn hierarchy(line: &str) -> Option<Hierarchy> {
    let (mount, file_system) = line.split_once(" - ")?;
    let path = PathBuf::from(mount.split(' ').nth(4)?);
    let mut words = file_system.split(' ');
    let kind = words.next()?;
    let options = words.nth(1)?;
    let names = options.split(',').filter(|option| !["rw", "ro", "clone_children", "xattr"].contains(option));
    // An agent's path is one of the host's daemons, which are not in the box.
    let names: Vec<&str> = names.filter(|option| !option.starts_with("release_agent=")).collect();
    let legacy = match kind {
        "cgroup" => Some(names.join(",")),
        "cgroup2" => None,
        _ => return None,
    };
    path.starts_with("/sys/fs/cgroup").then_some(Hierarchy { path, legacy })
}

/// Whether both kinds are there.
pub(super) fn is_hybrid(hierarchies: &[Hierarchy]) -> bool {
    hierarchies.iter().any(|one| one.legacy.is_some()) && hierarchies.iter().any(|one| one.legacy.is_none())
}

/// Those that a box with this layout shows.
pub(super) fn of_layout(hierarchies: &[Hierarchy], layout: Layout) -> Vec<Hierarchy> {
    let fits = |one: &&Hierarchy| match layout {
        Layout::Hybrid => true,
        Layout::V1 => one.legacy.is_some(),
        Layout::V2 => one.legacy.is_none(),
    };
    hierarchies.iter().filter(fits).cloned().collect()
}

/// What the names of all boxes' cgroups begin with; the id of the process that made them follows.
const PREFIX: &str = "cofferdam-engine-test-";

/// The name of a box's cgroup.
pub(super) fn name(of: &str) -> String {
    format!("{PREFIX}{}-{of}", std::process::id())
}

/// Removes the cgroups of runs that were killed; their processes ended with them.
pub(super) fn sweep(hierarchies: &[Hierarchy]) {
    for hierarchy in hierarchies {
        let entries = fs::read_dir(&hierarchy.path).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()).filter(|path| is_left(path, Path::new("/proc"))) {
            if let Err(error) = remove(&path) {
                eprintln!("a cgroup of an earlier run stays: {}: {error}", path.display());
            }
        }
    }
}

fn is_left(path: &Path, proc: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Some(rest) = name.strip_prefix(PREFIX) else { return false };
    let pid = rest.split('-').next().unwrap_or_default();
    pid.parse::<u32>().is_ok() && !proc.join(pid).exists()
}

/// The cgroups of one box; removed when dropped.
#[derive(Debug)]
pub(super) struct Cgroups {
    folders: Vec<PathBuf>,
}

impl Cgroups {
    /// Makes one in each hierarchy.
    ///
    /// # Errors
    /// One cannot be made; those that were made are removed.
    pub(super) fn create(hierarchies: &[Hierarchy], name: &str) -> Result<Self> {
        let mut cgroups = Self { folders: Vec::new() };
        for hierarchy in hierarchies {
            let folder = hierarchy.path.join(name);
            fs::create_dir(&folder).with_context(|| format!("make the cgroup {}", folder.display()))?;
            cgroups.folders.push(folder.clone());
            // A new cpuset of v1 holds no processor and no memory, and lets no process in.
            for file in ["cpuset.cpus", "cpuset.mems"].iter().filter(|_| hierarchy.legacy.is_some()) {
                if let Ok(text) = fs::read_to_string(hierarchy.path.join(file)) {
                    fs::write(folder.join(file), text.trim())
                        .with_context(|| format!("set {file} of {}", folder.display()))?;
                }
            }
        }
        Ok(cgroups)
    }

    /// Removes them once their processes are gone; what stays is listed.
    pub(super) fn remove(&mut self) -> Vec<String> {
        let until = Instant::now() + GONE;
        let mut left = Vec::new();
        for folder in self.folders.drain(..) {
            loop {
                match remove(&folder) {
                    Ok(()) => break,
                    Err(error) if Instant::now() > until => {
                        left.push(format!("{}: {error}", folder.display()));
                        break;
                    }
                    // Its processes were killed; the kernel tells nobody when the last is gone.
                    Err(_) => std::thread::sleep(Duration::from_millis(20)),
                }
            }
        }
        left
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        for left in self.remove() {
            eprintln!("a cgroup is left behind: {left}");
        }
    }
}

/// Removes a cgroup without processes with all below.
fn remove(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        }
    }
    fs::remove_dir(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_are_told_from_other_mounts() {
        let of = |line: &str| hierarchy(line).map(|found| (found.path.display().to_string(), found.legacy));
        let v1 = "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct,clone_children";
        assert_eq!(of(v1), Some(("/sys/fs/cgroup/cpu,cpuacct".into(), Some("cpu,cpuacct".into()))));
        let named = "34 31 0:31 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/lib/a,name=systemd";
        assert_eq!(of(named), Some(("/sys/fs/cgroup/systemd".into(), Some("name=systemd".into()))));
        let v2 = "35 31 0:32 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";
        assert_eq!(of(v2), Some(("/sys/fs/cgroup/unified".into(), None)));
        assert_eq!(of("31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755"), None);
        assert_eq!(of("35 31 0:32 / /elsewhere rw - cgroup2 cgroup2 rw"), None);
    }

    #[test]
    fn only_what_a_dead_run_left_is_swept() {
        let proc = tempfile::tempdir().unwrap();
        fs::create_dir(proc.path().join("17")).unwrap();
        let left = |name: &str| is_left(&Path::new("/sys/fs/cgroup").join(name), proc.path());
        assert!(left("cofferdam-engine-test-18-podman"));
        for other in
            ["cofferdam-engine-test-17-podman", "cofferdam-engine-test-x", "system.slice", "cofferdam"]
        {
            assert!(!left(other), "{other}");
        }
    }

    #[test]
    fn what_cannot_be_made_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let good = Hierarchy { path: dir.path().to_owned(), legacy: None };
        let bad = Hierarchy { path: "/nonexistent".into(), legacy: None };
        let error = Cgroups::create(&[good, bad], "box").unwrap_err();
        assert!(format!("{error:#}").contains("/nonexistent/box"), "{error:#}");
        assert!(!dir.path().join("box").exists());
    }

    #[test]
    fn what_containers_left_below_goes_too() {
        let dir = tempfile::tempdir().unwrap();
        let good = Hierarchy { path: dir.path().to_owned(), legacy: None };
        let cgroups = Cgroups::create(&[good], "box").unwrap();
        fs::create_dir_all(dir.path().join("box/parent/container")).unwrap();
        drop(cgroups);
        assert!(!dir.path().join("box").exists());
    }
}
