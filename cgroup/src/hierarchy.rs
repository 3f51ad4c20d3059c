//! Which cgroup hierarchies are mounted, and where the caller is in the v2 one.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use cofferdam_sys::errno;

use crate::{Error, ErrorKind, Result};

/// A mounted cgroup v2 hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where it is mounted.
    pub point: PathBuf,
    /// The cgroup that is seen there: `/` but for a bind mount of a part.
    pub root: PathBuf,
}

/// The layout of a machine (`cgroups(7)`).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hierarchy {
    /// v2 only.
    Unified(Mount),
    /// v1 hierarchies with most controllers, and a v2 one beside them.
    Hybrid {
        /// The v2 hierarchy.
        v2: Mount,
    },
    /// v1 only.
    Legacy,
    /// No cgroup file system is mounted.
    None,
}

impl Hierarchy {
    /// Reads `/proc/self/mountinfo`.
    ///
    /// # Errors
    /// [`ErrorKind::System`] or [`ErrorKind::NotFound`] without a procfs on `/proc`.
    pub fn detect() -> Result<Self> {
        const PATH: &str = "/proc/self/mountinfo";
        let text = fs::read(PATH).map_err(|error| {
            Error::system(format!("read {PATH}"), errno::from_io(&error)).with_hint("mount proc on /proc")
        })?;
        Ok(Self::of_mountinfo(&text))
    }

    /// Takes the layout from the text of a mountinfo file (`proc_pid_mountinfo(5)`).
    ///
    /// Lines that are none are left out: what cannot be read is no hierarchy that could be used.
    pub fn of_mountinfo(text: &[u8]) -> Self {
        let mut v1 = false;
        let mut found: Vec<Mount> = Vec::new();
        for (mount, fstype) in text.split(|byte| *byte == b'\n').filter_map(line) {
            // A later mount on the same point hides the earlier one.
            found.retain(|other| other.point != mount.point);
            match fstype {
                b"cgroup2" => found.push(mount),
                b"cgroup" => v1 = true,
                _ => {}
            }
        }
        let usual = |mount: &&Mount| mount.point.starts_with("/sys/fs/cgroup");
        let whole = |mount: &&Mount| mount.root == Path::new("/");
        let best = found
            .iter()
            .find(|mount| usual(mount) && whole(mount))
            .or_else(|| found.iter().find(usual))
            .or_else(|| found.iter().find(whole))
            .or(found.first());
        match (best.cloned(), v1) {
            (Some(mount), false) => Hierarchy::Unified(mount),
            (Some(mount), true) if mount.point == Path::new("/sys/fs/cgroup") => Hierarchy::Unified(mount),
            (Some(v2), true) => Hierarchy::Hybrid { v2 },
            (None, true) => Hierarchy::Legacy,
            (None, false) => Hierarchy::None,
        }
    }

    /// The v2 hierarchy, where there is one.
    pub fn v2(&self) -> Option<&Mount> {
        match self {
            Hierarchy::Unified(mount) | Hierarchy::Hybrid { v2: mount } => Some(mount),
            Hierarchy::Legacy | Hierarchy::None => None,
        }
    }

    /// The v2 hierarchy, or an error that says what there is instead.
    pub(crate) fn require_v2(&self) -> Result<&Mount> {
        self.v2().ok_or_else(|| {
            let (what, hint) = match self {
                Hierarchy::Legacy => (
                    "only cgroup v1 is mounted",
                    "boot with systemd.unified_cgroup_hierarchy=1, or mount cgroup2 on /sys/fs/cgroup/unified",
                ),
                _ => (
                    "no cgroup file system is mounted",
                    "mount one: mount -t cgroup2 none /sys/fs/cgroup",
                ),
            };
            Error::new(ErrorKind::Unsupported, what).with_hint(hint)
        })
    }

    /// The caller's own cgroup as a path below the mount point, from `/proc/self/cgroup`.
    ///
    /// Empty for the root of the hierarchy.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] without a v2 hierarchy; [`ErrorKind::NotFound`] when the caller's cgroup
    /// lies outside what is mounted.
    pub fn own_position(&self) -> Result<PathBuf> {
        const PATH: &str = "/proc/self/cgroup";
        let mount = self.require_v2()?;
        let text =
            fs::read(PATH).map_err(|error| Error::system(format!("read {PATH}"), errno::from_io(&error)))?;
        position(&text, &mount.root).ok_or_else(|| {
            let what = format!("{PATH} names no cgroup below {}", mount.root.display());
            Error::new(ErrorKind::NotFound, what)
                .with_hint("the caller was moved out of its cgroup namespace, or sees another's mount")
        })
    }
}

/// The v2 line of a `/proc/PID/cgroup` file, relative to a mount's root.
fn position(text: &[u8], root: &Path) -> Option<PathBuf> {
    let line = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"0::"))?;
    // A cgroup that was removed under its process.
    let path = line.strip_suffix(b" (deleted)").unwrap_or(line);
    let path = PathBuf::from(OsString::from_vec(path.to_vec()));
    let below = path.strip_prefix(root).ok()?;
    let inside = below.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    inside.then(|| below.to_owned())
}

