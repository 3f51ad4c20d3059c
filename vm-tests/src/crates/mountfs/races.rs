//! Somebody swaps what is mounted on while the child mounts, and links of all sorts on the way.

use super::attributes::Volume;
use super::{Way, add, contained, light, lowered, proc, two_ways};
use crate::registry::{Context, OrFail, Result, Test};
use cofferdam_mountfs::{Device, RootFs, mountinfo};
use cofferdam_sys::open::{Dir, exchange};
use cofferdam_sys::open::{Open, Resolve};
use cofferdam_sys::plan::{Absent, At, Plan, Step};
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{chown, symlink};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub(in super::super) const TESTS: &[Test] = &[
    Test::integration(
        "mountfs::race-naive-control",
        "A target that is opened as any path is leads out of the image: what the races look for is found",
        naive,
    ),
    Test::integration(
        "mountfs::race-at-a-barrier",
        "Whenever the way becomes a link out of the image, no mount is outside the root",
        at_a_barrier,
    ),
    Test::integration(
        "mountfs::race-swapping",
        "While the way is swapped all the time, no mount is outside the root",
        swapping,
    ),
    Test::integration(
        "mountfs::magic-links-are-refused",
        "A link of a procfs on the way to a target is not followed",
        magic_links,
    ),
    Test::integration(
        "mountfs::dangling-links",
        "What a dangling link on the way names is made inside the root, and nowhere else",
        dangling,
    ),
    Test::integration(
        "mountfs::device-through-a-link",
        "A device behind a link of the image is made inside the root",
        device_through_a_link,
    ),
];

/// An image with `/way`, a link `lure` out of it, and mounts behind the way.
fn root(ctx: &Context, volume: &Volume) -> Result<RootFs> {
    let mut root = light(ctx)?;
    let image = ctx.scratch().join("image");
    let outside = ctx.scratch().join("outside");
    // Where the link leads to when it is resolved in the image.
    let inside = image.join(outside.strip_prefix("/").unwrap_or(&outside));
    for base in [image.join("way"), outside.clone(), inside] {
        for name in ["fs", "dir", "hidden"] {
            fs::create_dir_all(base.join(name))?;
            chown(base.join(name), Some(100_000), Some(100_000))?;
        }
        chown(&base, Some(100_000), Some(100_000))?;
    }
    symlink(&outside, image.join("lure"))?;
    add(&mut root, "tmpfs", "marker", "/way/fs", &[])?;
    add(&mut root, "bind", volume.text()?, "/way/dir", &["bind", "ro"])?;
    root.masked = vec!["/way/hidden".into()];
    Ok(root)
}

/// The child's side says a byte and waits for one.
struct Barrier(UnixStream);

impl Barrier {
    fn before(plan: &mut Plan, step: usize) -> Result<Self> {
        let (ours, its) = UnixStream::pair()?;
        ours.set_read_timeout(Some(Duration::from_millis(5)))?;
        let its = At::from(OwnedFd::from(its));
        plan.insert(step, "barrier", Step::Barrier { say: its.clone(), hear: its });
        Ok(Self(ours))
    }

