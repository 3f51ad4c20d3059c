//! Integration tests of the guest itself: it is what was asked for.

mod boot;
mod case;
mod disk;
mod security;

use crate::registry::Test;

/// The tables of this folder.
pub const TESTS: &[&[Test]] = &[boot::TESTS, case::TESTS, disk::TESTS, security::TESTS];
