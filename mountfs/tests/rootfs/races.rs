//! Somebody renames what is in the image while the child mounts on it.
//!
//! `/way` of the image is a directory at one moment and a link out of the image at the next. Wherever in
//! its walk that happens to a child: what it mounts is below the root, or it does not start.

use std::ffi::CStr;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cofferdam_mountfs::{Device, RootFs, mountinfo};
use cofferdam_sys::mount::OpenTree;
use cofferdam_sys::open::{Dir, exchange};
use cofferdam_sys::open::{Open, Resolve};
use cofferdam_sys::plan::{Absent, At, Plan, Step};
use cofferdam_sys::spawn::Failure;

use super::add;
use super::lab::{Lab, in_mode, modes, own, require};

/// How often the attacker swaps at each step; less where every instruction is emulated.
fn swaps_wanted() -> u64 {
    let guest = fs::read_to_string("/proc/cmdline").unwrap().contains("lab.");
    if guest { 50 } else { 5000 }
}

/// The image with the way, and what is mounted behind it. All mounts have a name to know them by.
fn rootfs(lab: &Lab) -> RootFs {
    for name in ["fs", "dir", "hidden", "fixed"] {
        lab.write(&format!("image/way/{name}/file"), "");
        lab.write(&format!("outside/{name}/file"), "");
        // The same places where the absolute link leads when it is resolved in the image.
        lab.write(&format!("image{}/{name}/file", lab.dir.join("outside").display()), "");
    }
    for place in ["image/way", "outside"] {
        lab.write(&format!("{place}/file"), "");
        lab.write(&format!("{place}/veiled"), "");
    }
    lab.write("bound/mark", "");
    lab.write("bound-file", "");
    symlink(lab.dir.join("outside"), lab.image().join("lure")).unwrap();
    symlink("../outside", lab.image().join("climb")).unwrap();
    let bound = |name: &str| lab.dir.join(name).to_str().unwrap().to_owned();
    let mut rootfs = lab.rootfs();
    add(&mut rootfs, "proc", "marker", "/proc", &[]);
    add(&mut rootfs, "tmpfs", "marker", "/way/fs", &["nosuid"]);
    add(&mut rootfs, "bind", &bound("bound"), "/way/dir", &["rbind", "ro"]);
    add(&mut rootfs, "bind", &bound("bound-file"), "/way/file", &["bind", "ro"]);
    rootfs.default_devices = false;
    if lab.mode.user.is_none() {
        rootfs.devices = vec![Device::char("/way/null", 1, 3)];
    }
    rootfs.masked = vec!["/way/hidden".into(), "/way/veiled".into()];
    rootfs.readonly_paths = vec!["/way/fixed".into()];
    rootfs
}

/// Where a child says that it has come to a step, and waits for a word.
struct Barrier(UnixStream);

impl Barrier {
    fn before(plan: &mut Plan, step: usize) -> Self {
        let (ours, its) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
        let its = At::from(OwnedFd::from(its));
        plan.insert(step, "barrier", Step::Barrier { say: its.clone(), hear: its });
        Self(ours)
    }

    /// Waits for the child; `false` when it has ended.
    fn reached(&mut self, pid: i32) -> bool {
        loop {
            if self.said() {
                return true;
            }
            if ended(pid) {
                return false;
            }
        }
    }

    /// Whether the child is here, after a short wait.
    fn said(&mut self) -> bool {
        match self.0.read(&mut [0]) {
            Ok(count) => count == 1,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                false
            }
        }
    }

    fn release(&mut self) {
        self.0.write_all(b"x").unwrap();
    }
}

/// No end of file tells that: the plan has the other end of a barrier.
fn ended(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z ")
}

fn position(plan: &Plan, about: &str) -> usize {
    plan.entries().iter().position(|entry| &*entry.about == about).unwrap()
}

/// The mounts with our names that are not below the new root, in the namespace of a process that is about
/// to enter it.
fn strays(lab: &Lab, pid: i32) -> Vec<String> {
    let mounts = mountinfo::parse(&fs::read(format!("/proc/{pid}/mountinfo")).unwrap()).unwrap();
    let is_root = |mount: &&mountinfo::MountInfo| {
        mount.mount_point.as_os_str() == "/" && mount.root.ends_with(lab.image().file_name().unwrap())
    };
    let root = mounts.iter().rfind(is_root).expect("the new root is attached").id;
    let below = |mut id: u64| {
        for _ in 0..64 {
            if id == root {
                return true;
            }
            match mounts.iter().find(|mount| mount.id == id) {
                Some(mount) => id = mount.parent,
                None => return false,
            }
        }
        false
    };
    let ours = |mount: &&mountinfo::MountInfo| {
        let root = mount.root.as_os_str().to_str().unwrap();
        mount.source == "marker" || root.contains("/bound") || root.ends_with("/fixed") || root == "/null"
    };
    let stray = |mount: &&mountinfo::MountInfo| ours(mount) && !below(mount.parent);
    mounts.iter().filter(stray).map(|mount| format!("{mount:?}")).collect()
}

/// Runs the plan with a child that is held before a step while `attack` does its work.
///
/// The error says why the child did not start, which is as good as a start.
fn held(lab: &Lab, rootfs: &RootFs, step: usize, attack: impl FnOnce()) -> Result<(), Failure> {
    let (_output, write) = std::io::pipe().unwrap();
    let mut plan = lab.plan(rootfs, "true", write.into());
    let enter = position(&plan, "enter the new root");
    let mut inspect = Barrier::before(&mut plan, enter);
    let mut hold = Barrier::before(&mut plan, step);
    let spawning = lab.start(&plan)?;
    let pid = spawning.pid();
    // A step in a branch that is left out is not come to.
    let mut inspected = false;
    let comes = loop {
        if hold.said() {
            break true;
        }
        inspected = inspect.said();
        if inspected || ended(pid) {
            break inspected;
        }
    };
    if comes {
        attack();
        hold.release();
        if inspected || inspect.reached(pid) {
            let strays = strays(lab, pid);
            assert!(strays.is_empty(), "{}, step {step}: {strays:#?}", lab.mode.name);
            inspect.release();
        }
    }
    drop((hold, inspect));
    spawning.finish()?.wait().map(drop).map_err(Failure::Parent)
}