    /// Waits for the child; `false` when it has ended.
    fn reached(&mut self, pid: i32) -> Result<bool> {
        loop {
            match self.0.read(&mut [0]) {
                Ok(count) => return Ok(count == 1),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            if stat.is_empty() || stat.contains(") Z ") {
                return Ok(false);
            }
        }
    }

    fn release(&mut self) -> Result {
        Ok(self.0.write_all(b"x")?)
    }
}

fn position(plan: &Plan, about: &str) -> Result<usize> {
    plan.entries().iter().position(|entry| &*entry.about == about).or_fail(about)
}

/// The marked mounts of a process that is about to enter its root, by whether they are below that root.
fn marked(pid: i32) -> Result<(usize, usize)> {
    let mounts = mountinfo::parse(&fs::read(format!("/proc/{pid}/mountinfo"))?)?;
    let root = mounts.iter().rfind(|mount| mount.root.ends_with("image")).or_fail("the new root")?.id;
    let below = |mut id: u64| {
        for _ in 0..64 {
            match mounts.iter().find(|mount| mount.id == id) {
                Some(_) if id == root => return true,
                Some(mount) if mount.parent != id => id = mount.parent,
                _ => return false,
            }
        }
        false
    };
    let ours = mounts.iter().filter(|mount| mount.source == "marker");
    let (inside, outside): (Vec<_>, Vec<_>) = ours.partition(|mount| below(mount.id));
    Ok((inside.len(), outside.len()))
}

/// Runs a plan with two holds: before a step, where `attack` does its work, and before the root is entered.
///
/// Whether the child started. A marked mount outside its root is the failure.
fn held(way: &Way, root: &RootFs, step: Option<usize>, attack: impl FnOnce() -> Result) -> Result<bool> {
    let (isolation, mut plan) = lowered(way, root, &["sleep", "0"])?;
    let enter = position(&plan, "enter the new root")?;
    let mut inspect = Barrier::before(&mut plan, enter)?;
    let mut hold = match step {
        Some(step) => Some(Barrier::before(&mut plan, step)?),
        None => None,
    };
    let mut spawning = isolation.spawn(&plan, None)?;
    isolation.map_ids(&spawning)?;
    spawning.release()?;
    let pid = spawning.pid();
    if let Some(hold) = &mut hold {
        if hold.reached(pid)? {
            attack()?;
            hold.release()?;
        }
    } else {
        attack()?;
    }
    if inspect.reached(pid)? {
        let (_, outside) = marked(pid)?;
        ensure_eq!(outside, 0, "mounts outside the root, step {step:?}, {}", way.name);
        inspect.release()?;
    }
    match spawning.finish() {
        Ok(child) => child.wait().map(|_| true).map_err(Into::into),
        Err(_) => Ok(false),
    }
}

fn swap(image: &Path) -> Result {
    Ok(exchange(Dir::Fd(File::open(image)?.as_fd()), c"way", c"lure")?)
}

fn naive(ctx: &mut Context) -> Result {
    let volume = Volume::new(ctx, "volume")?;
    let root = root(ctx, &volume)?;
    let image = ctx.scratch().join("image");
    let way = contained()?;
    let (isolation, mut plan) = lowered(&way, &root, &["sleep", "0"])?;
    swap(&image)?;
    let enter = position(&plan, "enter the new root")?;
    let mut inspect = Barrier::before(&mut plan, enter)?;
    let slots = [plan.slot()?, plan.slot()?, plan.slot()?];
    let [context, mount, target] = slots;
    let path = CString::new(image.join("way/fs").to_str().or_fail("a path in UTF-8")?)?;
    let (flags, resolve) = (Open::PATH, Resolve::empty());
    let steps = [
        Step::FsOpen { fstype: c"tmpfs".into(), out: context },
        Step::FsString { context, key: c"source".into(), value: c"marker".into() },
        Step::FsMount { context, attrs: cofferdam_sys::mount::MountAttrs::empty(), out: mount },
        Step::OpenIn { dir: At::Cwd, path, flags, resolve, absent: Absent::Fail, out: target },
        Step::MoveMount { from: mount.into(), to: target.into() },
    ];
    for step in steps.into_iter().rev() {
        plan.insert(enter, "naive", step);
    }
    let mut spawning = isolation.spawn(&plan, None)?;
    isolation.map_ids(&spawning)?;
    spawning.release()?;
    ensure!(inspect.reached(spawning.pid())?, "the child ended: {:?}", spawning.finish().err());
    ensure_eq!(marked(spawning.pid())?.1, 1, "mounts outside the root");
    Ok(())
}

fn at_a_barrier(ctx: &mut Context) -> Result {
    let volume = Volume::new(ctx, "volume")?;
    let root = root(ctx, &volume)?;
    let image = ctx.scratch().join("image");
    for way in two_ways()? {
        let (_, plan) = lowered(&way, &root, &["sleep", "0"])?;
        let touches =
            |about: &str| about.contains("/way/") && (about.contains("open") || about.ends_with("attach"));
        let steps: Vec<usize> = plan
            .entries()
            .iter()
            .enumerate()
            .filter(|(_, entry)| touches(&entry.about))
            .map(|(number, _)| number)
            .collect();
        drop(plan);
        ensure!(steps.len() >= 5, "steps that touch the way: {steps:?}, {}", way.name);
        let mut started = 0;
        // Every one where mounts are detached; where they are not, every second is enough for an emulator.
        let every = if way.is_old() { 2 } else { 1 };
        let steps: Vec<_> = steps.into_iter().step_by(every).collect();
        for step in &steps {
            started += usize::from(held(&way, &root, Some(*step), || swap(&image))?);
            swap(&image)?;
        }
        // From the link to the directory it is all the same; the other way round something is not there.
        ensure!(started < steps.len(), "no swap was noticed, {}", way.name);
    }
    Ok(())
}

fn swapping(ctx: &mut Context) -> Result {
    let volume = Volume::new(ctx, "volume")?;
    let root = root(ctx, &volume)?;
    let image = ctx.scratch().join("image");
    let end = AtomicBool::new(false);
    let attacker = || -> Result<u32> {
        let mut swaps = 0;
        while !end.load(Ordering::Relaxed) {
            swap(&image)?;
            swaps += 1;
        }
        Ok(swaps)
    };
    std::thread::scope(|scope| {
        let attacker = scope.spawn(attacker);
        let mut outcome = Ok(());
        for way in two_ways()? {
            for _ in 0..2 {
                outcome = outcome.and(held(&way, &root, None, || Ok(())).map(drop));
            }
        }
        end.store(true, Ordering::Relaxed);
        let swaps = attacker.join().ok().or_fail("the attacker")??;
        outcome?;
        ensure!(swaps > 10, "the attacker swapped {swaps} times");
        Ok(())
    })
}

fn magic_links(ctx: &mut Context) -> Result {
    let mut root = light(ctx)?;
    let image = ctx.scratch().join("image");
    symlink("/proc/self/root/tmp", image.join("magic"))?;
    root.mounts.push(proc()?);
    add(&mut root, "tmpfs", "marker", "/magic/planted", &[])?;
    for way in two_ways()? {
        let error = super::ask(&way, &root, &[]).err().or_fail("a refusal")?.to_string();
        ensure!(
            error.contains("mount tmpfs on /magic/planted: open ") && error.contains(": ELOOP"),
            "{error}, {}",
            way.name
        );
        ensure!(!Path::new("/tmp/planted").exists(), "the host has it, {}", way.name);
    }
    Ok(())
}

fn dangling(ctx: &mut Context) -> Result {
    let mut root = light(ctx)?;
    let image = ctx.scratch().join("image");
    symlink("/not/there", image.join("dangling"))?;
    add(&mut root, "tmpfs", "marker", "/dangling/below", &[])?;
    for way in two_ways()? {
        super::ask(&way, &root, &[])?;
        ensure!(
            image.join("not/there/below").is_dir(),
            "the image has not what the link names, {}",
            way.name
        );
        ensure!(!Path::new("/not").exists(), "the host has it, {}", way.name);
        fs::remove_dir_all(image.join("not"))?;
    }
    for target in ["/a/../../b", "/.."] {
        let mut root = root.clone();
        root.mounts.clear();
        add(&mut root, "tmpfs", "marker", target, &[])?;
        ensure!(root.prepare(&contained()?.host).is_err(), "a target with ..: {target}");
    }
    Ok(())
}

fn device_through_a_link(ctx: &mut Context) -> Result {
    let mut root = light(ctx)?;
    let image = ctx.scratch().join("image");
    let outside = ctx.scratch().join("outside");
    fs::create_dir(&outside)?;
    symlink(&outside, image.join("out"))?;
    fs::create_dir_all(image.join(outside.strip_prefix("/").unwrap_or(&outside)))?;
    root.devices = vec![Device::char("/out/null", 1, 3)];
    let facts = super::ask(&super::plain()?, &root, &["stat:/out/null"])?;
    ensure_eq!(facts.get("stat:/out/null")?, "0:0 20666", "the device inside");
    ensure!(!outside.join("null").exists(), "it was made outside");
    Ok(())
}
