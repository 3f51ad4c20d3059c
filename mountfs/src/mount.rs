//! One mount as plain data.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use cofferdam_sys::mount::{ATIME_MASK, MountAttrs, MountFlags};

use crate::{Error, Idmap, options};

/// A mount in a [`crate::RootFs`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted.
    pub kind: Kind,
    /// Where, as a path in the container; what is missing is made.
    pub target: PathBuf,
    /// Attributes of the mount itself.
    pub attrs: Attributes,
    /// Attributes of the mount and all mounts below it (Linux 5.12).
    pub recursive_attrs: Attributes,
    /// Propagation; private with all mounts below where nothing is said.
    pub propagation: Option<Propagation>,
    /// Its id map (Linux 5.12; for a new tmpfs 6.3).
    pub idmap: Option<Idmap>,
    /// Whether a tmpfs begins with a copy of what it covers.
    pub copy_up: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A file or directory of the host.
    Bind {
        /// Its absolute path on the host.
        source: PathBuf,
        /// Whether the mounts below it come along.
        recursive: bool,
    },
    /// A new file system, made in the container's namespaces.
    Fs {
        /// Its type as in `filesystems(5)`; `cgroup` means the host's own cgroup layout.
        fstype: String,
        /// What `mountinfo` shows as the source, and what some types need.
        source: Option<OsString>,
        /// Its own parameters: `size` with `65536k`, or a flag such as `newinstance`.
        data: Vec<(String, Option<String>)>,
    },
}

/// Attributes to give to a mount and to take from it (`mount_setattr(2)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Attributes {
    /// The attributes to give.
    pub set: MountAttrs,
    /// The bits to take first; all of [`ATIME_MASK`] when an access-time attribute is asked for.
    pub clear: u64,
}

impl Attributes {
    /// Attributes to give only.
    pub fn set(attrs: MountAttrs) -> Self {
        let mut all = Self::default();
        all.give(attrs);
        all
    }

    /// Adds attributes; an access-time attribute replaces the one before it.
    pub fn give(&mut self, attrs: MountAttrs) {
        if attrs.intersects(ATIME) {
            self.clear |= ATIME_MASK;
            self.set.remove(ATIME);
        }
        self.clear &= !(attrs - ATIME).bits();
        self.set |= attrs;
    }

    /// Takes attributes, those that were given before included.
    pub fn take(&mut self, attrs: MountAttrs) {
        self.set.remove(attrs);
        self.clear |= if attrs.intersects(ATIME) { attrs.bits() | ATIME_MASK } else { attrs.bits() };
    }

    /// The kernel's default access times (`relatime`).
    pub(crate) fn default_atime(&mut self) {
        self.take(ATIME);
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.clear == 0
    }

    /// The same in the flags of `mount(2)`: what to set, and what not to keep.
    pub(crate) fn as_flags(self) -> (MountFlags, MountFlags) {
        let mut set = flags(self.set);
        let mut clear = flags(MountAttrs::from_bits_truncate(self.clear & !ATIME_MASK));
        if self.clear & ATIME_MASK != 0 {
            clear |= MountFlags::NOATIME | MountFlags::RELATIME | MountFlags::STRICTATIME;
            if !self.set.intersects(ATIME) {
                set |= MountFlags::RELATIME;
            }
        }
        (set, clear)
    }
}

/// The attributes that share one field of the kernel's.
const ATIME: MountAttrs = MountAttrs::NOATIME.union(MountAttrs::STRICTATIME);

fn flags(attrs: MountAttrs) -> MountFlags {
    const SAME: [(MountAttrs, MountFlags); 8] = [
        (MountAttrs::RDONLY, MountFlags::RDONLY),
        (MountAttrs::NOSUID, MountFlags::NOSUID),
        (MountAttrs::NODEV, MountFlags::NODEV),
        (MountAttrs::NOEXEC, MountFlags::NOEXEC),
        (MountAttrs::NOATIME, MountFlags::NOATIME),
        (MountAttrs::STRICTATIME, MountFlags::STRICTATIME),
        (MountAttrs::NODIRATIME, MountFlags::NODIRATIME),
        (MountAttrs::NOSYMFOLLOW, MountFlags::NOSYMFOLLOW),
    ];
    SAME.iter().filter(|(attr, _)| attrs.contains(*attr)).map(|(_, flag)| *flag).collect()
}

/// Whether and whence mounts appear by themselves (`mount_namespaces(7)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Propagation {
    /// Its kind.
    pub kind: PropagationKind,
    /// Whether the mounts below get it too.
    pub recursive: bool,
}

/// The kinds of [`Propagation`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PropagationKind {
    /// Nothing comes in and nothing goes out.
    Private,
    /// What the host mounts comes in; nothing goes out.
    Slave,
    /// A peer group: mounts go both ways.
    Shared,
    /// Private, and cannot be bound.
    Unbindable,
}

impl Propagation {
    /// Private with all mounts below.
    pub const PRIVATE: Self = Self { kind: PropagationKind::Private, recursive: true };

    pub(crate) fn kind_flag(self) -> MountFlags {
        match self.kind {
            PropagationKind::Private => MountFlags::PRIVATE,
            PropagationKind::Slave => MountFlags::SLAVE,
            PropagationKind::Shared => MountFlags::SHARED,
            PropagationKind::Unbindable => MountFlags::UNBINDABLE,
        }
    }

    pub(crate) fn flags(self) -> MountFlags {
        self.kind_flag() | if self.recursive { MountFlags::REC } else { MountFlags::empty() }
    }
}

impl Default for Propagation {
    fn default() -> Self {
        Self::PRIVATE
    }
}

impl FromStr for Propagation {
    type Err = Error;

    /// Reads `private`, `rprivate`, `slave`, `rslave`, `shared`, `rshared`, `unbindable`, `runbindable`.
    fn from_str(word: &str) -> Result<Self, Error> {
        options::propagation(word).ok_or_else(|| {
            Error::invalid(format!("unknown propagation {word:?}")).with_hint(
                "use private, slave, shared or unbindable, with an r in front for all mounts below",
            )
        })
    }
}

impl fmt::Display for Propagation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.kind {
            PropagationKind::Private => "private",
            PropagationKind::Slave => "slave",
            PropagationKind::Shared => "shared",
            PropagationKind::Unbindable => "unbindable",
        };
        write!(f, "{}{name}", if self.recursive { "r" } else { "" })
    }
}
