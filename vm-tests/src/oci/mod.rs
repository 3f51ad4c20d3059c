//! Integration tests that reach the runtime only through OCI, so that any runtime can stand in.
//!
//! Plain OCI: `config.json` and `run --bundle DIR ID`. runc 1.1 and crun 1.8 pass each of them; where one
//! does not, the test says why.

mod apparmor;
mod cgroups;
mod filesystem;
mod namespaces;
mod process;
mod refused;
mod seccomp;
mod stdio;

use crate::registry::Test;

/// The tables of this folder.
pub const TESTS: &[&[Test]] = &[
    apparmor::TESTS,
    cgroups::TESTS,
    filesystem::TESTS,
    namespaces::TESTS,
    process::TESTS,
    refused::TESTS,
    seccomp::TESTS,
    stdio::TESTS,
];
