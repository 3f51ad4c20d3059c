//! TOMOYO: a domain whose policy lists what may be written.

use crate::crates::child::{self, Sleeper};
use crate::guest::paths;
use crate::registry::{Context, OrFail, Result, Test};
use cofferdam_lsm::ErrorKind;
use cofferdam_lsm::tomoyo::{Domain, DomainPolicy, Mode, Tomoyo};
use cofferdam_ns::{Isolation, Namespaces};
use cofferdam_sys::plan::Plan;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

pub(in crate::crates) const TESTS: &[Test] = &[
    Test::integration(
        "lsm::tomoyo-domain",
        "The domain of a process is seen from inside and outside",
        domain,
    )
    .lsm("tomoyo"),
    Test::integration(
        "lsm::tomoyo-denies",
        "A child in a domain with a profile that enforces is denied a write",
        denies,
    )
    .lsm("tomoyo"),
    Test::integration(
        "lsm::tomoyo-rules",
        "A rule that the kernel leaves out, and a profile that is not there, are named",
        rules,
    )
    .lsm("tomoyo"),
];

/// The number of a profile that nothing else uses.
const PROFILE: u8 = 3;

/// Has the kernel enforce, as the start of a system does; it cannot be undone, and is harmless to profile 0.
fn activate(tomoyo: &Tomoyo) -> Result {
    if tomoyo.mode(PROFILE).is_ok() {
        return Ok(());
    }
    tomoyo.define(0, Mode::Disabled)?;
    tomoyo.define(PROFILE, Mode::Enforcing)?;
    // Cases are run by this program, whatever its domain.
    tomoyo.add_manager(Path::new(paths::INIT))?;
    fs::create_dir_all("/sbin")?;
    // The kernel starts the second when the first is executed.
    for program in ["/sbin/init", "/sbin/tomoyo-init"] {
        fs::copy(paths::INIT, program)?;
        fs::set_permissions(program, Permissions::from_mode(0o755))?;
    }
    let ended = Command::new("/sbin/init").arg("list").output().or_fail("executing /sbin/init")?;
    ensure!(ended.status.success(), "the end of /sbin/init: {ended:?}");
    fs::remove_file("/sbin/init")?;
    fs::remove_file("/sbin/tomoyo-init")?;
    ensure_eq!(tomoyo.mode(PROFILE)?, Mode::Enforcing, "the mode of the profile");
    ensure_eq!(tomoyo.mode(0)?, Mode::Disabled, "the mode of the first profile");
    Ok(())
}

/// A copy of this program, so that its domain is another.
fn program(ctx: &Context) -> Result<String> {
    let path = ctx.scratch().join("program");
    fs::copy(paths::INIT, &path)?;
    Ok(path.to_string_lossy().into_owned())
}

fn domain(ctx: &mut Context) -> Result {
    let tomoyo = Tomoyo::open()?;
    activate(&tomoyo)?;
    let own = tomoyo.own_domain()?;
    let pid = i32::try_from(std::process::id())?;
    ensure_eq!(tomoyo.status(pid)?.domain, own, "the domain of this process, from outside");
    let path = program(ctx)?;
    let plan = child::plan_of(&path, &["sleep", "86400"])?;
    let child = Isolation::default().spawn(&plan, None)?.finish()?;
    let status = tomoyo.confirm(child.pid(), &own.after(Path::new(&path))?);
    let other = tomoyo.confirm(child.pid(), &own);
    cofferdam_sys::process::pidfd_send_signal(child.pidfd(), nix::libc::SIGKILL)?;
    child.wait()?;
    ensure_eq!(status?.profile, 0, "the profile of the child");
    ensure_eq!(other.err().or_fail("a mismatch")?.kind(), ErrorKind::Mismatch, "another domain");
    let error = tomoyo.status(i32::MAX).err().or_fail("the domain of nobody")?;
    ensure_eq!(error.kind(), ErrorKind::Unknown, "the domain of nobody: {error}");
    Ok(())
}

