#![doc = include_str!("../README.md")]

pub mod access;
#[cfg(feature = "attempts")]
pub mod attempts;
pub mod bpf;
mod call;
pub mod clone;
pub mod copy;
pub mod cred;
pub mod errno;
pub mod facility;
pub mod file;
mod fork;
#[cfg(any(test, feature = "attempts"))]
pub mod hidden;
pub mod ids;
pub mod keyring;
pub mod landlock;
pub mod loopdev;
pub mod lsm;
pub mod memfd;
pub mod mount;
pub mod mountinfo;
pub mod net;
pub mod netlink;
pub mod nsfs;
pub mod numa;
pub mod open;
pub mod own_binary;
mod passwd;
pub mod pattern;
pub mod personality;
pub mod pidfd;
pub mod plan;
pub mod poll;
pub mod prctl;
pub mod probe;
pub mod process;
pub mod readback;
mod record;
pub mod rlimit;
pub mod sched;
pub mod seccomp;
pub mod send;
pub mod signal;
pub mod socket;
pub mod spawn;
pub mod stage;
pub mod tty;
mod walk;
pub mod xattr;

pub use errno::{Errno, Result};
