//! Making a v1 cgroup together with the parents that are missing, and taking back what was made.

use std::time::Duration;

use super::{Group, Mount};
use crate::node::components;
use crate::{ErrorKind, Result};

/// A new cgroup of one hierarchy and the parents that were made for it. Nothing is removed by dropping it.
#[derive(Debug)]
pub struct Branch {
    leaf: Group,
    /// Outermost first.
    made: Vec<Group>,
}

/// How often a parent may vanish under us before that is an error.
const TRIES: u32 = 32;

impl Branch {
    /// Makes the cgroup `path` below the root of a hierarchy, whose last component must not be there yet.
    ///
    /// Safe beside others that make and remove cgroups below the same parents.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`]; [`ErrorKind::Invalid`] for an empty path or one with `..`. What was made
    /// until then is removed.
    pub fn create(mount: &Mount, path: &str) -> Result<Self> {
        let mut tries = TRIES;
        loop {
            let mut made = Vec::new();
            match grow(mount, path, &mut made) {
                Ok(leaf) => return Ok(Self { leaf, made }),
                // Somebody removed an empty parent between our steps.
                Err(error) if error.kind() == ErrorKind::NotFound && tries > 0 => {
                    tries = tries.saturating_sub(1);
                    prune(made)?;
                }
                Err(error) => {
                    return Err(match prune(made) {
                        Ok(()) => error,
                        Err(cleanup) => error.with_cleanup(&cleanup),
                    });
                }
            }
        }
    }

    /// Opens one that is there.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; otherwise as [`Group::root`].
    pub fn open(mount: &Mount, path: &str) -> Result<Self> {
        let leaf = Group::root(mount)?.open(&components(path)?.join("/"))?;
        Ok(Self { leaf, made: Vec::new() })
    }

    /// The new cgroup.
    pub fn leaf(&self) -> &Group {
        &self.leaf
    }

    /// Deletes the cgroup and those below it, waiting up to ten seconds for processes that are dying, then
    /// the parents that were made for it and are empty. Nothing is killed.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] with the processes that are left.
    pub fn delete(self) -> Result<()> {
        self.leaf.delete()?;
        prune(self.made)
    }

    /// The same when nothing is in it; otherwise it stays.
    pub(crate) fn delete_empty(self) -> Result<Option<Self>> {
        match self.leaf.remove_once() {
            Ok(()) => prune(self.made).map(|()| None),
            // Who waits for what is in it has the words for what else is in the way.
            Err(_) => Ok(Some(self)),
        }
    }
}

fn grow(mount: &Mount, path: &str, made: &mut Vec<Group>) -> Result<Group> {
    let mut names = components(path)?;
    let last = names.pop().unwrap_or_default();
    let mut at = Group::root(mount)?;
    for name in names {
        at = match Group::create(&at, name) {
            Ok(new) => {
                made.push(new.try_clone()?);
                new
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let there = at.child(name)?;
                if there.controllers().contains("cpuset") {
                    there.inherit_cpuset(&at)?;
                }
                there
            }
            Err(error) => return Err(error),
        };
    }
    Group::create(&at, last)
}

/// Removes parents, innermost first, up to one that others use.
fn prune(made: Vec<Group>) -> Result<()> {
    for parent in made.into_iter().rev() {
        match parent.remove(Duration::ZERO) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Busy => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
