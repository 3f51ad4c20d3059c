//! The sets of a child, and what the kernel knows.

use super::super::kernel::since;
use super::super::{child, ns};
use super::{ask, execute, host, on_a_thread, root, shown, user};
use crate::guest::paths;
use crate::registry::{Context, OrFail, Result};
use cofferdam_caps::{
    Cap, CapSet, Child, Credentials, ErrorKind, Program, Rules, Securebits, Sets, last_cap, probe,
};
use cofferdam_ns::{Isolation, Namespaces};
use cofferdam_sys::{Errno, cred};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

pub(super) fn probes(_: &mut Context) -> Result {
    for probe in probe::PROBES {
        let (major, minor) = probe.since.split_once('.').or_fail(probe.name)?;
        let expected = since(major.parse()?, minor.parse()?)?;
        let found = (probe.ask)().or_fail(probe.name)?;
        ensure_eq!(found, expected, "{}, which is there since {}", probe.name, probe.since);
    }
    Ok(())
}

pub(super) fn last_is_the_kernels(_: &mut Context) -> Result {
    let text = fs::read_to_string("/proc/sys/kernel/cap_last_cap")?;
    ensure_eq!(last_cap()?.number().to_string(), text.trim(), "the last capability");
    Ok(())
}

pub(super) fn unknown_capabilities(_: &mut Context) -> Result {
    let last = last_cap()?;
    let next = Cap::from_number(last.number() + 1).or_fail("a number for one more")?;
    ensure_eq!(cred::bounding_has(next.number()).err(), Some(Errno::EINVAL), "{next} in the bounding set");
    ensure_eq!(cred::ambient_raise(next.number()).err(), Some(Errno::EINVAL), "{next} in the ambient set");
    let mut plan = child::plan(&["facts"])?;
    let error = Sets::rooted(next.into()).lower(&root(), true, last, &mut plan).err().or_fail("an error")?;
    ensure_eq!(error.kind(), ErrorKind::NotInKernel, "{error}");
    on_a_thread(|| {
        let have = Sets::current()?;
        let error =
            Sets { permitted: have.permitted.with(next), ..have }.apply().err().or_fail("an error")?;
        ensure_eq!(error.kind(), ErrorKind::OutOfReach, "{error}");
        let error = Sets { inheritable: next.into(), ..have }.apply().err().or_fail("an error")?;
        ensure!(error.to_string().contains(&next.to_string()), "the error says {error}");
        ensure_eq!(Sets::current()?, have, "the sets afterwards");
        Ok(())
    })
}

pub(super) fn sets_of_root(_: &mut Context) -> Result {
    let wanted = Sets::rooted(CapSet::of(&[Cap::KILL, Cap::CHOWN]));
    let facts = ask(&host(), &wanted, &root(), paths::INIT, &[])?;
    ensure_eq!(shown(&facts)?, wanted, "the sets");
    ensure_eq!(facts.status("NoNewPrivs")?, "1", "no_new_privs");
    ensure_eq!(facts.status("Uid")?, "0 0 0 0", "the user");
    ensure_eq!(facts.status("Groups")?, "", "the supplementary groups");
    Ok(())
}

pub(super) fn sets_of_a_user(_: &mut Context) -> Result {
    let bounding = CapSet::of(&[Cap::KILL, Cap::CHOWN]);
    let ambient = CapSet::of(&[Cap::KILL]);
    let sets = Sets { inheritable: ambient, ambient, ..Sets::rooted(bounding) };
    let facts = ask(&host(), &sets, &user(), paths::INIT, &[])?;
    let expected = Sets { effective: ambient, permitted: ambient, inheritable: ambient, bounding, ambient };
    ensure_eq!(shown(&facts)?, expected, "the sets");
    ensure_eq!(facts.status("Uid")?, "1000 1000 1000 1000", "the user");
    ensure_eq!(facts.status("Gid")?, "1000 1000 1000 1000", "the group");
    ensure_eq!(facts.status("Groups")?, "1001", "the supplementary groups");
    Ok(())
}

pub(super) fn none_at_all(_: &mut Context) -> Result {
    let facts = ask(&host(), &Sets::default(), &root(), paths::INIT, &[])?;
    ensure_eq!(shown(&facts)?, Sets::default(), "the sets");
    Ok(())
}

pub(super) fn stay_in_the_namespace(ctx: &mut Context) -> Result {
    let file = ctx.scratch().join("of-root");
    fs::write(&file, "untouched")?;
    fs::set_permissions(&file, Permissions::from_mode(0o600))?;
    let attempt = format!("write:{}=touched", file.display());
    let sets = Sets::rooted(CapSet::HARDENED);
    let inside = Isolation { new: Namespaces::USER, ids: Some(ns::mapped()), ..Isolation::default() };
    let facts = ask(&inside, &sets, &root(), paths::INIT, &[&attempt])?;
    ensure_eq!(shown(&facts)?.effective, CapSet::HARDENED, "its capabilities");
    ensure_eq!(facts.get(&attempt)?, "!EACCES", "writing a file of the host's root");
    ensure_eq!(fs::read_to_string(&file)?, "untouched", "the file");
    let facts = ask(&host(), &sets, &root(), paths::INIT, &[&attempt])?;
    ensure_eq!(facts.get(&attempt)?, "", "the same without a user namespace");
    ensure_eq!(fs::read_to_string(&file)?, "touched", "the file afterwards");
    Ok(())
}

pub(super) fn child_with_secure_bits(_: &mut Context) -> Result {
    let kill: CapSet = Cap::KILL.into();
    let sets = Sets { inheritable: kill, ambient: kill, ..Sets::rooted(kill.with(Cap::CHOWN)) };
    let pure = Child { sets, ids: root(), securebits: Some(Securebits::PURE), ..Child::default() };
    for child in [pure.clone(), Child { ids: user(), ..pure.clone() }, Child { securebits: None, ..pure }] {
        let mut plan = child::plan(&["facts", "file:/proc/self/status", "securebits:"])?;
        child.lower(last_cap()?, &mut plan)?;
        let facts = child::ask_with(&host(), None, plan)?;
        let before = child.credentials(&Credentials::current()?);
        let expected = before.execve(&Program::PLAIN, Rules::of_kernel()?)?;
        ensure_eq!(shown(&facts)?, expected.sets, "the sets of {child:?}");
        ensure_eq!(facts.get("securebits:")?, expected.securebits.bits().to_string(), "bits of {child:?}");
        // What the bits are for: root is nobody, unless they are left out.
        let roots = child.securebits.is_none();
        ensure_eq!(shown(&facts)?.effective.contains(Cap::CHOWN), roots, "CAP_CHOWN of {child:?}");
    }
    // No way back: with the bits, not even becoming root by execve gives anything.
    on_a_thread(|| {
        cofferdam_caps::thread::set_securebits(Securebits::PURE)?;
        let answer = execute(paths::INIT)?.or_fail("execve")?;
        ensure!(answer.sets.permitted.is_empty(), "root has {:?}", answer.sets.permitted);
        Ok(())
    })
}
