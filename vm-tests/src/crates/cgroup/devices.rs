//! Device lists of v2: enforced, replaced in one step, read back.

use super::Group;
use crate::registry::{Context, OrFail, Result};
use cofferdam_cgroup::Limits;
use cofferdam_cgroup::devices::{Program, Rule, compile};
use cofferdam_sys::bpf;
use std::fs::File;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

fn null(access: &str) -> Result<Rule> {
    Ok(Rule::new(true, "c", Some(1), Some(3), access)?)
}

pub(super) fn device_filter(_: &mut Context) -> Result {
    let [null, zero] = ["write:/dev/null=x", "write:/dev/zero=x"];
    let group = Group::new(&Limits::default())?;
    let facts = group.ask(&[null, zero])?;
    ensure_eq!([facts.get(null)?, facts.get(zero)?], ["", ""], "without a filter");
    let rules = [Rule::DENY_ALL, Rule::new(true, "c", Some(1), Some(3), "rwm")?];
    group.leaf()?.set_devices(&rules)?;
    let facts = group.ask(&[null, zero])?;
    ensure_eq!([facts.get(null)?, facts.get(zero)?], ["", "!EPERM"], "with a filter for /dev/null");
    Ok(())
}

pub(super) fn last_rule_wins(_: &mut Context) -> Result {
    let facts = ["write:/dev/null=x", "file:/dev/null", "write:/dev/zero=x"];
    let group = Group::new(&Limits::default())?;
    let no_write = Rule::new(false, "c", Some(1), Some(3), "w")?;
    let zero = Rule::new(true, "c", Some(1), None, "w")?;
    group.leaf()?.set_devices(&[zero, null("rwm")?, no_write])?;
    let seen = group.ask(&facts)?;
    let found = facts.iter().map(|fact| seen.get(fact)).collect::<Result<Vec<_>>>()?;
    ensure_eq!(found, ["!EPERM", "", ""], "writing to null, reading it, writing to zero");
    Ok(())
}

pub(super) fn read_back(_: &mut Context) -> Result {
    let group = Group::new(&Limits::default())?;
    let leaf = group.leaf()?;
    let (one, two) = ([Rule::DENY_ALL, null("rwm")?], [Rule::DENY_ALL, null("r")?]);
    ensure!(leaf.device_programs(false)?.is_empty(), "a new cgroup has a device list");
    leaf.set_devices(&one)?;
    ensure!(leaf.has_devices(&one)? && !leaf.has_devices(&two)?, "another list than was set");
    let first = leaf.device_programs(false)?;
    ensure_eq!(first.len(), 1, "programs: {first:?}");
    ensure_eq!(first.first().or_fail("it")?.name, "cofferdam_dev", "its name");
    leaf.set_devices(&two)?;
    let second = leaf.device_programs(false)?;
    ensure_eq!(second.len(), 1, "programs after an update: {second:?}");
    ensure!(second != first && leaf.has_devices(&two)?, "the list was not replaced");
    leaf.clear_devices()?;
    ensure!(leaf.device_programs(false)?.is_empty(), "the list was not taken away");
    ensure_eq!(group.ask(&["write:/dev/zero=x"])?.get("write:/dev/zero=x")?, "", "without a list");
    Ok(())
}

/// A list of a parent stays in force.
pub(super) fn of_parents(_: &mut Context) -> Result {
    let group = Group::new(&Limits::default())?;
    let leaf = group.leaf()?;
    let inner = cofferdam_cgroup::Cgroup::create(leaf, "inner")?;
    leaf.set_devices(&[Rule::DENY_ALL, null("rwm")?])?;
    inner.set_devices(&[Rule { allow: true, ..Rule::DENY_ALL }])?;
    let programs = (inner.device_programs(false)?.len(), inner.device_programs(true)?.len());
    ensure_eq!(programs, (1, 2), "programs of its own, and in force");
    let isolation = cofferdam_ns::Isolation::default();
    let facts = ["write:/dev/null=x", "write:/dev/zero=x"];
    let seen = crate::crates::child::ask(&isolation, Some(inner.fd()), vec![], &facts)?;
    ensure_eq!((seen.get(facts[0])?, seen.get(facts[1])?), ("", "!EPERM"), "below a list");
    inner.delete()?;
    Ok(())
}