/// Trades `/way` for one of the links, or back.
fn swap(lab: &Lab, other: &CStr) {
    let image = File::open(lab.image()).unwrap();
    exchange(Dir::Fd(image.as_fd()), c"way", other).unwrap();
}

/// The number of the first step that knows the image, and of the one that enters it.
fn steps(lab: &Lab, rootfs: &RootFs) -> std::ops::Range<usize> {
    let (_output, write) = std::io::pipe().unwrap();
    let plan = lab.plan(rootfs, "true", write.into());
    position(&plan, "set the umask for mount points")..position(&plan, "enter the new root")
}

#[test]
#[ignore = "mounts as root: `cargo xtask test` runs it in a guest"]
fn the_naive_way_is_led_outside() {
    // The control: what the tests below look for is found when a target is opened as any path is.
    require();
    let mode = modes().into_iter().next().unwrap();
    in_mode(mode, |lab| {
        let rootfs = rootfs(lab);
        own(&lab.dir, 0);
        swap(lab, c"lure");
        let (_output, write) = std::io::pipe().unwrap();
        let mut plan = lab.plan(&rootfs, "true", write.into());
        let enter = position(&plan, "enter the new root");
        let mut inspect = Barrier::before(&mut plan, enter);
        let (tree, target) = (plan.slot().unwrap(), plan.slot().unwrap());
        let path = std::ffi::CString::new(lab.image().join("way/dir").to_str().unwrap()).unwrap();
        let bound = std::ffi::CString::new(lab.dir.join("bound").to_str().unwrap()).unwrap();
        let open = Step::OpenIn {
            dir: At::Cwd,
            path,
            flags: Open::PATH,
            resolve: Resolve::empty(),
            absent: Absent::Fail,
            out: target,
        };
        plan.insert(enter, "attach", Step::MoveMount { from: tree.into(), to: target.into() });
        plan.insert(enter, "open", open);
        let copy = Step::OpenTree { dir: At::Cwd, path: bound, flags: OpenTree::CLONE, out: tree };
        plan.insert(enter, "copy", copy);
        let spawning = lab.start(&plan).unwrap();
        assert!(inspect.reached(spawning.pid()), "{:?}", spawning.finish().err());
        assert_eq!(strays(lab, spawning.pid()).len(), 1);
    });
}

#[test]
#[ignore = "mounts as root: `cargo xtask test` runs it in a guest"]
fn a_swap_at_any_step_leads_nowhere() {
    require();
    for mode in modes() {
        in_mode(mode, |lab| {
            let rootfs = rootfs(lab);
            own(&lab.dir, lab.mode.user.unwrap_or(0));
            for link in [c"lure", c"climb"] {
                let mut started = 0;
                let steps = steps(lab, &rootfs);
                for step in steps.clone() {
                    started += usize::from(held(lab, &rootfs, step, || swap(lab, link)).is_ok());
                    swap(lab, link);
                }
                // One link leads to another place of the image, the other to nothing, and what it names is made in the
                // image: before the first mount both are as good as the directory.
                assert!(started > 0, "{}: no start", lab.mode.name);
            }
        });
    }
}

#[test]
#[ignore = "mounts as root: `cargo xtask test` runs it in a guest"]
fn five_thousand_swaps_at_each_step() {
    require();
    for mode in
        modes().into_iter().filter(|mode| ["plain", "before 5.2", "user namespace"].contains(&mode.name))
    {
        in_mode(mode, |lab| {
            let rootfs = rootfs(lab);
            own(&lab.dir, lab.mode.user.unwrap_or(0));
            let begin = Instant::now();
            let (mut starts, mut refusals) = (0u32, 0u32);
            for step in steps(lab, &rootfs) {
                let (swaps, end) = (AtomicU64::new(0), AtomicBool::new(false));
                std::thread::scope(|scope| {
                    scope.spawn(|| {
                        let image = File::open(lab.image()).unwrap();
                        let mut other = true;
                        while !end.load(Ordering::Relaxed) {
                            // An even number of swaps between the links keeps the way a directory in the end.
                            let link = if other { c"lure" } else { c"climb" };
                            exchange(Dir::Fd(image.as_fd()), c"way", link).unwrap();
                            std::thread::yield_now();
                            exchange(Dir::Fd(image.as_fd()), c"way", link).unwrap();
                            swaps.fetch_add(2, Ordering::Relaxed);
                            other = !other;
                        }
                    });
                    while swaps.load(Ordering::Relaxed) < swaps_wanted() {
                        let result = held(lab, &rootfs, step, || {
                            let until = swaps.load(Ordering::Relaxed) + 10;
                            while swaps.load(Ordering::Relaxed) < until {
                                std::thread::yield_now();
                            }
                        });
                        match result {
                            Ok(()) => starts += 1,
                            Err(_) => refusals += 1,
                        }
                    }
                    end.store(true, Ordering::Relaxed);
                });
            }
            println!("{}: {starts} starts, {refusals} refusals, {:?}", lab.mode.name, begin.elapsed());
            assert!(starts > 0 && refusals > 0, "the attacker never won or never lost");
        });
    }
}
