//! Where things are in a guest.

/// The guest program itself.
pub const INIT: &str = "/init";
/// The OCI runtime under test.
pub const RUNTIME: &str = "/lab/runtime";
/// The program that is placed in containers.
pub const PROBE: &str = "/lab/probe";
/// The modules and the order to load them in.
pub const MODULES: &str = "/lab/modules";
/// The name of the cgroup layout.
pub(super) const LAYOUT: &str = "/lab/layout";
/// The tmpfs that each case gets anew.
pub const SCRATCH: &str = "/run/lab/scratch";
/// The same, as the leak check shows it.
pub(super) const SCRATCH_MOUNT: &str = "mount /run/lab/scratch tmpfs";
/// Where a shell's multi-call program is, if the image has one.
pub const BUSYBOX: &str = "/bin/busybox";
/// The serial port that carries the protocol.
pub const CHANNEL: &str = "/dev/ttyS1";
/// The serial port that carries the console.
pub const TERMINAL: &str = "/dev/ttyS0";
/// The scratch disk, if the guest has one.
pub const DISK: &str = "/dev/vda";
