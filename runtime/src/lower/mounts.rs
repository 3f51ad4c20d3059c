//! `root`, `mounts`, `linux.devices`, `linux.maskedPaths`, `linux.readonlyPaths`, `linux.rootfsPropagation`.

use std::path::{Component, Path, PathBuf};

use cofferdam_lsm::selinux::{Context, MountLabel};
use cofferdam_mountfs::{Device, DeviceKind, IdMaps, IdRange, Idmap, IdmapSource, Kind, Mount, RootFs};
use cofferdam_ns::{self as ns, NsKind};

use super::namespaces::{Lowered, ranges};
use crate::bundle::Bundle;
use crate::spec::{self, Linux, LinuxDevice, LinuxDeviceType};
use crate::{Error, Result};

pub(super) fn lower(
    bundle: &Bundle,
    linux: &Linux,
    label: Option<&Context>,
    namespaces: &Lowered,
) -> Result<RootFs> {
    let root = bundle.spec.root.as_ref().ok_or_else(|| Error::config("root", "is missing"))?;
    let mut rootfs = RootFs::new(root_directory(&bundle.dir, &root.path)?);
    rootfs.readonly = root.readonly.unwrap_or(false);
    rootfs.user_namespace = namespaces.has(NsKind::User);
    rootfs.id_maps = namespaces.ids.as_ref().map(maps);
    if let Some(propagation) = linux.rootfs_propagation.as_ref().filter(|text| !text.is_empty()) {
        rootfs.propagation =
            propagation.parse().map_err(|error| Error::config("linux.rootfsPropagation", error))?;
    }
    rootfs.mounts = mounts(bundle)?;
    if let Some((_, path)) = namespaces.join.iter().find(|(kind, _)| *kind == NsKind::User) {
        // The container's maps are those of the namespace that it joins.
        let of_container = |idmap: &&mut Idmap| idmap.maps == IdmapSource::Container;
        let idmaps = rootfs.mounts.iter_mut().filter_map(|mount| mount.idmap.as_mut());
        idmaps.filter(of_container).for_each(|idmap| idmap.maps = IdmapSource::Namespace(path.clone()));
    }
    if let Some(label) = label {
        rootfs.mounts.iter_mut().for_each(|mount| give_label(mount, label));
    }
    for (number, device) in linux.devices.iter().enumerate() {
        rootfs.devices.push(lower_device(&format!("linux.devices[{number}]"), device)?);
    }
    rootfs.masked = paths("linux.maskedPaths", &linux.masked_paths)?;
    rootfs.readonly_paths = paths("linux.readonlyPaths", &linux.readonly_paths)?;
    Ok(rootfs)
}

/// `linux.mountLabel`.
pub(super) fn label(linux: &Linux) -> Result<Option<Context>> {
    let text = linux.mount_label.as_deref().filter(|text| !text.is_empty());
    let label = text.map(str::parse).transpose();
    label.map_err(|error| Error::config("linux.mountLabel", error))
}

/// Has a new file system label its files, but for those whose files the policy labels one by one. One that has
/// such an option already keeps it.
fn give_label(mount: &mut Mount, label: &Context) {
    const OF_THE_POLICY: [&str; 5] = ["proc", "sysfs", "cgroup", "cgroup2", "mqueue"];
    let key = MountLabel::Every.key();
    if let Kind::Fs { fstype, data, .. } = &mut mount.kind
        && !OF_THE_POLICY.contains(&fstype.as_str())
        && data.iter().all(|(known, _)| !known.ends_with(key))
    {
        data.push((key.to_owned(), Some(label.to_string())));
    }
}

/// The root must be a directory itself: a link would let the bundle's owner choose any place on the host
/// after the checks.
fn root_directory(bundle: &Path, path: &Path) -> Result<PathBuf> {
    const FIELD: &str = "root.path";
    if path.as_os_str().is_empty() {
        return Err(Error::config(FIELD, "is empty"));
    }
    let mut components = path.components();
    let only = (components.next(), components.next());
    // Without a slash at the end, behind which a link would be followed.
    let path: PathBuf = bundle.join(path).components().collect();
    let kind = path
        .symlink_metadata()
        .map_err(|error| Error::config(FIELD, format!("{}: {error}", path.display())))?;
    if kind.is_symlink() {
        return Err(Error::config(FIELD, format!("{} is a symbolic link", path.display())));
    }
    if !kind.is_dir() {
        return Err(Error::config(FIELD, format!("{} is not a directory", path.display())));
    }
    if matches!(only, (Some(Component::Normal(_)), None)) {
        // A name in the bundle, whose own path has no links, and no link itself.
        return Ok(path);
    }
    path.canonicalize().map_err(|error| Error::config(FIELD, format!("{}: {error}", path.display())))
}

