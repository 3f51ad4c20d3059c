//! Control groups that systemd makes: a container is a scope, a unit of processes that systemd did not start itself.
//!
//! ```text
//! runtime                                              systemd
//! -------                                              -------
//! a placeholder that waits
//! StartTransientUnit(scope, slice, limits, its pid) ─▶ makes slices and scope, moves the placeholder there
//!                                       JobRemoved ◀── done
//! reads where the placeholder is, writes that down
//! makes the cgroup `container` in the scope, limits it; the container is born there
//! ends the placeholder
//! StopUnit, ResetFailedUnit at the end ──────────────▶ forgets the scope
//! ```
//! The scope is delegated: systemd does not look into it, and what systemd knows nothing of is safe in the cgroup
//! below. A scope has no processes but those it is made with, and goes when it has none; that is what the placeholder
//! is for, since a container is to be in its cgroup from its first instruction on. Were the runtime killed, the
//! placeholder would end, and systemd would remove the scope by itself.

mod address;
mod annotation;
mod connection;
mod fault;
mod message;
mod name;
mod property;
mod reader;
mod scope;
mod value;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use name::ScopeName;
pub(crate) use scope::{Plan, Scope, Unit};

use fault::Fault;

/// Which systemd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Manager {
    /// That of the machine.
    System,
    /// The caller's own.
    User,
}

impl Manager {
    /// The caller's: only root of the machine may ask the machine's.
    pub(crate) fn own() -> Self {
        if crate::state::is_root_of_machine() { Self::System } else { Self::User }
    }

    /// Where containers are when their config names no slice.
    fn usual_slice(self) -> &'static str {
        match self {
            Self::System => "system.slice",
            Self::User => "user.slice",
        }
    }
}

impl fmt::Display for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "systemd of the machine",
            Self::User => "systemd of the user",
        })
    }
}
