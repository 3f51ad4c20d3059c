//! The parent's part: checking the input and opening the sources.

use std::ffi::{CStr, CString};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use cofferdam_sys::file::{self, Stat};
use cofferdam_sys::mount::{OpenTree, open_tree};
use cofferdam_sys::open::{Dir, Open, Resolve, openat2};
use cofferdam_sys::plan::At;
use cofferdam_sys::{Errno, errno};

use crate::mount::{Attributes, Kind, Mount, Propagation, PropagationKind};
use crate::place::{Place, c_string, host_path};
use crate::rootfs::{Device, DeviceKind};
use crate::{Error, ErrorKind, Host, Result, RootFs, cgroup};

/// A root filesystem whose sources are open, ready to become steps of a plan.
#[derive(Debug)]
#[must_use = "nothing is mounted until its steps are in a plan that a child walks"]
pub struct Prepared {
    pub(crate) host: Host,
    pub(crate) root: Tree,
    pub(crate) readonly: bool,
    pub(crate) propagation: Propagation,
    /// Whether something wants to hear of the host's mounts, so that the child's copies stay slaves.
    pub(crate) listens: bool,
    pub(crate) mounts: Vec<Item>,
    pub(crate) nodes: Vec<Node>,
    /// Links in `/dev`; the second part says whether one is `ptmx`.
    pub(crate) links: Option<Links>,
    pub(crate) readonly_paths: Vec<Place>,
    pub(crate) masked: Vec<Place>,
}

/// A mount whose source is open.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) place: Place,
    pub(crate) what: What,
    pub(crate) attrs: Attributes,
    pub(crate) recursive_attrs: Attributes,
    pub(crate) propagation: Propagation,
}

/// What an [`Item`] mounts.
#[derive(Debug)]
pub(crate) enum What {
    Bind {
        tree: Tree,
        directory: bool,
    },
    Fs {
        fstype: CString,
        data: Vec<(CString, Option<CString>)>,
    },
    /// Makes the mount on the place read-only: for a file system that is filled first.
    Seal,
    /// A link to a name in the same directory.
    Link {
        to: CString,
    },
}

/// A source of the host.
#[derive(Debug)]
pub(crate) enum Tree {
    /// A detached copy that the parent opened.
    Detached { tree: At, recursive: bool },
    /// A path for the child to copy, where the parent may not.
    ByPath { path: CString, recursive: bool },
}

/// A device.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) device: Device,
    /// The host's node to bind; `None` where it is made.
    pub(crate) bind: Option<Tree>,
}

/// Which links `/dev` gets.
#[derive(Debug)]
pub(crate) struct Links {
    pub(crate) dev: Place,
    pub(crate) ptmx: bool,
}

impl RootFs {
    /// Checks everything and opens the sources.
    ///
    /// Where the caller may (`CAP_SYS_ADMIN` in its mount namespace), the root, the sources of binds and
    /// the host's device nodes become detached trees here: no path is resolved twice, and a child in a
    /// user namespace needs no access to the host's directories. Otherwise the child opens them by path.
    ///
    /// # Errors
    /// For input that is refused, a source that cannot be opened or is not what it should be, and for
    /// what the kernel is too old for.
    pub fn prepare(&self, host: &Host) -> Result<Prepared> {
        let host = *host;
        let root = self.open_root(host)?;
        let mut mounts = Vec::new();
        for mount in &self.mounts {
            let open = |mount: &Mount| open_mount(host, mount);
            match &mount.kind {
                Kind::Fs { fstype, .. } if fstype == "cgroup" => mounts.extend(cgroup::items(mount, &open)?),
                _ => mounts.push(open(mount)?),
            }
        }
        let places = |what: &str, paths: &[std::path::PathBuf]| -> Result<Vec<Place>> {
            paths.iter().map(|path| Place::new(what, path)).collect()
        };
        let prepared = Prepared {
            host,
            root,
            readonly: self.readonly,
            propagation: self.propagation,
            listens: self.listens(),
            nodes: self.open_nodes(host)?,
            links: self.links()?,
            readonly_paths: places("read-only path", &self.readonly_paths)?,
            masked: places("masked path", &self.masked)?,
            mounts,
        };
        prepared.check_readonly_paths()?;
        Ok(prepared)
    }

