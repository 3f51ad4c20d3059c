#![doc = include_str!("../README.md")]

pub mod active;
pub mod apparmor;
pub mod error;
mod file;
pub mod label;
pub mod landlock;
pub mod probe;
pub mod proc;
pub mod selinux;
pub mod smack;
pub mod tomoyo;

pub use active::{ActiveModules, active};
pub use error::{Error, ErrorKind};
pub use label::{Channel, Label};
pub use landlock::landlock_abi;
pub use proc::Proc;
