#![doc = include_str!("../README.md")]

pub mod action;
pub mod error;
pub mod probe;

pub use action::{Action, available, available_actions};
pub use error::{Error, ErrorKind};
