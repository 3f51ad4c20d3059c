//! Integration tests that reach the runtime only through OCI, so that any runtime can stand in.
//!
//! Plain OCI: `config.json`, `run --bundle DIR ID`, and the commands that engines give. runc 1.1 and crun 1.8 pass each of them; where one
//! does not, the test says why.

mod apparmor;
mod cgroups;
mod checkpoint;
mod commands;
mod exec;
mod features;
mod filesystem;
mod hooks;
mod lifecycle;
mod namespaces;
mod net_devices;
mod process;
mod refused;
mod seccomp;
mod stdio;
mod terminal;

use crate::registry::Test;

/// The tables of this folder.
pub const TESTS: &[&[Test]] = &[
    apparmor::TESTS,
    cgroups::TESTS,
    checkpoint::TESTS,
    commands::TESTS,
    exec::TESTS,
    features::TESTS,
    filesystem::TESTS,
    hooks::TESTS,
    lifecycle::TESTS,
    namespaces::TESTS,
    net_devices::TESTS,
    process::TESTS,
    refused::TESTS,
    seccomp::TESTS,
    stdio::TESTS,
    terminal::TESTS,
];
