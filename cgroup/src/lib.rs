#![doc = include_str!("../README.md")]

pub mod any;
pub mod branch;
pub mod controllers;
pub mod cpuset;
pub mod delegate;
mod descend;
pub mod devices;
pub mod error;
pub mod events;
mod file;
pub mod group;
pub mod hierarchy;
pub mod io;
mod life;
pub mod limits;
mod members;
pub mod memory;
mod node;
pub mod position;
pub mod pressure;
pub mod probe;
pub mod resctrl;
pub mod stats;
pub mod v1;

pub use any::AnyCgroup;
pub use branch::Branch;
pub use controllers::Controllers;
pub use cpuset::CpusetState;
pub use delegate::Delegation;
pub use error::{Error, ErrorKind};
pub use events::{EventFile, Events, MemoryEvents, PidsEvents, Watch};
pub use group::Cgroup;
pub use hierarchy::{Hierarchy, Mount};
pub use io::{IoCostModel, IoCostQos};
pub use limits::{
    CpuMax, Device, DmemLimits, HugetlbLimits, IoMax, Limits, Partition, PrioClass, RdmaMax, weight_of_shares,
};
pub use members::Type;
pub use memory::Peak;
pub use position::{Position, Positions};
pub use pressure::{Pressure, Resource, Stall, Threshold, Trigger};
pub use resctrl::{RdtGroup, Resctrl, Schemata};
pub use stats::{
    CpuStats, Descendants, DmemStats, HugetlbStats, IoStats, MemoryStat, MemoryStats, MiscStats, PidsStats,
    RdmaStats, Stats,
};

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
