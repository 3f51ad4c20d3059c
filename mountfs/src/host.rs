//! What the host lets us do, asked once.

use cofferdam_sys::readback::IdKind;
use cofferdam_sys::{Errno, facility};

use crate::{Error, Result};

/// What the host has and allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host {
    pub(crate) api: Api,
    /// Whether `mount_setattr(2)` knows `nosymfollow` (Linux 5.14).
    pub(crate) nosymfollow: bool,
    /// Whether `statmount(2)` is there (Linux 6.8); otherwise `mountinfo` is read back.
    pub(crate) statmount: bool,
    /// Whether to try to open sources as detached trees in the parent.
    pub(crate) detached: bool,
}

/// How mounts are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Api {
    /// With `mount(2)` alone, each mount on a stage before it is moved to its place.
    Mount,
    /// With `fsopen(2)`, `open_tree(2)`, `move_mount(2)` (Linux 5.2); attributes with `mount(2)`.
    Fsmount,
    /// With `mount_setattr(2)` too (Linux 5.12).
    Setattr,
}

impl Host {
    /// Asks the running kernel.
    ///
    /// # Errors
    /// When the answer is hidden by a seccomp filter: it is not taken for an old kernel.
    pub fn probe() -> Result<Self> {
        let ask = |name: &str, answer: cofferdam_sys::Result<bool>| {
            answer.map_err(|errno| {
                Error::system(format!("ask whether {name} is there"), errno)
                    .with_hint("a seccomp filter hides the call: let it through, or have it answer ENOSYS")
            })
        };
        let fsmount = ask("open_tree(2)", facility::mounts::has_open_tree())?;
        let setattr = fsmount && ask("mount_setattr(2)", facility::has_mount_setattr())?;
        let nosymfollow = setattr
            && match facility::mounts::setattr_knows_nosymfollow() {
                // Who may not mount is refused before the kernel looks; mount(2) in the child does it then.
                Err(Errno::EPERM) => false,
                answer => ask("nosymfollow", answer)?,
            };
        let statmount = match facility::has_statmount() {
            // Nothing is lost: mountinfo tells the same.
            Err(Errno::EPERM) => false,
            answer => ask("statmount(2)", answer)?,
        };
        let api = match (fsmount, setattr) {
            (_, true) => Api::Setattr,
            (true, false) => Api::Fsmount,
            (false, false) => Api::Mount,
        };
        Ok(Self { api, nosymfollow, statmount, detached: true })
    }

    /// How mounts are made on this host.
    pub fn api(self) -> Api {
        self.api
    }

    /// The same host with nothing newer than this, as an older kernel or a seccomp filter would have it.
    #[must_use]
    pub fn at_most(self, api: Api) -> Self {
        let api = self.api.min(api);
        Self { api, nosymfollow: self.nosymfollow && api == Api::Setattr, ..self }
    }

    /// The same host without `statmount(2)`, as before Linux 6.8.
    #[must_use]
    pub fn without_statmount(self) -> Self {
        Self { statmount: false, ..self }
    }

    /// The same host for a caller that may not open detached trees, as without privilege.
    #[must_use]
    pub fn without_detached_trees(self) -> Self {
        Self { detached: false, ..self }
    }

    pub(crate) fn setattr(self) -> bool {
        self.api == Api::Setattr
    }

    /// Whether the parent may make mounts that no namespace has.
    pub(crate) fn has_detached(self) -> bool {
        self.detached && self.api > Api::Mount
    }

    pub(crate) fn id_kind(self) -> IdKind {
        if self.statmount { IdKind::Unique } else { IdKind::Reused }
    }
}
