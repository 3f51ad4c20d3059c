//! Tests of `cofferdam-lsm`.

pub(super) mod apparmor;
pub(crate) mod fixtures;
pub(super) mod labels;
pub(super) mod landlock;
pub(super) mod landlock_sockets;
pub(super) mod modules;
pub(super) mod selinux;
pub(super) mod tomoyo;
