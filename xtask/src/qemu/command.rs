//! The command line of QEMU.

use std::ffi::OsString;
use std::path::Path;

use super::{Accel, Config, Machine};

/// What every guest's kernel is told: the console, no delay after a panic, a reset that QEMU sees, no slow self-tests.
///
/// QEMU translates code anew for each address that it runs at, which took more than half of a run's time: so programs
/// are at the same address each time, and calls and returns are those of the processor, not the detours against
/// speculation, of which an emulator does none.
///
/// On q35 the kernel counts the ticks of a few milliseconds of its own time, and panics ("IO-APIC + timer doesn't work")
/// when a busy host gave QEMU none of them: it is told to take the timer for granted.
const APPEND: &str =
    "console=ttyS0 quiet panic=-1 reboot=t cryptomgr.notests no_timer_check norandmaps mitigations=off";

/// The arguments of QEMU, its program first; `disk` is the guest's own copy, `incoming` the state it resumes.
///
/// The guest's channel, QMP and the console are sockets on the three standard descriptors, so no other descriptor has
/// to be inherited; what QEMU itself complains of goes to standard error and so into the console's log.
pub(super) fn argv(config: &Config, disk: Option<&Path>, incoming: Option<&Path>) -> Vec<OsString> {
    let mut argv: Vec<OsString> = vec![config.qemu.program.as_os_str().into()];
    let mut add = |words: &[&str]| argv.extend(words.iter().map(OsString::from));
    add(&["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
    add(&["-m", &config.memory_mib.to_string(), "-smp", &config.cpus.to_string()]);
    match config.accel {
        Accel::Kvm => add(&["-accel", "kvm", "-cpu", "host"]),
        // Without "enhanced rep movsb" the kernel clears and copies pages by words: emulated byte by byte
        // they are a quarter of a run's time.
        Accel::Tcg => add(&["-accel", "tcg", "-cpu", "max,-erms,-cx16"]),
    }
    add(&["-chardev", "socket,id=lab,fd=0"]);
    add(&["-chardev", "socket,id=qmp,fd=1", "-mon", "chardev=qmp,mode=control"]);
    add(&["-chardev", "socket,id=console,fd=2", "-serial", "chardev:console"]);
    // Neither machine has a second serial port of its own that both kernel and firmware tables agree on: this one is
    // where every PC kernel looks for ttyS1.
    let second = ["-device", "isa-serial,chardev=lab,iobase=0x2f8,irq=3"];
    match config.machine {
        // With ACPI several kernels hang before init.
        Machine::Microvm => add(&["-machine", "microvm,acpi=off"]),
        Machine::Q35 => add(&["-machine", "q35"]),
    }
    add(&second);
    if let Some(disk) = disk {
        let file = disk.to_string_lossy().replace(',', ",,");
        add(&["-drive", &format!("if=none,id=scratch,format=raw,cache=unsafe,file={file}")]);
        add(&["-device", "virtio-blk-pci,drive=scratch"]);
    }
    add(&["-append", format!("{APPEND} {}", config.append).trim_end()]);
    argv.extend([OsString::from("-kernel"), config.vmlinux.as_os_str().into()]);
    argv.extend([OsString::from("-initrd"), config.initrd.as_os_str().into()]);
    if let Some(state) = incoming {
        argv.extend([OsString::from("-incoming"), format!("exec:exec cat {}", state.display()).into()]);
    }
    argv
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qemu::{Limits, Qemu};

    fn config(machine: Machine, accel: Accel) -> Config {
        Config {
            qemu: Qemu::fake("/usr/bin/qemu-system-x86_64"),
            machine,
            accel,
            cpus: 1,
            memory_mib: 256,
            vmlinux: "/cache/vm:linux".into(),
            initrd: "/proc/1/fd/9".into(),
            append: "lab.runtime=own".into(),
            disk: None,
            log: "/out/console.log".into(),
            limits: Limits::of(accel),
        }
    }

    fn line(config: &Config, disk: Option<&Path>, incoming: Option<&Path>) -> String {
        let words: Vec<String> =
            argv(config, disk, incoming).into_iter().map(|word| word.into_string().unwrap()).collect();
        words.join(" ")
    }

    const START: &str =
        "/usr/bin/qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot -m 256 -smp 1";
    const PORTS: &str = "-chardev socket,id=lab,fd=0 -chardev socket,id=qmp,fd=1 -mon chardev=qmp,mode=control \
        -chardev socket,id=console,fd=2 -serial chardev:console";
    const END: &str = "-append console=ttyS0 quiet panic=-1 reboot=t cryptomgr.notests no_timer_check norandmaps \
        mitigations=off lab.runtime=own \
        -kernel /cache/vm:linux -initrd /proc/1/fd/9";

    #[test]
    fn microvm_under_tcg() {
        let expected = format!(
            "{START} -accel tcg -cpu max,-erms,-cx16 {PORTS} -machine microvm,acpi=off \
             -device isa-serial,chardev=lab,iobase=0x2f8,irq=3 {END}"
        );
        assert_eq!(line(&config(Machine::Microvm, Accel::Tcg), None, None), expected);
    }

    #[test]
    fn q35_with_a_disk_resumed_under_kvm() {
        let config = config(Machine::Q35, Accel::Kvm);
        let expected = format!(
            "{START} -accel kvm -cpu host {PORTS} -machine q35 -device isa-serial,chardev=lab,iobase=0x2f8,irq=3 \
             -drive if=none,id=scratch,format=raw,cache=unsafe,file=/cache/a,,b.img \
             -device virtio-blk-pci,drive=scratch {END} -incoming exec:exec cat /proc/1/fd/10"
        );
        assert_eq!(
            line(&config, Some(Path::new("/cache/a,b.img")), Some(Path::new("/proc/1/fd/10"))),
            expected
        );
    }
}
