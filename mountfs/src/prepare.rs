//! The parent's part: checking the input and opening the sources.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use cofferdam_sys::mount::MountAttrs;
use cofferdam_sys::{Errno, errno};

use crate::idmap::MapNamespaces;
use crate::mount::{Attributes, Kind, Mount, Propagation, PropagationKind};
use crate::place::{Place, c_string, host_path};
use crate::rootfs::{Device, DeviceKind};
use crate::tree::{Parameters, Tree, require_idmap};
use crate::{Api, Error, ErrorKind, Host, Overlay, Result, RootFs, cgroup};

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
    /// Where the new root is put; `None` on top of the old one.
    pub(crate) visible_at: Option<CString>,
    pub(crate) mounts: Vec<Item>,
    /// Mounts that become read-only once all that lies in them is made.
    pub(crate) seals: Vec<Item>,
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
    /// Whether it has an id map.
    pub(crate) idmapped: bool,
    pub(crate) copy_up: Option<CopyUp>,
}

/// A tmpfs that begins as what it covers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CopyUp {
    /// Whether its root gets the owner and the permissions of what it covers.
    pub(crate) top: bool,
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
        data: Parameters,
    },
    /// Makes the mount on the place read-only: for a file system that is filled first.
    Seal,
    /// A link to a name in the same directory.
    Link {
        to: CString,
    },
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
        let mut maps = MapNamespaces::default();
        let root = self.open_root(host, &mut maps)?;
        let mut mounts = Vec::new();
        for mount in &self.mounts {
            let mut open = |mount: &Mount| self.open_mount(host, mount, &mut maps);
            match &mount.kind {
                Kind::Fs { fstype, .. } if fstype == "cgroup" => {
                    mounts.extend(cgroup::items(mount, &self.view(), &mut open)?);
                }
                _ => mounts.push(open(mount)?),
            }
        }
        let places = |what: &str, paths: &[std::path::PathBuf]| -> Result<Vec<Place>> {
            paths.iter().map(|path| Place::new(what, path)).collect()
        };
        let seals = take_seals(&mut mounts);
        let visible_at = self.visible_at.as_ref().filter(|_| host.api != Api::Mount);
        let visible_at = visible_at.map(|path| host_path("where the root is seen", path)).transpose()?;
        let prepared = Prepared {
            host,
            root,
            visible_at,
            seals,
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

    fn view(&self) -> cgroup::View<'_> {
        match &self.cgroups {
            None => cgroup::View::Namespace,
            Some(own) => cgroup::View::Host { own, user: self.user_namespace },
        }
    }

    fn open_root(&self, host: Host, maps: &mut MapNamespaces) -> Result<Tree> {
        let tree = Tree::open_root(host, &self.source, self.user_namespace)?;
        match &self.idmap {
            Some(idmap) => tree.mapped(host, idmap, self.id_maps.as_ref(), maps, "root"),
            None => Ok(tree),
        }
    }

    fn listens(&self) -> bool {
        let listening = |propagation: &Propagation| {
            matches!(propagation.kind, PropagationKind::Slave | PropagationKind::Shared)
        };
        self.propagation.kind == PropagationKind::Slave
            || self.mounts.iter().filter_map(|mount| mount.propagation.as_ref()).any(listening)
    }

    /// Whether `/dev` is the host's or somebody else's, where nothing must be made.
    pub(crate) fn dev_is_bound(&self) -> bool {
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

impl RootFs {
    fn open_mount(&self, host: Host, mount: &Mount, maps: &mut MapNamespaces) -> Result<Item> {
        let place = Place::new("mount on", &mount.target)?;
        refuse_in_proc(&place)?;
        let about = format!("mount on {}", place.shown);
        let container = self.id_maps.as_ref();
        let what = match &mount.kind {
            Kind::Bind { source, recursive } => {
                if *recursive {
                    check_recursive(host, mount, &about)?;
                }
                let path = host_path(&format!("{about}: the source"), source)?;
                let opening = format!("{about}: open the source {}", source.display());
                let (mut tree, stat) = Tree::open(host, &path, *recursive, &opening)?;
                if let Some(map) = &mount.idmap {
                    tree = tree.mapped(host, map, container, maps, &about)?;
                }
                What::Bind { tree, directory: stat.is_dir() }
            }
            Kind::Fs { fstype, data, .. } if fstype == "overlay" => {
                let overlay =
                    Overlay::from_parameters(data).map_err(|error| error.of_mount(&mount.target))?;
                let mut tree = overlay.tree(host, &about)?;
                if let Some(map) = &mount.idmap {
                    tree = tree.mapped(host, map, container, maps, &about)?;
                }
                What::Bind { tree, directory: true }
            }
            Kind::Fs { fstype, source, data } => {
                let fstype = c_string(&about, fstype)?;
                let data = parameters(&about, source.as_deref(), data)?;
                match &mount.idmap {
                    None => What::Fs { fstype, data },
                    Some(_) if mount.copy_up => {
                        let about = format!("{about}: tmpcopyup with an id map");
                        return Err(
                            Error::new(ErrorKind::UnsupportedOption, about).with_hint("use one of the two")
                        );
                    }
                    // Whoever gives a map must own the file system and the map's namespace: the parent.
                    Some(map) => {
                        require_idmap(host, &about)?;
                        let tree = Tree::make(host, &fstype, &data, &about)?;
                        let tree = tree.mapped(host, map, container, maps, &about)?;
                        What::Bind { tree, directory: true }
                    }
                }
            }
        };
        let copy_up = mount.copy_up.then(|| CopyUp { top: !has_mode(&mount.kind) });
        Ok(Item {
            place,
            what,
            attrs: mount.attrs,
            recursive_attrs: mount.recursive_attrs,
            propagation: mount.propagation.unwrap_or_default(),
            idmapped: mount.idmap.is_some(),
            copy_up,
        })
    }
}

/// Takes `ro` from new file systems that something is made in later, and gives what makes them read-only then.
fn take_seals(mounts: &mut [Item]) -> Vec<Item> {
    let mut seals = Vec::new();
    let mut left = mounts;
    while let [item, later @ ..] = left {
        // The devices and links of `/dev` are no mounts of the list.
        let filled =
            item.place.bytes() == b"dev" || later.iter().any(|other| other.place.is_below(&item.place));
        if filled && matches!(item.what, What::Fs { .. }) && item.attrs.set.contains(MountAttrs::RDONLY) {
            item.attrs.set -= MountAttrs::RDONLY;
            seals.push(Item {
                place: item.place.clone(),
                what: What::Seal,
                attrs: Attributes::set(MountAttrs::RDONLY),
                recursive_attrs: Attributes::default(),
                propagation: Propagation::default(),
                idmapped: false,
                copy_up: None,
            });
        }
        left = later;
    }
    seals
}

/// What only newer kernels can do to all mounts of a tree.
fn check_recursive(host: Host, mount: &Mount, about: &str) -> Result<()> {
    let attrs = mount.recursive_attrs;
    if !host.setattr() && !attrs.is_empty() {
        let about = format!("{about}: recursive attributes ({})", mount.options().join(","));
        return Err(needs_mount_setattr(&about));
    }
    let nosymfollow = MountAttrs::NOSYMFOLLOW;
    if !host.nosymfollow && (attrs.set.contains(nosymfollow) || attrs.clear & nosymfollow.bits() != 0) {
        let about = format!("{about}: rnosymfollow or rsymfollow");
        return Err(Error::new(ErrorKind::UnsupportedKernel, about)
            .with_hint("mount_setattr(2) knows it since Linux 5.14: use a newer kernel, or leave it out"));
    }
    Ok(())
}

/// Whether a tmpfs has permissions of its own.
fn has_mode(kind: &Kind) -> bool {
    matches!(kind, Kind::Fs { data, .. } if data.iter().any(|(key, _)| key == "mode"))
}

fn parameters(
    about: &str,
    source: Option<&std::ffi::OsStr>,
    data: &[(String, Option<String>)],
) -> Result<Parameters> {
    let mut parameters = Vec::new();
    if let Some(source) = source {
        let value = value(about, "source", source.as_bytes())?;
        parameters.push((c"source".to_owned(), Some(value)));
    }
    for (key, text) in data {
        let text = text.as_ref().map(|text| value(about, key, text.as_bytes())).transpose()?;
        parameters.push((c_string(about, key)?, text));
    }
    Ok(parameters)
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
pub(crate) fn value(about: &str, key: &str, text: &[u8]) -> Result<CString> {
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