    fn open_root(&self, host: Host) -> Result<Tree> {
        let about = format!("open the root directory {}", self.source.display());
        let path = host_path("the root directory", &self.source)?;
        let (tree, stat) = Tree::open(host, &path, true, &about)?;
        if !stat.is_dir() {
            return Err(Error::system(about, Errno::ENOTDIR).with_hint("name the directory of the image"));
        }
        Ok(tree)
    }

    fn listens(&self) -> bool {
        let listening = |propagation: &Propagation| {
            matches!(propagation.kind, PropagationKind::Slave | PropagationKind::Shared)
        };
        self.propagation.kind == PropagationKind::Slave
            || self.mounts.iter().filter_map(|mount| mount.propagation.as_ref()).any(listening)
    }

    /// Whether `/dev` is the host's or somebody else's, where nothing must be made.
    fn dev_is_bound(&self) -> bool {
        let on_dev =
            |mount: &&Mount| Place::new("", &mount.target).is_ok_and(|place| place.bytes() == b"dev");
        self.mounts.iter().rfind(on_dev).is_some_and(|mount| matches!(mount.kind, Kind::Bind { .. }))
    }

    fn open_nodes(&self, host: Host) -> Result<Vec<Node>> {
        if self.dev_is_bound() {
            return Ok(Vec::new());
        }
        let defaults = Device::defaults();
        let wanted = |default: &&Device| {
            self.default_devices && !self.devices.iter().any(|device| device.path == default.path)
        };
        let devices = defaults.iter().filter(wanted).chain(&self.devices);
        devices.map(|device| open_node(host, device, self.user_namespace)).collect()
    }

    fn links(&self) -> Result<Option<Links>> {
        if !self.default_devices || self.dev_is_bound() {
            return Ok(None);
        }
        let is_devpts = |mount: &Mount| {
            matches!(&mount.kind, Kind::Fs { fstype, .. } if fstype == "devpts")
                && Place::new("", &mount.target).is_ok_and(|place| place.bytes() == b"dev/pts")
        };
        let dev = Place::new("links in", Path::new("/dev"))?;
        Ok(Some(Links { dev, ptmx: self.mounts.iter().any(is_devpts) }))
    }
}

impl Prepared {
    /// Before Linux 5.12 a tree cannot be made read-only with the mounts in it.
    fn check_readonly_paths(&self) -> Result<()> {
        if self.host.setattr() {
            return Ok(());
        }
        for path in &self.readonly_paths {
            if let Some(mount) = self.mounts.iter().find(|mount| mount.place.is_below(path)) {
                let about = format!(
                    "read-only path {}: the mount on {} lies below it",
                    path.shown, mount.place.shown
                );
                return Err(needs_mount_setattr(&about));
            }
        }
        Ok(())
    }
}

impl Tree {
    /// Opens a source, as a detached tree where that is allowed.
    fn open(host: Host, path: &CStr, recursive: bool, about: &str) -> Result<(Self, Stat)> {
        let fail = |errno| Error::system(about, errno);
        if host.has_detached() {
            let flags = OpenTree::CLONE | if recursive { OpenTree::RECURSIVE } else { OpenTree::empty() };
            match open_tree(Dir::Cwd, path, flags) {
                Ok(tree) => {
                    let stat = file::fstat(tree.as_fd()).map_err(fail)?;
                    return Ok((Tree::Detached { tree: At::from(tree), recursive }, stat));
                }
                // Without privilege here: the child has it in its own namespaces.
                Err(Errno::EPERM) => {}
                Err(errno) => return Err(fail(errno)),
            }
        }
        let there = openat2(Dir::Cwd, path, Open::PATH, 0, Resolve::empty()).map_err(fail)?;
        let stat = file::fstat(there.as_fd()).map_err(fail)?;
        Ok((Tree::ByPath { path: path.to_owned(), recursive }, stat))
    }
}

