//! cgroup v1: one hierarchy a controller, or a few, each with directories of its own.
//!
//! Written on directory descriptors with the same small file layer as v2, and not on the crate `cgroups-rs`,
//! which would have saved most of this folder. It works by path (each access is resolved anew, follows links,
//! and creates the file that it does not find), reads several files with `unwrap` and by index
//! (`io.stat` with a line of four fields ends the program), and takes a hybrid layout for v1 alone. It is the
//! other side of the differential tests instead: what is written here it reads back, and the other way round.
//!
//! Most callers want [`crate::AnyCgroup`], which is the same on both versions.

mod branch;
pub(crate) mod devices;
mod group;
pub(crate) mod life;
pub(crate) mod limits;
pub(crate) mod read;
pub(crate) mod stats;

use std::fmt;

use crate::Controllers;

pub use branch::Branch;
pub use devices::lower as device_writes;
pub use group::Group;
pub use limits::{Write, lower as limit_writes};

/// A mounted v1 hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where, and which part.
    pub mount: crate::Mount,
    /// Its controllers, by their v1 names: `blkio`, where v2 has `io`.
    pub controllers: Controllers,
    /// The name of one without a controller, as `systemd`.
    pub name: Option<String>,
}

/// Mount options of a hierarchy that are no controller. What has a `=` is none either.
const FLAGS: [&str; 8] =
    ["rw", "ro", "none", "xattr", "noprefix", "clone_children", "cpuset_v2_mode", "favordynmods"];

impl Mount {
    /// From the super block options of mountinfo: `rw,cpu,cpuacct` or `rw,xattr,name=systemd`.
    pub(crate) fn new(mount: crate::Mount, options: &[u8]) -> Self {
        let text = String::from_utf8_lossy(options);
        let words = || text.split(',').filter(|word| !word.is_empty());
        Self {
            mount,
            controllers: words().filter(|word| !FLAGS.contains(word) && !word.contains('=')).collect(),
            name: words().find_map(|word| word.strip_prefix("name=")).map(str::to_owned),
        }
    }
}

impl fmt::Display for Mount {
    /// `cpu,cpuacct` or `name=systemd`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) if self.controllers.is_empty() => write!(f, "name={name}"),
            _ => f.write_str(&self.controllers.iter().collect::<Vec<_>>().join(",")),
        }
    }
}

/// What v1 calls a controller of v2.
pub(crate) fn name_of(controller: &str) -> &str {
    if controller == "io" { "blkio" } else { controller }
}
