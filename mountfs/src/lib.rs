#![doc = include_str!("../README.md")]
//!
//! # Why not a path library
//! Everything below the root is resolved by `openat2(2)` in the child's walk, where nothing may allocate;
//! a library that resolves paths in steps of its own has no place there. The parent resolves only what
//! the caller owns: the root and the sources, each once.

mod cgroup;
mod context;
mod error;
mod host;
mod idmap;
mod image;
mod lower;
mod mount;
pub mod mountinfo;
mod options;
mod outside;
mod overlay;
mod place;
mod prepare;
pub mod probe;
mod rootfs;
mod source;
mod tree;

pub use error::{Error, ErrorKind, Result};
pub use host::{Api, Host};
pub use idmap::{IdMaps, IdRange, Idmap, IdmapSource};
pub use mount::{Attributes, Kind, Mount, Propagation, PropagationKind};
pub use options::split_options;
pub use outside::Bound;
pub use overlay::{Overlay, Upper};
pub use prepare::Prepared;

pub use rootfs::{Device, DeviceKind, RootFs};
pub use source::RootSource;
