//! Whether a restored container is where its config puts it: cgroup, namespaces, id maps, mounts.

use std::ffi::CString;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use cofferdam_caps::Cap;
use cofferdam_mountfs::Kind;
use cofferdam_ns::{IdMap, Identity, Isolation, Namespace, NsKind};
use cofferdam_sys::Errno;
use cofferdam_sys::file::fstat;
use cofferdam_sys::mount::MountAttrs;
use cofferdam_sys::open::{Dir, Open, Resolve, openat2};

use super::mend::mend;
use crate::criu::{Found, Shown, find, mounts_of};
use crate::run::Control;
use crate::{Container, Error, ErrorKind, Result};

/// Compares what the first process has with the config.
///
/// # Errors
/// [`ErrorKind::Start`] with what the image has more than that.
pub(super) fn compare(
    container: &Container,
    isolation: &Isolation,
    control: &Control,
    init: i32,
    criu: i32,
) -> Result<()> {
    in_cgroup(control, init)?;
    for kind in NsKind::ALL {
        namespace(container, isolation, kind, init, criu)?;
    }
    id_maps(container, init)?;
    // Who may mount may have undone all of it.
    if container.process.caps.all().contains(Cap::SYS_ADMIN) {
        return Ok(());
    }
    mounts(container, init)
}

/// Refuses a process that is not in the container's cgroup, where criu and all that it makes are.
pub(super) fn in_cgroup(control: &Control, pid: i32) -> Result<()> {
    if control.holds(pid)? {
        return Ok(());
    }
    Err(wider("the cgroup", &format!("process {pid} is outside the container's")))
}

/// What an image has and its config does not allow.
pub(super) fn wider(what: &str, why: &str) -> Error {
    Error::new(ErrorKind::Start, format!("the image is not what the config asks for: {what}: {why}"))
        .with_hint("restore with the config that the container was checkpointed with")
}

/// Whether a task is in the namespace of a kind that the config has for it.
fn namespace(container: &Container, isolation: &Isolation, kind: NsKind, task: i32, criu: i32) -> Result<()> {
    let Some((found, of_the_host)) = look(kind, task, criu)? else { return Ok(()) };
    let joined = isolation.join.iter().find(|namespace| namespace.kind() == kind);
    let what = format!("the {kind} namespace");
    if let Some(joined) = joined {
        let wanted = joined.identity().map_err(|error| Error::new(ErrorKind::System, error.to_string()))?;
        return if found == wanted { Ok(()) } else { Err(wider(&what, "is not the one of the config")) };
    }
    match (container.new_namespaces.contains(kind.flag()), of_the_host) {
        (true, true) => Err(wider(&what, "is the host's")),
        // criu makes one, so that the monotonic clock does not go back.
        (false, false) if kind != NsKind::Time => Err(wider(&what, "is not the host's, as the config asks")),
        _ => Ok(()),
    }
}

/// The namespace of a task and whether that is the host's; `None` for a kind that this kernel has not.
fn look(kind: NsKind, task: i32, criu: i32) -> Result<Option<(Identity, bool)>> {
    if !Path::new(&format!("/proc/self/ns/{kind}")).exists() {
        return Ok(None);
    }
    let identity = |pid| {
        let namespace = Namespace::of_process(pid, kind).and_then(|namespace| namespace.identity());
        namespace.map_err(|error| Error::new(ErrorKind::System, error.to_string()))
    };
    let found = identity(task)?;
    // criu's mount namespace is a copy of the host's.
    Ok(Some((found, found == identity(0)? || found == identity(criu)?)))
}

/// Refuses a task in a namespace of the host's of a kind that the config has a new one of. Others that a program of
/// the container has made are its own.
pub(super) fn outside(container: &Container, task: i32, criu: i32) -> Result<()> {
    for kind in NsKind::ALL.into_iter().filter(|kind| container.new_namespaces.contains(kind.flag())) {
        if look(kind, task, criu)?.is_some_and(|(_, of_the_host)| of_the_host) {
            return Err(wider(&format!("process {task}: the {kind} namespace"), "is the host's"));
        }
    }
    Ok(())
}

