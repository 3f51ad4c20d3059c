//! The cgroup layouts: v2, v1 and hybrid, laid out as systemd does it.

use super::mounts::{Mount, mount};
use super::paths;
use nix::mount::MsFlags;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Where the cgroup of the running case is, in the layouts that have cgroup v2.
pub const CASE_V2: [&str; 2] = ["/sys/fs/cgroup/case", "/sys/fs/cgroup/unified/case"];
/// The same in layout v1: in the hierarchy that has no controller.
const CASE_V1: &str = "/sys/fs/cgroup/systemd/case";

const ROOT: &str = "/sys/fs/cgroup";
const FLAGS: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV).union(MsFlags::MS_NOEXEC);
/// The v1 controllers that share a hierarchy, and the links to it.
const JOINED: [(&str, &str, &str); 2] =
    [("cpu,cpuacct", "cpu", "cpuacct"), ("net_cls,net_prio", "net_cls", "net_prio")];

/// A way to arrange the cgroup hierarchies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// One v2 hierarchy at `/sys/fs/cgroup`.
    V2,
    /// A v1 hierarchy a controller.
    V1,
    /// v1 for the controllers, and a v2 hierarchy without any at `/sys/fs/cgroup/unified`.
    Hybrid,
}

impl Layout {
    /// The layout of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::V2, Self::V1, Self::Hybrid].into_iter().find(|layout| layout.name() == name)
    }

    /// The layout that was set up in this guest.
    ///
    /// # Errors
    /// When none was.
    pub fn here() -> io::Result<Self> {
        let none = |error| io::Error::other(format!("no cgroup layout has been set up: {error}"));
        let name = fs::read_to_string(paths::LAYOUT).map_err(none)?;
        Self::parse(&name).ok_or_else(|| io::Error::other(format!("there is no cgroup layout {name}")))
    }

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::V2 => "v2",
            Self::V1 => "v1",
            Self::Hybrid => "hybrid",
        }
    }

    /// Where the cgroup of the running case is.
    pub fn case(self) -> &'static Path {
        let [v2, hybrid] = CASE_V2;
        Path::new(match self {
            Self::V2 => v2,
            Self::V1 => CASE_V1,
            Self::Hybrid => hybrid,
        })
    }
}

/// Mounts the hierarchies of a layout and makes the cgroup of the cases.
///
/// # Errors
/// When something that every kernel has cannot be mounted. A v1 controller that a kernel lacks is left out.
pub fn set_up(layout: Layout) -> io::Result<()> {
    match layout {
        Layout::V2 => v2(ROOT)?,
        Layout::V1 => v1()?,
        Layout::Hybrid => {
            v1()?;
            fs::create_dir("/sys/fs/cgroup/unified")?;
            v2("/sys/fs/cgroup/unified")?;
        }
    }
    fs::create_dir(layout.case())?;
    fs::write(paths::LAYOUT, layout.name())
}

fn v2(target: &str) -> io::Result<()> {
    mount(&Mount {
        source: "cgroup2",
        target,
        kind: "cgroup2",
        flags: FLAGS,
        data: "nsdelegate,memory_recursiveprot",
    })?;
    let controllers = fs::read_to_string(Path::new(target).join("cgroup.controllers"))?;
    for controller in controllers.split_whitespace() {
        // One at a time: a real-time kernel may refuse `cpu`, which must not cost the others.
        if let Err(error) =
            fs::write(Path::new(target).join("cgroup.subtree_control"), format!("+{controller}"))
        {
            eprintln!("lab: cgroup controller {controller} stays off: {error}");
        }
    }
    Ok(())
}

fn v1() -> io::Result<()> {
    mount(&Mount { source: "tmpfs", target: ROOT, kind: "tmpfs", flags: FLAGS, data: "mode=755" })?;
    hierarchy("systemd", "none,name=systemd")?;
    let enabled = enabled_controllers(&fs::read_to_string("/proc/cgroups")?);
    for (together, first, second) in JOINED {
        if [first, second].iter().all(|name| enabled.iter().any(|found| found == name)) {
            hierarchy(together, together)?;
            std::os::unix::fs::symlink(together, Path::new(ROOT).join(first))?;
            std::os::unix::fs::symlink(together, Path::new(ROOT).join(second))?;
        }
    }
    for name in enabled {
        if !Path::new(ROOT).join(&name).exists() {
            // From 6.12 on a controller can be listed and yet be v2 only.
            if let Err(error) = hierarchy(&name, &name) {
                eprintln!("lab: no v1 hierarchy for {name}: {error}");
                fs::remove_dir(Path::new(ROOT).join(&name))?;
            }
        }
    }
    inherit_cpuset()
}

/// A v1 `cpuset` child starts empty, and then takes no process, unless it is told to inherit.
fn inherit_cpuset() -> io::Result<()> {
    let file = Path::new(ROOT).join("cpuset/cgroup.clone_children");
    if file.exists() { fs::write(file, "1") } else { Ok(()) }
}

fn hierarchy(name: &str, data: &str) -> io::Result<()> {
    let target = Path::new(ROOT).join(name);
    fs::create_dir(&target)?;
    mount(&Mount { source: "cgroup", target: &target.to_string_lossy(), kind: "cgroup", flags: FLAGS, data })
}

/// The controllers of `/proc/cgroups` that are enabled and not in use by v2.
fn enabled_controllers(table: &str) -> Vec<String> {
    table
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let name = fields.next()?;
            (fields.nth(2)? == "1").then(|| name.to_owned())
        })
        .collect()
}

/// The root of the hierarchy in which this controller, by its v2 name, limits the cgroups below; none where the
/// guest has it nowhere.
///
/// A kernel may have it built out, or for v2 only (memory from 6.12 on), and a real-time one may refuse `cpu`.
pub fn root_of(controller: &str) -> Option<PathBuf> {
    let root = Path::new(ROOT);
    let in_v2 = |root: &Path| {
        let enabled = fs::read_to_string(root.join("cgroup.subtree_control")).unwrap_or_default();
        enabled.split_whitespace().any(|name| name == controller)
    };
    if root.join("cgroup.subtree_control").exists() {
        return in_v2(root).then(|| root.to_owned());
    }
    let v1 = root.join(if controller == "io" { "blkio" } else { controller });
    let beside = root.join("unified");
    if v1.join("cgroup.procs").exists() { Some(v1) } else { in_v2(&beside).then_some(beside) }
}

/// Where the hierarchies of the guest are mounted.
pub fn roots(layout: Layout) -> Vec<PathBuf> {
    match layout {
        Layout::V2 => vec![ROOT.into()],
        Layout::V1 | Layout::Hybrid => fs::read_dir(ROOT)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| entry.path())
            .collect(),
    }
}

/// Every cgroup of every hierarchy, parents before children; without the roots and the case's own.
pub fn all(layout: Layout) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for root in roots(layout) {
        walk(&root, &mut found);
    }
    found.retain(|path| path != layout.case());
    found
}

/// Adds the directories below `dir`, parents before children.
pub fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.push(entry.path());
            walk(&entry.path(), found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for layout in [Layout::V2, Layout::V1, Layout::Hybrid] {
            assert_eq!(Layout::parse(layout.name()), Some(layout));
        }
        assert_eq!(Layout::parse("v3"), None);
    }

    #[test]
    fn disabled_controllers_are_left_out() {
        let table = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpuset\t0\t1\t1\nmemory\t0\t1\t0\npids\t0\t1\t1\n";
        assert_eq!(enabled_controllers(table), ["cpuset", "pids"]);
    }
}
