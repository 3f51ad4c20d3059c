//! Lockdown and the major LSMs, as asked for on the kernel's command line.

use crate::guest::{modules, paths};
use crate::registry::{Context, OrFail, Result, Test};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub(super) const TESTS: &[Test] = &[
    Test::integration(
        "lab::lockdown-refuses-modules",
        "Under lockdown a signed module loads and an unsigned one does not",
        lockdown_refuses_modules,
    )
    .lockdown("integrity")
    .modules(&["dummy"]),
    Test::integration("lab::no-lockdown", "Without lockdown a module needs no signature", no_lockdown)
        .modules(&["dummy"]),
    Test::integration("lab::lsm-apparmor", "AppArmor is active where asked for", apparmor).lsm("apparmor"),
    Test::integration("lab::lsm-selinux", "SELinux is active where asked for", selinux).lsm("selinux"),
];

/// What ends a signed module file.
const SIGNED: &[u8] = b"~Module signature appended~\n";

fn lockdown_refuses_modules(ctx: &mut Context) -> Result {
    ensure_eq!(lockdown_level()?, "integrity", "the lockdown level");
    let module = image_module()?;
    // It was loaded at boot, so now the kernel says that it is there: after it has checked the signature.
    modules::load(&module).or_fail("loading the signed module")?;
    let unsigned = without_signature(ctx, &module)?;
    let error = modules::load(&unsigned).err().or_fail("the refusal of an unsigned module")?;
    ensure_eq!(error.kind(), io::ErrorKind::PermissionDenied, "loading an unsigned module");
    Ok(())
}

fn no_lockdown(ctx: &mut Context) -> Result {
    ensure_eq!(lockdown_level()?, "none", "the lockdown level");
    let module = image_module()?;
    let unsigned =
        if fs::read(&module)?.ends_with(SIGNED) { without_signature(ctx, &module)? } else { module };
    modules::load(&unsigned).or_fail("loading an unsigned module")
}

/// The word in brackets of `/sys/kernel/security/lockdown`.
fn lockdown_level() -> Result<String> {
    let text = fs::read_to_string("/sys/kernel/security/lockdown").or_fail("reading the lockdown level")?;
    let level = text.split_whitespace().find_map(|word| word.strip_prefix('[')?.strip_suffix(']'));
    Ok(level.or_fail("a level in brackets")?.to_owned())
}

fn image_module() -> Result<PathBuf> {
    let order = modules::order()?;
    let file = order.iter().find(|file| modules::name(file) == "dummy").or_fail("dummy in the image")?;
    Ok(Path::new(paths::MODULES).join(file))
}

/// A copy of a module file that does not end in a signature any more.
fn without_signature(ctx: &Context, module: &Path) -> Result<PathBuf> {
    let bytes = fs::read(module)?;
    let whole = bytes.strip_suffix(SIGNED).or_fail("the signature of the module")?;
    let copy = ctx.scratch().join("unsigned.ko");
    fs::write(&copy, whole)?;
    Ok(copy)
}

fn apparmor(_: &mut Context) -> Result {
    ensure!(active("apparmor")?, "the active LSMs are {}", lsms()?);
    let enabled = fs::read_to_string("/sys/module/apparmor/parameters/enabled")?;
    ensure_eq!(enabled.trim(), "Y", "whether AppArmor is enabled");
    ensure!(!active("selinux")?, "SELinux is active too: {}", lsms()?);
    Ok(())
}

fn selinux(_: &mut Context) -> Result {
    ensure!(active("selinux")?, "the active LSMs are {}", lsms()?);
    ensure!(Path::new("/sys/fs/selinux").exists(), "there is no /sys/fs/selinux to mount on");
    ensure!(!active("apparmor")?, "AppArmor is active too: {}", lsms()?);
    Ok(())
}

fn active(name: &str) -> Result<bool> {
    Ok(lsms()?.split(',').any(|found| found == name))
}

fn lsms() -> Result<String> {
    Ok(fs::read_to_string("/sys/kernel/security/lsm").or_fail("reading the list of LSMs")?.trim().to_owned())
}