/// Whether the ids of a user namespace are those of the config.
fn id_maps(container: &Container, init: i32) -> Result<()> {
    let Some(ids) = &container.ids else { return Ok(()) };
    for (name, wanted) in [("uid_map", &ids.uid), ("gid_map", &ids.gid)] {
        let path = format!("/proc/{init}/{name}");
        let text = fs::read_to_string(&path)
            .map_err(|error| Error::new(ErrorKind::System, format!("read {path}: {error}")))?;
        let line = |map: &IdMap| (map.inside, map.outside, map.count);
        let mut wanted: Vec<_> = wanted.iter().map(line).collect();
        let mut found: Vec<_> = text.lines().filter_map(numbers).collect();
        wanted.sort_unstable();
        found.sort_unstable();
        if found != wanted {
            return Err(wider(name, &format!("maps {found:?}, not {wanted:?}")));
        }
    }
    Ok(())
}

fn numbers(line: &str) -> Option<(u32, u32, u32)> {
    let mut numbers = line.split_whitespace().map_while(|number| number.parse().ok());
    Some((numbers.next()?, numbers.next()?, numbers.next()?))
}

/// Attributes that take something away, by their names in `mountinfo`.
const ATTRIBUTES: [(MountAttrs, &str); 4] = [
    (MountAttrs::RDONLY, "ro"),
    (MountAttrs::NOSUID, "nosuid"),
    (MountAttrs::NODEV, "nodev"),
    (MountAttrs::NOEXEC, "noexec"),
];

/// Whether the mounts of the config are there, and what it hides is hidden. Attributes that are missing are given.
fn mounts(container: &Container, init: i32) -> Result<()> {
    let root = File::open(format!("/proc/{init}/root"))
        .map_err(|error| Error::new(ErrorKind::System, format!("open the container's root: {error}")))?;
    let mut shown = mounts_of(init)?;
    let missing = without_attributes(container, &root, &shown)?;
    if !missing.is_empty() {
        let list: Vec<_> = missing.into_iter().map(|one| (one.place, one.attrs)).collect();
        mend(init, &list)?;
        shown = mounts_of(init)?;
        if let Some(Missing { field, place, attrs }) =
            without_attributes(container, &root, &shown)?.into_iter().next()
        {
            return Err(wider(&field, &format!("{} is without {attrs:?}", place.display())));
        }
    }
    let writable =
        |path: &Path| find(&root, path, &shown).is_some_and(|found| !has(found.mount, MountAttrs::RDONLY));
    if let Some(path) = container.rootfs.readonly_paths.iter().find(|path| writable(path)) {
        return Err(wider("linux.readonlyPaths", &format!("{} can be written", path.display())));
    }
    for path in &container.rootfs.masked {
        masked(&root, path)?;
        // A file's mask is the host's, which must not be changed.
        if writable(path) {
            return Err(wider("linux.maskedPaths", &format!("{} can be written", path.display())));
        }
    }
    Ok(())
}

/// A mount that lacks attributes of the config.
struct Missing {
    field: String,
    place: PathBuf,
    attrs: MountAttrs,
}

