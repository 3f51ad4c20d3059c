//! The procfs that labels go through: what only looks like it, and what is put over its files.

use crate::crates::{child, ns};
use crate::guest::mounts::{Mount, Mounted};
use crate::registry::{Context, OrFail, Result, Test};
use cofferdam_lsm::{Channel, ErrorKind, Label, Proc};
use cofferdam_ns::{Isolation, Namespaces};
use cofferdam_sys::plan::{At, Exec, Plan, Step};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::ffi::CStr;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, thread};

pub(in crate::crates) const TESTS: &[Test] = &[
    Test::integration(
        "lsm::procfs-verified",
        "A tmpfs, a part of a procfs and another namespace's procfs are no procfs for labels",
        verified,
    ),
    Test::integration(
        "lsm::procfs-covered",
        "A file that is mounted over an attribute is refused, and not reached through a private procfs",
        covered,
    ),
    Test::integration(
        "lsm::procfs-of-the-child",
        "A child in a PID namespace of its own writes its own file through the parent's procfs",
        of_the_child,
    ),
];

/// The steps by which a child gives itself a label.
pub(super) fn steps(label: &Label, channel: &Channel) -> Result<Vec<(&'static str, Step)>> {
    let mut plan = Plan::new(Exec { candidates: vec![], args: vec![], env: vec![] });
    label.lower(channel, &mut plan)?;
    Ok(plan.entries().iter().map(|entry| ("set the label", entry.step.clone())).collect())
}

fn verified(ctx: &mut Context) -> Result {
    let proc = Proc::open()?;
    ensure!(proc.is_private(), "root has no procfs of its own");
    ensure!(Proc::mounted(Path::new("/proc")).is_ok(), "/proc is refused");
    // As an image would have it.
    let fake = ctx.scratch().join("proc");
    fs::create_dir_all(fake.join("self/attr"))?;
    fs::write(fake.join("self/attr/exec"), "")?;
    for path in [fake.as_path(), Path::new("/proc/self"), Path::new("/proc/sys"), Path::new("/sys")] {
        let error = Proc::mounted(path).err().or_fail(path.display())?;
        ensure_eq!(error.kind(), ErrorKind::Untrusted, "{}: {error}", path.display());
    }
    Ok(())
}

fn covered(ctx: &mut Context) -> Result {
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
    let fake = ctx.scratch().join("fake");
    fs::write(&fake, "fake\n")?;
    let pid = i32::try_from(std::process::id())?;
    let target = format!("/proc/{pid}/attr/current");
    let (before, private) = (Proc::mounted(Path::new("/proc"))?, Proc::open()?);
    let real = before.read(pid, "attr/current")?;
    let over = Mount {
        source: fake.to_str().or_fail("the path of the file")?,
        target: &target,
        kind: "",
        flags: MsFlags::MS_BIND,
        data: "",
    };
    let over = Mounted::new(&over)?;
    ensure_eq!(fs::read_to_string(&target)?, "fake\n", "what everybody else reads");
    let error = Proc::mounted(Path::new("/proc"))?.read(pid, "attr/current").err().or_fail("a refusal")?;
    ensure_eq!(error.kind(), ErrorKind::Untrusted, "the covered file: {error}");
    ensure_eq!(private.read(pid, "attr/current")?, real, "the attribute in the private procfs");
    drop(over);
    Ok(())
}

/// `comm` is a file of one's own that every kernel has, and that can be seen from outside.
fn of_the_child(_: &mut Context) -> Result {
    let new = Namespaces::PID | Namespaces::MOUNT | Namespaces::USER;
    let isolation = Isolation { new, ids: Some(ns::mapped()), ..Isolation::default() };
    let mut plan = child::plan(&[])?;
    isolation.lower(&mut plan);
    plan.push("name itself", write_own(c"comm")?);
    // Holds the child where it can be looked at: the parent releases it once only.
    plan.push("wait again", Step::WaitForParent);
    let mut spawning = isolation.spawn(&plan, None)?;
    isolation.map_ids(&spawning)?;
    spawning.release()?;
    let comm = format!("/proc/{}/comm", spawning.pid());
    let deadline = Instant::now() + Duration::from_secs(20);
    while fs::read_to_string(&comm)? != "contained\n" {
        ensure!(Instant::now() < deadline, "the child has not named itself");
        thread::sleep(Duration::from_millis(2));
    }
    drop(spawning);
    let absent = vec![("name itself", write_own(c"nothing")?)];
    let error = child::ask(&isolation, None, absent, &[]).err().or_fail("a refusal")?.to_string();
    ensure!(error.contains("name itself: ENOENT"), "a file that is not there: {error}");
    Ok(())
}

fn write_own(path: &CStr) -> Result<Step> {
    let proc = rustix::io::fcntl_dupfd_cloexec(Proc::open()?, 3)?;
    Ok(Step::WriteOwn { proc: At::from(proc), path: path.to_owned(), data: b"contained".to_vec() })
}
