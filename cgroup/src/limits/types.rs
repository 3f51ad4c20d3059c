//! The values of limits that are more than a number.

use std::fmt;
use std::str::FromStr;

use crate::{Error, ErrorKind};

/// How much processor time in how much time, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuMax {
    /// Processor time in each period; `None` is no limit.
    pub quota_us: Option<u64>,
    /// The period; the kernel takes 1000 to 1000000.
    pub period_us: u64,
}

/// The number of a block device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Device {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

impl fmt::Display for Device {
    /// `8:0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

impl FromStr for Device {
    type Err = Error;

    /// Reads `8:0`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let numbers = text
            .split_once(':')
            .and_then(|(major, minor)| Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? }));
        numbers.ok_or_else(|| {
            let shown: String = text.chars().take(40).collect();
            Error::new(ErrorKind::Invalid, format!("`{}` is no device number", shown.escape_default()))
                .with_hint("it is MAJOR:MINOR, as `lsblk` prints it")
        })
    }
}

/// Bytes and operations a second on one disk; `None` leaves the kernel's value, `u64::MAX` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IoMax {
    /// The disk; not a partition.
    pub device: Device,
    /// Bytes read a second.
    pub rbps: Option<u64>,
    /// Bytes written a second.
    pub wbps: Option<u64>,
    /// Reads a second.
    pub riops: Option<u64>,
    /// Writes a second.
    pub wiops: Option<u64>,
}

impl IoMax {
    /// No limit of a disk is touched.
    pub fn new(device: Device) -> Self {
        Self { device, rbps: None, wbps: None, riops: None, wiops: None }
    }
}

/// Whether a cgroup's processors are its own (`cpuset.cpus.partition`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Partition {
    /// `member`: they are its parent's.
    Member,
    /// `root`: they are taken out of the parent's, with a scheduling domain of their own.
    Root,
    /// `isolated`: as root, and without load balancing (Linux 6.1).
    Isolated,
}

impl Partition {
    const ALL: [(Partition, &str); 3] =
        [(Partition::Member, "member"), (Partition::Root, "root"), (Partition::Isolated, "isolated")];

    /// The word of the file.
    pub fn word(self) -> &'static str {
        word(&Self::ALL, self)
    }

    /// Reads the file's first word; what follows says why a partition is not valid.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        find(&Self::ALL, text.split_ascii_whitespace().next()?)
    }
}

/// How the I/O priority of a cgroup's processes is changed (`io.prio.class`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PrioClass {
    /// `no-change`.
    NoChange,
    /// `promote-to-rt`: requests become real-time ones (Linux 6.5; `none-to-rt` before).
    PromoteToRt,
    /// `restrict-to-be`: real-time requests become best-effort ones.
    RestrictToBe,
    /// `idle`: requests are served when the disk has nothing else to do.
    Idle,
}

impl PrioClass {
    const ALL: [(PrioClass, &str); 4] = [
        (PrioClass::NoChange, "no-change"),
        (PrioClass::PromoteToRt, "promote-to-rt"),
        (PrioClass::RestrictToBe, "restrict-to-be"),
        (PrioClass::Idle, "idle"),
    ];

    /// The word of the file.
    pub fn word(self) -> &'static str {
        word(&Self::ALL, self)
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        find(&Self::ALL, text.trim())
    }
}

fn word<T: Copy + PartialEq>(all: &[(T, &'static str)], value: T) -> &'static str {
    all.iter().find(|(other, _)| *other == value).map_or("", |(_, word)| word)
}

fn find<T: Copy>(all: &[(T, &'static str)], word: &str) -> Option<T> {
    all.iter().find(|(_, other)| *other == word).map(|(value, _)| *value)
}

/// Huge pages of one size, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HugetlbLimits {
    /// The size as the files name it: `2MB`, `1GB`.
    pub size: String,
    /// Pages in use (`hugetlb.SIZE.max`).
    pub max: Option<u64>,
    /// Pages reserved, whether in use or not (`hugetlb.SIZE.rsvd.max`).
    pub rsvd_max: Option<u64>,
}

/// Handles and objects of one RDMA device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RdmaMax {
    /// The device, as `mlx5_0`.
    pub device: String,
    /// Handles.
    pub hca_handle: Option<u64>,
    /// Objects.
    pub hca_object: Option<u64>,
}

/// Memory of one device's region, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DmemLimits {
    /// The region, as `drm/0000:03:00.0/vram0`.
    pub region: String,
    /// The most (`dmem.max`).
    pub max: Option<u64>,
    /// What is taken away last (`dmem.low`).
    pub low: Option<u64>,
    /// What is never taken away (`dmem.min`).
    pub min: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_read_back() {
        for (value, _) in Partition::ALL {
            assert_eq!(Partition::parse(&format!("{}\n", value.word())), Some(value));
        }
        assert_eq!(
            Partition::parse("root invalid (Parent is not a partition root)\n"),
            Some(Partition::Root)
        );
        for (value, _) in PrioClass::ALL {
            assert_eq!(PrioClass::parse(&format!("{}\n", value.word())), Some(value));
        }
        assert_eq!(PrioClass::parse("none"), None);
    }

    proptest! {
        #[test]
        fn device_numbers_round_trip(major in any::<u32>(), minor in any::<u32>()) {
            let device = Device { major, minor };
            prop_assert_eq!(device.to_string().parse::<Device>().unwrap(), device);
        }

        #[test]
        fn any_text_is_a_device_or_not(text in "\\PC{0,20}") {
            if let Ok(device) = text.parse::<Device>() {
                prop_assert_eq!(device.to_string().parse::<Device>().unwrap(), device);
            }
        }
    }
}
