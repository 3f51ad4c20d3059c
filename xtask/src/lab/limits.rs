//! How long things may take, by accelerator.

use std::time::Duration;

use crate::qemu::{self, Accel};

/// The limits of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Those of a guest.
    pub guest: qemu::Limits,
    /// All cases of one guest.
    pub session: Duration,
}

/// All cases of one guest under KVM; software emulation takes ten times as long.
const SESSION: Duration = Duration::from_mins(4);

impl Limits {
    /// The limits of an accelerator; `case_ms` stands in for its limit of one case.
    pub fn new(accel: Accel, case_ms: Option<u64>) -> Self {
        let mut guest = qemu::Limits::of(accel);
        guest.case_ms = case_ms.unwrap_or(guest.case_ms);
        let factor = if accel == Accel::Tcg { 10 } else { 1 };
        let limits = Self { guest, session: SESSION * factor };
        // The console may be silent for as long as a case may be.
        let silence = guest.silence.max(limits.silence() + Duration::from_secs(10));
        Self { guest: qemu::Limits { silence, ..guest }, ..limits }
    }

    /// Between two events of a guest: a case, and what PID 1 does to end and clean up after it.
    pub fn silence(&self) -> Duration {
        let case = Duration::from_millis(self.guest.case_ms);
        case + case / 4 + Duration::from_secs(5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_scale_with_the_accelerator() {
        let (kvm, tcg) = (Limits::new(Accel::Kvm, None), Limits::new(Accel::Tcg, None));
        assert!(tcg.guest.case_ms > kvm.guest.case_ms);
        assert_eq!(tcg.session, 10 * kvm.session);
    }

    #[test]
    fn silence_is_longer_than_a_case() {
        for case_ms in [None, Some(100), Some(3_600_000)] {
            let limits = Limits::new(Accel::Tcg, case_ms);
            assert!(limits.silence() > Duration::from_millis(limits.guest.case_ms));
            assert!(limits.guest.silence > limits.silence());
        }
    }
}
