//! Which device nodes the processes of a cgroup may use: rules, and the BPF program that enforces them.
//!
//! cgroup v2 has no interface file for devices. Instead, a program of type `BPF_PROG_TYPE_CGROUP_DEVICE`
//! is asked about every open and `mknod(2)` of a device node. It is assembled here, one short block a
//! rule, without a compiler.

mod attach;
mod program;

use std::os::fd::OwnedFd;

use cofferdam_sys::bpf::{self, Instruction};
use cofferdam_sys::rlimit::{self, Rlimit};
use cofferdam_sys::{Errno, errno};

use crate::{Error, ErrorKind, Result};

pub use attach::Program;
pub use program::compile;

/// The name that the kernel knows our programs by, and we among others'.
const NAME: &std::ffi::CStr = c"cofferdam_dev";

/// What sort of device node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Block devices.
    Block,
    /// Character devices.
    Char,
}

/// Ways of using a device node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Access(u8);

impl Access {
    /// `mknod(2)`.
    pub const MKNOD: Access = Access(1);
    /// Open for reading.
    pub const READ: Access = Access(2);
    /// Open for writing.
    pub const WRITE: Access = Access(4);
    /// All three.
    pub const ALL: Access = Access(7);

    /// The bits, as the kernel's `BPF_DEVCG_ACC_*`.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Either way.
    #[must_use]
    pub const fn union(self, other: Access) -> Self {
        Self(self.0 | other.0)
    }
}

/// One rule: whether devices may be used in some ways.
///
/// Each way of using a device is decided by the last rule of a list that names the device and that way;
/// what no rule names is denied. A use in several ways at once, as opening for reading and writing, needs
/// all of them allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rule {
    /// Whether it allows or denies.
    pub allow: bool,
    /// Block or character devices; `None` is both.
    pub kind: Option<Kind>,
    /// Major number; `None` is every.
    pub major: Option<u32>,
    /// Minor number; `None` is every.
    pub minor: Option<u32>,
    /// The ways of using the device that it is about.
    pub access: Access,
}

impl Rule {
    /// Denies everything.
    pub const DENY_ALL: Rule =
        Rule { allow: false, kind: None, major: None, minor: None, access: Access::ALL };

    /// A rule from the letters of cgroup v1 and the OCI: kind `a` (all), `b`, `c` or `u`; access some of `rwm`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] with the letter at fault.
    pub fn new(
        allow: bool,
        kind: &str,
        major: Option<u32>,
        minor: Option<u32>,
        access: &str,
    ) -> Result<Self> {
        let invalid = |what: String, hint: &str| Error::new(ErrorKind::Invalid, what).with_hint(hint);
        let kind = match kind {
            "a" | "" => None,
            "b" => Some(Kind::Block),
            "c" | "u" => Some(Kind::Char),
            other => {
                let what = format!("device rule: `{}` is no type", other.escape_default());
                return Err(invalid(what, "a (all), b (block), c or u (character); others have no rules"));
            }
        };
        let mut bits = 0;
        for letter in access.chars() {
            bits |= match letter {
                'm' => Access::MKNOD,
                'r' => Access::READ,
                'w' => Access::WRITE,
                other => {
                    let what = format!("device rule: `{}` is no access", other.escape_default());
                    return Err(invalid(what, "some of r (read), w (write), m (mknod)"));
                }
            }
            .bits();
        }
        if bits == 0 {
            return Err(invalid(
                "device rule: no access".to_owned(),
                "some of r (read), w (write), m (mknod)",
            ));
        }
        Ok(Self { allow, kind, major, minor, access: Access(bits) })
    }
}

fn load(program: &[Instruction]) -> Result<OwnedFd> {
    let once = |log: &mut [u8]| bpf::prog_load(bpf::PROG_TYPE_CGROUP_DEVICE, program, NAME, c"", log);
    let number = match once(&mut []) {
        Ok(program) => return Ok(program),
        // Before Linux 5.11 programs count as locked memory, whose limit is 64 KiB for all of a user's.
        Err(Errno::EPERM) => match with_locked_memory(|| once(&mut [])) {
            Ok(program) => return Ok(program),
            Err(number) => number,
        },
        Err(number) => number,
    };
    let mut log = vec![0; 16 << 10];
    if number == Errno::EINVAL && once(&mut log).is_err() {
        let text =
            String::from_utf8_lossy(log.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned();
        if let Some(last) = text.lines().rfind(|line| !line.starts_with("processed ")) {
            let what = format!("load the device program: the verifier says `{last}`");
            return Err(Error::system(what, number));
        }
    }
    Err(failed(format!("load the device program of {} instructions", program.len()), number))
}

/// Runs with no limit of locked memory where the caller may lift it, and puts the old limit back.
fn with_locked_memory<T>(
    work: impl FnOnce() -> std::result::Result<T, Errno>,
) -> std::result::Result<T, Errno> {
    let resource = rlimit::by_name("RLIMIT_MEMLOCK").ok_or(Errno::EPERM)?;
    let old = rlimit::get(0, resource)?;
    let lifted = Rlimit { soft: u64::MAX, hard: u64::MAX };
    rlimit::set(0, resource, lifted).map_err(|_| Errno::EPERM)?;
    let result = work();
    rlimit::set(0, resource, old)?;
    result
}

fn failed(what: String, number: Errno) -> Error {
    let error = Error::system(what, number);
    match number {
        Errno::EPERM => error.with_hint(
            "device programs need CAP_BPF and CAP_NET_ADMIN, or CAP_SYS_ADMIN, in the initial user namespace; \
             without them rely on the nodes that are in the container's /dev",
        ),
        Errno::EINVAL | Errno::ENOSYS => error
            .with_kind(ErrorKind::Unsupported)
            .with_hint("the kernel needs CONFIG_BPF_SYSCALL and CONFIG_CGROUP_BPF"),
        Errno::ENOMEM | Errno::E2BIG => error.with_hint("use fewer device rules"),
        _ => {
            let hint = format!("bpf(2) gave {}", errno::describe(number));
            error.with_hint(hint)
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
