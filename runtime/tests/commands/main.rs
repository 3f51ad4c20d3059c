//! The program by its command line, on this machine: containers are made for real, which takes root.
//!
//! Each test has a bundle and a state directory of its own, and looks at the end for what is left; see
//! [`bundle`].

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

mod bad_input;
mod bundle;
mod callers;
mod criu;
mod fields;
mod net_devices;
mod options;
mod own_binary;
mod refusals;
mod rootless;
mod systemd;
mod terminal;
