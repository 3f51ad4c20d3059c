//! The clocks of a new time namespace (`time_namespaces(7)`).

use cofferdam_sys::clone::Namespaces;
use cofferdam_sys::plan::{Plan, Step};

use crate::Error;

/// What is added to a clock of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Offset {
    /// Whole seconds, which may be negative.
    pub seconds: i64,
    /// Nanoseconds on top of them, below 1,000,000,000.
    pub nanoseconds: u32,
}

impl Offset {
    /// That many seconds and nanoseconds.
    pub const fn new(seconds: i64, nanoseconds: u32) -> Self {
        Self { seconds, nanoseconds }
    }
}

/// How the clocks of a new time namespace differ from the host's (Linux 5.6).
///
/// They are written before a process enters: afterwards the kernel refuses. `CLOCK_REALTIME` has no offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeOffsets {
    /// Of `CLOCK_MONOTONIC`, and its raw and coarse forms.
    pub monotonic: Offset,
    /// Of `CLOCK_BOOTTIME` and its alarm form.
    pub boottime: Offset,
}

impl TimeOffsets {
    /// Checks what the kernel would refuse with a bare `EINVAL` or `ERANGE`.
    ///
    /// A clock that would be below zero is refused by the kernel alone, as it depends on the moment.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] that names the clock.
    pub fn validate(&self) -> Result<(), Error> {
        /// The kernel's `KTIME_SEC_MAX / 2`, about 146 years.
        const MOST: u64 = 4_611_686_018;
        for (clock, offset) in [("monotonic", self.monotonic), ("boottime", self.boottime)] {
            let refuse = |why: &str| Err(Error::invalid(format!("offset of the {clock} clock: {why}")));
            if offset.nanoseconds >= 1_000_000_000 {
                return refuse(&format!("{} nanoseconds are a second or more", offset.nanoseconds));
            }
            if offset.seconds.unsigned_abs() > MOST {
                return refuse(&format!("{} seconds are more than {MOST}", offset.seconds));
            }
        }
        Ok(())
    }

    /// The text for `/proc/PID/timens_offsets`.
    fn text(&self) -> String {
        let line =
            |clock: &str, offset: Offset| format!("{clock} {} {}\n", offset.seconds, offset.nanoseconds);
        line("monotonic", self.monotonic) + &line("boottime", self.boottime)
    }

    /// Adds the steps that make the namespace and set its clocks; the next child is the first inside.
    ///
    /// To come before a change of user, which would make `/proc/self` root's.
    pub(crate) fn lower(&self, plan: &mut Plan) {
        plan.push("make a time namespace", Step::Unshare(Namespaces::TIME));
        plan.push("set the clocks of the time namespace", Step::TimeOffsets(self.text()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn both(offset: Offset) -> TimeOffsets {
        TimeOffsets { monotonic: offset, boottime: offset }
    }

    #[test]
    fn what_the_kernel_refuses_is_named() {
        let message = |offset| both(offset).validate().unwrap_err().to_string();
        assert!(message(Offset::new(0, 1_000_000_000)).contains("monotonic clock: 1000000000 nanoseconds"));
        assert!(message(Offset::new(i64::MIN, 0)).contains("more than 4611686018"));
        let boottime = TimeOffsets { boottime: Offset::new(i64::MAX, 0), ..TimeOffsets::default() };
        assert!(boottime.validate().unwrap_err().to_string().contains("boottime"));
    }

    proptest! {
        #[test]
        fn the_text_has_what_was_given(seconds in -4_611_686_018i64..=4_611_686_018, nanoseconds in 0..1_000_000_000u32) {
            let offsets = both(Offset::new(seconds, nanoseconds));
            prop_assert!(offsets.validate().is_ok());
            let wanted = format!("monotonic {seconds} {nanoseconds}\nboottime {seconds} {nanoseconds}\n");
            prop_assert_eq!(offsets.text(), wanted);
        }

        #[test]
        fn no_offset_panics(seconds: i64, nanoseconds: u32) {
            let _ = both(Offset::new(seconds, nanoseconds)).validate();
        }
    }
}
