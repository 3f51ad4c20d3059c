//! The type `cgroup`: whatever layout the host has.
//!
//! On a v2 host it is one `cgroup2`. Without a cgroup namespace the container's own cgroup is bound in the place
//! of each v1 hierarchy's root: that is where programs look for their limits. With v1 hierarchies (hybrid layouts included) it is a tmpfs with each
//! hierarchy that the host has, under the same name, and the same links.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use cofferdam_sys::mount::MountAttrs;
use cofferdam_sys::{Errno, errno, file};

use crate::mount::{Kind, Mount, Propagation};
use crate::mountinfo::{self, MountInfo};
use crate::place::{Place, c_string};
use crate::prepare::{Item, What};
use crate::{Attributes, Error, Result};

/// Where every host has its cgroups.
pub(crate) const HOST: &str = "/sys/fs/cgroup";

/// `CGROUP2_SUPER_MAGIC` of `statfs(2)`.
const CGROUP2: i64 = 0x6367_7270;

/// Options of a v1 hierarchy that name no controller: they are the host's own affair.
const NOT_A_CONTROLLER: [&str; 6] = ["rw", "ro", "xattr", "clone_children", "noprefix", "cpuset_v2_mode"];

/// A hierarchy of the host: its type, and what selects it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hierarchy {
    fstype: String,
    data: Vec<(String, Option<String>)>,
}

/// What the child may see of cgroups.
#[derive(Debug, Clone, Copy)]
pub(crate) enum View<'a> {
    /// What its own cgroup namespace shows.
    Namespace,
    /// It is in the host's namespace.
    Host {
        /// Its directory by the mount point of each hierarchy.
        own: &'a BTreeMap<PathBuf, PathBuf>,
        /// Whether it is in a user namespace, from where hierarchies of the host's namespace cannot be mounted.
        user: bool,
    },
}

/// What a mount of the type `cgroup` stands for on this host; `open` opens a plain mount.
pub(crate) fn items(
    mount: &Mount,
    view: &View<'_>,
    open: &mut dyn FnMut(&Mount) -> Result<Item>,
) -> Result<Vec<Item>> {
    let about = format!("mount cgroup on {}: look at {HOST}", mount.target.display());
    let fail = |errno| Error::system(about.as_str(), errno);
    let io = |error: std::io::Error| fail(errno::from_io(&error));
    let host = fs::File::open(HOST).map_err(io)?;
    if file::filesystem_magic(host.as_fd()).map_err(fail)? == CGROUP2 {
        return Ok(vec![open(&match view {
            View::Host { user: true, .. } => bind(mount, Path::new(HOST)),
            _ => with_type(mount, "cgroup2", None),
        })?]);
    }
    let hierarchies = hierarchies(&mountinfo::parse(&fs::read("/proc/self/mountinfo").map_err(io)?)?);
    if hierarchies.is_empty() {
        return Err(fail(Errno::ENODEV).with_hint("mount the host's cgroup hierarchies below it first"));
    }
    let mut items = vec![open(&base(mount))?];
    for (name, hierarchy) in &hierarchies {
        items.push(open(&below(mount, view, name, hierarchy))?);
    }
    for (name, to) in links(&hierarchies).map_err(io)? {
        let place = Place::new("link", &mount.target.join(name))?;
        items.push(special(place, What::Link { to: c_string("link", to)? }, Attributes::default()));
    }
    if mount.attrs.set.contains(MountAttrs::RDONLY) {
        let place = Place::new("mount on", &mount.target)?;
        items.push(special(place, What::Seal, Attributes::set(MountAttrs::RDONLY)));
    }
    Ok(items)
}

/// The same mount with another type; its own parameters where there are none to replace them.
fn with_type(mount: &Mount, fstype: &str, data: Option<Vec<(String, Option<String>)>>) -> Mount {
    let mut typed = mount.clone();
    let Kind::Fs { data: own, .. } = &mount.kind else { return typed };
    let data = data.unwrap_or_else(|| own.clone());
    typed.kind = Kind::Fs { fstype: fstype.to_owned(), source: Some("cgroup".into()), data };
    typed
}

/// The mount of one of several hierarchies.
fn below(mount: &Mount, view: &View<'_>, name: &str, hierarchy: &Hierarchy) -> Mount {
    let root = Path::new(HOST).join(name);
    let mut below = match view {
        View::Namespace => with_type(mount, &hierarchy.fstype, Some(hierarchy.data.clone())),
        // A hierarchy that it has no part in is shown as the host has it.
        View::Host { own, .. } => bind(mount, own.get(&root).unwrap_or(&root)),
    };
    below.target = mount.target.join(name);
    below
}

