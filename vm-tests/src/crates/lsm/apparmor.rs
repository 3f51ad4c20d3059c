//! AppArmor: profiles that are loaded, and children under them.

use super::fixtures::{ENFORCING, Loaded, ODD, complaining, name};
use super::labels::steps;
use crate::crates::child::{self, Facts, Sleeper};
use crate::crates::ns;
use crate::registry::{Context, OrFail, Result, Test};
use cofferdam_lsm::apparmor::{self, Confinement, Mode};
use cofferdam_lsm::label::{Attribute, Module};
use cofferdam_lsm::{Channel, ErrorKind, Label, Proc};
use cofferdam_ns::{Isolation, Namespaces};
use cofferdam_sys::Errno;
use cofferdam_sys::plan::Step;
use std::fs;
use std::path::Path;

pub(in crate::crates) const TESTS: &[Test] = &[
    Test::integration("lsm::apparmor-own", "The own label is the same by call and by procfs", own)
        .lsm("apparmor"),
    Test::integration("lsm::apparmor-policy", "Profiles are loaded, listed and unloaded", policy)
        .lsm("apparmor"),
    Test::integration(
        "lsm::apparmor-exec",
        "A child under a profile is denied a write, others are not",
        exec,
    )
    .lsm("apparmor"),
    Test::integration(
        "lsm::apparmor-stack",
        "A profile that is stacked denies too, and is seen from outside beside the first",
        stack,
    )
    .lsm("apparmor"),
    Test::integration(
        "lsm::apparmor-container",
        "In namespaces of its own, without new privileges, a child is denied a write",
        container,
    )
    .lsm("apparmor"),
    Test::integration(
        "lsm::apparmor-unknown",
        "A profile that is not loaded fails the start with its name",
        unknown,
    )
    .lsm("apparmor"),
    Test::integration(
        "lsm::apparmor-read-back",
        "A process under another profile, or under none, is not taken for one under this",
        read_back,
    )
    .lsm("apparmor"),
    Test::integration("lsm::apparmor-no-parser", "Without apparmor_parser the error says so", no_parser)
        .lsm("apparmor"),
];

/// Both channels, where there are both.
pub(super) fn channels() -> Result<Vec<Channel>> {
    let best = Channel::probe()?;
    let mut channels =
        vec![Channel::Procfs(Proc::open()?), Channel::Procfs(Proc::mounted(Path::new("/proc"))?)];
    if matches!(best, Channel::Call) {
        channels.push(best);
    }
    Ok(channels)
}

fn own(_: &mut Context) -> Result {
    for channel in channels()? {
        let current = channel.own(Module::AppArmor, Attribute::Current)?;
        ensure_eq!(current, "unconfined", "the own label, by {channel:?}");
        ensure_eq!(channel.own(Module::AppArmor, Attribute::Exec)?, "", "the label for exec, by {channel:?}");
        let error = channel.own(Module::Selinux, Attribute::Current).err().or_fail("another module's")?;
        ensure_eq!(error.kind(), ErrorKind::NotActive, "the label of a module that is not active: {error}");
    }
    Ok(())
}

fn policy(_: &mut Context) -> Result {
    let before = apparmor::Policy::open()?.profiles()?;
    let loaded = Loaded::load()?;
    let policy = loaded.policy();
    ensure_eq!(policy.find(&name(ENFORCING)?)?, Some(Mode::Enforce), "the profile that enforces");
    ensure_eq!(policy.find(&complaining()?)?, Some(Mode::Complain), "the profile that complains");
    ensure_eq!(policy.profiles()?.len(), before.len() + 2, "the number of profiles");
    let error = policy.remove(&name("cofferdam-tes")?).err().or_fail("the refusal of an unknown name")?;
    ensure_eq!(error.kind(), ErrorKind::Unknown, "unloading what is not loaded: {error}");
    let error = policy.replace(b"no policy at all").err().or_fail("the refusal of what is none")?;
    ensure_eq!(error.kind(), ErrorKind::Invalid, "loading what is no policy: {error}");
    drop(loaded);
    ensure_eq!(apparmor::Policy::open()?.profiles()?, before, "the profiles after unloading");
    Ok(())
}

