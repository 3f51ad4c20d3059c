#![doc = include_str!("../README.md")]

pub mod error;
pub mod idmap;
pub mod isolate;
pub mod kind;
pub mod limits;
pub mod namespace;
pub mod pin;
pub mod probe;
pub mod process;
pub mod ranges;
pub mod reaper;
pub mod spawn;
pub mod subid;
pub mod sysctl;
pub mod time;

pub use cofferdam_sys::clone::Namespaces;
pub use cofferdam_sys::plan;
pub use cofferdam_sys::process::Exit;
pub use error::{Error, ErrorKind};
pub use idmap::{IdMap, IdMaps, Mapping, Setgroups, Writer};
pub use isolate::Isolation;
pub use kind::NsKind;
pub use limits::NamespaceLimits;
pub use namespace::{Identity, Namespace};
pub use pin::unpin;
pub use process::Process;
pub use ranges::{Lease, Pool};
pub use reaper::become_subreaper;
pub use spawn::{Child, Output, Spawn, Stdio};
pub use subid::IdRange;
pub use sysctl::Parameter;
pub use time::{Offset, TimeOffsets};
