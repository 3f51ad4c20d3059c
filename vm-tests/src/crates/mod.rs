//! Integration tests that call the crates directly in the guest.

mod caps;
mod cgroup;
mod child;
mod kernel;
mod mountfs;
mod ns;
mod smaller;
mod sys;

use crate::registry::Test;

/// The tables of this folder.
pub const TESTS: &[&[Test]] =
    &[caps::TESTS, cgroup::TESTS, mountfs::TESTS, ns::TESTS, smaller::TESTS, sys::TESTS];
