//! The machine before and after.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::orders::{Orders, reap};

/// The kernel takes network namespaces apart behind the end of their processes, one after the other; and what
/// others do on this machine meanwhile goes by too.
const PATIENCE: Duration = Duration::from_mins(1);

/// What is there now and was not before, in words.
#[derive(Debug, Default, Serialize)]
pub(super) struct Left {
    /// Left by the containers.
    pub(super) ours: Vec<String>,
    /// Cgroups and files without an id of this run: of somebody else on this machine, or else a parent or a lock
    /// file that the runtime has left.
    pub(super) others: Vec<String>,
}

impl Left {
    pub(super) fn extend(&mut self, more: Self) {
        self.ours.extend(more.ours);
        self.others.extend(more.others);
    }
}

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

    /// What is there now and was not then; waits for what goes by itself.
    pub(super) fn left_after(&self, orders: &Orders, count: u32) -> Result<Left> {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = self.new_in(&Self::take(orders)?, count);
            if (left.ours.is_empty() && left.others.is_empty()) || Instant::now() > end {
                return Ok(left);
            }
            thread::sleep(Duration::from_millis(200));
        }
    }

    fn new_in(&self, now: &Self, count: u32) -> Left {
        let mut left = Vec::new();
        left.extend(list("mounts", now.mounts.difference(&self.mounts)));
        let mark = Orders::mark();
        let mut others = Vec::new();
        for (name, old, new) in [("cgroups", &self.cgroups, &now.cgroups), ("/run", &self.run, &now.run)] {
            let new: Vec<String> = new.difference(old).map(|path| path.display().to_string()).collect();
            let (ours, strange): (Vec<_>, Vec<_>) = new.iter().partition(|path| path.contains(&mark));
            left.extend(list(name, ours.into_iter()));
            others.extend(list(name, strange.into_iter()));
        }
        left.extend(list("state", now.state.difference(&self.state).map(|path| path.display())));
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
        Left { ours: left, others }
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
        assert!(before.new_in(&snapshot(&["a"], 3, false, Some(74)), 100).ours.is_empty());
        assert!(before.new_in(&snapshot(&[], 2, false, None), 100).ours.is_empty());
        let mut now = snapshot(&["a", "b", "c"], 4, true, Some(75));
        now.cgroups = [format!("/sys/fs/cgroup/x/{}7", Orders::mark()), "/sys/fs/cgroup/y".to_owned()]
            .map(PathBuf::from)
            .into();
        let left = before.new_in(&now, 100);
        assert_eq!(left.ours.len(), 5, "{left:?}");
        assert_eq!(left.ours[0], "mounts: 2 new, such as b");
        assert_eq!(left.others, ["cgroups: 1 new, such as /sys/fs/cgroup/y"]);
    }

    #[test]
    fn a_slab_is_found_by_its_whole_name() {
        let slabs = "slabinfo - version: 2.1\nnet_namespace_x 7 8\nnet_namespace 28 40 1\n";
        assert_eq!(active(slabs, "net_namespace"), Some(28));
        assert_eq!(active(slabs, "none"), None);
    }
}
