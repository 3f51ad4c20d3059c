//! Which cgroup hierarchies are mounted, and where the caller is in them.

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use cofferdam_sys::{errno, file};

use crate::position::Positions;
use crate::{Error, ErrorKind, Result, v1};

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
        /// The v1 hierarchies.
        v1: Vec<v1::Mount>,
    },
    /// v1 only.
    Legacy {
        /// The v1 hierarchies.
        v1: Vec<v1::Mount>,
    },
    /// No cgroup file system is mounted.
    None,
}

impl Hierarchy {
    /// Looks at `/sys/fs/cgroup`, and reads `/proc/self/mountinfo` where that is not the whole v2 hierarchy.
    ///
    /// # Errors
    /// [`ErrorKind::System`] or [`ErrorKind::NotFound`] without a procfs on `/proc`.
    pub fn detect() -> Result<Self> {
        if is_whole_v2() {
            return Ok(Self::Unified(Mount { point: USUAL.into(), root: "/".into() }));
        }
        Self::of_mounts()
    }

    fn of_mounts() -> Result<Self> {
        const PATH: &str = "/proc/self/mountinfo";
        // The file tells no length; one page is what the kernel gives at a time.
        let mut text = Vec::with_capacity(8192);
        let read = fs::File::open(PATH).and_then(|mut file| file.read_to_end(&mut text));
        read.map_err(|error| {
            Error::system(format!("read {PATH}"), errno::from_io(&error)).with_hint("mount proc on /proc")
        })?;
        Ok(Self::of_mountinfo(&text))
    }

    /// Takes the layout from the text of a mountinfo file (`proc_pid_mountinfo(5)`).
    ///
    /// Lines that are none are left out: what cannot be read is no hierarchy that could be used.
    pub fn of_mountinfo(text: &[u8]) -> Self {
        let mut v1: Vec<v1::Mount> = Vec::new();
        let mut found: Vec<Mount> = Vec::new();
        for (mount, fstype, options) in text.split(|byte| *byte == b'\n').filter_map(line) {
            // A later mount hides what was mounted on the same point or below it.
            found.retain(|other| !other.point.starts_with(&mount.point));
            v1.retain(|other| !other.mount.point.starts_with(&mount.point));
            match fstype {
                b"cgroup2" => found.push(mount),
                b"cgroup" => v1.push(v1::Mount::new(mount, options)),
                _ => {}
            }
        }
        let v1 = one_of_each(v1);
        match (best(&found, |mount| mount).cloned(), v1.is_empty()) {
            (Some(mount), true) => Hierarchy::Unified(mount),
            (Some(mount), false) if mount.point == Path::new(USUAL) => Hierarchy::Unified(mount),
            (Some(v2), false) => Hierarchy::Hybrid { v2, v1 },
            (None, false) => Hierarchy::Legacy { v1 },
            (None, true) => Hierarchy::None,
        }
    }

    /// The v2 hierarchy, where there is one.
    pub fn v2(&self) -> Option<&Mount> {
        match self {
            Hierarchy::Unified(mount) | Hierarchy::Hybrid { v2: mount, .. } => Some(mount),
            Hierarchy::Legacy { .. } | Hierarchy::None => None,
        }
    }

    /// The v1 hierarchies, each once; none in a v2 layout.
    pub fn v1(&self) -> &[v1::Mount] {
        match self {
            Hierarchy::Hybrid { v1, .. } | Hierarchy::Legacy { v1 } => v1,
            Hierarchy::Unified(_) | Hierarchy::None => &[],
        }
    }

    /// The v1 hierarchy of a controller by the name that v2 has for it: `io` is v1's `blkio`.
    pub fn v1_of(&self, controller: &str) -> Option<&v1::Mount> {
        let name = v1::name_of(controller);
        self.v1().iter().find(|mount| mount.controllers.contains(name))
    }

