//! `socketcall(2)` and `ipc(2)` of x86: one number for many calls, the first argument says which.

use crate::{Arch, Compare, Condition};

/// Where a call hides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    name: &'static str,
    value: u64,
}

impl Entry {
    /// The number of the call that it hides in.
    pub(crate) fn number(self, arch: Arch) -> Option<u32> {
        arch.number(self.name)
    }

    /// What the first argument must be. The kernel takes it as an `int`.
    pub(crate) fn condition(self) -> Condition {
        Condition::low(0, Compare::Eq(self.value))
    }
}

/// `SYS_*` of `linux/net.h`, from 1 on.
static SOCKETCALL: [&str; 20] = [
    "socket",
    "bind",
    "connect",
    "listen",
    "accept",
    "getsockname",
    "getpeername",
    "socketpair",
    "send",
    "recv",
    "sendto",
    "recvfrom",
    "shutdown",
    "setsockopt",
    "getsockopt",
    "sendmsg",
    "recvmsg",
    "accept4",
    "recvmmsg",
    "sendmmsg",
];

/// The numbers of `linux/ipc.h`.
static IPC: [(&str, u64); 12] = [
    ("semop", 1),
    ("semget", 2),
    ("semctl", 3),
    ("semtimedop", 4),
    ("msgsnd", 11),
    ("msgrcv", 12),
    ("msgget", 13),
    ("msgctl", 14),
    ("shmat", 21),
    ("shmdt", 22),
    ("shmget", 23),
    ("shmctl", 24),
];

/// Where the call of that name hides on this architecture.
pub(crate) fn of(arch: Arch, name: &str) -> Option<Entry> {
    if arch != Arch::X86 {
        return None;
    }
    if let Some((value, _)) = (1..).zip(&SOCKETCALL).find(|(_, known)| **known == name) {
        return Some(Entry { name: "socketcall", value });
    }
    IPC.iter().find(|(known, _)| *known == name).map(|(_, value)| Entry { name: "ipc", value: *value })
}
