//! What depends on its arguments.
//!
//! Each argument is compared as wide as the kernel takes it: an `int` in its lower 32 bits, so that nothing
//! can hide above them.

use cofferdam_sys::Errno;

use crate::profile::number;
use crate::{Answer, Compare, Condition, Rule};

/// Calls that are allowed with some arguments.
#[derive(Debug, Clone, Copy)]
pub struct Conditional {
    /// The calls.
    pub names: &'static [&'static str],
    /// What is allowed, in words.
    pub allowed: &'static str,
    /// What anything else gives.
    pub otherwise: Errno,
    /// Why not everything is allowed.
    pub why: &'static str,
    /// The conditions of each alternative that is allowed.
    alternatives: &'static [&'static [Condition]],
}

impl Conditional {
    /// The rules: each alternative is allowed, anything else fails.
    pub fn rules(&self) -> Vec<Rule> {
        let names = || self.names.iter().map(|&name| name.to_owned()).collect();
        let allow = |conditions: &&[Condition]| Rule {
            names: names(),
            answer: Answer::Allow,
            conditions: conditions.to_vec(),
        };
        let mut rules: Vec<Rule> = self.alternatives.iter().map(allow).collect();
        // Holds always, and comes last.
        let anything = Condition::low(0, Compare::MaskedEq { mask: 0, value: 0 });
        let answer = Answer::Errno(number(self.otherwise));
        rules.push(Rule { names: names(), answer, conditions: vec![anything] });
        rules
    }
}

const fn is(argument: u8, value: u64) -> Condition {
    Condition::low(argument, Compare::Eq(value))
}

const fn is_not(argument: u8, value: u64) -> Condition {
    Condition::low(argument, Compare::Ne(value))
}

const fn bits(argument: u8, mask: u64, value: u64) -> Condition {
    Condition::low(argument, Compare::MaskedEq { mask, value })
}

/// `CLONE_NEWNS`, `NEWCGROUP`, `NEWUTS`, `NEWIPC`, `NEWUSER`, `NEWPID`, `NEWNET`.
const NEW_NAMESPACES: u64 = 0x7e02_0000;
/// `CLONE_NEWTIME`: where `clone(2)` has the exit signal, `unshare(2)` has this.
const NEW_TIME: u64 = 0x80;

const UNIX: u64 = 1;
const INET: u64 = 2;
const INET6: u64 = 10;
const NETLINK: u64 = 16;

/// `S_IFMT`; the kernel takes a mode in 16 bits.
const FILE_TYPE: u64 = 0xf000;
const NO_TYPE: u64 = 0;
const FIFO: u64 = 0x1000;
const REGULAR: u64 = 0x8000;
const SOCKET: u64 = 0xc000;

/// Calls that are allowed with some arguments.
pub const CONDITIONAL: &[Conditional] = &[
    Conditional {
        names: &["socket"],
        allowed: "`AF_UNIX`; `AF_INET` and `AF_INET6` with the default protocol, TCP, UDP or ICMP; `AF_NETLINK` with `NETLINK_ROUTE`",
        otherwise: Errno::EAFNOSUPPORT,
        why: "every other family is code of the kernel that hardly anybody tests (AF_ALG, AF_VSOCK, AF_RDS, SCTP …), much of it loaded on demand",
        alternatives: &[
            &[is(0, UNIX)],
            &[is(0, INET), is(2, 0)],
            &[is(0, INET), is(2, 6)],
            &[is(0, INET), is(2, 17)],
            &[is(0, INET), is(2, 1)],
            &[is(0, INET6), is(2, 0)],
            &[is(0, INET6), is(2, 6)],
            &[is(0, INET6), is(2, 17)],
            &[is(0, INET6), is(2, 58)],
            &[is(0, NETLINK), is(2, 0)],
        ],
    },
    Conditional {
        names: &["socketpair"],
        allowed: "`AF_UNIX`",
        otherwise: Errno::EAFNOSUPPORT,
        why: "as `socket`; TIPC has pairs too",
        alternatives: &[&[is(0, UNIX)]],
    },
    Conditional {
        names: &["clone"],
        allowed: "without flags for new namespaces",
        otherwise: Errno::EPERM,
        why: "a nested user namespace gives all capabilities over the most vulnerable parts of the kernel",
        alternatives: &[&[bits(0, NEW_NAMESPACES, 0)]],
    },
    Conditional {
        names: &["unshare"],
        allowed: "without flags for new namespaces",
        otherwise: Errno::EPERM,
        why: "as `clone`",
        alternatives: &[&[bits(0, NEW_NAMESPACES | NEW_TIME, 0)]],
    },
    Conditional {
        names: &["ioctl"],
        allowed: "all requests but `TIOCSTI`, `TIOCLINUX`, `TIOCSETD` and `TIOCCONS`",
        otherwise: Errno::EPERM,
        why: "they type into the terminal of whoever started the container, load line disciplines, take over the console",
        alternatives: &[&[is_not(1, 0x5412), is_not(1, 0x541c), is_not(1, 0x5423), is_not(1, 0x541d)]],
    },
    Conditional {
        names: &["personality"],
        allowed: "`PER_LINUX`, `PER_LINUX32`, both with `UNAME26`, and 0xffffffff, which only asks",
        otherwise: Errno::EPERM,
        why: "other personalities switch address space randomisation off or make data executable",
        alternatives: &[
            &[is(0, 0)],
            &[is(0, 8)],
            &[is(0, 0x2_0000)],
            &[is(0, 0x2_0008)],
            &[is(0, 0xffff_ffff)],
        ],
    },
    Conditional {
        names: &["mknod"],
        allowed: "regular files, FIFOs and sockets",
        otherwise: Errno::EPERM,
        why: "a device node is a way to the host's disks where the device filter is missing",
        alternatives: &[
            &[bits(1, FILE_TYPE, NO_TYPE)],
            &[bits(1, FILE_TYPE, FIFO)],
            &[bits(1, FILE_TYPE, REGULAR)],
            &[bits(1, FILE_TYPE, SOCKET)],
        ],
    },
    Conditional {
        names: &["mknodat"],
        allowed: "regular files, FIFOs and sockets",
        otherwise: Errno::EPERM,
        why: "as `mknod`",
        alternatives: &[
            &[bits(2, FILE_TYPE, NO_TYPE)],
            &[bits(2, FILE_TYPE, FIFO)],
            &[bits(2, FILE_TYPE, REGULAR)],
            &[bits(2, FILE_TYPE, SOCKET)],
        ],
    },
];
