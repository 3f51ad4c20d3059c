//! Prints which security modules are active here, what they do, and what this process is labelled with.

use std::process::ExitCode;

use cofferdam_lsm::landlock::{landlock_abi, linux_of_abi};
use cofferdam_lsm::tomoyo::Tomoyo;
use cofferdam_lsm::{Error, Proc, active, apparmor, probe, selinux};

fn main() -> ExitCode {
    match print() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("modules: {error}");
            ExitCode::FAILURE
        }
    }
}

fn print() -> Result<(), Error> {
    let modules = active()?;
    println!("active: {}", modules.iter().collect::<Vec<_>>().join(", "));
    let proc = Proc::open()?;
    if apparmor::enabled()? {
        println!("apparmor: this process is {}", proc.read_own("attr/apparmor/current")?);
        match apparmor::Policy::open().and_then(|policy| policy.profiles()) {
            Ok(profiles) => println!("apparmor: {} profiles are loaded", profiles.len()),
            Err(error) => println!("apparmor: {error}"),
        }
    }
    println!("selinux: {:?}", selinux::status(&proc)?);
    if modules.contains("tomoyo") {
        match Tomoyo::open().and_then(|tomoyo| tomoyo.own_domain()) {
            Ok(domain) => println!("tomoyo: this process is in {domain}"),
            Err(error) => println!("tomoyo: {error}"),
        }
    }
    let release = |abi| linux_of_abi(abi).unwrap_or("newer than this build");
    match landlock_abi()? {
        Some(abi) => {
            println!("landlock: ABI {abi} (Linux {})", release(abi));
        }
        None => println!("landlock: not there"),
    }
    for probe in probe::PROBES {
        match (probe.ask)() {
            Ok(there) => println!("{}: {}", probe.name, if there { "there" } else { probe.without }),
            Err(number) => println!("{}: the answer is hidden ({number})", probe.name),
        }
    }
    Ok(())
}
