//! The runtime's systemd driver, with a real systemd: process 1 of a PID namespace, with a part of the cgroup tree that
//! it takes for the whole, as in a container. See [`machine`].
//!
//! Of units there is only what a test writes: systemd is up at once, and each case has one of its own.

mod bus;
mod ends;
mod life;
pub mod machine;
mod units;
mod user;

use crate::registry::Test;

/// The table of this folder.
pub const TESTS: &[Test] = &[
    Test::oci(
        "systemd::life",
        "A container is a scope with the config's limits, from run to delete",
        life::run,
    )
    .cgroup("v2")
    .systemd(),
    Test::oci(
        "systemd::update",
        "update tells systemd, whose reload of its units changes nothing",
        life::update,
    )
    .cgroup("v2")
    .systemd(),
    Test::oci("systemd::ends", "After its end a scope is gone, whatever the container died of", ends::run)
        .cgroup("v2")
        .systemd(),
    Test::oci("systemd::killed", "A runtime killed while systemd works leaves nothing behind", ends::killed)
        .cgroup("v2")
        .systemd(),
    Test::oci("systemd::bus", "Without its own socket systemd is reached over the bus", bus::run)
        .cgroup("v2")
        .systemd(),
    Test::oci("systemd::user", "A user's container is a scope of the user's own systemd", user::run)
        .cgroup("v2")
        .systemd(),
];
