//! The machine before and after.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::orders::{Orders, reap};

/// The kernel takes network namespaces apart behind the end of their processes, one after the other; and what
/// others do on this machine meanwhile goes by too.
const PATIENCE: Duration = Duration::from_mins(1);

/// What there is.
pub(super) struct Snapshot {
    mounts: BTreeSet<String>,
    cgroups: BTreeSet<PathBuf>,
    run: BTreeSet<PathBuf>,
    state: BTreeSet<PathBuf>,
    descriptors: usize,
    children: bool,
    /// Network namespaces of the kernel, as far as it tells.
    namespaces: Option<u64>,
}

impl Snapshot {
    pub(super) fn take(orders: &Orders) -> Result<Self> {
        let mounts = fs::read_to_string("/proc/thread-self/mountinfo").context("read the mounts")?;
        let slabs = fs::read_to_string("/proc/slabinfo").unwrap_or_default();
        Ok(Self {
            mounts: mounts.lines().map(str::to_owned).collect(),
            cgroups: directories(Path::new("/sys/fs/cgroup")),
            run: below(Path::new("/run"), &|_| true),
            state: below(&orders.root, &|_| true),
            descriptors: fs::read_dir("/proc/self/fd").context("count descriptors")?.count(),
            children: reap(),
            namespaces: active(&slabs, "net_namespace"),
        })
    }

    /// What is there now and was not then, in words; waits for what goes by itself.
    pub(super) fn left_after(&self, orders: &Orders, part: &str, count: u32) -> Result<Vec<String>> {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = self.new_in(&Self::take(orders)?, count);
            if left.is_empty() || Instant::now() > end {
                return Ok(left.into_iter().map(|what| format!("{part}: {what}")).collect());
            }
            thread::sleep(Duration::from_millis(200));
        }
    }

    fn new_in(&self, now: &Self, count: u32) -> Vec<String> {
        let mut left = Vec::new();
        left.extend(list("mounts", now.mounts.difference(&self.mounts)));
        let paths = |name, old: &BTreeSet<PathBuf>, new: &BTreeSet<PathBuf>| {
            list(name, new.difference(old).map(|path| path.display()))
        };
        left.extend(paths("cgroups", &self.cgroups, &now.cgroups));
        left.extend(paths("/run", &self.run, &now.run));
        left.extend(paths("state", &self.state, &now.state));
        if now.descriptors > self.descriptors {
            left.push(format!("descriptors: {} before, {} after", self.descriptors, now.descriptors));
        }
        if now.children && !self.children {
            left.push("processes: some that the runtime made still live".to_owned());
        }
        if let (Some(before), Some(after)) = (self.namespaces, now.namespaces)
            // The count is of whole pages, and others make namespaces too.
            && after > before.saturating_add(u64::from(count / 10).max(64))
        {
            left.push(format!("network namespaces: {before} before, {after} after"));
        }
        left
    }
}

/// The number of things and the first of them.
fn list(name: &str, things: impl Iterator<Item = impl ToString>) -> Option<String> {
    let things: Vec<String> = things.map(|thing| thing.to_string()).collect();
    let first = things.first()?;
    Some(format!("{name}: {} new, such as {first}", things.len()))
}

/// Objects in use of a slab cache.
fn active(slabs: &str, name: &str) -> Option<u64> {
    let line = slabs.lines().find(|line| line.split_whitespace().next() == Some(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn directories(path: &Path) -> BTreeSet<PathBuf> {
    below(path, &|kind: &fs::FileType| kind.is_dir())
}

/// Every path below a directory that `wanted` takes; what vanishes meanwhile is not there.
fn below(dir: &Path, wanted: &dyn Fn(&fs::FileType) -> bool) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut rest = vec![dir.to_owned()];
    while let Some(dir) = rest.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                rest.push(entry.path());
            }
            if wanted(&kind) {
                found.insert(entry.path());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_is_told_with_its_number() {
        let snapshot = |mounts: &[&str], descriptors, children, namespaces| Snapshot {
            mounts: mounts.iter().map(ToString::to_string).collect(),
            cgroups: BTreeSet::new(),
            run: BTreeSet::new(),
            state: BTreeSet::new(),
            descriptors,
            children,
            namespaces,
        };
        let before = snapshot(&["a"], 3, false, Some(10));
        assert!(before.new_in(&snapshot(&["a"], 3, false, Some(74)), 100).is_empty());
        assert!(before.new_in(&snapshot(&[], 2, false, None), 100).is_empty());
        let left = before.new_in(&snapshot(&["a", "b", "c"], 4, true, Some(75)), 100);
        assert_eq!(left.len(), 4, "{left:?}");
        assert_eq!(left[0], "mounts: 2 new, such as b");
    }

    #[test]
    fn a_slab_is_found_by_its_whole_name() {
        let slabs = "slabinfo - version: 2.1\nnet_namespace_x 7 8\nnet_namespace 28 40 1\n";
        assert_eq!(active(slabs, "net_namespace"), Some(28));
        assert_eq!(active(slabs, "none"), None);
    }
}
