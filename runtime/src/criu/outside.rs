//! What a container has from outside: mounts and namespaces that are in no image.
//!
//! Each gets a name at the dump, the path that the config has for it, and a restore says what the name stands for:
//! what the config asks for, whatever the image holds.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use cofferdam_mountfs::{Bound, Kind, Mount, RootFs};
use cofferdam_ns::{Namespace, NsKind};
use cofferdam_sys::file::fstat;
use cofferdam_sys::mount::MountAttrs;
use cofferdam_sys::mountinfo::{self, Line};
use cofferdam_sys::open::{Dir, Open, Resolve, openat2};
use cofferdam_sys::plan::At;

use super::Options;
use crate::{Container, Error, ErrorKind, Result};

/// What criu and the common runtimes call the namespaces of an image that are outside.
const NETWORK: &str = "extRootNetNS";
const PROCESSES: &str = "extRootPidNS";

/// See the module.
pub(crate) struct Outside<'a> {
    container: &'a Container,
    /// The container's path and the source.
    mounts: Vec<(PathBuf, PathBuf)>,
    bound: Vec<Bound>,
}

/// A mount of a process, as it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) id: u64,
    /// Its place in the container.
    pub(crate) place: PathBuf,
    /// Its options, separated by commas.
    pub(crate) options: String,
}

impl<'a> Outside<'a> {
    /// Works out what a config takes from outside.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for what criu would not bring back.
    pub(crate) fn of(container: &'a Container) -> Result<Self> {
        refuse(container)?;
        let bound = container.rootfs.from_outside();
        let mut mounts = Vec::new();
        for Bound { target, source, recursive, .. } in &bound {
            if *recursive {
                mounts.extend(below(target, source)?);
            }
            mounts.push((target.clone(), source.clone()));
        }
        Ok(Self { container, mounts, bound })
    }

    /// Gives everything its name for a dump of a process.
    pub(crate) fn name(&self, pid: i32, shown: &[Shown], options: &mut Options) -> Result<()> {
        let root = File::open(format!("/proc/{pid}/root")).map_err(|error| gone(pid, &error))?;
        for (target, source) in &self.mounts {
            // A link on the way leads to where the mount is. Where one is a directory and the other is not, the
            // mount is the container's own: the mask of a directory.
            let found = find(&root, target, shown);
            if let Some(found) = found.filter(|found| found.exact && found.directory == source.is_dir()) {
                options.mount(&found.mount.place, target);
            }
        }
        for (kind, path) in &self.container.join_namespaces {
            let Some(name) = name_of(*kind) else { continue };
            let namespace = Namespace::open(path, *kind).and_then(|namespace| namespace.identity());
            let identity = namespace.map_err(|error| Error::new(ErrorKind::Start, error.to_string()))?;
            options.external(&format!("{kind}[{}]:{name}", identity.ino));
        }
        Ok(())
    }

    /// Opens the namespaces that a restore goes on in, for criu to inherit.
    pub(crate) fn joined(&self) -> Result<Joined> {
        let mut opened = Vec::new();
        for (kind, path) in &self.container.join_namespaces {
            let Some(name) = name_of(*kind) else { continue };
            let file = File::open(path).map_err(|error| {
                let what = format!("open the {kind} namespace {}: {error}", path.display());
                Error::new(ErrorKind::Start, what)
            })?;
            opened.push((name, file.as_raw_fd(), At::from(OwnedFd::from(file))));
        }
        Ok(Joined(opened))
    }

    /// The sources with the attributes that the config wants of their mounts, the stricter ones where it mounts one
    /// twice.
    ///
    /// criu gives a mount its attributes unless another one of the same file system has the same: it takes them for
    /// copies of one another, which those from outside are not. So they must be there before.
    pub(crate) fn sources(&self) -> Vec<(PathBuf, MountAttrs)> {
        let mut sources = BTreeMap::new();
        for Bound { source, attrs, .. } in &self.bound {
            let attrs =
                *attrs & (MountAttrs::RDONLY | MountAttrs::NOSUID | MountAttrs::NODEV | MountAttrs::NOEXEC);
            if !attrs.is_empty() {
                *sources.entry(source.clone()).or_insert(attrs) |= attrs;
            }
        }
        sources.into_iter().collect()
    }

    /// Where something is mounted on the image itself, and whether that is a directory: an image that comes without
    /// what was made for it at the first start lacks these.
    pub(crate) fn mount_points(&self) -> Vec<(PathBuf, bool)> {
        let mounts = &self.container.rootfs.mounts;
        // What is below another mount is in there.
        let hidden = |target: &Path| {
            mounts.iter().any(|mount| mount.target != target && target.starts_with(&mount.target))
        };
        let point = |mount: &Mount| match &mount.kind {
            Kind::Bind { source, .. } => (mount.target.clone(), source.is_dir()),
            Kind::Fs { .. } => (mount.target.clone(), true),
        };
        mounts.iter().filter(|mount| !hidden(&mount.target)).map(point).collect()
    }

