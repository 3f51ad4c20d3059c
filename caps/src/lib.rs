#![doc = include_str!("../README.md")]

pub mod cap;
pub mod error;
pub mod kernel;
pub mod lower;
pub mod set;
pub mod sets;

pub use cap::Cap;
pub use error::{Error, ErrorKind};
pub use kernel::last_cap;
pub use lower::Ids;
pub use set::CapSet;
pub use sets::Sets;
