//! Landlock (`landlock(7)`): a process gives up rights for itself and all that it makes, without any privilege.

mod mounts;
mod prepared;
mod report;
mod rights;
mod ruleset;

use cofferdam_sys::facility;

pub use mounts::{Hardened, MountRule, Wider, hardened};
pub use prepared::Prepared;
pub use report::{Missing, Report};
pub use rights::{FsAccess, LogFlags, NEWEST_ABI, NetAccess, Scopes, linux_of_abi};
pub use ruleset::{PathRule, PortRule, Ruleset};

use crate::{Error, ErrorKind};

/// The newest Landlock ABI of the running kernel; `None` where it is not built in or not active.
///
/// ABI 1 is Linux 5.13.
///
/// # Errors
/// [`ErrorKind::Os`] for any other answer: a question that was blocked is not taken for a no.
pub fn landlock_abi() -> Result<Option<u32>, Error> {
    facility::landlock_abi().map_err(|number| {
        Error::new(ErrorKind::Os(number), "ask the kernel for its Landlock ABI (landlock_create_ruleset)")
    })
}

/// The error where there is no Landlock at all.
pub(crate) fn absent() -> Error {
    Error::new(ErrorKind::Unsupported, "this kernel has no Landlock, or it is not active").with_hint(
        "needs Linux 5.13 with CONFIG_SECURITY_LANDLOCK, and `landlock` in the lsm= of the command line",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_there_exactly_when_the_module_is_active() {
        let abi = landlock_abi().unwrap();
        // `cargo xtask test` also runs this where the calls are hidden.
        let hidden = cofferdam_sys::hidden::by_the_runner("landlock_create_ruleset");
        match crate::active() {
            Ok(modules) => assert_eq!(abi.is_some(), modules.contains("landlock") && !hidden),
            Err(error) => eprintln!("skipped: {error}"),
        }
        assert_ne!(abi, Some(0));
        assert_eq!(abi, facility::landlock_abi().unwrap());
    }
}
