//! Which capabilities the running kernel has.

use cofferdam_sys::{Errno, cred};

use crate::{Cap, Error, ErrorKind};

/// The last capability that the running kernel has.
///
/// Asked with `prctl(PR_CAPBSET_READ)`, which needs no procfs: starting at the newest one with a name,
/// two questions answer it on most kernels.
///
/// # Errors
/// [`ErrorKind::Os`] where a seccomp filter refuses the question.
pub fn last_cap() -> Result<Cap, Error> {
    let last = Cap::LAST_NAMED.number();
    if exists(last)? {
        let mut found = last;
        while let Some(next) = found.checked_add(1).filter(|next| *next < 64)
            && exists(next)?
        {
            found = next;
        }
        return cap(found);
    }
    for number in (0..last).rev() {
        if exists(number)? {
            return cap(number);
        }
    }
    Err(refused(Errno::EINVAL))
}

fn exists(number: u8) -> Result<bool, Error> {
    match cred::bounding_has(number) {
        Ok(_) => Ok(true),
        Err(Errno::EINVAL) => Ok(false),
        Err(errno) => Err(refused(errno)),
    }
}

fn cap(number: u8) -> Result<Cap, Error> {
    Cap::from_number(number).ok_or_else(|| refused(Errno::EINVAL))
}

fn refused(errno: Errno) -> Error {
    Error::new(ErrorKind::Os(errno), "ask the kernel for its capabilities (prctl PR_CAPBSET_READ)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_what_procfs_says() {
        let text = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap();
        assert_eq!(last_cap().unwrap().number(), text.trim().parse::<u8>().unwrap());
    }
}
