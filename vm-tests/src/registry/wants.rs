//! What a test needs of its guest, as a constant.

use crate::protocol::Needs;

/// [`Needs`] that can stand in a table; see there for the meaning of each.
#[derive(Debug, Clone, Copy)]
pub struct Wants {
    /// Kernel modules.
    pub modules: &'static [&'static str],
    /// The only cgroup layout that fits.
    pub cgroup: Option<&'static str>,
    /// The scratch disk.
    pub disk: bool,
    /// The programs and libraries of systemd.
    pub systemd: bool,
    /// A guest of its own for each mode.
    pub fresh: bool,
    /// A major LSM.
    pub lsm: Option<&'static str>,
    /// A lockdown level.
    pub lockdown: Option<&'static str>,
    /// Kernel facilities.
    pub facilities: &'static [&'static str],
}

impl Wants {
    /// Any guest will do.
    pub const NONE: Self = Self {
        modules: &[],
        cgroup: None,
        disk: false,
        systemd: false,
        fresh: false,
        lsm: None,
        lockdown: None,
        facilities: &[],
    };

    pub(super) fn to_needs(self) -> Needs {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Needs {
            modules: owned(self.modules),
            cgroup: self.cgroup.map(str::to_owned),
            disk: self.disk,
            systemd: self.systemd,
            fresh: self.fresh,
            lsm: self.lsm.map(str::to_owned),
            lockdown: self.lockdown.map(str::to_owned),
            facilities: owned(self.facilities),
        }
    }
}
