//! Id maps of mounts: who owns a file on disk, and who owns it in the mount.
//!
//! The kernel takes a map from a user namespace. One is made for it here: a child that does nothing but be
//! in it is mapped, its namespace opened, and the child ended.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use cofferdam_sys::clone::Namespaces;
use cofferdam_sys::mount::{mount_idmap, open_tree_idmap};
use cofferdam_sys::plan::{At, Exec, Plan, Step};
use cofferdam_sys::spawn::{Request, spawn};
use cofferdam_sys::{Errno, errno};

use crate::{Error, ErrorKind, Result};

/// The id map of a mount (`mount_setattr(2)`, `MOUNT_ATTR_IDMAP`, Linux 5.12).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idmap {
    /// Where the map comes from.
    pub maps: IdmapSource,
    /// Whether the mounts below get it too.
    pub recursive: bool,
}

/// Where the map of an [`Idmap`] comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdmapSource {
    /// The container's own, [`crate::RootFs::id_maps`]: what root owns on disk, the container's root owns.
    Container,
    /// These.
    Maps(IdMaps),
    /// The user namespace behind a path such as `/proc/7/ns/user`.
    Namespace(PathBuf),
}

/// Maps of users and of groups (`user_namespaces(7)`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct IdMaps {
    /// The users.
    pub uid: Vec<IdRange>,
    /// The groups.
    pub gid: Vec<IdRange>,
}

/// A range of ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IdRange {
    /// The first id inside: for a mount, the owner on disk.
    pub inside: u32,
    /// The first id outside: for a mount, the owner that is seen.
    pub outside: u32,
    /// How many ids.
    pub length: u32,
}

impl IdMaps {
    /// The same range of users and groups.
    pub fn range(inside: u32, outside: u32, length: u32) -> Self {
        let ranges = vec![IdRange { inside, outside, length }];
        Self { uid: ranges.clone(), gid: ranges }
    }
}

/// The user namespaces that were made or opened for maps, each once.
#[derive(Debug, Default)]
pub(crate) struct MapNamespaces {
    known: Vec<(IdMaps, At)>,
}

impl MapNamespaces {
    /// The namespace with the map of a mount.
    pub(crate) fn of(&mut self, idmap: &Idmap, container: Option<&IdMaps>, about: &str) -> Result<At> {
        let maps = match &idmap.maps {
            IdmapSource::Namespace(path) => return open(path, about),
            IdmapSource::Maps(maps) => maps,
            IdmapSource::Container => container.ok_or_else(|| {
                Error::invalid(format!("{about}: an id map, and the container has none"))
                    .with_hint("give the mount maps of its own, or the container a user namespace with maps")
            })?,
        };
        if let Some((_, known)) = self.known.iter().find(|(known, _)| known == maps) {
            return Ok(known.clone());
        }
        let made = At::from(make(maps, about)?);
        self.known.push((maps.clone(), made.clone()));
        Ok(made)
    }
}

fn open(path: &Path, about: &str) -> Result<At> {
    let file = fs::File::open(path).map_err(|error| {
        Error::system(format!("{about}: open the user namespace {}", path.display()), errno::from_io(&error))
    })?;
    Ok(At::from(OwnedFd::from(file)))
}

/// Makes a user namespace with these maps that lives as long as the descriptor.
pub(crate) fn make(maps: &IdMaps, about: &str) -> Result<OwnedFd> {
    if maps.uid.is_empty() || maps.gid.is_empty() {
        return Err(Error::invalid(format!("{about}: an id map without users or without groups"))
            .with_hint("give ranges for both"));
    }
    let fail = |step: &str, errno| {
        Error::system(format!("{about}: {step}"), errno).with_hint(match errno {
            Errno::EPERM => "writing an id map needs CAP_SETUID, CAP_SETGID and ids of the caller's own",
            Errno::EINVAL => "the ranges overlap, are empty, or leave the 32 bits of an id",
            Errno::ENOSPC => "the host is at its limit of user namespaces: raise user.max_user_namespaces",
            _ => "user namespaces may be switched off on this host: see user_namespaces(7)",
        })
    };
    let mut plan = Plan::new(Exec { candidates: vec![], args: vec![], env: vec![] });
    plan.push("wait to be ended", Step::WaitForParent);
    let request = Request { namespaces: Namespaces::USER, exit_signal: Some(0), ..Request::default() };
    let child = spawn(&plan, &request).map_err(|failure| {
        fail("make a user namespace for its id map", failure.errno().unwrap_or(Errno::EIO))
    })?;
    for (file, ranges) in [("uid_map", &maps.uid), ("gid_map", &maps.gid)] {
        let line = |range: &IdRange| format!("{} {} {}\n", range.inside, range.outside, range.length);
        let text: String = ranges.iter().map(line).collect();
        fs::write(format!("/proc/{}/{file}", child.pid()), text)
            .map_err(|error| fail(&format!("write the {file} of its id map"), errno::from_io(&error)))?;
    }
    let namespace = fs::File::open(format!("/proc/{}/ns/user", child.pid()))
        .map_err(|error| fail("open the user namespace of its id map", errno::from_io(&error)))?;
    Ok(namespace.into())
}

/// Gives a detached tree its map; the tree that has it is the one to go on with.
pub(crate) fn apply(tree: OwnedFd, recursive: bool, namespace: &At, about: &str) -> Result<OwnedFd> {
    let At::Fd(namespace) = namespace else {
        return Err(Error::invalid(format!("{about}: no user namespace for its id map")));
    };
    let answer = match mount_idmap(tree.as_fd(), recursive, namespace.as_fd()) {
        Ok(()) => return Ok(tree),
        // It has a map already.
        Err(Errno::EPERM) => open_tree_idmap(tree.as_fd(), recursive, namespace.as_fd()),
        Err(errno) => Err(errno),
    };
    answer.map_err(|errno| {
        let about = format!("{about}: give it its id map: {}", errno::describe(errno));
        let (kind, hint) = match errno {
            Errno::EINVAL => (ErrorKind::UnsupportedKernel, UNSUPPORTED),
            Errno::ENOSYS => (ErrorKind::UnsupportedKernel, AGAIN),
            _ => (ErrorKind::System, "it needs CAP_SYS_ADMIN where the file system was mounted"),
        };
        Error::new(kind, about).with_hint(hint)
    })
}

const UNSUPPORTED: &str = "the file system has no id maps on this kernel: ext4 and xfs have them since \
    Linux 5.12, btrfs 5.15, erofs 5.19, tmpfs 6.3, overlay 7.3";
const AGAIN: &str = "the source has an id map already: another one needs open_tree_attr(2), Linux 6.15";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_container_must_have_maps() {
        let idmap = Idmap { maps: IdmapSource::Container, recursive: false };
        let error = MapNamespaces::default().of(&idmap, None, "mount on /x").unwrap_err();
        insta::assert_snapshot!(error, @"mount on /x: an id map, and the container has none");
        assert!(error.hint().is_some());
    }

    #[test]
    fn maps_are_for_users_and_groups() {
        let maps = IdMaps { gid: vec![], ..IdMaps::range(0, 100_000, 1) };
        let error = make(&maps, "mount on /x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}
