//! What a case left behind: mounts, cgroups, network links and processes.

use super::cgroups::{self, Layout};
use super::processes;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// What of a guest must be the same after a case as before it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct State {
    /// `mountinfo` lines: id, root, mount point and type.
    mounts: BTreeSet<(u64, String)>,
    cgroups: BTreeSet<PathBuf>,
    links: BTreeSet<String>,
}

impl State {
    /// Looks at the guest.
    pub(super) fn now(layout: Layout) -> Self {
        Self {
            mounts: mounts(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default()),
            cgroups: cgroups::all(layout).into_iter().collect(),
            links: names("/sys/class/net"),
        }
    }

    /// What is here and was not in `before`, one line each, and what was there and is no more.
    pub(super) fn since(&self, before: &Self) -> Vec<String> {
        let mut found = Vec::new();
        found.extend(self.mounts.difference(&before.mounts).map(|(_, text)| format!("mount {text}")));
        found.extend(before.mounts.difference(&self.mounts).map(|(_, text)| format!("lost mount {text}")));
        found.extend(
            self.cgroups.difference(&before.cgroups).map(|path| format!("cgroup {}", path.display())),
        );
        found.extend(self.links.difference(&before.links).map(|name| format!("network link {name}")));
        found.extend(before.links.difference(&self.links).map(|name| format!("lost network link {name}")));
        found
    }

    /// Takes away what it can of what is here and was not in `before`.
    pub(super) fn undo(&self, before: &Self) {
        // Newest first: ids may be given again, so this is a good guess and no more, which is why it is lazy.
        for (_, text) in self.mounts.difference(&before.mounts).collect::<Vec<_>>().into_iter().rev() {
            if let Some(target) = text.split(' ').next() {
                let _ = nix::mount::umount2(target, nix::mount::MntFlags::MNT_DETACH);
            }
        }
        // Children sort after their parents.
        for cgroup in self.cgroups.difference(&before.cgroups).collect::<Vec<_>>().into_iter().rev() {
            let _ = fs::remove_dir(cgroup);
        }
    }
}

/// The user processes that are left, one line each.
pub(super) fn processes() -> Vec<String> {
    processes::all()
        .into_iter()
        .map(|process| format!("process {} ({})", process.pid, process.name))
        .collect()
}

fn mounts(table: &str) -> BTreeSet<(u64, String)> {
    let parse = |line: &str| {
        let (fields, rest) = line.split_once(" - ")?;
        let mut fields = fields.split(' ');
        let id = fields.next()?.parse().ok()?;
        let target = fields.nth(3)?;
        Some((id, format!("{target} {}", rest.split(' ').next()?)))
    };
    table.lines().filter_map(parse).collect()
}

fn names(dir: &str) -> BTreeSet<String> {
    fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str =
        "22 1 0:5 / / rw - rootfs rootfs rw\n30 22 0:21 / /proc rw,nosuid shared:5 - proc proc rw\n";

    #[test]
    fn a_new_mount_is_noticed() {
        let before = State { mounts: mounts(TABLE), ..State::default() };
        let more = format!("{TABLE}31 22 0:22 / /tmp/left rw - tmpfs tmpfs rw\n");
        let after = State { mounts: mounts(&more), ..State::default() };
        assert_eq!(after.since(&before), ["mount /tmp/left tmpfs"]);
        assert_eq!(before.since(&after), ["lost mount /tmp/left tmpfs"]);
        assert!(after.since(&after).is_empty());
    }

    #[test]
    fn a_cgroup_and_a_link_are_noticed() {
        let after = State {
            cgroups: BTreeSet::from(["/sys/fs/cgroup/x".into()]),
            links: BTreeSet::from(["veth0".to_owned()]),
            ..State::default()
        };
        assert_eq!(after.since(&State::default()), ["cgroup /sys/fs/cgroup/x", "network link veth0"]);
    }
}
