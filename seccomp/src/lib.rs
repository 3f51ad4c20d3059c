#![doc = include_str!("../README.md")]

pub mod action;
pub mod answer;
pub mod arch;
pub mod cache;
mod compile;
mod encode;
pub mod error;
pub mod filter;
pub mod hardened;
pub mod interpret;
pub mod kernel;
mod masks;
mod meaning;
mod multiplex;
pub mod notify;
pub mod probe;
pub mod profile;

pub use action::{Action, available, available_actions};
pub use answer::Answer;
pub use arch::Arch;
pub use cache::Cache;
pub use error::{Error, ErrorKind};
pub use filter::{Filter, no_new_privs};
pub use kernel::Kernel;
pub use notify::Listener;
pub use profile::{Compare, Condition, FilterFlags, Profile, Rule, Unknown, Width};
