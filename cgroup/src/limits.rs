//! Limits as plain data, and writing them.

use cofferdam_sys::Errno;

use crate::{Cgroup, Controllers, Error, ErrorKind, Result};

/// The limits of a cgroup. `None` leaves the kernel's value; `u64::MAX` is `max`, no limit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits {
    /// Processes and threads (`pids.max`).
    pub pids_max: Option<u64>,
    /// Bytes of memory at which the OOM killer comes (`memory.max`).
    pub memory_max: Option<u64>,
    /// Bytes of memory at which processes are slowed down (`memory.high`).
    pub memory_high: Option<u64>,
    /// Bytes of memory that are taken away last (`memory.low`).
    pub memory_low: Option<u64>,
    /// Bytes of memory that are never taken away (`memory.min`).
    pub memory_min: Option<u64>,
    /// Bytes of swap alone (`memory.swap.max`).
    pub swap_max: Option<u64>,
    /// Whether the OOM killer kills all or none (`memory.oom.group`).
    pub oom_group: Option<bool>,
    /// Share of processor time against siblings, 1 to 10000, 100 when not set (`cpu.weight`).
    pub cpu_weight: Option<u64>,
    /// Processor time in a period (`cpu.max`).
    pub cpu_max: Option<CpuMax>,
    /// Other interface files with their values, which win over the fields above.
    pub unified: Vec<(String, String)>,
}

/// How much processor time in how much time, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuMax {
    /// Processor time in each period; `None` is no limit.
    pub quota_us: Option<u64>,
    /// The period; the kernel takes 1000 to 1000000.
    pub period_us: u64,
}

impl Limits {
    /// What is to be written: each file once, with its value, in the order of writing.
    ///
    /// ```
    /// use cofferdam_cgroup::Limits;
    ///
    /// let limits = Limits { pids_max: Some(64), memory_max: Some(u64::MAX), ..Limits::default() };
    /// let expected = [("pids.max", "64"), ("memory.max", "max")];
    /// assert_eq!(limits.writes(), expected.map(|(file, value)| (file.to_owned(), value.to_owned())));
    /// ```
    pub fn writes(&self) -> Vec<(String, String)> {
        let amount = |value: u64| if value == u64::MAX { "max".to_owned() } else { value.to_string() };
        let fields = [
            ("pids.max", self.pids_max.map(amount)),
            ("memory.min", self.memory_min.map(amount)),
            ("memory.low", self.memory_low.map(amount)),
            ("memory.high", self.memory_high.map(amount)),
            ("memory.max", self.memory_max.map(amount)),
            ("memory.swap.max", self.swap_max.map(amount)),
            ("memory.oom.group", self.oom_group.map(|group| u8::from(group).to_string())),
            ("cpu.weight", self.cpu_weight.map(|weight| weight.to_string())),
            (
                "cpu.max",
                self.cpu_max
                    .map(|max| format!("{} {}", amount(max.quota_us.unwrap_or(u64::MAX)), max.period_us)),
            ),
        ];
        let fields = fields.into_iter().filter_map(|(file, value)| Some((file.to_owned(), value?)));
        let mut writes: Vec<(String, String)> = Vec::new();
        for (file, value) in fields.chain(self.unified.iter().cloned()) {
            match writes.iter_mut().find(|(other, _)| *other == file) {
                Some((_, earlier)) => *earlier = value,
                None => writes.push((file, value)),
            }
        }
        writes
    }

    /// The controllers that these limits need. `max` needs none: without a controller there is no limit.
    pub fn controllers(&self) -> Controllers {
        let writes = self.writes();
        let needed = writes.iter().filter(|(_, value)| value != "max");
        needed.filter_map(|(file, _)| file.split_once('.')).map(|(name, _)| name).collect()
    }
}

impl Cgroup {
    /// Writes limits; the first that the kernel refuses ends it.
    ///
    /// # Errors
    /// [`ErrorKind::NoController`] for a file that is not there; [`ErrorKind::Invalid`] for a name that
    /// belongs to no controller or a value that the kernel does not take; otherwise as the write. The error
    /// names file and value.
    pub fn apply(&self, limits: &Limits) -> Result<()> {
        limits.writes().iter().try_for_each(|(file, value)| self.apply_one(file, value))
    }

