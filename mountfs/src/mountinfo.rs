//! `/proc/PID/mountinfo` (`proc_pid_mountinfo(5)`): the mounts of a namespace as a list.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use cofferdam_sys::mountinfo::{Line, unescape};

use crate::{Error, Result};

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountInfo {
    /// Its id, which is used again after an unmount.
    pub id: u64,
    /// The mount that it is on; its own id for the topmost.
    pub parent: u64,
    /// Major number of the file system's device.
    pub major: u32,
    /// Minor number of the file system's device.
    pub minor: u32,
    /// The directory of the file system that the mount shows.
    pub root: PathBuf,
    /// Where it is, seen from the root of the process.
    pub mount_point: PathBuf,
    /// Options of the mount, such as `ro` and `nosuid`.
    pub options: Vec<OsString>,
    /// Propagation; empty for a private mount.
    pub optional: Vec<Optional>,
    /// The file system's type, with a subtype after a dot.
    pub fstype: OsString,
    /// What was mounted, in the file system's own words; may be empty.
    pub source: OsString,
    /// Options of the file system.
    pub super_options: Vec<OsString>,
}

/// An optional field.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Optional {
    /// `shared:N`: a member of this peer group.
    Shared(u64),
    /// `master:N`: a slave of this peer group.
    Master(u64),
    /// `propagate_from:N`: the nearest peer group that is below the process's root.
    PropagateFrom(u64),
    /// `unbindable`.
    Unbindable,
    /// One that this version does not know.
    Other(OsString),
}

/// Reads a whole `mountinfo`. Paths need not be UTF-8; their octal escapes are undone.
///
/// # Errors
/// [`crate::ErrorKind::InvalidInput`] with the line's number and the field that is missing or is no number.
///
/// ```
/// let text = b"36 35 98:0 / /with\\040space ro,nosuid shared:7 - ext4 /dev/sda1 rw\n";
/// let mounts = cofferdam_mountfs::mountinfo::parse(text)?;
/// assert_eq!(mounts[0].mount_point.to_str(), Some("/with space"));
/// # Ok::<(), cofferdam_mountfs::Error>(())
/// ```
pub fn parse(text: &[u8]) -> Result<Vec<MountInfo>> {
    let lines = text.split(|byte| *byte == b'\n').zip(1usize..).filter(|(line, _)| !line.is_empty());
    lines
        .map(|(line, number)| {
            let line = Line::parse(line).map_err(|field| {
                Error::invalid(format!("line {number} of mountinfo: the {field} is missing or wrong"))
                    .with_hint("proc_pid_mountinfo(5) describes the format")
            })?;
            Ok(MountInfo::from(&line))
        })
        .collect()
}

impl From<&Line<'_>> for MountInfo {
    fn from(line: &Line<'_>) -> Self {
        Self {
            id: line.id,
            parent: line.parent,
            major: line.major,
            minor: line.minor,
            root: PathBuf::from(text(line.root)),
            mount_point: PathBuf::from(text(line.mount_point)),
            options: list(line.options),
            optional: line.optional_fields().map(Optional::from).collect(),
            fstype: text(line.fstype),
            source: text(line.source),
            super_options: list(line.super_options),
        }
    }
}

impl From<&[u8]> for Optional {
    fn from(word: &[u8]) -> Self {
        let number = |name: &[u8]| {
            let digits = word.strip_prefix(name)?.strip_prefix(b":")?;
            let plain = digits.iter().all(u8::is_ascii_digit);
            std::str::from_utf8(digits).ok()?.parse().ok().filter(|_| plain)
        };
        if let Some(group) = number(b"shared") {
            Self::Shared(group)
        } else if let Some(group) = number(b"master") {
            Self::Master(group)
        } else if let Some(group) = number(b"propagate_from") {
            Self::PropagateFrom(group)
        } else if word == b"unbindable" {
            Self::Unbindable
        } else {
            Self::Other(text(word))
        }
    }
}

fn text(escaped: &[u8]) -> OsString {
    OsString::from_vec(unescape(escaped).collect())
}

/// Options between commas. A comma in a value is escaped by no kernel, and splits it.
fn list(options: &[u8]) -> Vec<OsString> {
    options.split(|byte| *byte == b',').filter(|word| !word.is_empty()).map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::Optional::{Master, Other, PropagateFrom, Shared, Unbindable};
    use super::*;
    use crate::ErrorKind;
    use proptest::prelude::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn reads_the_hosts_own() {
        let text = std::fs::read("/proc/self/mountinfo").unwrap();
        let mounts = parse(&text).unwrap();
        assert!(
            mounts.iter().any(|mount| mount.mount_point.as_os_str() == "/proc" && mount.fstype == "proc")
        );
        assert_eq!(mounts.len(), String::from_utf8_lossy(&text).lines().count());
    }

    #[test]
    fn optional_fields_are_told_apart() {
        let text = b"1 2 0:3 / /a rw shared:1 master:2 propagate_from:3 unbindable new:4 shared:+5 - t s o\n\
            5 1 0:3 / /b rw - tmpfs  rw,size=1k";
        let mounts = parse(text).unwrap();
        let other = |word: &str| Other(word.into());
        let expected =
            [Shared(1), Master(2), PropagateFrom(3), Unbindable, other("new:4"), other("shared:+5")];
        assert_eq!(mounts[0].optional, expected);
        assert_eq!((mounts[1].optional.len(), mounts[1].source.len()), (0, 0));
        assert_eq!(mounts[1].super_options, ["rw", "size=1k"]);
    }

    #[test]
    fn faults_name_line_and_field() {
        let error = parse(b"1 2 0:3 / /a rw - t s o\n1 x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        insta::assert_snapshot!(error, @"line 2 of mountinfo: the parent id is missing or wrong");
        assert_eq!(parse(b"").unwrap(), []);
        // Huge, and not a line.
        assert!(parse(&vec![b'1'; 1 << 20]).is_err());
    }

    /// As the kernel writes a path (`mangle` of `seq_file`).
    fn escape(path: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for byte in path {
            match byte {
                b' ' | b'\t' | b'\n' | b'\\' | b'#' => out.extend(format!("\\{byte:03o}").into_bytes()),
                byte => out.push(*byte),
            }
        }
        out
    }

    fn path() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(any::<u8>().prop_filter("no NUL", |byte| *byte != 0), 0..40)
            .prop_map(|rest| [b"/".to_vec(), rest].concat())
    }

    proptest! {
        #[test]
        fn anything_is_read_or_refused(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&text);
        }

        #[test]
        fn lines_of_the_right_letters_are_read_or_refused(text in "[0-9:/a-z -\\\\\n]{0,200}") {
            let _ = parse(text.as_bytes());
        }

        #[test]
        fn paths_come_back(root in path(), point in path(), id: u64, parent: u64, major: u32, minor: u32) {
            let mut line = format!("{id} {parent} {major}:{minor} ").into_bytes();
            for part in [&escape(&root)[..], b" ", &escape(&point)[..], b" rw,noexec - tmpfs none rw\n"] {
                line.extend_from_slice(part);
            }
            let mounts = parse(&line).unwrap();
            prop_assert_eq!(mounts.len(), 1);
            prop_assert_eq!((mounts[0].id, mounts[0].parent), (id, parent));
            prop_assert_eq!((mounts[0].major, mounts[0].minor), (major, minor));
            prop_assert_eq!(mounts[0].root.as_os_str().as_bytes(), &root[..]);
            prop_assert_eq!(mounts[0].mount_point.as_os_str().as_bytes(), &point[..]);
        }
    }
}
