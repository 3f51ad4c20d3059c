//! An OCI container runtime composed of small isolation crates.
//!
//! The way of a container: [`bundle`] reads `config.json`, [`lower()`] checks it and turns it into a
//! [`Container`] (plain data), and the commands of [`Runtime`] act on that: cgroup, clone, id maps, the
//! child's walk. What is kept between two commands is in [`state`]. What a config asks for and this build
//! cannot enforce is refused with the field's JSON path.

pub mod bundle;
#[cfg(feature = "cli")]
pub mod cli;
mod container;
mod criu;
pub mod error;
pub mod hooks;
pub mod id;
pub mod lifecycle;
mod lower;
mod run;
pub mod spec;
pub mod state;
mod systemd;

pub use container::{CgroupPlan, Container, Process, Terminal};
pub use error::{Error, ErrorKind, Result};
pub use id::ContainerId;
pub use lifecycle::{CgroupManager, Runtime};
pub use lower::lower;
pub use systemd::ScopeName;
