//! Which modules are active, and what this kernel has for them.

use crate::crates::kernel::since;
use crate::registry::{Context, OrFail, Result, Test};
use cofferdam_lsm::apparmor::{self, ProfileName};
use cofferdam_lsm::tomoyo::Tomoyo;
use cofferdam_lsm::{Channel, ErrorKind, Label, Proc, probe, selinux, smack};
use cofferdam_sys::plan::{Exec, Plan};
use std::fs;

pub(in crate::crates) const TESTS: &[Test] = &[
    Test::integration("lsm::active", "The active LSMs are those that the kernel lists", active),
    Test::integration("lsm::active-ways", "The system call and securityfs list the same LSMs", both_ways),
    Test::integration("lsm::landlock", "The Landlock ABI is there where Landlock is active", landlock),
    Test::integration("lsm::probes", "Each facility is there since its release, and not before", probes),
    Test::integration(
        "lsm::absent-modules",
        "A label of a module that is not active is refused, with what would bring it",
        absent_modules,
    ),
    Test::integration(
        "lsm::absent-apparmor",
        "Where SELinux is the module, AppArmor's profiles are refused",
        absent_apparmor,
    )
    .lsm("selinux"),
];

fn active(_: &mut Context) -> Result {
    let listed = fs::read_to_string("/sys/kernel/security/lsm").or_fail("reading the active LSMs")?;
    let active = cofferdam_lsm::active()?;
    ensure_eq!(active.iter().collect::<Vec<_>>(), listed.trim().split(',').collect::<Vec<_>>(), "the LSMs");
    ensure!(active.contains("capability"), "`capability` is always active: {listed}");
    ensure!(!active.contains("capabil"), "a part of a name is no name");
    Ok(())
}

fn both_ways(_: &mut Context) -> Result {
    let listed = cofferdam_lsm::active::listed()?;
    ensure_eq!(cofferdam_lsm::active()?, listed, "the LSMs, asked in the best way and in securityfs");
    let calls = cofferdam_sys::lsm::list_modules();
    if since(6, 8)? {
        ensure_eq!(calls?.len(), listed.iter().count(), "the number of LSMs, by lsm_list_modules");
    } else {
        ensure_eq!(calls.err(), Some(cofferdam_sys::Errno::ENOSYS), "lsm_list_modules before Linux 6.8");
    }
    Ok(())
}

fn landlock(_: &mut Context) -> Result {
    let active = cofferdam_lsm::active()?.contains("landlock");
    let abi = cofferdam_lsm::landlock_abi()?;
    ensure_eq!(abi.is_some(), active, "whether there is a Landlock ABI");
    ensure!(abi.is_none_or(|abi| abi > 0), "ABI {abi:?}");
    Ok(())
}

fn probes(_: &mut Context) -> Result {
    for probe in probe::PROBES {
        let (major, minor) = probe.since.split_once('.').or_fail(probe.since)?;
        let wanted = since(major.parse()?, minor.parse()?)?;
        ensure_eq!((probe.ask)()?, wanted, "{}, which is there since {}", probe.name, probe.since);
    }
    Ok(())
}

/// The label must not get into any plan.
fn refused(label: &Label, option: &str) -> Result {
    let mut plan = Plan::new(Exec { candidates: vec![], args: vec![], env: vec![] });
    for channel in [Channel::Procfs(Proc::open()?), Channel::probe()?] {
        let error = label.lower(&channel, &mut plan).err().or_fail(format_args!("the refusal of {label}"))?;
        ensure_eq!(error.kind(), ErrorKind::NotActive, "the refusal of {label}: {error}");
        ensure!(error.to_string().contains(option), "the error does not name {option}: {error}");
    }
    ensure!(plan.entries().is_empty(), "there are steps: {plan}");
    Ok(())
}

fn absent_modules(_: &mut Context) -> Result {
    refused(&smack::current(&"label".parse()?), "CONFIG_SECURITY_SMACK")?;
    let context = "system_u:system_r:container_t".parse()?;
    refused(&selinux::exec(&context), "CONFIG_SECURITY_SELINUX")?;
    refused(&selinux::key_create(&context), "CONFIG_SECURITY_SELINUX")?;
    ensure_eq!(selinux::status(&Proc::open()?)?, selinux::Status::Disabled, "the status of SELinux");
    Ok(())
}

fn absent_apparmor(_: &mut Context) -> Result {
    ensure!(!apparmor::enabled()?, "AppArmor is enabled beside SELinux");
    let profile = ProfileName::new("docker-default")?;
    refused(&apparmor::exec(&profile), "CONFIG_SECURITY_APPARMOR")?;
    refused(&apparmor::stack(&profile), "CONFIG_SECURITY_APPARMOR")?;
    let error = apparmor::Policy::open().err().or_fail("the refusal of AppArmor's policy")?;
    ensure_eq!(error.kind(), ErrorKind::NotActive, "AppArmor's policy: {error}");
    let error = Tomoyo::open().err().or_fail("the refusal of TOMOYO's policy")?;
    ensure_eq!(error.kind(), ErrorKind::NotActive, "TOMOYO's policy: {error}");
    ensure!(error.to_string().contains("CONFIG_SECURITY_TOMOYO"), "the error names no option: {error}");
    Ok(())
}
