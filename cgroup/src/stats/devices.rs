//! `io.stat`, `hugetlb.*`, `rdma.current`, `misc.*` and `dmem.current`.

use crate::file::{In, keyed, number};
use crate::limits::{Device, huge_page_sizes, keys, named};
use crate::{Error, ErrorKind, Result};

/// `io.stat` of one disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct IoStats {
    /// The disk.
    pub device: Device,
    /// Bytes read.
    pub rbytes: u64,
    /// Bytes written.
    pub wbytes: u64,
    /// Reads, a count.
    pub rios: u64,
    /// Writes, a count.
    pub wios: u64,
    /// Bytes discarded.
    pub dbytes: u64,
    /// Discards, a count.
    pub dios: u64,
}

/// Huge pages of one size, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HugetlbStats {
    /// The size as the files name it: `2MB`.
    pub size: String,
    /// In use.
    pub current: u64,
    /// Reserved, whether in use or not.
    pub rsvd_current: Option<u64>,
    /// The most that was in use; v1 alone counts it.
    pub peak: Option<u64>,
    /// How often the limit has refused one, a count.
    pub refused: u64,
}

/// `rdma.current` of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RdmaStats {
    /// The device, as `mlx5_0`.
    pub device: String,
    /// Handles.
    pub hca_handle: u64,
    /// Objects.
    pub hca_object: u64,
}

/// `misc.current` of one resource (Linux 5.13).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MiscStats {
    /// The resource, as `sev`.
    pub name: String,
    /// In use.
    pub current: u64,
    /// The most that was in use (Linux 6.11).
    pub peak: Option<u64>,
    /// How often the limit was hit, a count (Linux 5.16).
    pub refused: Option<u64>,
}

/// `dmem.current` of one region, in bytes (Linux 6.14).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DmemStats {
    /// The region.
    pub region: String,
    /// In use.
    pub current: u64,
}

pub(super) fn io(files: In<'_>) -> Result<Vec<IoStats>> {
    parse_io(&files.read_if_there("io.stat")?.unwrap_or_default())
}

fn parse_io(text: &str) -> Result<Vec<IoStats>> {
    let mut all: Vec<IoStats> = Vec::new();
    for line in text.lines() {
        // The kernel names a disk that has done nothing too.
        let (device, pairs) = keys("io.stat", line)?;
        let mut stats = IoStats::new(device.parse()?);
        for (key, value) in pairs {
            let place = match key {
                "rbytes" => &mut stats.rbytes,
                "wbytes" => &mut stats.wbytes,
                "rios" => &mut stats.rios,
                "wios" => &mut stats.wios,
                "dbytes" => &mut stats.dbytes,
                "dios" => &mut stats.dios,
                _ => continue,
            };
            *place = number(&format!("io.stat, {key}"), value)?;
        }
        all.push(stats);
    }
    Ok(all)
}

impl IoStats {
    pub(crate) fn new(device: Device) -> Self {
        Self { device, rbytes: 0, wbytes: 0, rios: 0, wios: 0, dbytes: 0, dios: 0 }
    }
}

pub(super) fn hugetlb(files: In<'_>) -> Result<Vec<HugetlbStats>> {
    let mut all = Vec::new();
    for size in huge_page_sizes() {
        let Some(current) = files.number_if_there(&format!("hugetlb.{size}.current"))? else { continue };
        let events = format!("hugetlb.{size}.events");
        let text = files.read_if_there(&events)?.unwrap_or_default();
        all.push(HugetlbStats {
            current,
            rsvd_current: files.number_if_there(&format!("hugetlb.{size}.rsvd.current"))?,
            peak: None,
            refused: keyed(&events, &text, "max")?.unwrap_or(0),
            size,
        });
    }
    Ok(all)
}

pub(super) fn rdma(files: In<'_>) -> Result<Vec<RdmaStats>> {
    let text = files.read_if_there("rdma.current")?.unwrap_or_default();
    let line = |line: &str| {
        let (device, pairs) = keys("rdma.current", line)?;
        let get = |name: &str| {
            let value = pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
            value.map_or(Ok(0), |value| number("rdma.current", value))
        };
        Ok(RdmaStats {
            device: device.to_owned(),
            hca_handle: get("hca_handle")?,
            hca_object: get("hca_object")?,
        })
    };
    text.lines().map(line).collect()
}

