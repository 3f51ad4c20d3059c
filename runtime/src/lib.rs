//! An OCI container runtime composed of small isolation crates.
//!
//! The way of a container: [`bundle`] reads `config.json`, [`lower()`] checks it and turns it into a
//! [`Container`] (plain data), and [`run()`] acts on that: cgroup, clone, id maps, the child's walk, wait,
//! clean-up. What a config asks for and this build cannot enforce is refused with the field's JSON path.

pub mod bundle;
#[cfg(feature = "cli")]
pub mod cli;
mod container;
pub mod error;
pub mod id;
mod lower;
mod run;

pub use container::{CgroupPlan, Container, Process};
pub use error::{Error, ErrorKind, Result};
pub use id::ContainerId;
pub use lower::lower;
/// The types of `config.json`, re-exported so that callers use the same version.
pub use oci_spec::runtime as spec;
pub use run::run;
