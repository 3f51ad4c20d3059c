#![doc = include_str!("../README.md")]

pub mod cap;
pub mod error;
pub mod file;
pub mod kernel;
pub mod lower;
pub mod probe;
mod profile;
pub mod securebits;
pub mod set;
pub mod sets;
pub mod status;
mod suggest;
pub mod thread;
pub mod transition;

pub use cap::Cap;
pub use error::{Error, ErrorKind};
pub use file::FileCaps;
pub use kernel::last_cap;
pub use lower::{Child, Ids};
pub use securebits::Securebits;
pub use set::CapSet;
pub use sets::Sets;
pub use status::Status;
pub use thread::Credentials;
pub use transition::{Change, Program, Rules};

#[doc(no_inline)]
pub use cofferdam_sys::cred::Quad;
