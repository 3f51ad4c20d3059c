//! What the running kernel has of what filters may use.

use cofferdam_sys::seccomp::{self, FilterFlags};

use crate::{Action, Error, ErrorKind, available};

/// The actions and flags of a kernel; asked of it once and then plain data.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// The actions, from the most to the least severe.
    pub actions: Vec<Action>,
    /// The flags; [`FilterFlags::WAIT_KILLABLE_RECV`] only together with a listener.
    pub flags: FilterFlags,
}

/// The flags with their names and kernels.
const FLAGS: [(FilterFlags, &str); 4] = [
    (FilterFlags::TSYNC, "SECCOMP_FILTER_FLAG_TSYNC (Linux 3.17)"),
    (FilterFlags::LOG, "SECCOMP_FILTER_FLAG_LOG (Linux 4.14)"),
    (FilterFlags::SPEC_ALLOW, "SECCOMP_FILTER_FLAG_SPEC_ALLOW (Linux 4.17)"),
    (FilterFlags::WAIT_KILLABLE_RECV, "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (Linux 5.19)"),
];

impl Kernel {
    /// Asks the running kernel; twelve system calls that change nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Os`] when it cannot be asked: a blocked question is not taken for a no.
    pub fn ask() -> Result<Self, Error> {
        let mut kernel = Self { actions: Vec::new(), flags: FilterFlags::empty() };
        for action in Action::all() {
            if available(action)? {
                kernel.actions.push(action);
            }
        }
        for (flag, name) in FLAGS {
            let asked =
                if flag == FilterFlags::WAIT_KILLABLE_RECV { flag | FilterFlags::NEW_LISTENER } else { flag };
            let there = seccomp::has_flags(asked)
                .map_err(|errno| Error::new(ErrorKind::Os(errno), format!("ask for {name}")))?;
            kernel.flags.set(flag, there);
        }
        Ok(kernel)
    }

    /// Fails with the first of these that the kernel does not have.
    pub(crate) fn check(
        &self,
        actions: impl Iterator<Item = Action>,
        flags: FilterFlags,
    ) -> Result<(), Error> {
        let missing = |name: &dyn std::fmt::Display| {
            Err(Error::new(ErrorKind::Unsupported, format!("the kernel has no {name}")))
        };
        for action in actions {
            if !self.actions.contains(&action) {
                let since = if action == Action::Notify { "5.0" } else { "4.14" };
                return missing(&format_args!("{action} (Linux {since})"));
            }
        }
        match FLAGS.into_iter().find(|(flag, _)| flags.contains(*flag) && !self.flags.contains(*flag)) {
            Some((_, name)) => missing(&name),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Answer, Filter, Profile};

    #[test]
    fn what_is_missing_is_named_with_its_kernel() {
        let kernel = Kernel { actions: vec![Action::Errno, Action::Allow], flags: FilterFlags::TSYNC };
        let check = |profile: &Profile| {
            Filter::compile(profile).unwrap().check(&kernel).map_err(|error| error.to_string())
        };
        let plain = Profile { bad_arch: Answer::Errno(1), ..Profile::new(Answer::Allow) };
        assert_eq!(check(&plain), Ok(()));
        let notify = plain.clone().rule(Answer::Notify, &["read"]);
        assert!(check(&notify).unwrap_err().starts_with("the kernel has no SCMP_ACT_NOTIFY (Linux 5.0)"));
        let log = Profile { flags: FilterFlags::LOG, ..plain };
        assert!(
            check(&log).unwrap_err().starts_with("the kernel has no SECCOMP_FILTER_FLAG_LOG (Linux 4.14)")
        );
    }

    #[test]
    fn this_kernel_has_the_usual() {
        let kernel = Kernel::ask().unwrap();
        assert!(kernel.actions.contains(&Action::Errno) && kernel.flags.contains(FilterFlags::TSYNC));
        assert_eq!(Filter::compile(&Profile::hardened()).unwrap().check(&kernel), Ok(()));
    }
}
