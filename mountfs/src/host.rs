//! What the host lets us do, asked once.

use cofferdam_sys::facility;

use crate::{Error, Result};

/// What the host has and allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host {
    /// Whether `mount_setattr(2)` is there (Linux 5.12).
    pub(crate) mount_setattr: bool,
    /// Whether to try to open sources as detached trees in the parent.
    pub(crate) detached: bool,
}

impl Host {
    /// Asks the running kernel.
    ///
    /// # Errors
    /// When the answer is hidden by a seccomp filter: it is not taken for an old kernel.
    pub fn probe() -> Result<Self> {
        let mount_setattr = facility::has_mount_setattr().map_err(|errno| {
            Error::system("ask whether mount_setattr(2) is there", errno)
                .with_hint("a seccomp filter hides the call: let it through, or have it answer ENOSYS")
        })?;
        Ok(Self { mount_setattr, detached: true })
    }

    /// The same host without `mount_setattr(2)`, as before Linux 5.12.
    #[must_use]
    pub fn without_mount_setattr(self) -> Self {
        Self { mount_setattr: false, ..self }
    }

    /// The same host for a caller that may not open detached trees, as without privilege.
    #[must_use]
    pub fn without_detached_trees(self) -> Self {
        Self { detached: false, ..self }
    }
}
