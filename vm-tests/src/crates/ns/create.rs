//! Namespaces that a child gets anew.

use super::mapped;
use crate::crates::child::{self, Sleeper};
use crate::registry::{Context, OrFail, Result};
use cofferdam_ns::{ErrorKind, Isolation, Namespaces, NsKind};
use cofferdam_sys::Errno;
use cofferdam_sys::plan::Step;
use std::fs;

fn fact(kind: NsKind) -> String {
    format!("link:/proc/self/ns/{}", kind.proc_name())
}

/// Which namespaces of a child are not the host's.
fn new_kinds(isolation: &Isolation) -> Result<Vec<NsKind>> {
    let asked: Vec<String> = NsKind::ALL.map(fact).into();
    let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
    let facts = child::ask(isolation, None, vec![], &asked)?;
    let mut found = vec![];
    for kind in NsKind::ALL {
        let own = fs::read_link(format!("/proc/self/ns/{}", kind.proc_name()))?;
        if facts.get(&fact(kind))? != own.to_string_lossy() {
            found.push(kind);
        }
    }
    Ok(found)
}

pub(super) fn each_kind_alone(_: &mut Context) -> Result {
    for kind in NsKind::ALL {
        let ids = if kind == NsKind::User { Some(mapped()) } else { None };
        let isolation = Isolation { new: kind.flag(), ids, ..Isolation::default() };
        ensure_eq!(new_kinds(&isolation)?, [kind], "namespaces that are new, when {kind} is asked for");
    }
    Ok(())
}

pub(super) fn all_at_once(_: &mut Context) -> Result {
    let isolation = Isolation { new: Namespaces::all(), ids: Some(mapped()), ..Isolation::default() };
    ensure_eq!(new_kinds(&isolation)?, NsKind::ALL, "namespaces that are new");
    Ok(())
}

pub(super) fn ids_are_mapped(_: &mut Context) -> Result {
    let isolation = Isolation { new: Namespaces::USER, ids: Some(mapped()), ..Isolation::default() };
    let asked = ["file:/proc/self/status", "file:/proc/self/uid_map", "file:/proc/self/setgroups"];
    let facts = child::ask(&isolation, None, vec![], &asked)?;
    ensure_eq!(facts.status("Uid")?, "0 0 0 0", "user ids inside");
    ensure_eq!(facts.status("Gid")?, "0 0 0 0", "group ids inside");
    let map: Vec<&str> = facts.get("file:/proc/self/uid_map")?.split_whitespace().collect();
    ensure_eq!(map, ["0", "100000", "65536"], "the map");
    ensure_eq!(facts.get("file:/proc/self/setgroups")?, "allow", "setgroups, for a privileged parent");

    let sleeper = Sleeper::start(&isolation, None, vec![])?;
    let status = fs::read_to_string(format!("/proc/{}/status", sleeper.pid()))?;
    for field in ["Uid:", "Gid:"] {
        let line = status.lines().find_map(|line| line.strip_prefix(field)).or_fail(field)?;
        let ids: Vec<&str> = line.split_whitespace().collect();
        ensure_eq!(ids, ["100000"; 4], "{field} outside");
    }
    Ok(())
}

pub(super) fn pid_one(_: &mut Context) -> Result {
    let isolation = Isolation { new: Namespaces::PID, ..Isolation::default() };
    let facts = child::ask(&isolation, None, vec![], &["file:/proc/self/status"])?;
    let pids = facts.status("NSpid")?;
    ensure!(pids.split(' ').count() == 2 && pids.ends_with(" 1"), "its process ids, outside in: {pids}");
    Ok(())
}

pub(super) fn host_name_is_private(_: &mut Context) -> Result {
    let isolation = Isolation { new: Namespaces::UTS, ..Isolation::default() };
    let steps = vec![
        ("name the host", Step::HostName(b"inside".to_vec())),
        ("name the domain", Step::DomainName(b"example".to_vec())),
    ];
    let asked = ["file:/proc/sys/kernel/hostname", "file:/proc/sys/kernel/domainname"];
    let facts = child::ask(&isolation, None, steps, &asked)?;
    ensure_eq!(facts.get(asked[0])?, "inside", "the host name inside");
    ensure_eq!(facts.get(asked[1])?, "example", "the domain name inside");
    ensure_eq!(fs::read_to_string("/proc/sys/kernel/hostname")?.trim(), "lab", "the host name outside");
    Ok(())
}

pub(super) fn limit_is_explained(_: &mut Context) -> Result {
    const LIMIT: &str = "/proc/sys/user/max_user_namespaces";
    let before = fs::read_to_string(LIMIT)?;
    fs::write(LIMIT, "0")?;
    let isolation = Isolation { new: Namespaces::USER, ids: Some(mapped()), ..Isolation::default() };
    let answer = Sleeper::start(&isolation, None, vec![]).err().map(|failure| failure.to_string());
    let plan = child::plan(&["sleep", "0"])?;
    let error = isolation.spawn(&plan, None).err();
    fs::write(LIMIT, before.trim())?;
    ensure!(answer.is_some(), "a user namespace was made beyond the limit");
    let error = error.or_fail("an error at the limit")?;
    ensure_eq!(error.kind(), ErrorKind::Os(Errno::ENOSPC), "the kind of error");
    ensure!(error.to_string().contains("user.max_"), "the error does not name the limit: {error}");
    Ok(())
}

pub(super) fn unshared_host_name(_: &mut Context) -> Result {
    let steps = || vec![("name the host", Step::HostName(b"taken".to_vec()))];
    let isolation = Isolation { new: Namespaces::USER, ids: Some(mapped()), ..Isolation::default() };
    let error = child::ask(&isolation, None, steps(), &[]).err().or_fail("a refusal")?.to_string();
    ensure!(error.contains("name the host: ") && error.contains("EPERM"), "the error says {error}");
    ensure_eq!(fs::read_to_string("/proc/sys/kernel/hostname")?.trim(), "lab", "the host name outside");
    Ok(())
}
