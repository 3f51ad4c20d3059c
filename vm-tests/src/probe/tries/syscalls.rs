//! Attempts on parts of the kernel that only a system call filter keeps from a container.

use crate::probe::{Steps, Tried, c_string};
use cofferdam_sys::attempts::calls;
use cofferdam_sys::clone::{self, Namespaces};
use cofferdam_sys::{Errno, mount};
use serde_json::{Value, json};

/// Sets up a ring, through which calls are made that no filter sees.
pub(super) fn io_uring() -> Tried {
    calls::io_uring().map(|_| Value::Null)
}

/// Makes a descriptor that stops the kernel in the middle of a copy.
pub(super) fn userfaultfd() -> Tried {
    calls::userfaultfd().map(|_| Value::Null)
}

/// Makes a user namespace of its own, in which it has every capability.
pub(super) fn nested() -> Tried {
    clone::unshare(Namespaces::USER).map(|()| Value::Null)
}

/// Opens a socket that sees every packet.
pub(super) fn packet() -> Tried {
    use rustix::net::{AddressFamily, SocketType, socket};
    let raw = |error: rustix::io::Errno| Errno::from_raw(error.raw_os_error());
    socket(AddressFamily::PACKET, SocketType::RAW, None).map(|_| Value::Null).map_err(raw)
}

/// Mounts a file system that is attached nowhere.
pub(super) fn fsopen(steps: &Steps) -> Tried {
    use std::os::fd::AsFd;
    let context = steps.step("fsopen", mount::fsopen(c"tmpfs"))?;
    steps.step("fsconfig", mount::fsconfig_create(context.as_fd()))?;
    mount::fsmount(context.as_fd(), mount::MountAttrs::empty()).map(|_| Value::Null)
}

/// Loads a program into the kernel that does nothing.
pub(super) fn bpf() -> Tried {
    use cofferdam_sys::bpf::{Instruction, PROG_TYPE_CGROUP_DEVICE, prog_load};
    // `r0 = 0; exit`.
    let program = [0xb7, 0x95].map(|code| Instruction { code, registers: 0, offset: 0, immediate: 0 });
    prog_load(PROG_TYPE_CGROUP_DEVICE, &program, c"", c"", &mut []).map(|_| Value::Null)
}

/// Puts a key into the kernel.
pub(super) fn key(name: &str) -> Tried {
    calls::add_session_key(&c_string(name)?, b"payload").map(|serial| json!(serial))
}
