//! The rights that a ruleset can handle, and the ABI that brought each.

use landlock::{ABI, Access, AccessFs, AccessNet, Scope};

bitflags::bitflags! {
    /// What a process may do with files: the `LANDLOCK_ACCESS_FS_*` of `landlock(7)`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct FsAccess: u64 {
        /// Execute a file (ABI 1).
        const EXECUTE = 1 << 0;
        /// Open a file for writing (ABI 1).
        const WRITE_FILE = 1 << 1;
        /// Open a file for reading (ABI 1).
        const READ_FILE = 1 << 2;
        /// Open a directory or list it (ABI 1).
        const READ_DIR = 1 << 3;
        /// Remove or rename an empty directory (ABI 1).
        const REMOVE_DIR = 1 << 4;
        /// Remove or rename a file (ABI 1).
        const REMOVE_FILE = 1 << 5;
        /// Make a character device (ABI 1).
        const MAKE_CHAR = 1 << 6;
        /// Make a directory (ABI 1).
        const MAKE_DIR = 1 << 7;
        /// Make a regular file (ABI 1).
        const MAKE_REG = 1 << 8;
        /// Make a UNIX socket (ABI 1).
        const MAKE_SOCK = 1 << 9;
        /// Make a named pipe (ABI 1).
        const MAKE_FIFO = 1 << 10;
        /// Make a block device (ABI 1).
        const MAKE_BLOCK = 1 << 11;
        /// Make a symbolic link (ABI 1).
        const MAKE_SYM = 1 << 12;
        /// Link or rename from one directory to another (ABI 2; refused altogether by ABI 1).
        const REFER = 1 << 13;
        /// Truncate a file (ABI 3).
        const TRUNCATE = 1 << 14;
        /// Call `ioctl(2)` on a device that is opened from now on (ABI 5).
        const IOCTL_DEV = 1 << 15;
        /// Connect to a UNIX socket by its path (ABI 9).
        const RESOLVE_UNIX = 1 << 16;

        /// Read files and list directories.
        const READ = Self::READ_FILE.bits() | Self::READ_DIR.bits();
        /// Write, make, remove and move files and directories; devices are none of it.
        const WRITE = Self::WRITE_FILE.bits() | Self::TRUNCATE.bits() | Self::REMOVE_DIR.bits()
            | Self::REMOVE_FILE.bits() | Self::MAKE_DIR.bits() | Self::MAKE_REG.bits() | Self::MAKE_SOCK.bits()
            | Self::MAKE_FIFO.bits() | Self::MAKE_SYM.bits() | Self::REFER.bits();
    }

    /// What a process may do with ports: the `LANDLOCK_ACCESS_NET_*` of `landlock(7)`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct NetAccess: u64 {
        /// Bind a TCP socket to a local port (ABI 4).
        const BIND_TCP = 1 << 0;
        /// Connect a TCP socket to a remote port (ABI 4).
        const CONNECT_TCP = 1 << 1;
        /// Bind a UDP socket to a local port (ABI 10).
        const BIND_UDP = 1 << 2;
        /// Connect a UDP socket, or send, to a remote port (ABI 10).
        const CONNECT_SEND_UDP = 1 << 3;
    }

    /// What may not reach processes outside: the `LANDLOCK_SCOPE_*` of `landlock(7)`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct Scopes: u64 {
        /// Connecting to an abstract UNIX socket that a process outside made (ABI 6).
        const ABSTRACT_UNIX_SOCKET = 1 << 0;
        /// Sending a signal to a process outside (ABI 6).
        const SIGNAL = 1 << 1;
    }

    /// What the audit log is told of refusals: the `LANDLOCK_RESTRICT_SELF_LOG_*` of `landlock(7)`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct LogFlags: u32 {
        /// Nothing of what the restricting program itself is refused (ABI 7).
        const SAME_EXEC_OFF = 1 << 0;
        /// Also what programs are refused that it executes (ABI 7).
        const NEW_EXEC_ON = 1 << 1;
        /// Nothing of what domains inside of this one are refused (ABI 7).
        const SUBDOMAINS_OFF = 1 << 2;
    }
}

