//! Sets of controllers, and enabling them for a cgroup's children.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;

use cofferdam_sys::Errno;

use crate::{Cgroup, Error, ErrorKind, Result};

/// A set of controllers by the names that `cgroup.controllers` has: `cpu`, `memory`, `pids` …
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Controllers(BTreeSet<String>);

impl Controllers {
    /// Reads names with blanks between, as the kernel prints them.
    pub fn parse(text: &str) -> Self {
        text.split_ascii_whitespace().collect()
    }

    /// Whether a controller is a member.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// Whether it has no member.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The members in the alphabet's order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The members that `other` does not have.
    #[must_use]
    pub fn difference(&self, other: &Controllers) -> Self {
        Self(self.0.difference(&other.0).cloned().collect())
    }
}

impl<'a> FromIterator<&'a str> for Controllers {
    fn from_iter<T: IntoIterator<Item = &'a str>>(names: T) -> Self {
        Self(names.into_iter().map(str::to_owned).collect())
    }
}

impl fmt::Display for Controllers {
    /// The names with blanks between, as the kernel prints them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().enumerate().try_for_each(|(place, name)| {
            let blank = if place == 0 { "" } else { " " };
            write!(f, "{blank}{name}")
        })
    }
}

impl Cgroup {
    /// The controllers that it can pass on to its children: `cgroup.controllers`.
    ///
    /// # Errors
    /// As reading the file.
    pub fn controllers(&self) -> Result<Controllers> {
        Ok(Controllers::parse(&self.files().read("cgroup.controllers")?))
    }

    /// The controllers that its children have: `cgroup.subtree_control`.
    ///
    /// # Errors
    /// As reading the file.
    pub fn enabled(&self) -> Result<Controllers> {
        Ok(Controllers::parse(&self.files().read("cgroup.subtree_control")?))
    }

    /// Gives controllers to its children; those that they have already cost no write.
    ///
    /// # Errors
    /// [`ErrorKind::NoController`] with those that it cannot pass on, and why; [`ErrorKind::Busy`] when
    /// processes live in this cgroup itself ("no internal processes", `cgroups(7)`).
    pub fn enable(&self, wanted: &Controllers) -> Result<()> {
        let lacking = wanted.difference(&self.enabled()?);
        if lacking.is_empty() {
            return Ok(());
        }
        let absent = lacking.difference(&self.controllers()?);
        if !absent.is_empty() {
            return Err(self.absent(&absent));
        }
        let value = lacking.iter().map(|name| format!("+{name}")).collect::<Vec<_>>().join(" ");
        self.files().write("cgroup.subtree_control", &value).map_err(|error| match error.errno() {
            Some(Errno::EBUSY) => error.with_hint(
                "processes live in this cgroup itself: move them to a child of it first, or place the new \
                 cgroup elsewhere",
            ),
            _ => error,
        })
    }

    fn absent(&self, absent: &Controllers) -> Error {
        let what = format!("the controllers {absent} are not available in {}", self.path().display());
        let list = fs::read_to_string("/proc/cgroups").unwrap_or_default();
        let in_v1: Vec<String> = absent
            .iter()
            .filter_map(|name| Some(format!("{name} (hierarchy {})", v1_hierarchy(&list, name)?)))
            .collect();
        let hint = if !in_v1.is_empty() {
            format!("in use by cgroup v1: {}; boot with v2 only", in_v1.join(", "))
        } else if self.files().read_if_there("cgroup.type").ok().flatten().is_some() {
            "its parent does not pass them on: enable them in the parent's cgroup.subtree_control".to_owned()
        } else {
            "the kernel was built without them, or they are switched off at boot (cgroup_disable=)".to_owned()
        };
        Error::new(ErrorKind::NoController, what).with_hint(hint)
    }
}

/// The number of the v1 hierarchy that holds a controller, from the text of `/proc/cgroups`.
fn v1_hierarchy(list: &str, name: &str) -> Option<u32> {
    // v2 calls it io, v1 blkio.
    let v1 = if name == "io" { "blkio" } else { name };
    list.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let number: u32 = (fields.next()? == v1).then(|| fields.next())??.parse().ok()?;
        (number != 0).then_some(number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_read_and_printed() {
        let set = Controllers::parse("memory  cpu\npids\n");
        assert_eq!(set.to_string(), "cpu memory pids");
        assert_eq!(set.difference(&Controllers::parse("cpu")).to_string(), "memory pids");
        assert!(Controllers::parse("\n").is_empty());
    }

    #[test]
    fn v1_hierarchies_are_found() {
        let list =
            "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t1\t1\t1\nblkio\t7\t1\t1\nhugetlb\t0\t1\t1\n";
        assert_eq!(v1_hierarchy(list, "cpu"), Some(1));
        assert_eq!(v1_hierarchy(list, "io"), Some(7));
        assert_eq!(v1_hierarchy(list, "hugetlb"), None);
        assert_eq!(v1_hierarchy(list, "pids"), None);
        assert_eq!(v1_hierarchy("cpu\ncpu x\n", "cpu"), None);
    }
}