    /// Says what the names stand for in a restore.
    pub(crate) fn stand_for(&self, joined: &Joined, options: &mut Options) {
        for (target, source) in &self.mounts {
            options.mount(target, source);
        }
        for (name, number, _) in &joined.0 {
            options.inherit(name, *number);
        }
        for (kind, path) in &self.container.join_namespaces {
            if name_of(*kind).is_none() {
                options.join(kind.proc_name(), path);
            }
        }
    }
}

/// Open namespaces, each with its name and the number that criu has it under, too.
pub(crate) struct Joined(Vec<(&'static str, i32, At)>);

impl Joined {
    pub(crate) fn descriptors(&self) -> Vec<At> {
        self.0.iter().map(|(_, _, fd)| fd.clone()).collect()
    }
}

/// The name of a namespace that can be outside of an image. Of other kinds the image has the content, too, and criu
/// joins one in its place.
fn name_of(kind: NsKind) -> Option<&'static str> {
    match kind {
        NsKind::Network => Some(NETWORK),
        NsKind::Pid => Some(PROCESSES),
        _ => None,
    }
}

/// The mounts of a process.
pub(crate) fn mounts_of(pid: i32) -> Result<Vec<Shown>> {
    let text = fs::read(format!("/proc/{pid}/mountinfo")).map_err(|error| gone(pid, &error))?;
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| Line::parse(line).map(|line| shown(&line)))
        .collect::<std::result::Result<_, _>>()
        .map_err(|field| {
            Error::new(ErrorKind::System, format!("mountinfo of process {pid}: {field} makes no sense"))
        })
}

fn shown(line: &Line<'_>) -> Shown {
    let place: Vec<u8> = mountinfo::unescape(line.mount_point).collect();
    Shown {
        id: line.id,
        place: PathBuf::from(std::ffi::OsString::from_vec(place)),
        options: String::from_utf8_lossy(line.options).into_owned(),
    }
}

/// What a path of a config leads to in a container.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    /// The mount that it is in.
    pub(crate) mount: &'a Shown,
    /// Whether that is mounted there.
    pub(crate) exact: bool,
    directory: bool,
}

/// Follows a path in a container; `None` where it leads nowhere.
pub(crate) fn find<'a>(root: &File, path: &Path, shown: &'a [Shown]) -> Option<Found<'a>> {
    let inside = path.strip_prefix("/").unwrap_or(path);
    let inside = if inside.as_os_str().is_empty() { Path::new(".") } else { inside };
    let inside = std::ffi::CString::new(inside.as_os_str().as_bytes()).ok()?;
    let resolve = Resolve::IN_ROOT | Resolve::NO_MAGICLINKS;
    let file = openat2(Dir::Fd(root.as_fd()), &inside, Open::PATH, 0, resolve).ok()?;
    let number = file.as_raw_fd();
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).ok()?;
    let id = info.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse::<u64>().ok())?;
    let mount = shown.iter().find(|mount| mount.id == id)?;
    // The way up ends at the root of the mounts that it is in, which is the container's.
    let place = fs::read_link(format!("/proc/self/fd/{number}")).ok()?;
    let directory = fstat(file.as_fd()).ok()?.is_dir();
    Some(Found { mount, exact: place == mount.place, directory })
}

/// The mounts of the host below a source that come along with it.
fn below(target: &Path, source: &Path) -> Result<Vec<(PathBuf, PathBuf)>> {
    let source = source.canonicalize().unwrap_or_else(|_| source.to_owned());
    let own = std::process::id().cast_signed();
    let inner = |mount: Shown| {
        let rest = mount.place.strip_prefix(&source).ok().filter(|rest| !rest.as_os_str().is_empty())?;
        Some((target.join(rest), mount.place.clone()))
    };
    Ok(mounts_of(own)?.into_iter().filter_map(inner).collect())
}

/// What would not come back as it was, or not as the config asks.
fn refuse(container: &Container) -> Result<()> {
    let refuse = |field: &str, why: &str| {
        let what = format!("config.json: {field}: criu {why}");
        Err(Error::new(ErrorKind::Unsupported, what))
    };
    let RootFs { mounts, idmap, .. } = &container.rootfs;
    if idmap.is_some() || mounts.iter().any(|mount| mount.idmap.is_some()) {
        return refuse("mounts", "brings mounts back without their id maps");
    }
    for (kind, _) in &container.join_namespaces {
        if matches!(kind, NsKind::User | NsKind::Cgroup) {
            let field = format!("linux.namespaces: {kind} by path");
            return refuse(&field, "restores into network, pid, ipc, uts and time namespaces that there are");
        }
    }
    if container.seccomp.as_ref().is_some_and(|seccomp| seccomp.agent.is_some()) {
        return refuse("linux.seccomp.listenerPath", "does not bring the agent's end of a filter back");
    }
    Ok(())
}

fn gone(pid: i32, error: &std::io::Error) -> Error {
    Error::new(ErrorKind::System, format!("look at the mounts of process {pid}: {error}"))
}
