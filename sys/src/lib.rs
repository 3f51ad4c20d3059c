//! All unsafe code of Cofferdam: thin, documented system calls and the child that walks a flat plan.
//!
//! Two layers. The modules named after families of calls ([`clone`], [`mount`], [`open`], [`process`],
//! [`cred`] …) are one function a call, on borrowed descriptors, with the kernel's own names. On top of
//! them, [`plan`] is a list of such calls as plain data, and [`spawn`] makes a child that walks it
//! between `clone3(2)` and `execve(2)` without allocating, locking or panicking. As only data reaches
//! the child, `spawn` is a safe function, in a threaded program too.

#[cfg(feature = "attempts")]
pub mod attempts;
pub mod bpf;
mod call;
pub mod clone;
pub mod cred;
pub mod errno;
pub mod facility;
pub mod file;
mod fork;
#[cfg(any(test, feature = "attempts"))]
pub mod hidden;
pub mod ids;
pub mod mount;
pub mod net;
pub mod nsfs;
pub mod open;
pub mod pidfd;
pub mod plan;
pub mod poll;
pub mod probe;
pub mod process;
pub mod rlimit;
pub mod signal;
pub mod spawn;
pub mod tty;
mod walk;

pub use errno::{Errno, Result};