/// An update takes the very place of the old program: a list that was taken off and attached anew would come
/// behind that of somebody else, which stays.
pub(super) fn keeps_its_place(_: &mut Context) -> Result {
    let group = Group::new(&Limits::default())?;
    let leaf = group.leaf()?;
    leaf.set_devices(&[Rule::DENY_ALL, null("rwm")?])?;
    let all = compile(&[Rule { allow: true, ..Rule::DENY_ALL }])?;
    let foreign = bpf::prog_load(bpf::PROG_TYPE_CGROUP_DEVICE, &all, c"foreign", c"", &mut [])?;
    let (kind, flags) = (bpf::ATTACH_CGROUP_DEVICE, bpf::ATTACH_ALLOW_MULTI);
    bpf::cgroup_attach(leaf.fd(), foreign.as_fd(), kind, flags, None)?;
    let before = leaf.device_programs(false)?;
    leaf.set_devices(&[Rule::DENY_ALL, null("r")?])?;
    let after = leaf.device_programs(false)?;
    let names =
        |programs: &[Program]| programs.iter().map(|program| program.name.clone()).collect::<Vec<_>>();
    ensure_eq!(names(&before), ["cofferdam_dev", "foreign"], "before");
    ensure_eq!(names(&after), ["cofferdam_dev", "foreign"], "after");
    ensure!(before.first() != after.first(), "nothing was replaced");
    leaf.clear_devices()?;
    ensure_eq!(names(&leaf.device_programs(false)?), ["foreign"], "what is not ours");
    Ok(())
}

/// While two lists are swapped all the time, what both allow is never refused, and what both deny is never
/// allowed.
pub(super) fn replaced_atomically(_: &mut Context) -> Result {
    let group = Group::new(&Limits::default())?;
    let leaf = group.leaf()?;
    let lists = [[Rule::DENY_ALL, null("rwm")?], [null("w")?, null("r")?]];
    leaf.set_devices(&lists[0])?;
    let home = format!("/sys/fs/cgroup{}", super::own_cgroup()?);
    leaf.add(0)?;
    let (stop, looks) = (AtomicBool::new(false), AtomicU32::new(0));
    let (swapped, seen) = std::thread::scope(|scope| {
        let looker = scope.spawn(|| {
            let mut wrong = None;
            while wrong.is_none() && !stop.load(Ordering::Relaxed) {
                looks.fetch_add(1, Ordering::Relaxed);
                match (File::open("/dev/null").is_ok(), File::open("/dev/zero").is_ok()) {
                    (true, false) => {}
                    other => wrong = Some(other),
                }
            }
            wrong
        });
        let mut swapped = Ok(());
        let mut most = 0;
        for list in lists.iter().cycle().take(60) {
            swapped = swapped
                .and_then(|()| leaf.set_devices(list))
                .and_then(|()| leaf.device_programs(false))
                .map(|programs| most = most.max(programs.len()));
            std::thread::yield_now();
        }
        stop.store(true, Ordering::Relaxed);
        (swapped.map(|()| most), looker.join())
    });
    std::fs::write(format!("{home}/cgroup.procs"), "0")?;
    ensure_eq!(swapped?, 1, "the most programs at once");
    let seen = seen.ok().or_fail("the end of the looking thread")?;
    ensure_eq!(seen, None, "(null, zero) could be opened at a moment, which should be (true, false)");
    ensure!(looks.load(Ordering::Relaxed) > 20, "there were too few looks: {looks:?}");
    Ok(())
}