fn denies(ctx: &mut Context) -> Result {
    let tomoyo = Tomoyo::open()?;
    activate(&tomoyo)?;
    let path = program(ctx)?;
    let own = tomoyo.own_domain()?;
    // By the program that is executed, and by a domain that the child goes to before.
    let container: Domain = "<kernel> /container".parse()?;
    let confined = [own.after(Path::new(&path))?, container.after(Path::new(&path))?];
    let allow: Vec<String> = [
        "file read /run/lab/scratch/guarded",
        "file write /run/lab/scratch/fine",
        "file append /run/lab/scratch/fine",
        "file truncate /run/lab/scratch/fine",
    ]
    .map(str::to_owned)
    .to_vec();
    for domain in &confined {
        tomoyo.add(&DomainPolicy { domain: domain.clone(), profile: PROFILE, allow: allow.clone() })?;
    }
    let leave = format!("task manual_domain_transition {container}");
    tomoyo.add(&DomainPolicy { domain: own.clone(), profile: 0, allow: vec![leave] })?;
    tomoyo.add(&DomainPolicy { domain: container.clone(), profile: 0, allow: vec![] })?;
    for file in ["guarded", "fine"] {
        fs::write(ctx.scratch().join(file), "text")?;
    }
    let facts = [
        "file:/run/lab/scratch/guarded",
        "write:/run/lab/scratch/guarded=x",
        "write:/run/lab/scratch/fine=x",
    ];
    let plan = |program: &str, words: &[&str], go: bool| -> Result<Plan> {
        let mut plan = child::plan_of(program, words)?;
        if go {
            tomoyo.lower_transition(&container, &mut plan);
        }
        Ok(plan)
    };
    let asked = [&["facts"], facts.as_slice()].concat();
    for (go, domain) in [(false, &confined[0]), (true, &confined[1])] {
        let seen = child::ask_with(&Isolation::default(), None, plan(&path, &asked, go)?)?;
        ensure_eq!(seen.get(facts[0])?, "text", "reading what the policy lists, in {domain}");
        ensure_eq!(seen.get(facts[1])?, "!EPERM", "writing what it does not list, in {domain}");
        ensure_eq!(seen.get(facts[2])?, "", "writing what it lists, in {domain}");
        let child = Isolation::default().spawn(&plan(&path, &["sleep", "86400"], go)?, None)?.finish()?;
        let status = tomoyo.confirm(child.pid(), domain);
        cofferdam_sys::process::pidfd_send_signal(child.pidfd(), nix::libc::SIGKILL)?;
        child.wait()?;
        ensure_eq!(status?.profile, PROFILE, "the profile from outside, in {domain}");
    }
    let isolation = Isolation { new: Namespaces::PID | Namespaces::MOUNT, ..Isolation::default() };
    let mut inside = plan(&path, &asked, false)?;
    isolation.lower(&mut inside);
    ensure_eq!(child::ask_with(&isolation, None, inside)?.get(facts[1])?, "!EPERM", "writing, in namespaces");
    let free = child::ask_with(&Isolation::default(), None, plan(paths::INIT, &asked, false)?)?;
    ensure_eq!(free.get(facts[1])?, "", "writing, in a domain without a policy");
    Ok(())
}

fn rules(_: &mut Context) -> Result {
    let tomoyo = Tomoyo::open()?;
    activate(&tomoyo)?;
    let domain: Domain = "<kernel> /nobody".parse()?;
    let bad = DomainPolicy { domain, profile: 0, allow: vec!["file juggle /x".into()] };
    let error = tomoyo.add(&bad).err().or_fail("the refusal of a rule that is none")?;
    ensure_eq!(error.kind(), ErrorKind::Mismatch, "a rule that is none: {error}");
    ensure!(error.to_string().contains("file juggle /x"), "the error does not name the rule: {error}");
    let error = tomoyo.mode(77).err().or_fail("the mode of a profile that is not there")?;
    ensure_eq!(error.kind(), ErrorKind::Unknown, "a profile that is not there: {error}");
    let sleeper = Sleeper::start(&Isolation::default(), None, vec![])?;
    ensure_eq!(tomoyo.status(sleeper.pid())?.profile, 0, "the profile of other children");
    Ok(())
}