/// The first ABI with [`LogFlags`].
pub(super) const LOG_ABI: u32 = 7;
/// The first ABI that can restrict all threads of a process at once.
pub(super) const ALL_THREADS_ABI: u32 = 8;
/// The newest ABI whose rights this build knows; a newer kernel is used as if it were this one.
pub const NEWEST_ABI: u32 = 10;

/// The first release of Linux with an ABI; `None` for one that this build does not know.
pub fn linux_of_abi(abi: u32) -> Option<&'static str> {
    let index = usize::try_from(abi.checked_sub(1)?).ok()?;
    ["5.13", "5.19", "6.2", "6.7", "6.10", "6.12", "6.15", "7.0", "7.1", "7.2"].get(index).copied()
}

/// The number as the `landlock` crate has it, whose tables of rights are the ones used here.
fn crates_abi(abi: u32) -> ABI {
    match abi {
        0 => ABI::Unsupported,
        1 => ABI::V1,
        2 => ABI::V2,
        3 => ABI::V3,
        4 => ABI::V4,
        5 => ABI::V5,
        6 => ABI::V6,
        7 => ABI::V7,
        8 => ABI::V8,
        9 => ABI::V9,
        _ => ABI::V10,
    }
}

impl FsAccess {
    /// What has a meaning for a file that is no directory.
    pub const FOR_FILES: Self = Self::EXECUTE
        .union(Self::WRITE_FILE)
        .union(Self::READ_FILE)
        .union(Self::TRUNCATE)
        .union(Self::IOCTL_DEV)
        .union(Self::RESOLVE_UNIX);

    /// All rights that a kernel with this ABI knows.
    pub fn of_abi(abi: u32) -> Self {
        Self::from_bits_retain(AccessFs::from_all(crates_abi(abi)).bits())
    }
}

impl NetAccess {
    /// All rights that a kernel with this ABI knows.
    pub fn of_abi(abi: u32) -> Self {
        Self::from_bits_retain(AccessNet::from_all(crates_abi(abi)).bits())
    }
}

impl Scopes {
    /// All scopes that a kernel with this ABI knows.
    pub fn of_abi(abi: u32) -> Self {
        Self::from_bits_retain(Scope::from_all(crates_abi(abi)).bits())
    }
}

impl LogFlags {
    /// All flags that a kernel with this ABI knows.
    pub fn of_abi(abi: u32) -> Self {
        if abi >= LOG_ABI { Self::all() } else { Self::empty() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_the_same_as_the_crates() {
        // Every right has a name here, and every name is a right of some ABI.
        assert_eq!(FsAccess::of_abi(NEWEST_ABI), FsAccess::all());
        assert_eq!(NetAccess::of_abi(NEWEST_ABI), NetAccess::all());
        assert_eq!(Scopes::of_abi(NEWEST_ABI), Scopes::all());
        for abi in 0..=NEWEST_ABI {
            let all = AccessFs::from_file(crates_abi(abi));
            assert_eq!((FsAccess::of_abi(abi) & FsAccess::FOR_FILES).bits(), all.bits(), "ABI {abi}");
            assert_eq!(linux_of_abi(abi).is_some(), abi > 0, "ABI {abi}");
        }
        assert_eq!(linux_of_abi(NEWEST_ABI + 1), None);
    }

    #[test]
    fn each_abi_adds_what_the_text_says() {
        let added = |abi: u32| FsAccess::of_abi(abi) - FsAccess::of_abi(abi - 1);
        assert_eq!(added(2), FsAccess::REFER);
        assert_eq!(added(3), FsAccess::TRUNCATE);
        assert_eq!(added(5), FsAccess::IOCTL_DEV);
        assert_eq!(added(9), FsAccess::RESOLVE_UNIX);
        assert_eq!(NetAccess::of_abi(3), NetAccess::empty());
        assert_eq!(NetAccess::of_abi(4), NetAccess::BIND_TCP | NetAccess::CONNECT_TCP);
        assert_eq!(Scopes::of_abi(5), Scopes::empty());
        assert_eq!(Scopes::of_abi(6), Scopes::all());
        assert_eq!((LogFlags::of_abi(6), LogFlags::of_abi(7)), (LogFlags::empty(), LogFlags::all()));
    }
}
