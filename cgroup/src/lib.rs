#![doc = include_str!("../README.md")]

pub mod branch;
pub mod controllers;
pub mod devices;
pub mod error;
mod file;
pub mod group;
pub mod hierarchy;
mod life;
pub mod limits;
pub mod stats;

pub use branch::Branch;
pub use controllers::Controllers;
pub use error::{Error, ErrorKind};
pub use group::Cgroup;
pub use hierarchy::{Hierarchy, Mount};
pub use limits::{CpuMax, Limits, weight_of_shares};
pub use stats::{CpuStats, Events, MemoryStats, PidsStats, Stats};

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
