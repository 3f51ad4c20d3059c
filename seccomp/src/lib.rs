#![doc = include_str!("../README.md")]

pub mod action;
pub mod answer;
pub mod arch;
mod compile;
pub mod error;
pub mod filter;
pub mod hardened;
pub mod interpret;
mod meaning;
mod multiplex;
pub mod notify;
pub mod probe;
pub mod profile;

pub use action::{Action, available, available_actions};
pub use answer::Answer;
pub use arch::Arch;
pub use error::{Error, ErrorKind};
pub use filter::Filter;
pub use notify::Listener;
pub use profile::{Compare, Condition, FilterFlags, Profile, Rule, Unknown, Width};
