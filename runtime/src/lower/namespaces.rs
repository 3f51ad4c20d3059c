//! `linux.namespaces`, the id mappings, and the two names of the UTS namespace.

use std::path::{Path, PathBuf};

use cofferdam_ns::{IdMap, IdMaps, Namespaces, NsKind, Offset, TimeOffsets};

use crate::spec::{Linux, LinuxIdMapping, LinuxNamespaceType};
use crate::{Error, Result};

/// What the config says of namespaces.
pub(super) struct Lowered {
    pub(super) new: Namespaces,
    pub(super) join: Vec<(NsKind, PathBuf)>,
    pub(super) ids: Option<IdMaps>,
    pub(super) clocks: Option<TimeOffsets>,
}

impl Lowered {
    /// Whether the container has a namespace of this kind that is not the host's.
    pub(super) fn has(&self, kind: NsKind) -> bool {
        self.new.contains(kind.flag()) || self.join.iter().any(|(joined, _)| *joined == kind)
    }
}

pub(super) fn lower(linux: &Linux) -> Result<Lowered> {
    let mut lowered = Lowered { new: Namespaces::empty(), join: Vec::new(), ids: None, clocks: None };
    for (number, namespace) in linux.namespaces.iter().enumerate() {
        let kind = kind(namespace.typ);
        let field = format!("linux.namespaces[{number}]");
        if lowered.has(kind) {
            return Err(Error::config(&field, format!("a second {kind} namespace")));
        }
        match namespace.path.as_deref().filter(|path| !path.as_os_str().is_empty()) {
            None => lowered.new |= kind.flag(),
            Some(path) => lowered.join.push((kind, joinable(&field, kind, path)?)),
        }
    }
    if !lowered.new.contains(Namespaces::MOUNT) {
        return Err(Error::config("linux.namespaces", "a new mount namespace is needed for the root"));
    }
    lowered.ids = id_maps(linux, lowered.new)?;
    lowered.clocks = clocks(linux, lowered.new)?;
    Ok(lowered)
}

fn joinable(field: &str, kind: NsKind, path: &Path) -> Result<PathBuf> {
    if !path.is_absolute() {
        return Err(Error::config(&format!("{field}.path"), "must be absolute"));
    }
    if kind == NsKind::Mount {
        let why = "the container's root would become that of all processes in the mount namespace";
        return Err(
            Error::config(&format!("{field}.path"), why).with_hint("leave the path out for a new one")
        );
    }
    Ok(path.to_owned())
}

fn id_maps(linux: &Linux, new: Namespaces) -> Result<Option<IdMaps>> {
    let uid = ranges(&linux.uid_mappings);
    let gid = ranges(&linux.gid_mappings);
    if !new.contains(Namespaces::USER) {
        if uid.is_empty() && gid.is_empty() {
            return Ok(None);
        }
        return Err(Error::config("linux.uidMappings", "mappings need a new user namespace"));
    }
    if uid.is_empty() || gid.is_empty() {
        return Err(Error::config("linux.uidMappings", "a user namespace needs uidMappings and gidMappings"));
    }
    let ids = IdMaps { uid, gid };
    ids.validate().map_err(|error| Error::config("linux.uidMappings or gidMappings", error))?;
    Ok(Some(ids))
}

/// What is added to the clocks of a new time namespace.
fn clocks(linux: &Linux, new: Namespaces) -> Result<Option<TimeOffsets>> {
    const FIELD: &str = "linux.timeOffsets";
    if linux.time_offsets.is_empty() {
        return Ok(None);
    }
    if !new.contains(Namespaces::TIME) {
        return Err(Error::config(FIELD, "needs a new time namespace"));
    }
    let mut clocks = TimeOffsets::default();
    for (name, offset) in &linux.time_offsets {
        let offset = Offset::new(offset.secs.unwrap_or(0), offset.nanosecs.unwrap_or(0));
        match name.as_str() {
            "monotonic" => clocks.monotonic = offset,
            "boottime" => clocks.boottime = offset,
            other => {
                let field = format!("{FIELD}.{}", other.escape_default());
                return Err(Error::config(&field, "is not monotonic or boottime, which have offsets"));
            }
        }
    }
    clocks.validate().map_err(|error| Error::config(FIELD, error))?;
    Ok(Some(clocks))
}

/// The ranges of a list of mappings.
pub(super) fn ranges(list: &[LinuxIdMapping]) -> Vec<IdMap> {
    let range = |map: &LinuxIdMapping| IdMap::new(map.container_id, map.host_id, map.size);
    list.iter().map(range).collect()
}

fn kind(typ: LinuxNamespaceType) -> NsKind {
    match typ {
        LinuxNamespaceType::Mount => NsKind::Mount,
        LinuxNamespaceType::Cgroup => NsKind::Cgroup,
        LinuxNamespaceType::Uts => NsKind::Uts,
        LinuxNamespaceType::Ipc => NsKind::Ipc,
        LinuxNamespaceType::User => NsKind::User,
        LinuxNamespaceType::Pid => NsKind::Pid,
        LinuxNamespaceType::Network => NsKind::Network,
        LinuxNamespaceType::Time => NsKind::Time,
    }
}

/// A host or domain name, which must not change the host's.
pub(super) fn uts_name(field: &str, name: Option<&str>, namespaces: &Lowered) -> Result<Option<String>> {
    /// `__NEW_UTS_LEN` of the kernel.
    const LONGEST: usize = 64;
    let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(None) };
    if !namespaces.has(NsKind::Uts) {
        return Err(Error::config(field, "needs a uts namespace, or it would rename the host"));
    }
    if name.len() > LONGEST || name.contains('\0') {
        return Err(Error::config(field, format!("has more than {LONGEST} bytes or holds NUL")));
    }
    Ok(Some(name.to_owned()))
}
