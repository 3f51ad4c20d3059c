//! From a boot configuration to a guest that can be talked to.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::collect::Booted;
use super::limits::Limits;
use super::plan::BootConfig;
use super::session::{Heard, Talk};
use crate::image::Image;
use crate::kernels::Cache;
use crate::protocol::Command;
use crate::qemu::{Accel, Config, Machine, Qemu, Snapshot, Vm, VmEvent, disk};

/// A guest's memory in MiB: enough for all suites on all kernels.
pub const MEMORY_MIB: u32 = 256;

/// What a guest is to be like.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// What it is booted with.
    pub config: &'a BootConfig,
    /// Whether the runtime in the image is this repository's own.
    pub own_runtime: bool,
    /// A defence to leave out.
    pub broken: Option<&'a str>,
}

/// What all guests of a run share.
#[derive(Debug, Clone, Copy)]
pub struct Host<'a> {
    /// QEMU.
    pub qemu: &'a Qemu,
    /// The accelerator.
    pub accel: Accel,
    /// How long things may take.
    pub limits: &'a Limits,
    /// Where the consoles' logs go.
    pub logs: &'a Path,
    /// The cache.
    pub cache: &'a Cache,
}

/// Makes QEMU's configuration; a disk takes the machine that can have one.
///
/// # Errors
/// The scratch disk cannot be made.
pub fn config(image: &Image, wish: &Wish<'_>, host: &Host<'_>, name: &str) -> Result<Config> {
    let disk = wish.config.disk.then(|| disk::scratch(host.cache)).transpose()?;
    Ok(Config {
        qemu: host.qemu.clone(),
        machine: if disk.is_some() { Machine::Q35 } else { Machine::Microvm },
        accel: host.accel,
        cpus: 1,
        memory_mib: MEMORY_MIB,
        vmlinux: image.vmlinux.clone(),
        initrd: image.initrd.clone(),
        append: append(wish),
        disk,
        log: log(host.logs, name),
        limits: host.limits.guest,
    })
}

/// Where the console of a guest is logged.
pub fn log(logs: &Path, name: &str) -> PathBuf {
    let plain = |c: char| if c.is_alphanumeric() || "._-".contains(c) { c } else { '-' };
    logs.join(format!("{}.log", name.chars().map(plain).collect::<String>().trim_matches('-')))
}

fn append(wish: &Wish<'_>) -> String {
    let runtime = if wish.own_runtime { "own" } else { "foreign" };
    let mut words = vec![format!("lab.runtime={runtime}")];
    words.extend(wish.broken.map(|defence| format!("lab.break={defence}")));
    words.push(format!("security={}", wish.config.lsm));
    words.extend(wish.config.lockdown.as_ref().map(|level| format!("lockdown={level}")));
    words.join(" ")
}

/// A guest, and what is known of its boot.
#[derive(Debug)]
pub struct Guest {
    vm: Vm,
    /// The name of its log.
    pub booted: Booted,
    /// Whether it came up only in a second try.
    pub retried: bool,
}

/// Boots a guest.
///
/// # Errors
/// It does not come up.
pub fn boot(config: &Config) -> Result<Guest> {
    let begun = Instant::now();
    let vm = Vm::boot(config)?;
    // A boot that is tried twice is measured from the start of the second.
    let retried = begun.elapsed() > Duration::from_millis(vm.ready_ms()) + Duration::from_secs(5);
    let hello = vm.hello();
    let booted = Booted {
        release: hello.release.clone(),
        boot_ms: hello.init_ms,
        machine: config.machine.name().to_owned(),
    };
    Ok(Guest { vm, booted, retried })
}

/// Resumes a guest.
///
/// # Errors
/// It does not answer.
pub fn resume(snapshot: &Snapshot, log: PathBuf, booted: &Booted) -> Result<Guest> {
    let vm = Vm::resume(snapshot, log)?;
    Ok(Guest { vm, booted: booted.clone(), retried: false })
}

impl Guest {
    /// Takes a snapshot; the guest goes on.
    ///
    /// # Errors
    /// QEMU cannot write the state.
    pub fn snapshot(&mut self) -> Result<Snapshot> {
        self.vm.snapshot().context("take a snapshot")
    }

    /// Milliseconds from the start of QEMU to the first word.
    pub fn ready_ms(&self) -> u64 {
        self.vm.ready_ms()
    }

    /// The guest itself.
    pub fn vm(&mut self) -> &mut Vm {
        &mut self.vm
    }

    /// The end of the console, fit for a terminal.
    pub fn console(&self) -> String {
        let mut text = format!("the end of the console, all of it in {}:", self.vm.log().display());
        for line in self.vm.tail() {
            text.push_str("\n    | ");
            // The terminal must not obey what the guest says.
            text.extend(
                line.chars()
                    .filter(|c| *c != '\r')
                    .map(|c| if c.is_control() && c != '\t' { '\u{b7}' } else { c }),
            );
        }
        text
    }
}

impl Talk for Guest {
    fn send(&mut self, command: &Command) -> Result<()> {
        self.vm.send(command)
    }

    fn next(&mut self, wait: Duration) -> Heard {
        match self.vm.next(wait) {
            VmEvent::Guest(event) => Heard::Guest(event),
            VmEvent::Trouble(trouble) => Heard::Trouble(trouble.to_string()),
            VmEvent::Exited(how) => Heard::Exited(how),
            VmEvent::Console(_) => Heard::Console,
            VmEvent::Idle => Heard::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_says_what_is_wished() {
        let mut config = BootConfig::default();
        let wish = Wish { config: &config, own_runtime: true, broken: None };
        assert_eq!(append(&wish), "lab.runtime=own security=apparmor");
        config.lsm = "selinux".into();
        config.lockdown = Some("integrity".into());
        let wish = Wish { config: &config, own_runtime: false, broken: Some("masks") };
        assert_eq!(append(&wish), "lab.runtime=foreign lab.break=masks security=selinux lockdown=integrity");
    }

    #[test]
    fn logs_have_plain_names() {
        assert_eq!(
            log(Path::new("out"), "6.12:rt v2 a::b [peel:x]"),
            Path::new("out/6.12-rt-v2-a--b--peel-x.log")
        );
    }
}
