//! SELinux: a tiny policy with a domain that may not write one type.

use super::apparmor::channels;
use super::fixtures::SELINUX;
use super::labels::steps;
use crate::crates::child::{self, Sleeper};
use crate::guest::mounts::{Mount, Mounted};
use crate::registry::{Context, OrFail, Result, Test};
use cofferdam_lsm::label::{Attribute, Module};
use cofferdam_lsm::selinux::{self, Context as Label, MountLabel, Status};
use cofferdam_lsm::{ErrorKind, Proc};
use cofferdam_ns::{Isolation, Namespaces};
use cofferdam_sys::plan::Step;
use nix::mount::MsFlags;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

pub(in crate::crates) const TESTS: &[Test] = &[
    // First: a policy cannot be unloaded.
    Test::integration(
        "lsm::selinux-no-policy",
        "Without a policy a label is taken and has no effect, which reading it back finds",
        no_policy,
    )
    .lsm("selinux"),
    Test::integration("lsm::selinux-exec", "A child in a domain is denied a write, others are not", exec)
        .lsm("selinux"),
    Test::integration(
        "lsm::selinux-unknown",
        "A context that the policy does not know fails the start",
        unknown,
    )
    .lsm("selinux"),
    Test::integration("lsm::selinux-keys", "The label for keys is read back from a child that waits", keys)
        .lsm("selinux"),
    Test::integration(
        "lsm::selinux-mount",
        "A mount gives its files the label that was asked for",
        mount_label,
    )
    .lsm("selinux"),
];

