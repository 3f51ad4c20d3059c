//! A root filesystem as plain data.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::mount::{Mount, Propagation};
use crate::source::RootSource;
use crate::{IdMaps, Idmap};

/// A container's root filesystem: where it is and what is mounted in it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RootFs {
    /// Where its content comes from.
    pub source: RootSource,
    /// The id map of the content, for an image whose owners are not the container's (Linux 5.12).
    pub idmap: Option<Idmap>,
    /// The id maps of the container's user namespace, which mounts may ask for.
    pub id_maps: Option<IdMaps>,
    /// Whether the root itself is read-only, once everything is mounted.
    pub readonly: bool,
    /// Propagation of the root: `shared` is a peer group of its own, `slave` receives what the host
    /// mounts below [`RootFs::source`], with all mounts there.
    pub propagation: Propagation,
    /// A directory of the caller's at which the new root is seen until the pivot, for hooks that look for it there:
    /// mostly [`RootFs::source`]. Without one, and with `mount(2)` alone, it covers the old root.
    pub visible_at: Option<PathBuf>,
    /// The mounts, in order.
    pub mounts: Vec<Mount>,
    /// Paths that become empty: a read-only empty directory, or a file that reads as empty.
    pub masked: Vec<PathBuf>,
    /// Paths that become read-only.
    pub readonly_paths: Vec<PathBuf>,
    /// Devices besides the default ones.
    pub devices: Vec<Device>,
    /// Whether `/dev` gets `null`, `zero`, `full`, `random`, `urandom`, `tty`, and links to the standard
    /// descriptors. Neither these nor [`RootFs::devices`] are made where `/dev` is a bind.
    pub default_devices: bool,
    /// The cgroup of a child without a cgroup namespace of its own: its directory in each hierarchy, by the
    /// place below `/sys/fs/cgroup` where that is mounted. A mount of the type `cgroup` shows them in the places
    /// of the hierarchies' roots. `None` for a child with a namespace, which shows the same by itself.
    pub cgroups: Option<BTreeMap<PathBuf, PathBuf>>,
    /// Whether the child has a user namespace of its own, or the caller is in one. No device can be made in one, so that the
    /// host's nodes are bound instead, with the host's owner and permissions.
    pub user_namespace: bool,
}

impl RootFs {
    /// A writable, private root with the default devices and nothing mounted.
    pub fn new(source: impl Into<RootSource>) -> Self {
        Self {
            source: source.into(),
            idmap: None,
            id_maps: None,
            readonly: false,
            propagation: Propagation::PRIVATE,
            visible_at: None,
            mounts: Vec::new(),
            masked: Vec::new(),
            readonly_paths: Vec::new(),
            devices: Vec::new(),
            default_devices: true,
            cgroups: None,
            user_namespace: false,
        }
    }
}

/// A device node, or a FIFO.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its path in the container, and on the host where it is bound.
    pub path: PathBuf,
    /// What sort of node it is.
    pub kind: DeviceKind,
    /// Major number; 0 for a FIFO.
    pub major: u32,
    /// Minor number; 0 for a FIFO.
    pub minor: u32,
    /// Permissions.
    pub mode: u32,
    /// Owner in the container.
    pub uid: u32,
    /// Group in the container.
    pub gid: u32,
}

/// What sort of node a [`Device`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeviceKind {
    /// A character device (`c` or `u`).
    Char,
    /// A block device (`b`).
    Block,
    /// A FIFO (`p`).
    Fifo,
}

impl Device {
    /// A character device that everybody may use, owned by root.
    pub fn char(path: impl Into<PathBuf>, major: u32, minor: u32) -> Self {
        Self { path: path.into(), kind: DeviceKind::Char, major, minor, mode: 0o666, uid: 0, gid: 0 }
    }

    /// Type and permissions as `mknod(2)` takes them.
    pub(crate) fn mode_bits(&self) -> u32 {
        let kind = match self.kind {
            DeviceKind::Char => 0o020_000,
            DeviceKind::Block => 0o060_000,
            DeviceKind::Fifo => 0o010_000,
        };
        kind | self.mode
    }

    /// The devices of every container.
    pub(crate) fn defaults() -> [Self; 6] {
        [
            Self::char("/dev/null", 1, 3),
            Self::char("/dev/zero", 1, 5),
            Self::char("/dev/full", 1, 7),
            Self::char("/dev/random", 1, 8),
            Self::char("/dev/urandom", 1, 9),
            Self::char("/dev/tty", 5, 0),
        ]
    }
}