/// Directories that the profiles deny writing to, and one that they do not.
fn places(ctx: &Context) -> Result {
    for place in ["guarded", ODD, "guarded x", "fine", "hidden"] {
        fs::create_dir(ctx.scratch().join(place))?;
        fs::write(ctx.scratch().join(place).join("file"), "text")?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        fs::set_permissions(ctx.scratch().join(place), mode)?;
    }
    Ok(())
}

/// What a child under the label is asked.
fn questions() -> Vec<String> {
    let mut asked =
        vec!["file:/run/lab/scratch/guarded/file".to_owned(), "file:/run/lab/scratch/hidden/file".into()];
    asked.extend(
        ["guarded", ODD, "guarded x", "fine"].map(|place| format!("write:/run/lab/scratch/{place}/new=x")),
    );
    asked.extend(
        ["write:/proc/sys/kernel/printk_delay=0", "file:/proc/sys/kernel/printk_delay"].map(str::to_owned),
    );
    asked
}

fn ask(isolation: &Isolation, steps: Vec<(&str, Step)>) -> Result<Facts> {
    let asked = questions();
    child::ask(isolation, None, steps, &asked.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Fails unless exactly what the profile denies was denied.
fn denied(facts: &Facts, enforced: bool, how: &str) -> Result {
    let wanted = if enforced { "!EACCES" } else { "" };
    let write = |place: &str| facts.get(&format!("write:/run/lab/scratch/{place}/new=x"));
    ensure_eq!(write("guarded")?, wanted, "writing where it is denied, {how}");
    ensure_eq!(write(ODD)?, wanted, "writing where it is denied, by an odd name, {how}");
    ensure_eq!(write("guarded x")?, "", "writing where the name only begins the same, {how}");
    ensure_eq!(write("fine")?, "", "writing where nothing denies it, {how}");
    ensure_eq!(facts.get("file:/run/lab/scratch/guarded/file")?, "text", "reading what is read-only, {how}");
    let hidden = if enforced { "!EACCES" } else { "text" };
    ensure_eq!(facts.get("file:/run/lab/scratch/hidden/file")?, hidden, "reading what is hidden, {how}");
    ensure!(
        !facts.get("file:/proc/sys/kernel/printk_delay")?.starts_with('!'),
        "reading a kernel parameter, {how}"
    );
    Ok(())
}

fn exec(ctx: &mut Context) -> Result {
    let _loaded = Loaded::load()?;
    places(ctx)?;
    let label = apparmor::exec(&name(ENFORCING)?);
    for channel in channels()? {
        let facts = ask(&Isolation::default(), steps(&label, &channel)?)?;
        denied(&facts, true, &format!("by {channel:?}"))?;
        ensure_eq!(facts.get("write:/proc/sys/kernel/printk_delay=0")?, "!EACCES", "a kernel parameter");
        // From outside, while it runs.
        let sleeper = Sleeper::start(&Isolation::default(), None, steps(&label, &channel)?)?;
        let seen = Confinement::parse(&label.confirm(&Proc::open()?, sleeper.pid())?)?;
        ensure_eq!((seen.label(), seen.mode()), (ENFORCING, Some(Mode::Enforce)), "the label from outside");
    }
    let complain = apparmor::exec(&complaining()?);
    let facts = ask(&Isolation::default(), steps(&complain, &Channel::probe()?)?)?;
    // What is denied by name is refused in that mode too.
    denied(&facts, true, "under the profile that complains")?;
    let facts = ask(&Isolation::default(), vec![])?;
    denied(&facts, false, "under no profile")?;
    ensure_eq!(
        facts.get("write:/proc/sys/kernel/printk_delay=0")?,
        "",
        "a kernel parameter, under no profile"
    );
    Ok(())
}

fn stack(ctx: &mut Context) -> Result {
    let _loaded = Loaded::load()?;
    places(ctx)?;
    let (first, second) = (apparmor::exec(&complaining()?), apparmor::stack(&name(ENFORCING)?));
    for channel in channels()? {
        let facts = ask(&Isolation::default(), steps(&second, &channel)?)?;
        denied(&facts, true, &format!("by {channel:?}"))?;
        let sleeper = Sleeper::start(&Isolation::default(), None, steps(&second, &channel)?)?;
        let seen = Confinement::parse(&second.confirm(&Proc::open()?, sleeper.pid())?)?;
        let mut profiles: Vec<_> = seen.profiles().collect();
        profiles.sort_unstable();
        ensure_eq!(profiles, [ENFORCING, "unconfined"], "the profiles from outside");
        // The first is not the whole label, so it is not what was asked for.
        let error = first.confirm(&Proc::open()?, sleeper.pid()).err().or_fail("a mismatch")?;
        ensure_eq!(error.kind(), ErrorKind::Mismatch, "another label: {error}");
    }
    Ok(())
}

fn container(ctx: &mut Context) -> Result {
    let _loaded = Loaded::load()?;
    places(ctx)?;
    let new = Namespaces::USER | Namespaces::PID | Namespaces::MOUNT | Namespaces::NET | Namespaces::IPC;
    let isolation = Isolation { new, ids: Some(ns::mapped()), ..Isolation::default() };
    let label = apparmor::exec(&name(ENFORCING)?);
    for channel in channels()? {
        let mut steps = steps(&label, &channel)?;
        steps.insert(0, ("set no_new_privs", Step::NoNewPrivileges));
        denied(&ask(&isolation, steps.clone())?, true, &format!("by {channel:?}"))?;
        let sleeper = Sleeper::start(&isolation, None, steps)?;
        label.confirm(&Proc::open()?, sleeper.pid())?;
    }
    denied(&ask(&isolation, vec![])?, false, "under no profile")
}

fn unknown(_: &mut Context) -> Result {
    let label = apparmor::exec(&name("no-such-profile")?);
    for channel in channels()? {
        let started = child::ask(&Isolation::default(), None, steps(&label, &channel)?, &[]);
        let error = started.err().or_fail("a refusal")?.to_string();
        ensure!(error.contains("set the label: ENOENT"), "{channel:?}: {error}");
    }
    Ok(())
}

fn read_back(_: &mut Context) -> Result {
    let _loaded = Loaded::load()?;
    let (asked, other) = (apparmor::exec(&name(ENFORCING)?), apparmor::exec(&complaining()?));
    let proc = Proc::open()?;
    let mismatch = |label: &Label, pid: i32, what: &str| -> Result {
        let error = label.confirm(&proc, pid).err().or_fail(what)?;
        ensure_eq!(error.kind(), ErrorKind::Mismatch, "{what}: {error}");
        Ok(())
    };
    let unconfined = Sleeper::start(&Isolation::default(), None, vec![])?;
    mismatch(&asked, unconfined.pid(), "a process under no profile")?;
    mismatch(&apparmor::stack(&name(ENFORCING)?), unconfined.pid(), "a process with nothing stacked")?;
    // The name of the one begins like that of the other.
    let sleeper = Sleeper::start(&Isolation::default(), None, steps(&other, &Channel::probe()?)?)?;
    mismatch(&asked, sleeper.pid(), "a process under another profile")?;
    let seen = Confinement::parse(&other.confirm(&proc, sleeper.pid())?)?;
    ensure!(!seen.enforces(), "a profile that complains is said to enforce: {seen}");
    let pid = sleeper.pid();
    drop(sleeper);
    let error = other.confirm(&proc, pid).err().or_fail("the label of a process that is gone")?;
    ensure_eq!(error.kind(), ErrorKind::Os(Errno::ENOENT), "a process that is gone: {error}");
    let error = asked.pending(&proc, unconfined.pid()).err().or_fail("AppArmor's exec attribute")?;
    ensure_eq!(error.kind(), ErrorKind::Unsupported, "AppArmor's exec attribute of another: {error}");
    Ok(())
}

fn no_parser(_: &mut Context) -> Result {
    let error = apparmor::Parser::find().err().or_fail("the absence of apparmor_parser in the guest")?;
    ensure_eq!(error.kind(), ErrorKind::NoTool, "without apparmor_parser: {error}");
    ensure!(error.to_string().contains("install the package `apparmor`"), "no remedy: {error}");
    Ok(())
}
