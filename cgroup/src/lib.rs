#![doc = include_str!("../README.md")]

pub mod any;
pub mod branch;
pub mod controllers;
pub mod devices;
pub mod error;
pub mod events;
mod file;
pub mod group;
pub mod hierarchy;
mod life;
pub mod limits;
mod members;
mod node;
pub mod position;
pub mod stats;
pub mod v1;

pub use any::AnyCgroup;
pub use branch::Branch;
pub use controllers::Controllers;
pub use error::{Error, ErrorKind};
pub use events::{EventFile, Events, MemoryEvents, PidsEvents, Watch};
pub use group::Cgroup;
pub use hierarchy::{Hierarchy, Mount};
pub use limits::{
    CpuMax, Device, DmemLimits, HugetlbLimits, IoMax, Limits, Partition, PrioClass, RdmaMax, weight_of_shares,
};
pub use members::Type;
pub use position::{Position, Positions};
pub use stats::{
    CpuStats, Descendants, DmemStats, HugetlbStats, IoStats, MemoryStat, MemoryStats, MiscStats, PidsStats,
    RdmaStats, Stats,
};

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
