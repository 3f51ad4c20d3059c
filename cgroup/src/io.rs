//! The cost model of disks, which a machine has once: `io.cost.qos` and `io.cost.model` of the root.

use crate::file::number;
use crate::limits::{Device, keys};
use crate::{Cgroup, Error, ErrorKind, Result};

/// What a disk is to be held to, for `io.weight` by cost (`io.cost.qos`, `CONFIG_BLK_CGROUP_IOCOST`).
///
/// `None` leaves the kernel's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IoCostQos {
    /// The disk.
    pub device: Device,
    /// Whether requests are weighed by their cost.
    pub enable: bool,
    /// Hundredths of a percent of reads that must be quick enough; with `rlat_us`.
    pub rpct: Option<u16>,
    /// Microseconds that are quick enough for a read.
    pub rlat_us: Option<u64>,
    /// Hundredths of a percent of writes that must be quick enough; with `wlat_us`.
    pub wpct: Option<u16>,
    /// Microseconds that are quick enough for a write.
    pub wlat_us: Option<u64>,
    /// The least speed against the model, in hundredths of a percent; 100 to 1000000.
    pub min: Option<u32>,
    /// The most.
    pub max: Option<u32>,
}

/// What requests of a disk cost (`io.cost.model`): a second has so many bytes or requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IoCostModel {
    /// The disk.
    pub device: Device,
    /// Bytes read a second.
    pub rbps: u64,
    /// Sequential reads of 4 KiB a second.
    pub rseqiops: u64,
    /// Random reads of 4 KiB a second.
    pub rrandiops: u64,
    /// Bytes written a second.
    pub wbps: u64,
    /// Sequential writes of 4 KiB a second.
    pub wseqiops: u64,
    /// Random writes of 4 KiB a second.
    pub wrandiops: u64,
}

impl IoCostQos {
    fn line(&self) -> String {
        let percent = |value: u32| format!("{}.{:02}", value.div_euclid(100), value.rem_euclid(100));
        let keys = [
            ("rpct", self.rpct.map(|part| percent(part.into()))),
            ("rlat", self.rlat_us.map(|time| time.to_string())),
            ("wpct", self.wpct.map(|part| percent(part.into()))),
            ("wlat", self.wlat_us.map(|time| time.to_string())),
            ("min", self.min.map(percent)),
            ("max", self.max.map(percent)),
        ];
        let own = keys.iter().filter_map(|(key, value)| Some(format!(" {key}={}", value.as_ref()?)));
        // The kernel's own values are for when nothing is chosen.
        let ctrl = if keys.iter().any(|(_, value)| value.is_some()) { " ctrl=user" } else { "" };
        own.fold(format!("{} enable={}{ctrl}", self.device, u8::from(self.enable)), |line, key| line + &key)
    }
}

impl IoCostModel {
    fn line(&self) -> String {
        format!(
            "{} ctrl=user model=linear rbps={} rseqiops={} rrandiops={} wbps={} wseqiops={} wrandiops={}",
            self.device, self.rbps, self.rseqiops, self.rrandiops, self.wbps, self.wseqiops, self.wrandiops
        )
    }

    fn parse(line: &str) -> Result<Self> {
        const FILE: &str = "io.cost.model";
        let (device, pairs) = keys(FILE, line)?;
        let get = |name: &str| {
            let value = pairs.iter().find(|(key, _)| *key == name);
            value.map_or(Ok(0), |(_, value)| number(&format!("{FILE}, {name}"), value))
        };
        Ok(Self {
            device: device.parse()?,
            rbps: get("rbps")?,
            rseqiops: get("rseqiops")?,
            rrandiops: get("rrandiops")?,
            wbps: get("wbps")?,
            wseqiops: get("wseqiops")?,
            wrandiops: get("wrandiops")?,
        })
    }
}

impl Cgroup {
    /// Sets what a disk is held to; for the root of the hierarchy.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] without `CONFIG_BLK_CGROUP_IOCOST` or below the root; [`ErrorKind::Invalid`]
    /// for a value or a device that the kernel does not take.
    pub fn set_io_cost_qos(&self, qos: &IoCostQos) -> Result<()> {
        self.files().write("io.cost.qos", &qos.line()).map_err(root_only)
    }

    /// Sets what requests of a disk cost; for the root of the hierarchy.
    ///
    /// # Errors
    /// As [`Cgroup::set_io_cost_qos`].
    pub fn set_io_cost_model(&self, model: &IoCostModel) -> Result<()> {
        self.files().write("io.cost.model", &model.line()).map_err(root_only)
    }

    /// Reads what requests of the disks cost that have a model.
    ///
    /// # Errors
    /// As [`Cgroup::set_io_cost_qos`].
    pub fn io_cost_models(&self) -> Result<Vec<IoCostModel>> {
        let text = self.files().read("io.cost.model").map_err(root_only)?;
        text.lines().map(IoCostModel::parse).collect()
    }
}

fn root_only(error: Error) -> Error {
    let there = error.errno() == Some(cofferdam_sys::Errno::ENOENT);
    match (there, crate::limits::explain(error, "io.cost")) {
        (true, error) => error.with_kind(ErrorKind::Unsupported).with_hint(
            "the kernel needs CONFIG_BLK_CGROUP_IOCOST, and the file is in the root of the hierarchy alone",
        ),
        (false, error) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DEVICE: Device = Device { major: 8, minor: 0 };

    #[test]
    fn lines_are_as_the_kernel_takes_them() {
        let none = IoCostQos {
            device: DEVICE,
            enable: true,
            rpct: None,
            rlat_us: None,
            wpct: None,
            wlat_us: None,
            min: None,
            max: None,
        };
        assert_eq!(none.line(), "8:0 enable=1");
        let some =
            IoCostQos { rpct: Some(9500), rlat_us: Some(75_000), min: Some(5000), max: Some(15_000), ..none };
        assert_eq!(some.line(), "8:0 enable=1 ctrl=user rpct=95.00 rlat=75000 min=50.00 max=150.00");
    }

    proptest! {
        #[test]
        fn models_are_read_back(values in prop::array::uniform6(any::<u64>())) {
            let [rbps, rseqiops, rrandiops, wbps, wseqiops, wrandiops] = values;
            let model =
                IoCostModel { device: DEVICE, rbps, rseqiops, rrandiops, wbps, wseqiops, wrandiops };
            // `max` is the largest number.
            prop_assert_eq!(IoCostModel::parse(&model.line()).unwrap(), model);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "([0-9:]{0,4} ?[a-z=0-9]{0,22}){0,3}") {
            let _ = IoCostModel::parse(&text);
        }
    }
}