fn mounts(bundle: &Bundle) -> Result<Vec<Mount>> {
    let mut list = Vec::new();
    for (number, mount) in bundle.spec.mounts.iter().enumerate() {
        let field = format!("mounts[{number}]");
        let options = &mount.options;
        let bind = options.iter().any(|option| option == "bind" || option == "rbind");
        let source = match &mount.source {
            // Relative sources are relative to the bundle (runtime-spec, config, "Mounts").
            Some(source) if bind => bundle.dir.join(source),
            Some(source) => source.clone(),
            None => PathBuf::new(),
        };
        let fstype = mount.typ.as_deref().unwrap_or_default();
        let maps = mount_maps(&field, mount)?;
        let mut mount = Mount::from_options(fstype, source, &mount.destination, options)
            .map_err(|error| Error::config(&field, error))?;
        if let Some(maps) = maps {
            // The mappings alone ask for a map too; the option says how far it goes.
            let recursive = mount.idmap.is_some_and(|idmap| idmap.recursive);
            mount.idmap = Some(Idmap { maps: IdmapSource::Maps(maps), recursive });
        }
        list.push(mount);
    }
    Ok(list)
}

/// The id maps of one mount; they come in pairs.
fn mount_maps(field: &str, mount: &spec::Mount) -> Result<Option<IdMaps>> {
    let ids = ns::IdMaps { uid: ranges(&mount.uid_mappings), gid: ranges(&mount.gid_mappings) };
    match (ids.uid.is_empty(), ids.gid.is_empty()) {
        (true, true) => return Ok(None),
        (false, false) => {}
        _ => return Err(Error::config(field, "has one of uidMappings and gidMappings: say both")),
    }
    ids.validate().map_err(|error| Error::config(&format!("{field}.uidMappings or gidMappings"), error))?;
    Ok(Some(maps(&ids)))
}

/// Id maps as the mounts take them.
fn maps(ids: &ns::IdMaps) -> IdMaps {
    let range = |map: &ns::IdMap| IdRange { inside: map.inside, outside: map.outside, length: map.count };
    IdMaps { uid: ids.uid.iter().map(range).collect(), gid: ids.gid.iter().map(range).collect() }
}

fn lower_device(field: &str, device: &LinuxDevice) -> Result<Device> {
    let kind = match device.typ {
        LinuxDeviceType::C | LinuxDeviceType::U => DeviceKind::Char,
        LinuxDeviceType::B => DeviceKind::Block,
        LinuxDeviceType::P => DeviceKind::Fifo,
        LinuxDeviceType::A => {
            return Err(Error::config(&format!("{field}.type"), "`a` is no device to make"));
        }
    };
    let number = |name: &str, value: i64| {
        u32::try_from(value)
            .map_err(|_| Error::config(&format!("{field}.{name}"), format!("{value} is no device number")))
    };
    let fifo = kind == DeviceKind::Fifo;
    Ok(Device {
        path: device.path.clone(),
        kind,
        major: if fifo { 0 } else { number("major", device.major)? },
        minor: if fifo { 0 } else { number("minor", device.minor)? },
        mode: device.file_mode.unwrap_or(0o666) & 0o7777,
        uid: device.uid.unwrap_or(0),
        gid: device.gid.unwrap_or(0),
    })
}

fn paths(field: &str, list: &[String]) -> Result<Vec<PathBuf>> {
    let check = |(number, path): (usize, &String)| {
        let path = PathBuf::from(path);
        let relative = || Error::config(&format!("{field}[{number}]"), "must be an absolute path");
        if path.is_absolute() { Ok(path) } else { Err(relative()) }
    };
    list.iter().enumerate().map(check).collect()
}
