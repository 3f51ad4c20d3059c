//! In which cgroups a process is: `/proc/PID/cgroup`.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use cofferdam_sys::errno;

use crate::{Controllers, Error, ErrorKind, Mount, Result, v1};

/// Where a process is in one hierarchy, as the reader's cgroup namespace shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The path from the root of the namespace, with a leading `/`; `/../x` lies outside of it.
    pub path: PathBuf,
    /// Whether the cgroup was removed, as one with a zombie in it can be.
    ///
    /// The kernel marks it with ` (deleted)` behind the path, which a cgroup can have in its name too: who
    /// must know looks whether the path with the mark is there.
    pub deleted: bool,
    /// What marks the hierarchy: the v1 controllers, `name=NAME`, or nothing for v2.
    hierarchy: String,
}

/// Where a process is in all hierarchies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Positions(Vec<Position>);

impl Positions {
    /// Those of the caller.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] or [`ErrorKind::System`] without a procfs on `/proc`.
    pub fn own() -> Result<Self> {
        Self::read("/proc/self/cgroup")
    }

    /// Those of a process.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such process.
    pub fn of(pid: i32) -> Result<Self> {
        Self::read(&format!("/proc/{pid}/cgroup"))
    }

    fn read(path: &str) -> Result<Self> {
        let text =
            fs::read(path).map_err(|error| Error::system(format!("read {path}"), errno::from_io(&error)))?;
        Ok(Self::parse(&text))
    }

    /// Reads the text of a `/proc/PID/cgroup` file (`cgroups(7)`); lines that are none are left out.
    pub fn parse(text: &[u8]) -> Self {
        Self(text.split(|byte| *byte == b'\n').filter_map(position).collect())
    }

    /// The position in the v2 hierarchy.
    pub fn v2(&self) -> Option<&Position> {
        self.0.iter().find(|position| position.hierarchy.is_empty())
    }

    /// The position in the hierarchy of a v1 mount.
    pub fn v1(&self, mount: &v1::Mount) -> Option<&Position> {
        self.0.iter().find(|position| match (&mount.name, position.hierarchy.strip_prefix("name=")) {
            (Some(name), Some(found)) if mount.controllers.is_empty() => name == found,
            (None, None) => {
                let found: Controllers =
                    position.hierarchy.split(',').filter(|name| !name.starts_with("name=")).collect();
                found == mount.controllers
            }
            // A named hierarchy with controllers: `cpu,name=x`.
            _ => {
                !mount.controllers.is_empty()
                    && mount
                        .controllers
                        .iter()
                        .all(|name| position.hierarchy.split(',').any(|found| found == name))
            }
        })
    }

    pub(crate) fn v2_below(&self, mount: &Mount) -> Result<PathBuf> {
        let missing = || Error::new(ErrorKind::NotFound, "/proc/self/cgroup has no line for cgroup v2");
        self.v2().ok_or_else(missing)?.below(mount)
    }
}

impl Position {
    /// The path below a mount of its hierarchy; empty for what is mounted itself.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a cgroup that was removed, or that is not below the mount.
    pub fn below(&self, mount: &Mount) -> Result<PathBuf> {
        let what = |why: &str| format!("the process is in the cgroup {}, which {why}", self.path.display());
        if self.deleted {
            return Err(Error::new(ErrorKind::NotFound, what("was removed")));
        }
        let below = self.path.strip_prefix(&mount.root).ok();
        let inside = below.filter(|path| path.components().all(|part| matches!(part, Component::Normal(_))));
        inside.map(Path::to_owned).ok_or_else(|| {
            let why = format!("is not below {}, which is mounted", mount.root.display());
            Error::new(ErrorKind::NotFound, what(&why))
                .with_hint("it was moved out of its cgroup namespace, or this is another namespace's mount")
        })
    }
}

/// `ID:CONTROLLERS:PATH`.
fn position(line: &[u8]) -> Option<Position> {
    let mut fields = line.splitn(3, |byte| *byte == b':');
    let id = fields.next()?;
    let hierarchy = String::from_utf8(fields.next()?.to_vec()).ok()?;
    let path = fields.next().filter(|path| path.starts_with(b"/"))?;
    if hierarchy.is_empty() != (id == b"0") {
        return None;
    }
    let alive = path.strip_suffix(b" (deleted)");
    let path = PathBuf::from(OsString::from_vec(alive.unwrap_or(path).to_vec()));
    Some(Position { path, deleted: alive.is_some(), hierarchy })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mount(root: &str) -> Mount {
        Mount { point: "/sys/fs/cgroup".into(), root: root.into() }
    }

    fn v2(text: &str, root: &str) -> Option<PathBuf> {
        Positions::parse(text.as_bytes()).v2_below(&mount(root)).ok()
    }

    #[test]
    fn a_position_is_relative_to_the_mount() {
        assert_eq!(v2("4:memory:/x\n0::/\n", "/"), Some(PathBuf::new()));
        assert_eq!(v2("0::/a/b c\n", "/"), Some("a/b c".into()));
        assert_eq!(v2("0::/a:b\n", "/"), Some("a:b".into()));
        assert_eq!(v2("0::/a/b\n", "/a"), Some("b".into()));
        assert_eq!(v2("0::/../x\n", "/"), None);
        assert_eq!(v2("0::/ab\n", "/a"), None);
        assert_eq!(v2("4:memory:/x\n", "/"), None);
    }

    #[test]
    fn a_removed_cgroup_says_so() {
        let positions = Positions::parse(b"0::/a (deleted)\n");
        let position = positions.v2().unwrap();
        assert!(position.deleted && position.path == Path::new("/a"));
        let error = position.below(&mount("/")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(error.to_string(), "the process is in the cgroup /a, which was removed");
    }

    #[test]
    fn v1_positions_are_found_by_their_mount() {
        let text = b"9:name=systemd:/s\n4:cpu,cpuacct:/c\n3:memory,name=odd:/m\n2:pids:/p\n0::/u\n";
        let positions = Positions::parse(text);
        let of = |options: &str| {
            let mount = v1::Mount::new(mount("/"), options.as_bytes());
            positions.v1(&mount).map(|position| position.path.to_str().unwrap().to_owned())
        };
        assert_eq!(of("rw,name=systemd").as_deref(), Some("/s"));
        assert_eq!(of("rw,cpuacct,cpu").as_deref(), Some("/c"));
        assert_eq!(of("rw,memory,name=odd").as_deref(), Some("/m"));
        assert_eq!(of("rw,pids").as_deref(), Some("/p"));
        assert_eq!(of("rw,cpu"), None);
        assert_eq!(of("rw,name=other"), None);
    }

    #[test]
    fn the_own_position_is_read() {
        assert!(!Positions::own().unwrap().0.is_empty());
        assert_eq!(Positions::of(i32::MAX).unwrap_err().kind(), ErrorKind::NotFound);
    }

    proptest! {
        #[test]
        fn any_bytes_are_positions(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for position in Positions::parse(&bytes).0 {
                let _ = position.below(&mount("/"));
            }
        }

        #[test]
        fn any_path_is_read_back(path in "(/[a-z:. ]{1,8}){1,3}") {
            prop_assume!(!path.ends_with(" (deleted)"));
            let positions = Positions::parse(format!("0::{path}\n").as_bytes());
            prop_assert_eq!(positions.v2().unwrap().path.to_str(), Some(path.as_str()));
        }
    }
}
