//! Making a cgroup together with the parents that are missing, and taking back what was made.

use std::time::Duration;

use crate::node::components;
use crate::{Cgroup, Controllers, ErrorKind, Result};

/// A new cgroup and the parents that were made for it. Nothing is removed by dropping it.
#[derive(Debug)]
pub struct Branch {
    leaf: Cgroup,
    /// Outermost first.
    made: Vec<Cgroup>,
}

/// How often a parent may vanish under us before that is an error.
const TRIES: u32 = 32;

/// Parents are empty but for cgroups of others; there is nothing to wait for.
const NO_WAIT: Duration = Duration::ZERO;

impl Branch {
    /// Makes the cgroup `path` below `root`, whose last component must not be there yet, and gives it
    /// `controllers`: they are enabled in each cgroup from `root` to the last parent.
    ///
    /// Safe beside others that make and remove cgroups below the same parents.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`]; [`ErrorKind::NoController`] and [`ErrorKind::Busy`] as
    /// [`Cgroup::enable`]; [`ErrorKind::Invalid`] for an empty path or one with `..`. What was made until
    /// then is removed.
    pub fn create(root: &Cgroup, path: &str, controllers: &Controllers) -> Result<Self> {
        let mut tries = TRIES;
        loop {
            let mut made = Vec::new();
            match grow(root, path, controllers, &mut made) {
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

    /// A cgroup that was there, with no parents to take back.
    pub(crate) fn of(leaf: Cgroup) -> Self {
        Self { leaf, made: Vec::new() }
    }

    /// The new cgroup.
    pub fn leaf(&self) -> &Cgroup {
        &self.leaf
    }

    /// The new cgroup alone; its parents stay.
    pub fn into_leaf(self) -> Cgroup {
        self.leaf
    }

    /// Deletes the cgroup as [`Cgroup::delete`], then the parents that were made for it and are empty.
    ///
    /// # Errors
    /// As [`Cgroup::delete`].
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

/// Enables controllers in each cgroup from `root` to the parent of the cgroup `path`.
pub(crate) fn enable_along(root: &Cgroup, path: &str, controllers: &Controllers) -> Result<()> {
    let mut names = components(path)?;
    names.pop();
    let mut at = root.try_clone()?;
    at.enable(controllers)?;
    names.into_iter().try_for_each(|name| {
        at = at.child(name)?;
        at.enable(controllers)
    })
}

fn grow(root: &Cgroup, path: &str, controllers: &Controllers, made: &mut Vec<Cgroup>) -> Result<Cgroup> {
    let mut names = components(path)?;
    let last = names.pop().unwrap_or_default();
    let mut at = root.try_clone()?;
    for name in names {
        at.enable(controllers)?;
        at = match Cgroup::create(&at, name) {
            Ok(new) => {
                made.push(new.try_clone()?);
                new
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => at.child(name)?,
            Err(error) => return Err(error),
        };
    }
    at.enable(controllers)?;
    Cgroup::create(&at, last)
}

/// Removes parents, innermost first, up to one that others use.
fn prune(made: Vec<Cgroup>) -> Result<()> {
    for parent in made.into_iter().rev() {
        match parent.remove(NO_WAIT) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Busy => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
