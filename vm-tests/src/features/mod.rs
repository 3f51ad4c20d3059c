//! Every optional kernel facility that a crate uses, asked of this kernel and held against
//! `docs/kernel-features.md`.
//!
//! A crate lists its facilities in a table `PROBES`; here is the list of these tables. `cargo xtask features`
//! boots all kernels, asks, and writes the page.

mod answers;
mod page;
mod test;

pub use answers::{Answers, ask};
pub use page::{Page, write};
pub(crate) use test::TESTS;

use cofferdam_sys::probe::Probe;

/// The tables by the crate that has them, in the order of the page.
pub const TABLES: &[(&str, &[Probe])] = &[
    ("sys", cofferdam_sys::probe::PROBES),
    ("ns", cofferdam_ns::probe::PROBES),
    ("cgroup", cofferdam_cgroup::probe::PROBES),
    ("caps", cofferdam_caps::probe::PROBES),
    ("mountfs", cofferdam_mountfs::probe::PROBES),
    ("seccomp", cofferdam_seccomp::probe::PROBES),
    ("lsm", cofferdam_lsm::probe::PROBES),
];

/// Every facility with the crate that uses it.
pub fn probes() -> impl Iterator<Item = (&'static str, &'static Probe)> {
    TABLES.iter().flat_map(|(owner, table)| table.iter().map(move |probe| (*owner, probe)))
}

/// A facility by its name; two crates that use the same one ask the same question.
pub fn find(name: &str) -> Option<&'static Probe> {
    probes().map(|(_, probe)| probe).find(|probe| probe.name == name)
}

/// The two numbers of a series or release: `6.12`, `6.12.117+deb13-cloud-amd64`.
pub fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_facility() {
        for (owner, probe) in probes() {
            let first = find(probe.name).unwrap();
            assert_eq!(first.since, probe.since, "{owner}: {} has one history", probe.name);
            let twice = probes().filter(|(other, twin)| *other == owner && twin.name == probe.name).count();
            assert_eq!(twice, 1, "{owner}: {}", probe.name);
        }
    }

    #[test]
    fn each_facility_is_described() {
        for (owner, probe) in probes() {
            assert!(version(probe.since).is_some(), "{owner}: {} since {}", probe.name, probe.since);
            for text in [probe.name, probe.used_for, probe.without] {
                assert!(!text.is_empty() && !text.contains(['|', '\n']), "{owner}: {}: {text:?}", probe.name);
            }
            assert!(!probe.name.contains(char::is_whitespace), "{owner}: {}", probe.name);
        }
    }

    #[test]
    fn releases_have_a_version() {
        assert_eq!(version("5.10.0-46-cloud-amd64"), Some((5, 10)));
        assert_eq!(version("7.3.4+deb13-cloud-amd64\n"), Some((7, 3)));
        assert_eq!(version("unknown"), None);
    }
}
