//! Keyrings, as far as isolation needs them: one of its own for a session, and who may use it (`keyrings(7)`).
//!
//! Joining one is [`crate::process::join_session_keyring`], which a plan has a step for.

use crate::call::check;
use crate::{Errno, Result};

/// `KEY_SPEC_SESSION_KEYRING`.
pub const SESSION: i32 = -3;

bitflags::bitflags! {
    /// Who may do what with a key: the `KEY_POS_*`, `KEY_USR_*`, `KEY_GRP_*` and `KEY_OTH_*` bits of `keyctl_setperm(3)`.
    ///
    /// Six bits for each of possessor, user, group and others: view, read, write, search, link, setattr.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct Permissions: u32 {
        /// `KEY_POS_ALL`.
        const POSSESSOR = 0x3f00_0000;
        /// `KEY_USR_ALL`.
        const USER = 0x003f_0000;
        /// `KEY_USR_SEARCH`.
        const USER_SEARCH = 0x0008_0000;
        /// `KEY_GRP_ALL`.
        const GROUP = 0x0000_3f00;
        /// `KEY_OTH_ALL`.
        const OTHERS = 0x0000_003f;
        const _ = !0;
    }
}

/// `keyctl(KEYCTL_GET_KEYRING_ID, key, 0)`: the serial number of a key, for a special one such as [`SESSION`] (`keyctl(2)`).
///
/// # Errors
/// `ENOKEY` when there is no such keyring, `EACCES` for one that may not be searched, `ENOSYS` on a kernel
/// without keys.
pub fn id(key: i32) -> Result<i32> {
    // SAFETY: this operation takes integers only.
    let id = check(unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_GET_KEYRING_ID, key, 0) })?;
    i32::try_from(id).map_err(|_| Errno::EINVAL)
}

/// `keyctl(KEYCTL_DESCRIBE, key, buffer, size)`: `type;uid;gid;permissions;description` (`keyctl(2)`).
///
/// # Errors
/// `EACCES` for a key that may not be viewed, otherwise as [`id`].
pub fn describe(key: i32) -> Result<String> {
    let mut buffer = vec![0u8; 512];
    let (pointer, room) = (buffer.as_mut_ptr(), buffer.len());
    // SAFETY: pointer and length are those of one vector that we may write.
    let length =
        check(unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_DESCRIBE, key, pointer, room) })?;
    // The length counts the final NUL, and may be more than there was room for.
    let length = usize::try_from(length).map_err(|_| Errno::EINVAL)?.saturating_sub(1);
    let text = buffer.get(..length).ok_or(Errno::ENOBUFS)?.to_vec();
    String::from_utf8(text).map_err(|_| Errno::EILSEQ)
}

/// `keyctl(KEYCTL_SETPERM, key, permissions)`: who may use a key (`keyctl(2)`).
///
/// # Errors
/// `EACCES` for a key that is not the caller's, without `CAP_SYS_ADMIN`; otherwise as [`id`].
pub fn set_permissions(key: i32, permissions: Permissions) -> Result<()> {
    // SAFETY: this operation takes integers only.
    check(unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_SETPERM, key, permissions.bits()) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::join_session_keyring;

    #[test]
    fn a_new_session_keyring_is_the_threads_own() {
        let named = || {
            join_session_keyring(c"cofferdam-test")?;
            set_permissions(SESSION, Permissions::POSSESSOR | Permissions::USER_SEARCH)?;
            describe(SESSION).map(|text| (id(SESSION), text))
        };
        match std::thread::spawn(named).join().unwrap() {
            Ok((id, text)) => {
                assert!(id.unwrap() > 0);
                assert!(text.starts_with("keyring;") && text.ends_with(";3f080000;cofferdam-test"), "{text}");
            }
            // A filter, as in many containers, or a kernel without keys.
            Err(errno) => assert!(matches!(errno, Errno::EPERM | Errno::ENOSYS), "{errno}"),
        }
    }
}
