//! Making room for controllers: what is in a cgroup goes to a child of it.

use crate::{Cgroup, Controllers, ErrorKind, Result};

/// How often processes may come in while others are moved.
const TRIES: u32 = 32;

impl Cgroup {
    /// Makes a child, moves all processes of this cgroup to it, and gives it `controllers`, which a cgroup with
    /// processes of its own cannot pass on ("no internal processes", `cgroups(7)`).
    ///
    /// # Errors
    /// As [`Cgroup::create`], [`Cgroup::add`] and [`Cgroup::enable`]. What was made and moved by then stays.
    pub fn descend(&self, name: &str, controllers: &Controllers) -> Result<Cgroup> {
        let child = Cgroup::create(self, name)?;
        let mut tries = TRIES;
        loop {
            for pid in self.procs()? {
                match child.add(pid) {
                    // Ended meanwhile.
                    Err(error) if error.errno() == Some(cofferdam_sys::Errno::ESRCH) => {}
                    added => added?,
                }
            }
            match self.enable(controllers) {
                // One that came, or that one of them made, behind the listing.
                Err(error) if error.kind() == ErrorKind::Busy && tries > 0 => tries = tries.saturating_sub(1),
                enabled => return enabled.map(|()| child),
            }
        }
    }
}