    /// The v2 hierarchy, or an error that says what there is instead.
    pub(crate) fn require_v2(&self) -> Result<&Mount> {
        self.v2().ok_or_else(|| {
            let (what, hint) = match self {
                Hierarchy::Legacy { .. } => (
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

    /// The caller's own v2 cgroup as a path below the mount point, from `/proc/self/cgroup`.
    ///
    /// Empty for the root of the hierarchy.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] without a v2 hierarchy; [`ErrorKind::NotFound`] when the caller's cgroup
    /// was removed or lies outside of what is mounted.
    pub fn own_position(&self) -> Result<PathBuf> {
        Positions::own()?.v2_below(self.require_v2()?)
    }
}

const USUAL: &str = "/sys/fs/cgroup";

/// Whether the root of the v2 hierarchy is at its usual place, as `mountinfo` would show it.
///
/// That file tells of every mount of the host: many, where containers run.
fn is_whole_v2() -> bool {
    const MAGIC: i64 = 0x6367_7270;
    // The first inode of a kernfs.
    const ROOT: u64 = 1;
    // `PROC_CGROUP_INIT_INO`: in another cgroup namespace the root has another name.
    const INITIAL: &str = "cgroup:[4026531835]";
    let Ok(dir) = fs::File::open(USUAL) else { return false };
    let is_root = || dir.metadata().is_ok_and(|metadata| metadata.ino() == ROOT);
    let is_initial = || fs::read_link("/proc/self/ns/cgroup").is_ok_and(|name| name == Path::new(INITIAL));
    file::filesystem_magic(dir.as_fd()) == Ok(MAGIC) && is_root() && is_initial()
}

/// Of several mounts of one hierarchy the whole one at its usual place, else what comes nearest.
fn best<T>(all: &[T], mount: impl Fn(&T) -> &Mount) -> Option<&T> {
    let usual = |item: &&T| mount(item).point.starts_with(USUAL);
    let whole = |item: &&T| mount(item).root == Path::new("/");
    let both = all.iter().find(|item| usual(item) && whole(item));
    both.or_else(|| all.iter().find(usual)).or_else(|| all.iter().find(whole)).or(all.first())
}

/// Each v1 hierarchy once.
fn one_of_each(mut all: Vec<v1::Mount>) -> Vec<v1::Mount> {
    let mut kept: Vec<v1::Mount> = Vec::new();
    while let Some(first) = all.first().cloned() {
        let same = |other: &v1::Mount| other.controllers == first.controllers && other.name == first.name;
        let (of_it, others): (Vec<_>, Vec<_>) = all.into_iter().partition(same);
        kept.extend(best(&of_it, |item| &item.mount).cloned());
        all = others;
    }
    kept
}

/// Mount, file system type and super block options of one line of mountinfo.
fn line(line: &[u8]) -> Option<(Mount, &[u8], &[u8])> {
    let mut fields = line.split(|byte| *byte == b' ');
    let root = fields.nth(3)?;
    let point = fields.next()?;
    // Optional fields end at a lone dash.
    let mut fields = fields.skip_while(|field| *field != b"-");
    let fstype = fields.nth(1)?;
    let options = fields.nth(1).unwrap_or_default();
    let mount = Mount { point: unescape(point), root: unescape(root) };
    mount.point.is_absolute().then_some((mount, fstype, options))
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
    use crate::Controllers;
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
        let pids = v1::Mount {
            mount: mount("/sys/fs/cgroup/pids", "/"),
            controllers: Controllers::parse("pids"),
            name: None,
        };
        assert_eq!(of(v1), Hierarchy::Legacy { v1: vec![pids.clone()] });
        let hybrid = format!("{v1}33 31 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
        let v2_beside = mount("/sys/fs/cgroup/unified", "/");
        assert_eq!(of(&hybrid), Hierarchy::Hybrid { v2: v2_beside, v1: vec![pids.clone()] });
        assert_eq!(of(&hybrid).v1_of("pids"), Some(&pids));
        assert_eq!(of(&hybrid).v1_of("memory"), None);
        // The v2 mount is hidden under the tmpfs of the v1 layout.
        assert_eq!(of(&format!("{v2}{v1}")), Hierarchy::Legacy { v1: vec![pids] });
        // And the other way round, as in a container that mounts its own.
        assert_eq!(of(&format!("{hybrid}{v2}")), Hierarchy::Unified(mount("/sys/fs/cgroup", "/")));
        // A v1 hierarchy beside v2 at its usual place is somebody's own business.
        let odd = "35 22 0:40 / /mnt rw - cgroup none rw,net_cls\n";
        assert_eq!(of(&format!("{v2}{odd}")), Hierarchy::Unified(mount("/sys/fs/cgroup", "/")));
    }

    #[test]
    fn each_v1_hierarchy_is_taken_once() {
        let lines = "40 22 0:30 /x /var/c/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
                     41 22 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                     42 22 0:31 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/x,name=systemd\n\
                     43 22 0:32 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio\n";
        let Hierarchy::Legacy { v1 } = of(lines) else { panic!("{:?}", of(lines)) };
        let shown: Vec<_> =
            v1.iter().map(|mount| (mount.mount.point.to_str().unwrap(), mount.to_string())).collect();
        assert_eq!(
            shown,
            [
                ("/sys/fs/cgroup/cpu,cpuacct", "cpu,cpuacct".to_owned()),
                ("/sys/fs/cgroup/systemd", "name=systemd".to_owned()),
                ("/sys/fs/cgroup/blkio", "blkio".to_owned()),
            ]
        );
        assert_eq!(of(lines).v1_of("io").unwrap().to_string(), "blkio");
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
    fn errors_say_what_there_is_instead() {
        let error = Hierarchy::Legacy { v1: vec![] }.require_v2().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().starts_with("only cgroup v1 is mounted; boot with"), "{error}");
    }

    #[test]
    fn this_machine_has_a_layout() {
        let layout = Hierarchy::detect().unwrap();
        assert_eq!(layout, Hierarchy::of_mounts().unwrap());
        if layout.v2().is_some() {
            layout.own_position().unwrap();
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_layout(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Hierarchy::of_mountinfo(&bytes);
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