/// Mount and file system type of one line of mountinfo.
fn line(line: &[u8]) -> Option<(Mount, &[u8])> {
    let mut fields = line.split(|byte| *byte == b' ');
    let root = fields.nth(3)?;
    let point = fields.next()?;
    // Optional fields end at a lone dash.
    let fstype = fields.skip_while(|field| *field != b"-").nth(1)?;
    let mount = Mount { point: unescape(point), root: unescape(root) };
    mount.point.is_absolute().then_some((mount, fstype))
}

/// Blanks, tabs, newlines and backslashes are `\` and three octal digits in mountinfo.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut left = field;
    while let [first, rest @ ..] = left {
        let octal = |digit: &u8| (b'0'..=b'7').contains(digit).then(|| u32::from(digit.wrapping_sub(b'0')));
        let escaped = match left {
            [b'\\', a, b, c, after @ ..] => octal(a)
                .zip(octal(b))
                .zip(octal(c))
                .and_then(|((a, b), c)| u8::try_from(a << 6 | b << 3 | c).ok())
                .map(|byte| (byte, after)),
            _ => None,
        };
        let (byte, after) = escaped.unwrap_or((*first, rest));
        bytes.push(byte);
        left = after;
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PROC: &str = "22 1 0:21 / /proc rw shared:5 - proc proc rw\n";

    fn of(lines: &str) -> Hierarchy {
        Hierarchy::of_mountinfo(format!("{PROC}{lines}").as_bytes())
    }

    fn mount(point: &str, root: &str) -> Mount {
        Mount { point: point.into(), root: root.into() }
    }

    #[test]
    fn layouts_are_told_apart() {
        assert_eq!(of(""), Hierarchy::None);
        let v2 = "30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(of(v2), Hierarchy::Unified(mount("/sys/fs/cgroup", "/")));
        let v1 = "31 22 0:27 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n\
                  32 31 0:28 / /sys/fs/cgroup/pids rw shared:1 master:2 - cgroup cgroup rw,pids\n";
        assert_eq!(of(v1), Hierarchy::Legacy);
        let hybrid = format!("{v1}33 31 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
        assert_eq!(of(&hybrid), Hierarchy::Hybrid { v2: mount("/sys/fs/cgroup/unified", "/") });
        // The v2 mount is hidden under the tmpfs of the v1 layout.
        assert_eq!(of(&format!("{v2}{v1}")), Hierarchy::Legacy);
    }

    #[test]
    fn the_whole_hierarchy_at_its_usual_place_is_preferred() {
        let part = "40 22 0:26 /a /var/lib/c/sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let whole = "41 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        assert_eq!(of(&format!("{part}{whole}")), Hierarchy::Unified(mount("/sys/fs/cgroup", "/")));
        assert_eq!(of(part), Hierarchy::Unified(mount("/var/lib/c/sys/fs/cgroup", "/a")));
    }

    #[test]
    fn blanks_in_a_mount_point_are_unescaped() {
        let line = r"30 22 0:26 / /a\040b\134\011 rw - cgroup2 x rw";
        assert_eq!(of(line), Hierarchy::Unified(mount("/a b\\\t", "/")));
        assert_eq!(unescape(br"\777\04\"), PathBuf::from(r"\777\04\"));
    }

    #[test]
    fn own_position_is_relative_to_the_mount() {
        let root = Path::new("/");
        assert_eq!(position(b"4:memory:/x\n0::/\n", root), Some(PathBuf::new()));
        assert_eq!(position(b"0::/a/b c\n", root), Some("a/b c".into()));
        assert_eq!(position(b"0::/a/b\n", Path::new("/a")), Some("b".into()));
        assert_eq!(position(b"0::/a (deleted)\n", root), Some("a".into()));
        assert_eq!(position(b"0::/../x\n", root), None);
        assert_eq!(position(b"0::/ab\n", Path::new("/a")), None);
        assert_eq!(position(b"4:memory:/x\n", root), None);
    }

    #[test]
    fn errors_say_what_there_is_instead() {
        let error = Hierarchy::Legacy.require_v2().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().starts_with("only cgroup v1 is mounted; boot with"), "{error}");
    }

    #[test]
    fn this_machine_has_a_layout() {
        let layout = Hierarchy::detect().unwrap();
        if layout.v2().is_some() {
            layout.own_position().unwrap();
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_layout(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Hierarchy::of_mountinfo(&bytes);
            let _ = position(&bytes, Path::new("/"));
        }

        #[test]
        fn what_the_kernel_escapes_is_read_back(path in "(/[ -~\t\n]{1,12}){1,3}") {
            let escape = |byte: u8| match byte {
                b' ' | b'\t' | b'\n' | b'\\' | b'#' => format!("\\{byte:03o}"),
                plain => char::from(plain).to_string(),
            };
            let escaped: String = path.bytes().map(escape).collect();
            let line = format!("30 22 0:26 / {escaped} rw shared:9 - cgroup2 none rw");
            prop_assert_eq!(of(&line), Hierarchy::Unified(mount(&path, "/")));
        }
    }
}
