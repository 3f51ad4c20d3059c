//! PID 1: boots the guest, then serves commands until it is told to stop.

use super::channel::Channel;
use super::commands::{self, Guest};
use super::{modules, mounts, processes, root};
use crate::protocol::{Event, PROTOCOL};
use nix::sys::reboot::{RebootMode, reboot};
use nix::time::{ClockId, clock_gettime};
use std::fs::{self, File, OpenOptions};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::{io, thread, time::Duration};

/// Never returns in a healthy guest. Whatever goes wrong is said on the channel, or at least on the
/// console, and ends the guest: a PID 1 that vanishes would look like a kernel's panic.
pub fn main() -> ExitCode {
    let init_ms = milliseconds_since_boot();
    let ended = panic::catch_unwind(AssertUnwindSafe(|| {
        let mut guest = boot(init_ms)?;
        commands::serve(&mut guest)
    }));
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => fault(&error.to_string()),
        Err(_) => fault("PID 1 panicked, see the console"),
    }
    stop()
}

/// The order of boot.
fn boot(init_ms: u64) -> io::Result<Guest> {
    step("make a root that can be pivoted", root::make_pivotable())?;
    step("mount the API filesystems", mounts::mount_all())?;
    step("open the console", open_console())?;
    step("mount the runtime read-only", mounts::keep_runtime())?;
    step("share the mount tree as systemd does", root::share())?;
    step("name the host", nix::unistd::sethostname("lab").map_err(Into::into))?;
    step("bring the loopback up", cofferdam_sys::net::interface_up(b"lo").map_err(Into::into))?;
    step("let warnings reach the console", fs::write("/proc/sys/kernel/printk", "5 4 1 5"))?;
    let failed_modules = step("load modules", modules::load_all())?;
    for failure in failed_modules {
        eprintln!("lab: {failure}");
    }
    let children = step("watch for children", processes::Children::watch())?;
    let mut channel = step("open the channel", Channel::open())?;
    step("say hello", channel.say(&hello(init_ms)?))?;
    Ok(Guest { channel, children })
}

fn hello(init_ms: u64) -> io::Result<Event> {
    Ok(Event::Hello {
        protocol: PROTOCOL,
        release: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        init_ms,
    })
}

fn step<T>(name: &str, result: io::Result<T>) -> io::Result<T> {
    result.map_err(|error| io::Error::other(format!("cannot {name}: {error}")))
}

/// The descriptors that the kernel gave PID 1 belong to the initramfs's console node, if it had one.
fn open_console() -> io::Result<()> {
    let console = OpenOptions::new().read(true).write(true).open("/dev/console")?;
    nix::unistd::dup2_stdin(&console)?;
    nix::unistd::dup2_stdout(&console)?;
    nix::unistd::dup2_stderr(&console)?;
    Ok(())
}

fn milliseconds_since_boot() -> u64 {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(0, |time| {
        let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
        seconds * 1000 + u64::try_from(time.tv_nsec()).unwrap_or(0) / 1_000_000
    })
}

/// Says on the console and, where it can be opened, on the channel that PID 1 cannot go on.
fn fault(message: &str) {
    eprintln!("lab: fault: {message}");
    if let Ok(mut channel) = Channel::open() {
        // Nothing is left to tell if this fails too.
        let _ = channel.say(&Event::Fault { message: message.to_owned() });
        let _ = channel.drain();
    }
}

/// Ends QEMU: a reset, as machines without ACPI cannot power off.
pub(super) fn stop() -> ! {
    let _ = File::open("/dev/console").map(rustix::termios::tcdrain);
    loop {
        let Err(errno) = reboot(RebootMode::RB_AUTOBOOT);
        eprintln!("lab: cannot reboot: {errno}");
        thread::sleep(Duration::from_secs(1));
    }
}
