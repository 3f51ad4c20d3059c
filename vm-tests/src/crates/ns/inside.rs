//! What is set inside namespaces: clocks, limits, kernel parameters.

use super::mapped;
use crate::crates::child;
use crate::registry::{Context, OrFail, Result};
use cofferdam_ns::{
    ErrorKind, IdMaps, Isolation, NamespaceLimits, Namespaces, NsKind, Offset, Parameter, TimeOffsets,
};
use cofferdam_sys::Errno;
use cofferdam_sys::plan::Step;
use std::fs;

const CLOCKS: TimeOffsets =
    TimeOffsets { monotonic: Offset::new(86_400, 500_000_001), boottime: Offset::new(1_000_000, 7) };

fn clocks_of(new: Namespaces, ids: Option<IdMaps>) -> Result {
    let isolation =
        Isolation { new: new | Namespaces::TIME, ids, clocks: Some(CLOCKS), ..Isolation::default() };
    let asked = ["file:/proc/self/timens_offsets", "file:/proc/uptime", "file:/proc/self/status"];
    let facts = child::ask(&isolation, None, vec![], &asked)?;
    let offsets: Vec<&str> = facts.get(asked[0])?.split_whitespace().collect();
    let wanted = ["monotonic", "86400", "500000001", "boottime", "1000000", "7"];
    ensure_eq!(offsets, wanted, "the offsets inside");
    let uptime = |text: &str| text.split('.').next().and_then(|text| text.parse::<u64>().ok());
    let inside = uptime(facts.get(asked[1])?).or_fail("the uptime inside")?;
    let outside = uptime(&fs::read_to_string("/proc/uptime")?).or_fail("the uptime outside")?;
    let ahead = inside.saturating_sub(outside);
    ensure!((999_990..=1_000_001).contains(&ahead), "the clock inside is {ahead} s ahead");
    if new.contains(Namespaces::PID) {
        ensure!(facts.status("NSpid")?.ends_with(" 1"), "its process ids: {}", facts.status("NSpid")?);
    }
    Ok(())
}

pub(super) fn clocks(_: &mut Context) -> Result {
    clocks_of(Namespaces::empty(), None)?;
    clocks_of(Namespaces::all(), Some(mapped()))
}

pub(super) fn clocks_as_user(_: &mut Context) -> Result {
    super::as_user(|| clocks_of(Namespaces::USER | Namespaces::PID, Some(IdMaps::caller_as_root())))
}

pub(super) fn clock_below_zero(_: &mut Context) -> Result {
    let clocks = TimeOffsets { boottime: Offset::new(-1_000_000, 0), ..TimeOffsets::default() };
    let isolation = Isolation { new: Namespaces::TIME, clocks: Some(clocks), ..Isolation::default() };
    let mut plan = child::plan(&["facts"])?;
    isolation.lower(&mut plan);
    let error = isolation.spawn(&plan, None).err().or_fail("a refusal")?;
    ensure_eq!(error.kind(), ErrorKind::Os(Errno::ERANGE), "the kind of error");
    let text = error.to_string();
    ensure!(text.starts_with("set the clocks") && text.contains("below zero"), "the error says {text}");
    Ok(())
}

pub(super) fn limits(_: &mut Context) -> Result {
    let file = |kind: &str| format!("/proc/sys/user/max_{kind}_namespaces");
    let before = fs::read_to_string(file("user"))?;
    let inside = |limits| Isolation {
        new: Namespaces::USER | Namespaces::PID | Namespaces::NET | Namespaces::CGROUP,
        ids: Some(mapped()),
        limits,
        ..Isolation::default()
    };
    let again = |namespaces| vec![("make one more", Step::Unshare(namespaces))];
    let make = |limits, namespaces| child::ask(&inside(limits), None, again(namespaces), &[]);
    make(NamespaceLimits::unlimited(), Namespaces::USER)?;
    let only_user = NamespaceLimits::no_user_namespaces;
    let error = make(only_user(), Namespaces::USER).err().or_fail("a refusal")?.to_string();
    ensure!(error.contains("make one more") && error.contains("ENOSPC"), "the error says {error}");
    make(only_user(), Namespaces::NET)?;
    for kind in NsKind::ALL {
        let error = make(NamespaceLimits::none(), kind.flag()).err().or_fail(kind)?.to_string();
        ensure!(error.contains("ENOSPC"), "one more {kind} namespace: {error}");
    }
    // The namespace of the child itself counts.
    let error = make(NamespaceLimits::none().limit(NsKind::Uts, 0), Namespaces::UTS);
    ensure!(error.is_err(), "a UTS namespace beyond a limit of 0");
    make(NamespaceLimits::none().limit(NsKind::Uts, 1), Namespaces::UTS)?;
    let asked = format!("file:{}", file("net"));
    let two = NamespaceLimits::unlimited().limit(NsKind::Network, 2);
    let facts = child::ask(&inside(two), None, vec![], &[&asked])?;
    ensure_eq!(facts.get(&asked)?, "2", "the limit inside");
    ensure_eq!(fs::read_to_string(file("user"))?, before, "the host's limit");
    Ok(())
}

/// A parameter and a value that is not the default of any kernel.
const PARAMETERS: [(&str, &str); 14] = [
    ("kernel.msgmax", "8191"),
    ("kernel.msgmnb", "16383"),
    ("kernel.msgmni", "1234"),
    ("kernel.sem", "1000\t32001\t32\t127"),
    ("kernel.shmall", "1048577"),
    ("kernel.shmmax", "33554433"),
    ("kernel.shmmni", "4095"),
    ("kernel.shm_rmid_forced", "1"),
    ("fs.mqueue.msg_max", "11"),
    ("fs.mqueue.queues_max", "257"),
    ("net.ipv4.ip_forward", "1"),
    ("net.core.somaxconn", "129"),
    ("kernel.hostname", "parameter"),
    ("kernel.domainname", "example"),
];

pub(super) fn parameters(_: &mut Context) -> Result {
    let new = Namespaces::IPC | Namespaces::NET | Namespaces::UTS;
    let isolation = Isolation { new, ..Isolation::default() };
    let parsed: Vec<(Parameter, &str)> = PARAMETERS
        .iter()
        .map(|(name, value)| Ok((Parameter::parse(name)?, *value)))
        .collect::<std::result::Result<_, cofferdam_ns::Error>>()?;
    let asked: Vec<String> =
        parsed.iter().map(|(parameter, _)| format!("file:/proc/sys/{}", parameter.path())).collect();
    let outside = || -> Result<Vec<String>> {
        let read =
            |(parameter, _): &(Parameter, _)| fs::read_to_string(format!("/proc/sys/{}", parameter.path()));
        parsed.iter().map(|one| Ok(read(one)?)).collect()
    };
    let before = outside()?;
    let words: Vec<&str> = std::iter::once("facts").chain(asked.iter().map(String::as_str)).collect();
    let mut plan = child::plan(&words)?;
    isolation.lower(&mut plan);
    for (parameter, value) in &parsed {
        parameter.lower(value, &mut plan)?;
    }
    let facts = child::ask_with(&isolation, None, plan)?;
    for ((name, value), asked) in PARAMETERS.iter().zip(&asked) {
        ensure_eq!(facts.get(asked)?, *value, "{name} inside");
    }
    for ((name, value), outside) in PARAMETERS.iter().zip(&before) {
        ensure!(outside.trim() != *value, "{name} has the test's value outside: a bad test");
    }
    ensure_eq!(outside()?, before, "the parameters outside");
    Ok(())
}
