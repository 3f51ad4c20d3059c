//! Escape attempts: what a container tries against its host, through OCI only.
//!
//! Each is made three times. `full`: behind the hardened config it must be blocked, which is the errno of
//! every step *and* the state of the host. `peel:LAYER`: without the layer that fires first, the next one must
//! hold. `control`: without all the layers that are named, it must succeed, or the attempt proves nothing.

mod attempt;
mod cgroups;
mod devices;
mod files;
mod host;
mod kernel;
mod mounts;
mod namespaces;
mod network;
mod privileges;
mod syscalls;

use crate::registry::Test;

/// The tables of this folder.
pub const TESTS: &[&[Test]] = &[
    cgroups::TESTS,
    devices::TESTS,
    files::TESTS,
    kernel::TESTS,
    mounts::TESTS,
    namespaces::TESTS,
    network::TESTS,
    privileges::TESTS,
    syscalls::TESTS,
];

/// The modes of an attempt that the capabilities stop first.
const CAPABILITIES: &[&str] = &["full", "peel:capabilities", "control"];
/// The modes of an attempt that the limits of the cgroup stop first.
const LIMITS: &[&str] = &["full", "peel:cgroup-limits", "control"];
/// The modes of an attempt that a mask stops first.
const MASKS: &[&str] = &["full", "peel:masks", "control"];
/// The modes of an attempt that `no_new_privs` stops first.
const NO_NEW_PRIVILEGES: &[&str] = &["full", "peel:no-new-privileges", "control"];
/// The modes of an attempt that the pid namespace stops first.
const PID_NAMESPACE: &[&str] = &["full", "peel:pid-namespace", "control"];
/// The modes of an attempt that the IPC namespace stops first.
const IPC_NAMESPACE: &[&str] = &["full", "peel:ipc-namespace", "control"];
/// The modes of an attempt that the system call filter stops first.
const SECCOMP: &[&str] = &["full", "peel:seccomp", "control"];
/// The modes of an attempt that the user namespace stops first.
const USER_NAMESPACE: &[&str] = &["full", "peel:user-namespace", "control"];

#[cfg(test)]
mod tests {
    use super::TESTS;
    use crate::bundle::Layer;

    #[test]
    fn each_peeled_layer_exists() {
        for test in TESTS.iter().copied().flatten() {
            for layer in test.modes.iter().filter_map(|mode| mode.strip_prefix("peel:")) {
                assert!(Layer::parse(layer).is_some(), "{}: {layer}", test.name);
            }
        }
    }
}
