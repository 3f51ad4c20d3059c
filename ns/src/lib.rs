#![doc = include_str!("../README.md")]

pub mod error;
pub mod idmap;
pub mod isolate;
pub mod namespace;

pub use cofferdam_sys::clone::Namespaces;
pub use error::{Error, ErrorKind};
pub use idmap::{IdMap, IdMaps};
pub use isolate::Isolation;
pub use namespace::{Identity, Namespace, NsKind};