    fn apply_one(&self, file: &str, value: &str) -> Result<()> {
        let (controller, _) = file.split_once('.').unwrap_or_default();
        if controller.is_empty() || controller == "cgroup" || file.contains(['/', '\0']) {
            let what = format!("`{}` is no interface file of a controller", file.escape_default());
            return Err(Error::new(ErrorKind::Invalid, what));
        }
        self.files().write(file, value).or_else(|error| match error.errno() {
            Some(Errno::ENOENT) if value == "max" => Ok(()),
            Some(Errno::ENOENT) => {
                Err(error.with_kind(ErrorKind::NoController).with_hint(missing(file, controller)))
            }
            Some(Errno::EINVAL | Errno::ERANGE) => {
                Err(error.with_kind(ErrorKind::Invalid).with_hint("the kernel does not take this value"))
            }
            Some(Errno::EBUSY) => Err(error.with_hint("more is in use than that and cannot be taken back")),
            _ => Err(error),
        })
    }
}

fn missing(file: &str, controller: &str) -> String {
    if file.starts_with("memory.swap.") {
        "the kernel does not count swap (CONFIG_SWAP, swapaccount=1)".to_owned()
    } else {
        format!(
            "the controller {controller} is not enabled in the parent's cgroup.subtree_control, or the kernel \
             is too old for this file"
        )
    }
}

/// `cpu.weight` for the `cpu.shares` of cgroup v1: 2 to 262144 onto 1 to 10000, with 1024 at 100.
///
/// The curve that runc (from 1.3.2) and crun (from 1.23) take, which keeps the default of v1 the default of
/// v2: the power of ten with exponent `(L * L + 125 * L) / 612 - 7 / 34` for `L` the binary logarithm,
/// rounded up. Their older releases used the straight line `1 + ((shares - 2) * 9999) / 262142`, which
/// makes 39 of 1024. Shares outside of their range count as its ends.
pub fn weight_of_shares(shares: u64) -> u64 {
    /// Less than the step between two shares, more than the error of the logarithm.
    const ROUNDING: f64 = 1e-6;
    let shares = u32::try_from(shares.clamp(2, 262_144)).unwrap_or(262_144);
    let logarithm = f64::from(shares).log2();
    let exponent = (logarithm * logarithm + 125.0 * logarithm) / 612.0 - 7.0 / 34.0;
    let weight = (10f64.powf(exponent) - ROUNDING).ceil().clamp(1.0, 10_000.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 1 and 10000")]
    let weight = weight as u64;
    weight
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_field_is_written_once_and_in_order() {
        let limits = Limits {
            pids_max: Some(10),
            memory_max: Some(1 << 20),
            memory_high: Some(5),
            memory_low: Some(4),
            memory_min: Some(3),
            swap_max: Some(0),
            oom_group: Some(true),
            cpu_weight: Some(100),
            cpu_max: Some(CpuMax { quota_us: Some(5000), period_us: 10_000 }),
            unified: vec![("pids.max".into(), "7".into()), ("io.weight".into(), "50".into())],
        };
        let lines: Vec<String> =
            limits.writes().into_iter().map(|(file, value)| format!("{file}={value}")).collect();
        assert_eq!(
            lines,
            [
                "pids.max=7",
                "memory.min=3",
                "memory.low=4",
                "memory.high=5",
                "memory.max=1048576",
                "memory.swap.max=0",
                "memory.oom.group=1",
                "cpu.weight=100",
                "cpu.max=5000 10000",
                "io.weight=50",
            ]
        );
        assert_eq!(limits.controllers().to_string(), "cpu io memory pids");
    }

    #[test]
    fn no_limit_needs_no_controller() {
        let limits = Limits { pids_max: Some(u64::MAX), swap_max: Some(0), ..Limits::default() };
        assert_eq!(limits.controllers().to_string(), "memory");
        let cpu = CpuMax { quota_us: None, period_us: 100_000 };
        let limits = Limits { cpu_max: Some(cpu), ..Limits::default() };
        assert_eq!(limits.writes(), [("cpu.max".to_owned(), "max 100000".to_owned())]);
    }

    #[test]
    fn shares_become_weights_as_elsewhere() {
        // The ends and the default that the curve was made for, and two values worked out apart.
        for (shares, weight) in
            [(0, 1), (2, 1), (102, 17), (1024, 100), (2048, 174), (262_144, 10_000), (u64::MAX, 10_000)]
        {
            assert_eq!(weight_of_shares(shares), weight);
        }
    }

    proptest! {
        #[test]
        fn more_shares_never_weigh_less(a in any::<u64>(), b in 0u64..300_000) {
            prop_assert!((1..=10_000).contains(&weight_of_shares(a)));
            prop_assert!(weight_of_shares(b) <= weight_of_shares(b + 1));
        }
    }
}