fn open_mount(host: Host, mount: &Mount) -> Result<Item> {
    let place = Place::new("mount on", &mount.target)?;
    refuse_in_proc(&place)?;
    let about = format!("mount on {}", place.shown);
    let what = match &mount.kind {
        Kind::Bind { source, recursive } => {
            if *recursive && !host.setattr() && !mount.recursive_attrs.is_empty() {
                let about = format!("{about}: recursive attributes ({})", mount.options().join(","));
                return Err(needs_mount_setattr(&about));
            }
            let path = host_path(&format!("{about}: the source"), source)?;
            let about = format!("{about}: open the source {}", source.display());
            let (tree, stat) = Tree::open(host, &path, *recursive, &about)?;
            What::Bind { tree, directory: stat.is_dir() }
        }
        Kind::Fs { fstype, source, data } => {
            let mut parameters = Vec::new();
            if let Some(source) = source {
                let value = value(&about, "source", source.as_bytes())?;
                parameters.push((c"source".to_owned(), Some(value)));
            }
            for (key, text) in data {
                let text = text.as_ref().map(|text| value(&about, key, text.as_bytes())).transpose()?;
                parameters.push((c_string(&about, key)?, text));
            }
            What::Fs { fstype: c_string(&about, fstype)?, data: parameters }
        }
    };
    Ok(Item {
        place,
        what,
        attrs: mount.attrs,
        recursive_attrs: mount.recursive_attrs,
        propagation: mount.propagation.unwrap_or_default(),
    })
}

/// A mount over part of `/proc` can have the runtime write a label or a sysctl into the wrong file.
///
/// The child's check of the target holds against links too; this one gives the better message.
fn refuse_in_proc(place: &Place) -> Result<()> {
    if !place.bytes().starts_with(b"proc/") || place.may_be_in_proc() {
        return Ok(());
    }
    let about = format!("mount on {}: inside /proc", place.shown);
    Err(Error::new(ErrorKind::Refused, about)
        .with_hint("only files such as /proc/cpuinfo and /proc/meminfo may be mounted on"))
}

/// A parameter's value, which `fsconfig(2)` takes up to 255 bytes long.
fn value(about: &str, key: &str, text: &[u8]) -> Result<CString> {
    if text.len() > 255 {
        let about = format!("{about}: the value of {key} is {} bytes long", text.len());
        return Err(Error::invalid(about).with_hint("fsconfig(2) takes 255: use shorter paths"));
    }
    c_string(&format!("{about}: the value of {key}"), text)
}

fn open_node(host: Host, device: &Device, user_namespace: bool) -> Result<Node> {
    let place = Place::new("device", &device.path)?;
    if device.mode & !0o7777 != 0 {
        let about = format!("device {}: {:o} are no permissions", place.shown, device.mode);
        return Err(Error::invalid(about).with_hint("the type is said apart from the permissions"));
    }
    let bind = if user_namespace && device.kind != DeviceKind::Fifo {
        Some(open_host_node(host, device, &place)?)
    } else {
        None
    };
    Ok(Node { place, device: device.clone(), bind })
}

fn open_host_node(host: Host, device: &Device, place: &Place) -> Result<Tree> {
    let about = format!("device {}: open the host's node to bind it", place.shown);
    let path = host_path("the device", &device.path)?;
    let (tree, stat) = Tree::open(host, &path, false, &about)?;
    let same_kind = stat.mode & file_type(!0) == file_type(device.mode_bits());
    if same_kind && (stat.major, stat.minor) == (device.major, device.minor) {
        return Ok(tree);
    }
    let about = format!(
        "device {}: the host's node is not {:?} {}:{}",
        place.shown, device.kind, device.major, device.minor
    );
    Err(Error::new(ErrorKind::WrongSource, about)
        .with_hint("in a user namespace a device is the host's node of the same path"))
}

/// The type in a file's mode (`S_IFMT`).
fn file_type(mode: u32) -> u32 {
    mode & 0o170_000
}

fn needs_mount_setattr(about: &str) -> Error {
    Error::new(ErrorKind::UnsupportedKernel, format!("{about}: {}", errno::describe(Errno::ENOSYS)))
        .with_hint("this needs mount_setattr(2), Linux 5.12: use a newer kernel, or leave the attributes out")
}

#[cfg(test)]
mod tests;
