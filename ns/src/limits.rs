//! How many namespaces may be made inside a user namespace: `user.max_*_namespaces` (`namespaces(7)`).

use std::ffi::CString;

use cofferdam_sys::plan::{At, Plan, Step};

use crate::{Error, NsKind};

/// The most namespaces of each kind that may exist inside a new user namespace, its own included.
///
/// Written by the child once all of its own are made; who is root inside may lower a limit further, and may raise
/// it only with `CAP_SYS_RESOURCE` inside.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NamespaceLimits(Vec<(NsKind, u32)>);

impl NamespaceLimits {
    /// No limit but the host's.
    pub const fn unlimited() -> Self {
        Self(Vec::new())
    }

    /// No user namespace inside, which is what most escapes from a container begin with.
    pub fn no_user_namespaces() -> Self {
        Self(vec![(NsKind::User, 0)])
    }

    /// No further namespace of any kind.
    pub fn none() -> Self {
        Self(NsKind::ALL.map(|kind| (kind, 0)).into())
    }

    /// At most `count` of that kind; the last word on a kind counts.
    #[must_use]
    pub fn limit(mut self, kind: NsKind, count: u32) -> Self {
        self.0.retain(|(known, _)| *known != kind);
        self.0.push((kind, count));
        self
    }

    /// Whether there is no limit.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// # Errors
    /// [`crate::ErrorKind::Invalid`] for a number that the kernel's `int` cannot hold.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        match self.0.iter().find(|(_, count)| i32::try_from(*count).is_err()) {
            Some((kind, count)) => {
                Err(Error::invalid(format!("limit of {count} {kind} namespaces: too large")))
            }
            None => Ok(()),
        }
    }

    /// Adds the steps that write the limits. `/proc` must be there, and the user namespace be entered.
    pub(crate) fn lower(&self, plan: &mut Plan) {
        for (kind, count) in &self.0 {
            let Ok(path) = CString::new(format!("/proc/sys/user/max_{kind}_namespaces")) else { continue };
            let data = count.to_string().into_bytes();
            let about = format!("allow {count} {kind} namespaces inside");
            plan.push(about, Step::Write { dir: At::Cwd, path, data });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_counts() {
        let limits = NamespaceLimits::none().limit(NsKind::Network, 3);
        assert_eq!(limits.0.len(), NsKind::ALL.len());
        assert!(limits.0.contains(&(NsKind::Network, 3)));
        limits.validate().unwrap();
        assert!(limits.limit(NsKind::User, u32::MAX).validate().is_err());
    }
}