/// Attributes that are in the config and not on the mounts.
fn without_attributes(container: &Container, root: &File, shown: &[Shown]) -> Result<Vec<Missing>> {
    let rootfs = &container.rootfs;
    let mut missing = Vec::new();
    let mut want = |field: &str, mount: &Shown, wanted: MountAttrs| {
        let mut attrs = MountAttrs::empty();
        for (attribute, _) in ATTRIBUTES {
            attrs.set(attribute, wanted.contains(attribute) && !has(mount, attribute));
        }
        if !attrs.is_empty() {
            missing.push(Missing { field: field.to_owned(), place: mount.place.clone(), attrs });
        }
    };
    if rootfs.readonly {
        let found = find(root, Path::new("/"), shown).filter(|found| found.exact);
        let found = found.ok_or_else(|| wider("root", "is no mount"))?;
        want("root.readonly", found.mount, MountAttrs::RDONLY);
    }
    for mount in &rootfs.mounts {
        let field = format!("mount on {}", mount.target.display());
        let found = find(root, &mount.target, shown).filter(|found| found.exact);
        let Some(Found { mount: found, .. }) = found else { return Err(wider(&field, "is not there")) };
        let wanted = mount.attrs.set | mount.recursive_attrs.set;
        want(&field, found, wanted);
        // On v1 it stands for a mount of each hierarchy. One that is covered in the same place cannot be reached.
        if matches!(&mount.kind, Kind::Fs { fstype, .. } if fstype == "cgroup") {
            let below =
                shown.iter().filter(|one| one.place != found.place && one.place.starts_with(&found.place));
            below.for_each(|one| want(&field, one, wanted));
        }
    }
    Ok(missing)
}

/// Whether a mount shows an attribute.
fn has(mount: &Shown, attribute: MountAttrs) -> bool {
    let name = ATTRIBUTES.iter().find(|(known, _)| *known == attribute).map(|(_, name)| *name);
    mount.options.split(',').any(|option| Some(option) == name)
}

/// A mask is `/dev/null` or an empty directory; what is not there need not be hidden.
fn masked(root: &File, path: &Path) -> Result<()> {
    let seen = || wider("linux.maskedPaths", &format!("{} can be seen", path.display()));
    let inside = path.strip_prefix("/").unwrap_or(path);
    let inside = if inside.as_os_str().is_empty() { Path::new(".") } else { inside };
    let inside = CString::new(inside.as_os_str().as_bytes()).map_err(|_| seen())?;
    let resolve = Resolve::IN_ROOT | Resolve::NO_MAGICLINKS;
    let file = match openat2(Dir::Fd(root.as_fd()), &inside, Open::PATH, 0, resolve) {
        Ok(file) => file,
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(()),
        Err(_) => return Err(seen()),
    };
    let stat = fstat(file.as_fd()).map_err(|_| seen())?;
    let empty = || {
        let number = std::os::fd::AsRawFd::as_raw_fd(&file);
        fs::read_dir(format!("/proc/self/fd/{number}")).is_ok_and(|mut list| list.next().is_none())
    };
    if stat.is_char_device(1, 3) || stat.is_dir() && empty() { Ok(()) } else { Err(seen()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_three_numbers() {
        assert_eq!(numbers("         0     100000      65536"), Some((0, 100_000, 65536)));
        assert_eq!(numbers("0 x 1"), None);
        assert_eq!(numbers(""), None);
    }

    #[test]
    fn the_hosts_own_is_wider_than_a_new_one() {
        let own = std::process::id().cast_signed();
        let mut container = crate::lifecycle::restore::rights::tests::container();
        let isolation = Isolation::default();
        container.new_namespaces = NsKind::Ipc.flag();
        let error = namespace(&container, &isolation, NsKind::Ipc, own, own).unwrap_err().to_string();
        assert!(error.contains("the ipc namespace: is the host's"), "{error}");
        namespace(&container, &isolation, NsKind::Uts, own, own).unwrap();
        let joined = Isolation {
            join: vec![Namespace::of_process(own, NsKind::Uts).unwrap()],
            ..Isolation::default()
        };
        namespace(&container, &joined, NsKind::Uts, own, own).unwrap();
    }

    #[test]
    fn what_is_hidden_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("empty")).unwrap();
        fs::write(dir.path().join("file"), "x").unwrap();
        let root = File::open(dir.path()).unwrap();
        masked(&root, Path::new("/empty")).unwrap();
        masked(&root, Path::new("/none")).unwrap();
        for seen in ["/file", "/"] {
            assert!(masked(&root, Path::new(seen)).unwrap_err().to_string().contains("can be seen"));
        }
    }
}
