//! What runs in the lab's guests: PID 1, the integration tests, the escape attempts.
//!
//! One program, `guest`, is PID 1, the list of all tests and the process of each single case; another,
//! `probe`, is placed in containers. A test is a function in a table, see [`registry`].

#[macro_use]
mod macros;

pub mod bare;
pub mod bundle;
mod calls;
pub mod crates;
pub mod escapes;
pub mod features;
pub mod guest;
pub mod lab;
pub mod oci;
pub mod probe;
pub mod protocol;
pub mod registry;
pub mod selftest;
pub mod systemd;
