//! The tables of all tests, and what one entry says.

mod context;
mod failure;
mod wants;

pub use context::{Context, Mode};
pub use failure::{Failure, OrFail};
pub use wants::Wants;

use crate::protocol::TestInfo;

/// What a test's function returns.
pub type Result<T = ()> = std::result::Result<T, Failure>;

/// The function of a test.
pub type Run = fn(&mut Context) -> Result;

/// The suite of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// What should work, does.
    Integration,
    /// What should be impossible, is.
    Escape,
    /// Checkpoint and restore, which take criu in the guest. Part of a run that asks for it.
    Checkpoint,
    /// The lab's own: guests that misbehave on purpose. Never part of a normal run.
    Selftest,
}

impl Suite {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Integration => "integration",
            Self::Escape => "escape",
            Self::Checkpoint => "checkpoint",
            Self::Selftest => "selftest",
        }
    }
}

/// One test: an entry of a `TESTS` table.
#[derive(Debug, Clone, Copy)]
pub struct Test {
    /// Its suite.
    pub suite: Suite,
    /// Its name, unique over all suites: `crate::what` or `attempt-id`.
    pub name: &'static str,
    /// What it shows, in one sentence.
    pub about: &'static str,
    /// The modes it runs in.
    pub modes: &'static [&'static str],
    /// Whether it reaches the runtime only through OCI.
    pub oci: bool,
    /// What it needs of the guest.
    pub wants: Wants,
    /// What it does.
    pub run: Run,
}

impl Test {
    const fn new(suite: Suite, name: &'static str, about: &'static str, run: Run) -> Self {
        Self { suite, name, about, modes: &["full"], oci: false, wants: Wants::NONE, run }
    }

    /// An integration test of the crates or of the guest itself.
    pub const fn integration(name: &'static str, about: &'static str, run: Run) -> Self {
        Self::new(Suite::Integration, name, about, run)
    }

    /// An integration test that reaches the runtime only through OCI.
    pub const fn oci(name: &'static str, about: &'static str, run: Run) -> Self {
        Self { oci: true, ..Self::new(Suite::Integration, name, about, run) }
    }

    /// An escape attempt; its modes are `full`, one or more `peel:LAYER`, and `control`.
    pub const fn escape(
        name: &'static str,
        about: &'static str,
        modes: &'static [&'static str],
        run: Run,
    ) -> Self {
        Self { oci: true, modes, ..Self::new(Suite::Escape, name, about, run) }
    }

    /// A test of checkpoint and restore.
    pub const fn checkpoint(name: &'static str, about: &'static str, run: Run) -> Self {
        Self { oci: true, ..Self::new(Suite::Checkpoint, name, about, run) }
    }

    /// A test of the lab itself.
    pub const fn selftest(name: &'static str, about: &'static str, run: Run) -> Self {
        Self::new(Suite::Selftest, name, about, run)
    }

    /// Needs these kernel modules.
    #[must_use]
    pub const fn modules(mut self, modules: &'static [&'static str]) -> Self {
        self.wants.modules = modules;
        self
    }

    /// Needs this cgroup layout: `v2`, `v1` or `hybrid`.
    #[must_use]
    pub const fn cgroup(mut self, layout: &'static str) -> Self {
        self.wants.cgroup = Some(layout);
        self
    }

    /// Needs the ext4 scratch disk.
    #[must_use]
    pub const fn disk(mut self) -> Self {
        self.wants.disk = true;
        self
    }

    /// Needs the programs of systemd: one of the suite `systemd`, which a run must ask for.
    #[must_use]
    pub const fn systemd(mut self) -> Self {
        self.wants.systemd = true;
        self
    }

    /// Needs a guest of its own for each mode.
    #[must_use]
    pub const fn fresh(mut self) -> Self {
        self.wants.fresh = true;
        self
    }

    /// Needs this major LSM.
    #[must_use]
    pub const fn lsm(mut self, name: &'static str) -> Self {
        self.wants.lsm = Some(name);
        self
    }

    /// Needs this lockdown level.
    #[must_use]
    pub const fn lockdown(mut self, level: &'static str) -> Self {
        self.wants.lockdown = Some(level);
        self
    }

    /// Needs these kernel facilities, see [`crate::guest::facilities`].
    #[must_use]
    pub const fn facilities(mut self, names: &'static [&'static str]) -> Self {
        self.wants.facilities = names;
        self
    }

    /// The entry as `guest list` prints it.
    pub fn info(&self) -> TestInfo {
        TestInfo {
            suite: self.suite.name().to_owned(),
            name: self.name.to_owned(),
            about: self.about.to_owned(),
            modes: self.modes.iter().map(|&mode| mode.to_owned()).collect(),
            oci: self.oci,
            needs: self.wants.to_needs(),
        }
    }
}

/// Every test of every table.
pub fn all() -> impl Iterator<Item = &'static Test> {
    [
        crate::lab::TESTS,
        &[crate::features::TESTS],
        crate::crates::TESTS,
        crate::oci::TESTS,
        crate::escapes::TESTS,
        crate::selftest::TESTS,
        &[crate::systemd::TESTS],
    ]
    .into_iter()
    .flatten()
    .copied()
    .flatten()
}

/// The test of that name.
pub fn find(name: &str) -> Option<&'static Test> {
    all().find(|test| test.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique() {
        let mut seen = HashSet::new();
        let twice: Vec<_> = all().map(|test| test.name).filter(|name| !seen.insert(*name)).collect();
        assert!(twice.is_empty(), "{twice:?}");
    }

    #[test]
    fn each_test_is_described() {
        for test in all() {
            assert!(!test.about.is_empty() && !test.name.contains(char::is_whitespace), "{}", test.name);
        }
    }

    #[test]
    fn modes_are_known_and_each_attempt_has_its_control() {
        for test in all() {
            assert!(
                test.modes.iter().all(|mode| Mode::parse(mode).is_some()),
                "{}: {:?}",
                test.name,
                test.modes
            );
            let wanted = test.suite == Suite::Escape;
            assert_eq!(test.modes.contains(&"control"), wanted, "{}", test.name);
            assert_eq!(test.modes.iter().any(|mode| mode.starts_with("peel:")), wanted, "{}", test.name);
            assert!(test.modes.contains(&"full"), "{}", test.name);
        }
    }

    #[test]
    fn facilities_are_known() {
        for test in all() {
            for name in test.wants.facilities {
                assert!(crate::guest::facilities::known(name), "{}: {name}", test.name);
            }
        }
    }
}
