//! What programs gain by `execve(2)`, as the manual says it; the model has the rest.

use super::{ask_with, copy, execute, host, on_a_thread, shown, user};
use crate::registry::{Context, OrFail, Result};
use cofferdam_caps::{Cap, CapSet, Change, FileCaps, Program, Sets};
use cofferdam_sys::Errno;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// A user without capabilities whom programs may give `bounding`.
fn nobody(bounding: CapSet) -> Sets {
    Sets { bounding, ..Sets::default() }
}

fn utf8(path: &Path) -> Result<&str> {
    path.to_str().or_fail("a path in UTF-8")
}

fn give(path: &Path, text: &str) -> Result {
    let caps: FileCaps = text.parse()?;
    Ok(caps.write(File::open(path)?)?)
}

pub(super) fn no_new_privileges(ctx: &mut Context) -> Result {
    let program = copy(ctx)?;
    fs::set_permissions(&program, Permissions::from_mode(0o4755))?;
    let program = utf8(&program)?;
    let sets = Sets::rooted(CapSet::of(&[Cap::KILL]));
    let blocked = ask_with(&host(), &sets, &user(), true, program, &[])?;
    ensure_eq!(blocked.status("Uid")?, "1000 1000 1000 1000", "the user, with no_new_privs");
    let got = shown(&blocked)?;
    ensure!(got.permitted.is_empty() && got.effective.is_empty(), "gained {got:?} with no_new_privs");
    let control = ask_with(&host(), &sets, &user(), false, program, &[])?;
    ensure_eq!(control.status("Uid")?, "1000 0 0 0", "the user, without no_new_privs");
    Ok(())
}

pub(super) fn program_with_capabilities(ctx: &mut Context) -> Result {
    let program = copy(ctx)?;
    give(&program, "cap_kill,cap_chown=ep")?;
    let path = utf8(&program)?;
    let both = CapSet::of(&[Cap::KILL, Cap::CHOWN]);
    let gained = shown(&ask_with(&host(), &nobody(CapSet::HARDENED), &user(), false, path, &[])?)?;
    let expected = Sets { effective: both, permitted: both, ..nobody(CapSet::HARDENED) };
    ensure_eq!(gained, expected, "the sets");
    // The ambient set ends where file capabilities begin.
    let net: CapSet = Cap::NET_BIND_SERVICE.into();
    let ambient = Sets { inheritable: net, ambient: net, permitted: net, ..nobody(CapSet::HARDENED) };
    let gained = shown(&ask_with(&host(), &ambient, &user(), false, path, &[])?)?;
    ensure_eq!(gained, Sets { inheritable: net, ..expected }, "the sets of one with an ambient capability");
    let blocked = shown(&ask_with(&host(), &nobody(CapSet::HARDENED), &user(), true, path, &[])?)?;
    ensure_eq!(blocked, nobody(CapSet::HARDENED), "the sets with no_new_privs");
    Ok(())
}

pub(super) fn program_with_inheritable(ctx: &mut Context) -> Result {
    let program = copy(ctx)?;
    give(&program, "cap_kill,cap_chown=ei")?;
    let path = utf8(&program)?;
    let kill: CapSet = Cap::KILL.into();
    let heir = Sets { inheritable: kill, ..nobody(CapSet::HARDENED) };
    let gained = shown(&ask_with(&host(), &heir, &user(), false, path, &[])?)?;
    ensure_eq!(gained, Sets { effective: kill, permitted: kill, ..heir }, "the sets of an heir");
    let gained = shown(&ask_with(&host(), &nobody(CapSet::HARDENED), &user(), false, path, &[])?)?;
    ensure_eq!(gained, nobody(CapSet::HARDENED), "the sets of another");
    Ok(())
}

pub(super) fn program_all_or_nothing(ctx: &mut Context) -> Result {
    let program = copy(ctx)?;
    let path = utf8(&program)?.to_owned();
    on_a_thread(|| {
        Change::DropBounding(Cap::KILL).apply()?;
        give(&program, "cap_kill,cap_chown=ep")?;
        ensure_eq!(execute(&path)?.err(), Some(Errno::EPERM), "with the effective flag");
        let model = cofferdam_caps::Credentials::current()?
            .execve(&Program::of(File::open(&program)?)?, super::rules()?);
        ensure_eq!(model.err(), Some(Errno::EPERM), "in the model");
        // A program that knows capabilities looks for itself what it got.
        give(&program, "cap_kill,cap_chown=p")?;
        Change::Uids { real: Some(1000), effective: Some(1000), saved: Some(1000) }.apply()?;
        let got = execute(&path)?.or_fail("execve without the effective flag")?;
        ensure_eq!(got.sets.permitted, Cap::CHOWN.into(), "without the effective flag");
        ensure!(got.sets.effective.is_empty(), "what is effective: {:?}", got.sets.effective);
        Ok(())
    })
}

pub(super) fn program_on_nosuid(ctx: &mut Context) -> Result {
    use nix::mount::{MsFlags, mount};
    let program = copy(ctx)?;
    let quiet = ctx.scratch().join("nosuid");
    fs::create_dir(&quiet)?;
    let none = None::<&str>;
    mount(Some(ctx.scratch()), &quiet, none, MsFlags::MS_BIND, none)?;
    mount(none, &quiet, none, MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_NOSUID, none)?;
    let result = on_nosuid(&program, &quiet.join("program"));
    nix::mount::umount(&quiet)?;
    result
}

fn on_nosuid(program: &Path, quiet: &Path) -> Result {
    fs::set_permissions(program, Permissions::from_mode(0o4755))?;
    give(program, "cap_kill=ep")?;
    let found = Program::of(File::open(quiet)?)?;
    ensure!(found.nosuid && found.set_user_id == Some(0) && found.caps.is_some(), "found {found:?}");
    ensure!(!Program::of(File::open(program)?)?.nosuid, "found nosuid elsewhere");
    let sets = nobody(CapSet::HARDENED);
    let blocked = ask_with(&host(), &sets, &user(), false, utf8(quiet)?, &[])?;
    ensure_eq!(shown(&blocked)?, sets, "the sets on nosuid");
    ensure_eq!(blocked.status("Uid")?, "1000 1000 1000 1000", "the user on nosuid");
    let control = ask_with(&host(), &sets, &user(), false, utf8(program)?, &[])?;
    ensure_eq!(control.status("Uid")?, "1000 0 0 0", "the user elsewhere");
    Ok(())
}

pub(super) fn program_of_root_with_capabilities(ctx: &mut Context) -> Result {
    let program = copy(ctx)?;
    fs::set_permissions(&program, Permissions::from_mode(0o4755))?;
    let path = utf8(&program)?;
    let sets = nobody(CapSet::HARDENED);
    let all = ask_with(&host(), &sets, &user(), false, path, &[])?;
    ensure_eq!(shown(&all)?.effective, CapSet::HARDENED, "what root gets");
    give(&program, "cap_kill=ep")?;
    let some = ask_with(&host(), &sets, &user(), false, path, &[])?;
    ensure_eq!(some.status("Uid")?, "1000 0 0 0", "the user of the one with capabilities");
    ensure_eq!(shown(&some)?.effective, Cap::KILL.into(), "what it gets");
    Ok(())
}
