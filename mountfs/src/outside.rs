//! What a root file system takes from outside, for who has to name it apart from what is its own.

use std::path::{Path, PathBuf};

use cofferdam_sys::mount::MountAttrs;

use crate::cgroup::HOST;
use crate::mount::Kind;
use crate::rootfs::{Device, RootFs};

/// What a masked file is bound to.
const NOTHING: &str = "/dev/null";

/// How a mask of a file looks.
const MASK: MountAttrs = MountAttrs::RDONLY.union(MountAttrs::NOSUID).union(MountAttrs::NOEXEC);

/// Something of the host's that is bound in a root file system.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bound {
    /// Its place in the container.
    pub target: PathBuf,
    /// The host's file or directory.
    pub source: PathBuf,
    /// Whether the mounts below it come along.
    pub recursive: bool,
    /// The attributes of the mount.
    pub attrs: MountAttrs,
}

impl Bound {
    fn plain(target: PathBuf, source: PathBuf) -> Self {
        Self { target, source, recursive: false, attrs: MountAttrs::empty() }
    }
}

impl RootFs {
    /// What is bound from outside: binds, devices in a user namespace, masked files, and the cgroups of a child
    /// without a cgroup namespace of its own.
    ///
    /// A masked path is among them also where it is a directory, which is masked by an empty one of the container's
    /// own, and where it is not there.
    pub fn from_outside(&self) -> Vec<Bound> {
        let mut list = Vec::new();
        for mount in &self.mounts {
            match &mount.kind {
                Kind::Bind { source, recursive } => {
                    let attrs = mount.attrs.set | mount.recursive_attrs.set;
                    let plain = Bound::plain(mount.target.clone(), source.clone());
                    list.push(Bound { recursive: *recursive, attrs, ..plain });
                }
                Kind::Fs { fstype, .. } if fstype == "cgroup" => {
                    for (point, directory) in self.cgroups.iter().flatten() {
                        let name = point.strip_prefix(HOST).unwrap_or(Path::new(""));
                        // Without a slash at the end where it is the only one.
                        let target = mount.target.join(name).components().collect();
                        let plain = Bound::plain(target, directory.clone());
                        list.push(Bound { attrs: mount.attrs.set | mount.recursive_attrs.set, ..plain });
                    }
                }
                Kind::Fs { .. } => {}
            }
        }
        if self.user_namespace && !self.dev_is_bound() {
            let defaults = self.default_devices.then(Device::defaults).into_iter().flatten();
            let paths =
                defaults.map(|device| device.path).chain(self.devices.iter().map(|one| one.path.clone()));
            list.extend(paths.map(|path| Bound::plain(path.clone(), path)));
        }
        let mask = |path: &PathBuf| Bound { attrs: MASK, ..Bound::plain(path.clone(), NOTHING.into()) };
        list.extend(self.masked.iter().map(mask));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mount;

    #[test]
    fn what_is_bound_is_named() {
        let mount = |kind: &str, target: &str, source: &str, options: &[&str]| {
            let options: Vec<String> = options.iter().map(ToString::to_string).collect();
            Mount::from_options(kind, source, target, &options).unwrap()
        };
        let mut rootfs = RootFs::new(PathBuf::from("/image"));
        rootfs.mounts = vec![
            mount("proc", "/proc", "proc", &[]),
            mount("none", "/data", "/srv/data", &["rbind", "ro"]),
            mount("cgroup", "/sys/fs/cgroup", "cgroup", &[]),
        ];
        rootfs.masked = vec!["/proc/keys".into()];
        let text = |rootfs: &RootFs| {
            let line = |bound: &Bound| {
                let Bound { target, source, recursive, attrs } = bound;
                let all = if *recursive { " all" } else { "" };
                let ro = if attrs.contains(MountAttrs::RDONLY) { " ro" } else { "" };
                format!("{} {}{all}{ro}", target.display(), source.display())
            };
            rootfs.from_outside().iter().map(line).collect::<Vec<_>>()
        };
        assert_eq!(text(&rootfs), ["/data /srv/data all ro", "/proc/keys /dev/null ro"]);
        rootfs.cgroups = Some([("/sys/fs/cgroup".into(), "/sys/fs/cgroup/a/b".into())].into());
        assert_eq!(text(&rootfs)[1], "/sys/fs/cgroup /sys/fs/cgroup/a/b");
        rootfs.cgroups = Some([("/sys/fs/cgroup/pids".into(), "/sys/fs/cgroup/pids/a".into())].into());
        assert_eq!(text(&rootfs)[1], "/sys/fs/cgroup/pids /sys/fs/cgroup/pids/a");
        rootfs.user_namespace = true;
        assert!(text(&rootfs).contains(&"/dev/zero /dev/zero".to_owned()));
        rootfs.mounts.push(mount("none", "/dev", "/dev", &["bind"]));
        assert!(!text(&rootfs).contains(&"/dev/zero /dev/zero".to_owned()));
    }
}