/// selinuxfs with the policy loaded, and enforced until this is dropped.
struct Enforcing(#[expect(dead_code, reason = "is unmounted when it is dropped")] Mounted);

/// selinuxfs on its place.
fn selinuxfs() -> Result<Mounted> {
    Ok(Mounted::new(&Mount {
        source: "selinuxfs",
        target: "/sys/fs/selinux",
        kind: "selinuxfs",
        flags: MsFlags::empty(),
        data: "",
    })?)
}

impl Enforcing {
    fn new() -> Result<Self> {
        let mounted = selinuxfs()?;
        if selinux::status(&Proc::open()?)? == Status::NoPolicy {
            fs::write("/sys/fs/selinux/load", SELINUX).or_fail("loading the policy")?;
        }
        ensure_eq!(selinux::status(&Proc::open()?)?, Status::Permissive, "the status with a policy");
        fs::write("/sys/fs/selinux/enforce", "1")?;
        let enforcing = Self(mounted);
        ensure_eq!(selinux::status(&Proc::open()?)?, Status::Enforcing, "the status when it enforces");
        Ok(enforcing)
    }
}

impl Drop for Enforcing {
    fn drop(&mut self) {
        if let Err(error) = fs::write("/sys/fs/selinux/enforce", "0") {
            eprintln!("SELinux stays enforcing: {error}");
        }
    }
}

const CONFINED: &str = "system_u:system_r:confined_t";
const GUARDED: &str = "system_u:object_r:guarded_t";

fn no_policy(_: &mut Context) -> Result {
    let _selinuxfs = selinuxfs()?;
    let proc = Proc::open()?;
    ensure_eq!(selinux::status(&proc)?, Status::NoPolicy, "the status without a policy");
    let label = selinux::exec(&CONFINED.parse()?);
    for channel in channels()? {
        let sleeper = Sleeper::start(&Isolation::default(), None, steps(&label, &channel)?)?;
        let error = label.confirm(&proc, sleeper.pid()).err().or_fail("a mismatch")?;
        ensure_eq!(error.kind(), ErrorKind::Mismatch, "a label without a policy: {error}");
    }
    Ok(())
}

/// A tmpfs whose files are of the type that is guarded.
fn guarded(ctx: &Context) -> Result<Mounted> {
    let target = ctx.scratch().join("guarded");
    fs::create_dir(&target)?;
    let data = MountLabel::Every.add_to("mode=0777", &GUARDED.parse()?)?;
    let target = target.to_string_lossy().into_owned();
    let mounted = Mounted::new(&Mount {
        source: "tmpfs",
        target: &target,
        kind: "tmpfs",
        flags: MsFlags::empty(),
        data: &data,
    })?;
    fs::write(mounted.path().join("file"), "text")?;
    Ok(mounted)
}

fn exec(ctx: &mut Context) -> Result {
    let _enforcing = Enforcing::new()?;
    let _mounted = guarded(ctx)?;
    for channel in channels()? {
        let own = channel.own(Module::Selinux, Attribute::Current)?;
        ensure_eq!(own, "system_u:system_r:host_t", "the own label, by {channel:?}");
        ensure_eq!(channel.own(Module::Selinux, Attribute::Exec)?, "", "the label for exec, by {channel:?}");
    }
    fs::write(ctx.scratch().join("fine"), "")?;
    let context: Label = CONFINED.parse()?;
    selinux::check(&context)?;
    let label = selinux::exec(&context);
    let facts = [
        "file:/run/lab/scratch/guarded/file",
        "write:/run/lab/scratch/guarded/file=x",
        "write:/run/lab/scratch/fine=x",
    ];
    let isolations = [
        Isolation::default(),
        Isolation { new: Namespaces::MOUNT | Namespaces::PID | Namespaces::IPC, ..Isolation::default() },
    ];
    for channel in channels()? {
        for isolation in &isolations {
            let seen = child::ask(isolation, None, steps(&label, &channel)?, &facts)?;
            ensure_eq!(seen.get(facts[0])?, "text", "reading what is guarded, by {channel:?}");
            ensure_eq!(seen.get(facts[1])?, "!EACCES", "writing what is guarded, by {channel:?}");
            ensure_eq!(seen.get(facts[2])?, "", "writing what is not guarded, by {channel:?}");
            let sleeper = Sleeper::start(isolation, None, steps(&label, &channel)?)?;
            ensure_eq!(label.confirm(&Proc::open()?, sleeper.pid())?, CONFINED, "the label from outside");
        }
    }
    let seen = child::ask(&Isolation::default(), None, vec![], &facts)?;
    ensure_eq!(seen.get(facts[1])?, "", "writing what is guarded, without a label");
    Ok(())
}

fn unknown(_: &mut Context) -> Result {
    let _enforcing = Enforcing::new()?;
    let context: Label = "system_u:system_r:no_such_t".parse()?;
    let error = selinux::check(&context).err().or_fail("the refusal of an unknown type")?;
    ensure_eq!(error.kind(), ErrorKind::Unknown, "an unknown type: {error}");
    for channel in channels()? {
        let started =
            child::ask(&Isolation::default(), None, steps(&selinux::exec(&context), &channel)?, &[]);
        let error = started.err().or_fail("a refusal")?.to_string();
        ensure!(error.contains("set the label: EINVAL"), "{channel:?}: {error}");
    }
    Ok(())
}

fn keys(_: &mut Context) -> Result {
    let _enforcing = Enforcing::new()?;
    let context: Label = CONFINED.parse()?;
    let (keys, next) = (selinux::key_create(&context), selinux::exec(&context));
    for channel in channels()? {
        let mut plan = child::plan(&["sleep", "86400"])?;
        keys.lower(&channel, &mut plan)?;
        plan.push("make a session keyring", Step::SessionKeyring(c"_ses.test".to_owned()));
        next.lower(&channel, &mut plan)?;
        plan.push("wait", Step::WaitForParent);
        let mut spawning = Isolation::default().spawn(&plan, None)?;
        let (proc, pid) = (Proc::open()?, spawning.pid());
        // Before it executes anything: both labels are there, and not in force yet.
        let deadline = Instant::now() + Duration::from_secs(20);
        while next.pending(&proc, pid).is_err() {
            ensure!(Instant::now() < deadline, "the label for exec: {:?}", next.pending(&proc, pid));
            std::thread::sleep(Duration::from_millis(2));
        }
        ensure_eq!(keys.pending(&proc, pid)?, CONFINED, "the label for keys");
        let error = next.confirm(&proc, pid).err().or_fail("a mismatch before exec")?;
        ensure_eq!(error.kind(), ErrorKind::Mismatch, "before exec: {error}");
        spawning.release()?;
        let child = spawning.finish()?;
        let seen = next.confirm(&proc, pid);
        cofferdam_sys::process::pidfd_send_signal(child.pidfd(), nix::libc::SIGKILL)?;
        child.wait()?;
        ensure_eq!(seen?, CONFINED, "the label after exec");
    }
    Ok(())
}

fn mount_label(ctx: &mut Context) -> Result {
    let _enforcing = Enforcing::new()?;
    let mounted = guarded(ctx)?;
    let label = |path: &Path| -> Result<String> {
        let mut buffer = [0u8; 256];
        let length = rustix::fs::getxattr(path, "security.selinux", &mut buffer)?;
        let text = buffer.get(..length).or_fail("the attribute")?;
        Ok(String::from_utf8_lossy(text).trim_end_matches('\0').to_owned())
    };
    ensure_eq!(label(&mounted.path().join("file"))?, GUARDED, "the label of a file of the mount");
    let other = ctx.scratch().join("other");
    fs::write(&other, "")?;
    ensure_eq!(label(&other)?, "system_u:object_r:object_t", "the label of another file");
    Ok(())
}
