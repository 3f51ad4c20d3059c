//! Tests of `cofferdam-caps`.

use super::child::{self, Facts};
use super::ns;
use crate::guest::paths;
use crate::registry::{Context, OrFail, Result, Test};
use cofferdam_caps::{Cap, CapSet, Ids, Sets, last_cap};
use cofferdam_ns::{Isolation, Namespaces};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

pub(super) const TESTS: &[Test] = &[
    Test::integration(
        "caps::last-is-the-kernels",
        "The last capability is the one that procfs names",
        last_is_the_kernels,
    ),
    Test::integration("caps::sets-of-root", "Root has exactly the sets that were asked for", sets_of_root),
    Test::integration(
        "caps::sets-of-a-user",
        "A user has its ambient capabilities and no other",
        sets_of_a_user,
    ),
    Test::integration(
        "caps::none-at-all",
        "Without capabilities even the bounding set is empty",
        none_at_all,
    ),
    Test::integration(
        "caps::no-new-privileges",
        "A set-user-id program gains nothing, and would without it",
        no_new_privileges,
    ),
    Test::integration(
        "caps::stay-in-the-namespace",
        "Capabilities of a user namespace do not reach the host's files",
        stay_in_the_namespace,
    ),
];

/// The names in `/proc/PID/status`.
const FIELDS: [&str; 5] = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];

/// Asks a child with these sets and ids, in these namespaces, run from `program`.
fn ask(isolation: &Isolation, sets: &Sets, ids: &Ids, program: &str, facts: &[&str]) -> Result<Facts> {
    ask_with(isolation, sets, ids, true, program, facts)
}

fn ask_with(
    isolation: &Isolation,
    sets: &Sets,
    ids: &Ids,
    no_new_privs: bool,
    program: &str,
    facts: &[&str],
) -> Result<Facts> {
    let facts = [&["facts", "file:/proc/self/status"], facts].concat();
    let mut plan = child::plan_of(program, &facts)?;
    isolation.lower(&mut plan);
    sets.lower(ids, no_new_privs, last_cap()?, &mut plan)?;
    child::ask_with(isolation, None, plan)
}

fn host() -> Isolation {
    Isolation::default()
}

fn user() -> Ids {
    Ids { uid: 1000, gid: 1000, groups: vec![1001], set_groups: true }
}

fn root() -> Ids {
    Ids { set_groups: true, ..Ids::default() }
}

/// The five sets as the kernel shows them, in the order of [`FIELDS`].
fn shown(facts: &Facts) -> Result<[CapSet; 5]> {
    let mut found = [CapSet::EMPTY; 5];
    for (field, set) in FIELDS.iter().zip(&mut found) {
        *set = CapSet::from_bits(u64::from_str_radix(&facts.status(field)?, 16)?);
    }
    Ok(found)
}

fn last_is_the_kernels(_: &mut Context) -> Result {
    let text = fs::read_to_string("/proc/sys/kernel/cap_last_cap")?;
    ensure_eq!(last_cap()?.number().to_string(), text.trim(), "the last capability");
    Ok(())
}

fn sets_of_root(_: &mut Context) -> Result {
    let wanted = CapSet::of(&[Cap::KILL, Cap::CHOWN]);
    let facts = ask(&host(), &Sets::rooted(wanted), &root(), paths::INIT, &[])?;
    let none = CapSet::EMPTY;
    ensure_eq!(shown(&facts)?, [none, wanted, wanted, wanted, none], "{FIELDS:?}");
    ensure_eq!(facts.status("NoNewPrivs")?, "1", "no_new_privs");
    ensure_eq!(facts.status("Uid")?, "0 0 0 0", "the user");
    ensure_eq!(facts.status("Groups")?, "", "the supplementary groups");
    Ok(())
}

fn sets_of_a_user(_: &mut Context) -> Result {
    let bounding = CapSet::of(&[Cap::KILL, Cap::CHOWN]);
    let ambient = CapSet::of(&[Cap::KILL]);
    let sets = Sets { inheritable: ambient, ambient, ..Sets::rooted(bounding) };
    let facts = ask(&host(), &sets, &user(), paths::INIT, &[])?;
    ensure_eq!(shown(&facts)?, [ambient, ambient, ambient, bounding, ambient], "{FIELDS:?}");
    ensure_eq!(facts.status("Uid")?, "1000 1000 1000 1000", "the user");
    ensure_eq!(facts.status("Gid")?, "1000 1000 1000 1000", "the group");
    ensure_eq!(facts.status("Groups")?, "1001", "the supplementary groups");
    Ok(())
}

fn none_at_all(_: &mut Context) -> Result {
    let facts = ask(&host(), &Sets::default(), &root(), paths::INIT, &[])?;
    ensure_eq!(shown(&facts)?, [CapSet::EMPTY; 5], "{FIELDS:?}");
    Ok(())
}

fn no_new_privileges(ctx: &mut Context) -> Result {
    let program = ctx.scratch().join("set-user-id");
    fs::copy(paths::INIT, &program)?;
    fs::set_permissions(&program, Permissions::from_mode(0o4755))?;
    let program = program.to_str().or_fail("a path in UTF-8")?;
    let sets = Sets::rooted(CapSet::of(&[Cap::KILL]));
    let blocked = ask_with(&host(), &sets, &user(), true, program, &[])?;
    ensure_eq!(blocked.status("Uid")?, "1000 1000 1000 1000", "the user, with no_new_privs");
    let [_, permitted, effective, _, _] = shown(&blocked)?;
    ensure!(permitted.is_empty() && effective.is_empty(), "gained {permitted:?} with no_new_privs");
    let control = ask_with(&host(), &sets, &user(), false, program, &[])?;
    ensure_eq!(control.status("Uid")?, "1000 0 0 0", "the user, without no_new_privs");
    Ok(())
}

fn stay_in_the_namespace(ctx: &mut Context) -> Result {
    let file = ctx.scratch().join("of-root");
    fs::write(&file, "untouched")?;
    fs::set_permissions(&file, Permissions::from_mode(0o600))?;
    let attempt = format!("write:{}=touched", file.display());
    let sets = Sets::rooted(CapSet::HARDENED);
    let inside = Isolation { new: Namespaces::USER, ids: Some(ns::mapped()), ..Isolation::default() };
    let facts = ask(&inside, &sets, &root(), paths::INIT, &[&attempt])?;
    ensure!(shown(&facts)?.get(2) == Some(&CapSet::HARDENED), "its capabilities: {:?}", shown(&facts)?);
    ensure_eq!(facts.get(&attempt)?, "!EACCES", "writing a file of the host's root");
    ensure_eq!(fs::read_to_string(&file)?, "untouched", "the file");
    let facts = ask(&host(), &sets, &root(), paths::INIT, &[&attempt])?;
    ensure_eq!(facts.get(&attempt)?, "", "the same without a user namespace");
    ensure_eq!(fs::read_to_string(&file)?, "touched", "the file afterwards");
    Ok(())
}
