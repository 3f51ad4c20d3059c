//! Sources, opened: as mounts that no namespace has where the caller may, by path otherwise.

use std::ffi::{CStr, CString};
use std::os::fd::AsFd;
use std::sync::Arc;

use cofferdam_sys::Errno;
use cofferdam_sys::file::{self, Stat};
use cofferdam_sys::mount::{MountAttrs, OpenTree, open_tree};
use cofferdam_sys::open::{Dir, Open, Resolve, openat2};
use cofferdam_sys::plan::At;

use crate::context::Context;
use crate::idmap::{self, Idmap, MapNamespaces};
use crate::place::host_path;
use crate::source::RootSource;
use crate::{Error, ErrorKind, Host, IdMaps, Result, image};

/// A file system's parameters.
pub(crate) type Parameters = Vec<(CString, Option<CString>)>;

/// A source of the host.
#[derive(Debug)]
pub(crate) enum Tree {
    /// A detached copy that the parent opened.
    Detached { tree: At, recursive: bool },
    /// A path for the child to copy, where the parent may not.
    ByPath { path: CString, recursive: bool },
    /// A file system for the child to make, where the parent may not.
    New {
        fstype: CString,
        data: Parameters,
        /// What must stay open until then.
        keep: Option<At>,
    },
    /// An overlay for the child to make, of a tmpfs on top of another tree; for a root only.
    Scratch { lower: Box<Tree>, tmpfs: Parameters, user: bool },
}

impl Tree {
    /// Opens a source, as a detached tree where that is allowed.
    pub(crate) fn open(host: Host, path: &CStr, recursive: bool, about: &str) -> Result<(Self, Stat)> {
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

    /// Makes a file system: as a detached mount where the caller may, else in the child.
    pub(crate) fn make(
        host: Host,
        fstype: &CStr,
        data: &[(CString, Option<CString>)],
        about: &str,
    ) -> Result<Self> {
        if !host.has_detached() {
            return Ok(Tree::New { fstype: fstype.into(), data: data.into(), keep: None });
        }
        let context = Context::begin(fstype, about)?;
        for (key, value) in data {
            match value {
                Some(value) => context.set(key, value)?,
                None => context.flag(key)?,
            }
        }
        let mount = context.create(MountAttrs::empty())?;
        Ok(Tree::Detached { tree: At::from(mount), recursive: false })
    }

    /// Opens a root; `user` says that the child has a user namespace of its own.
    pub(crate) fn open_root(host: Host, source: &RootSource, user: bool) -> Result<Self> {
        Self::open_source(host, source, user, true)
    }

    fn open_source(host: Host, source: &RootSource, user: bool, recursive: bool) -> Result<Self> {
        match source {
            RootSource::Directory(dir) => {
                let about = format!("open the root directory {}", dir.display());
                let path = host_path("the root directory", dir)?;
                let (tree, stat) = Tree::open(host, &path, recursive, &about)?;
                if !stat.is_dir() {
                    return Err(
                        Error::system(about, Errno::ENOTDIR).with_hint("name the directory of the image")
                    );
                }
                Ok(tree)
            }
            RootSource::Overlay(overlay) => overlay.tree(host, "root overlay"),
            RootSource::Image(path) => image::tree(host, path, &format!("root image {}", path.display())),
            RootSource::Ephemeral { lower, size } => {
                if let RootSource::Ephemeral { .. } = **lower {
                    return Err(Error::invalid("a root with a tmpfs on a tmpfs")
                        .with_hint("say once that changes end with the container"));
                }
                // An overlay shows no mounts that are in its layers.
                let lower = Box::new(Self::open_source(host, lower, user, false)?);
                let mut tmpfs = vec![
                    (c"source".to_owned(), Some(c"ephemeral".to_owned())),
                    (c"mode".to_owned(), Some(c"0700".to_owned())),
                ];
                if let Some(size) = size {
                    let size = crate::prepare::value("root", "size", size.as_bytes())?;
                    tmpfs.push((c"size".to_owned(), Some(size)));
                }
                Ok(Tree::Scratch { lower, tmpfs, user })
            }
        }
    }

    /// Gives it an id map.
    pub(crate) fn mapped(
        self,
        host: Host,
        map: &Idmap,
        container: Option<&IdMaps>,
        namespaces: &mut MapNamespaces,
        about: &str,
    ) -> Result<Self> {
        require_idmap(host, about)?;
        match self {
            Tree::Detached { tree: At::Fd(tree), recursive } => {
                let namespace = namespaces.of(map, container, about)?;
                let tree = Arc::try_unwrap(tree)
                    .map_err(|_| Error::invalid(format!("{about}: its tree is in use already")))?;
                let everywhere = recursive && map.recursive;
                let tree = idmap::apply(tree, everywhere, &namespace, about)?;
                Ok(Tree::Detached { tree: At::from(tree), recursive })
            }
            // What is on disk is below.
            Tree::Scratch { lower, tmpfs, user } => {
                let lower = Box::new(lower.mapped(host, map, container, namespaces, about)?);
                Ok(Tree::Scratch { lower, tmpfs, user })
            }
            Tree::Detached { .. } | Tree::ByPath { .. } | Tree::New { .. } => {
                let error = Error::system(format!("{about}: give it its id map"), Errno::EPERM);
                Err(error.with_hint("an id map is given by who may mount the file system: the host's root"))
            }
        }
    }

    /// Whether it may hold more than one mount.
    pub(crate) fn is_recursive(&self) -> bool {
        match self {
            Tree::Detached { recursive, .. } | Tree::ByPath { recursive, .. } => *recursive,
            Tree::New { .. } | Tree::Scratch { .. } => false,
        }
    }
}

/// Before Linux 5.12 there are no id maps of mounts.
pub(crate) fn require_idmap(host: Host, about: &str) -> Result<()> {
    if host.setattr() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::UnsupportedKernel, format!("{about}: an id map"))
        .with_hint("this needs mount_setattr(2), Linux 5.12: give the files the container's owners instead"))
}
