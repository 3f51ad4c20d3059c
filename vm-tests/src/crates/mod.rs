//! Integration tests that call the crates directly in the guest.

mod caps;
mod cgroup;
mod child;
mod kernel;
pub(crate) mod lsm;
mod mountfs;
mod netbridge;
mod ns;
mod seccomp;
mod sys;

use crate::registry::Test;

/// The tables of this folder.
pub const TESTS: &[&[Test]] = &[
    caps::TESTS,
    cgroup::TESTS,
    lsm::modules::TESTS,
    lsm::labels::TESTS,
    lsm::landlock::TESTS,
    lsm::landlock_sockets::TESTS,
    lsm::apparmor::TESTS,
    lsm::selinux::TESTS,
    lsm::tomoyo::TESTS,
    mountfs::TESTS,
    mountfs::attributes::TESTS,
    mountfs::idmaps::TESTS,
    mountfs::kinds::TESTS,
    mountfs::races::TESTS,
    mountfs::readback::TESTS,
    mountfs::sources::TESTS,
    netbridge::TESTS,
    ns::TESTS,
    seccomp::verdicts::TESTS,
    seccomp::install::TESTS,
    seccomp::sweep::TESTS,
    seccomp::hardened::TESTS,
    seccomp::notify::TESTS,
    sys::TESTS,
];
