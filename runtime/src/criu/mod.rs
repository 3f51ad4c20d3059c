//! criu, which takes processes apart and puts them together again, spoken to as `criu swrk FD` (criu.org/RPC).
//!
//! ```text
//! checkpoint / restore                    criu swrk N
//!   ── VERSION ─────────────────────────▶
//!   ◀───────────────── 4.1.1 ───────────
//!   ── DUMP or RESTORE, options ────────▶
//!   ◀── NOTIFY: where it is ────────────   it waits for the answer to each
//!   ── well, or not: then it undoes ────▶
//!   ◀── done, or errno; it ends ────────
//! ```
//! criu takes folders as descriptors of its peer's, so that no path of theirs is resolved twice. What it reads from
//! an image is data of whoever wrote the image: [`Folder`] says who that may be, and a restore compares what came
//! out of it with the config before anything of it runs.

mod descriptors;
mod folder;
mod log;
mod message;
mod outside;
mod service;
mod wire;

pub(crate) use descriptors::Descriptors;
pub(crate) use folder::Folder;
pub use message::{CgroupsMode, Switches};
pub(crate) use message::{Kind, Options};
pub(crate) use outside::{Found, Outside, Shown, find, mounts_of};
pub(crate) use service::{Notice, Place, Service};