/// A directory of the host instead, with the attributes that were asked for.
fn bind(mount: &Mount, source: &Path) -> Mount {
    let mut bound = mount.clone();
    bound.kind = Kind::Bind { source: source.to_owned(), recursive: false };
    bound
}

/// The small tmpfs that the hierarchies are in; writable until they are.
fn base(mount: &Mount) -> Mount {
    let mut base = with_type(mount, "tmpfs", Some(vec![("mode".into(), Some("755".into()))]));
    base.attrs.set.remove(MountAttrs::RDONLY);
    base
}

fn special(place: Place, what: What, attrs: Attributes) -> Item {
    let (recursive_attrs, propagation) = (Attributes::default(), Propagation::default());
    Item { place, what, attrs, recursive_attrs, propagation, idmapped: false, copy_up: None }
}

/// The hierarchies right below the host's place, by name.
fn hierarchies(mounts: &[MountInfo]) -> BTreeMap<String, Hierarchy> {
    mounts.iter().filter_map(hierarchy).collect()
}

fn hierarchy(mount: &MountInfo) -> Option<(String, Hierarchy)> {
    let name = mount.mount_point.strip_prefix(HOST).ok()?.to_str()?;
    if name.is_empty() || name.contains('/') {
        return None;
    }
    let data = match mount.fstype.to_str()? {
        "cgroup" => mount.super_options.iter().filter_map(|option| controller(option.to_str()?)).collect(),
        "cgroup2" => Vec::new(),
        _ => return None,
    };
    Some((name.to_owned(), Hierarchy { fstype: mount.fstype.to_str()?.to_owned(), data }))
}

/// A controller, or the name of a hierarchy without one.
fn controller(option: &str) -> Option<(String, Option<String>)> {
    match option.split_once('=') {
        Some(("name", name)) => Some(("name".to_owned(), Some(name.to_owned()))),
        Some(_) => None,
        None if NOT_A_CONTROLLER.contains(&option) => None,
        None => Some((option.to_owned(), None)),
    }
}

/// The host's links from one controller to the hierarchy that it shares, such as `cpu`.
fn links(hierarchies: &BTreeMap<String, Hierarchy>) -> std::io::Result<Vec<(String, String)>> {
    let mut links = Vec::new();
    for entry in fs::read_dir(Path::new(HOST))? {
        let entry = entry?;
        if !entry.file_type()?.is_symlink() {
            continue;
        }
        let (name, to) = (entry.file_name(), fs::read_link(entry.path())?);
        if let (Some(name), Some(to)) = (name.to_str(), to.to_str())
            && hierarchies.contains_key(to)
        {
            links.push((name.to_owned(), to.to_owned()));
        }
    }
    links.sort();
    Ok(links)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
22 27 0:21 / /proc rw,relatime - proc proc rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,release_agent=/x,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
42 31 0:38 /a /sys/fs/cgroup/unified/a rw,relatime - cgroup2 cgroup2 rw
";

    #[test]
    fn without_a_namespace_the_own_cgroup_stands_for_the_root() {
        let options = ["ro".to_owned(), "nosuid".to_owned()];
        let mount = Mount::from_options("cgroup", "cgroup", "/cg", &options).unwrap();
        let found = hierarchies(&mountinfo::parse(HYBRID.as_bytes()).unwrap());
        let own = BTreeMap::from([(Path::new(HOST).join("unified"), "/sys/fs/cgroup/unified/a/b".into())]);
        let view = View::Host { own: &own, user: false };
        for (name, source) in [("unified", "unified/a/b"), ("systemd", "systemd")] {
            let below = below(&mount, &view, name, &found[name]);
            let expected = Kind::Bind { source: Path::new(HOST).join(source), recursive: false };
            assert_eq!((&below.kind, below.target), (&expected, Path::new("/cg").join(name)));
            assert_eq!(below.attrs, mount.attrs);
        }
        let below = below(&mount, &View::Namespace, "systemd", &found["systemd"]);
        assert!(matches!(below.kind, Kind::Fs { fstype, .. } if fstype == "cgroup"));
    }

    #[test]
    fn finds_the_hierarchies_of_a_hybrid_host() {
        let found = hierarchies(&mountinfo::parse(HYBRID.as_bytes()).unwrap());
        let flags = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), None)).collect::<Vec<_>>();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["cpu,cpuacct", "systemd", "unified"]);
        assert_eq!(found["cpu,cpuacct"].data, flags(&["cpu", "cpuacct"]));
        assert_eq!(found["systemd"].data, [("name".to_owned(), Some("systemd".to_owned()))]);
        assert_eq!(found["unified"], Hierarchy { fstype: "cgroup2".into(), data: vec![] });
    }
}
