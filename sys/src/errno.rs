//! The vocabulary of failures: the kernel's error numbers under their own names.

pub use nix::errno::Errno;

/// What a system call gives: a value or the kernel's error number.
pub type Result<T> = std::result::Result<T, Errno>;

/// The symbolic name and the meaning of an error number, as in `EPERM (Operation not permitted)`.
pub fn describe(errno: Errno) -> String {
    format!("{errno:?} ({})", errno.desc())
}

/// The [`Errno`] inside a [`std::io::Error`]; `EIO` when it came from no system call.
pub fn from_io(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_explains() {
        assert_eq!(describe(Errno::EPERM), "EPERM (Operation not permitted)");
    }

    #[test]
    fn keeps_the_number_of_an_io_error() {
        let error = std::fs::read("/nonexistent").unwrap_err();
        assert_eq!(from_io(&error), Errno::ENOENT);
        assert_eq!(from_io(&std::io::Error::other("x")), Errno::EIO);
    }
}
