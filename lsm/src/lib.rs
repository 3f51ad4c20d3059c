#![doc = include_str!("../README.md")]

pub mod active;
pub mod error;
pub mod landlock;
pub mod probe;

pub use active::{ActiveModules, active};
pub use error::{Error, ErrorKind};
pub use landlock::landlock_abi;