pub(super) fn misc(files: In<'_>) -> Result<Vec<MiscStats>> {
    let text = |file: &str| files.read_if_there(file).map(Option::unwrap_or_default);
    let peaks = named("misc.peak", &text("misc.peak")?)?;
    let events = text("misc.events")?;
    let current = named("misc.current", &text("misc.current")?)?;
    let stats = |(name, current): (String, u64)| {
        Ok(MiscStats {
            peak: peaks.iter().find(|(other, _)| *other == name).map(|(_, peak)| *peak),
            refused: keyed("misc.events", &events, &format!("{name}.max"))?,
            current,
            name,
        })
    };
    current.into_iter().map(stats).collect::<Result<_>>()
}

pub(super) fn dmem(files: In<'_>) -> Result<Vec<DmemStats>> {
    let text = files.read_if_there("dmem.current")?.unwrap_or_default();
    let list = named("dmem.current", &text)?;
    Ok(list.into_iter().map(|(region, current)| DmemStats { region, current }).collect())
}

/// Lines of `blkio.throttle.io_service_bytes` and its like: `8:0 Read 4096`.
pub(crate) fn add_blkio(file: &str, text: &str, bytes: bool, all: &mut Vec<IoStats>) -> Result<()> {
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(device), Some(what), Some(value)) = (words.next(), words.next(), words.next()) else {
            // The sum of all disks.
            if line.starts_with("Total ") {
                continue;
            }
            let shown: String = line.chars().take(60).collect();
            let what = format!("{file}: `{}` is not understood", shown.escape_default());
            return Err(Error::new(ErrorKind::Invalid, what));
        };
        let device: Device = device.parse()?;
        if !all.iter().any(|stats| stats.device == device) {
            all.push(IoStats::new(device));
        }
        let Some(stats) = all.iter_mut().find(|stats| stats.device == device) else { continue };
        let place = match (what, bytes) {
            ("Read", true) => &mut stats.rbytes,
            ("Read", false) => &mut stats.rios,
            ("Write", true) => &mut stats.wbytes,
            ("Write", false) => &mut stats.wios,
            ("Discard", true) => &mut stats.dbytes,
            ("Discard", false) => &mut stats.dios,
            _ => continue,
        };
        *place = number(file, value)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn disks_are_read() {
        let text = "8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6 cost.usage=9\n8:0 \n";
        let stats = parse_io(text).unwrap();
        let expected = IoStats {
            device: Device { major: 8, minor: 16 },
            rbytes: 1,
            wbytes: 2,
            rios: 3,
            wios: 4,
            dbytes: 5,
            dios: 6,
        };
        assert_eq!(stats, [expected, IoStats::new(Device { major: 8, minor: 0 })]);
        let error = parse_io("8:0 rbytes=x\n").unwrap_err().to_string();
        assert!(error.starts_with("io.stat, rbytes: `x`"), "{error}");
    }

    #[test]
    fn disks_of_v1_are_read() {
        let mut all = Vec::new();
        let bytes = "8:0 Read 10\n8:0 Write 20\n8:0 Sync 5\n8:0 Total 30\nTotal 30\n";
        add_blkio("f", bytes, true, &mut all).unwrap();
        add_blkio("f", "8:0 Read 1\n8:0 Discard 2\n", false, &mut all).unwrap();
        let [stats] = all.as_slice() else { panic!("{all:?}") };
        assert_eq!((stats.rbytes, stats.wbytes, stats.rios, stats.dios), (10, 20, 1, 2));
        assert_eq!(add_blkio("f", "8:0 Read\n", true, &mut all).unwrap_err().kind(), ErrorKind::Invalid);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "([0-9:]{0,5} ?[a-zA-Z=]{0,8} ?[0-9]{0,22}\n?){0,4}") {
            let _ = (parse_io(&text), add_blkio("f", &text, true, &mut Vec::new()));
        }
    }
}
