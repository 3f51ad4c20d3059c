//! Landlock (`landlock(7)`).

use cofferdam_sys::facility;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_there_exactly_when_the_module_is_active() {
        let abi = landlock_abi().unwrap();
        match crate::active() {
            Ok(modules) => assert_eq!(abi.is_some(), modules.contains("landlock")),
            Err(error) => eprintln!("skipped: {error}"),
        }
        assert_ne!(abi, Some(0));
        assert_eq!(abi, facility::landlock_abi().unwrap());
    }
}
