//! The floor: the bench's container made by bare system calls, with nothing read, checked or kept.
//!
//! No runtime can be quicker with the same namespaces and mounts: this is what the kernel takes.

use std::ffi::{CStr, CString};
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use cofferdam_sys::clone::Namespaces;
use cofferdam_sys::mount;
use cofferdam_sys::mount::{MountAttrs, MountFlags, OpenTree, Unmount};
use cofferdam_sys::open::{Dir, Open, Resolve};
use cofferdam_sys::plan::{Absent, At, Exec, PathIn, Plan, Slot, Step};
use cofferdam_sys::process::Exit;
use cofferdam_sys::spawn::{Request, spawn};

const CGROUP: &str = "/sys/fs/cgroup";

const MASKED: [&CStr; 10] = [
    c"proc/acpi",
    c"proc/asound",
    c"proc/kcore",
    c"proc/keys",
    c"proc/latency_stats",
    c"proc/timer_list",
    c"proc/timer_stats",
    c"proc/sched_debug",
    c"sys/firmware",
    c"proc/scsi",
];

const READONLY: [&CStr; 5] = [c"proc/bus", c"proc/fs", c"proc/irq", c"proc/sys", c"proc/sysrq-trigger"];

/// Prints the microseconds of each run, a line each; one run before them is not counted.
pub(super) fn print(runs: &str, root: &str) -> Result<()> {
    let runs: u32 = runs.parse().context("read the number of runs")?;
    once(root)?;
    for _ in 0..runs {
        let started = Instant::now();
        once(root)?;
        println!("{}", started.elapsed().as_micros());
    }
    Ok(())
}

fn once(root: &str) -> Result<()> {
    let unified = Path::new(CGROUP).join("cgroup.procs").exists();
    let path = Path::new(CGROUP).join(format!("floor-{}", std::process::id()));
    if unified {
        fs::create_dir(&path).context("make the cgroup")?;
    }
    let ran = container(root, unified.then_some(path.as_path()));
    if unified {
        fs::remove_dir(&path).context("remove the cgroup")?;
    }
    ran
}

fn container(root: &str, cgroup: Option<&Path>) -> Result<()> {
    let cgroup: Option<OwnedFd> = cgroup.map(fs::File::open).transpose()?.map(OwnedFd::from);
    let plan = plan(root)?;
    let namespaces =
        Namespaces::PID | Namespaces::NET | Namespaces::IPC | Namespaces::UTS | Namespaces::MOUNT;
    let request = Request { namespaces, cgroup: cgroup.as_ref().map(AsFd::as_fd), ..Request::default() };
    let child = spawn(&plan, &request)?.finish()?;
    match child.wait()? {
        Exit::Code(0) => Ok(()),
        other => bail!("the program ended with {other:?}"),
    }
}

/// A plan under way: the root's slot, and the steps' words.
struct Making {
    plan: Plan,
    root: Slot,
}

fn plan(root: &str) -> Result<Plan> {
    let source = CString::new(root)?;
    let tree = mount::open_tree(Dir::Cwd, &source, OpenTree::CLONE)?;
    let exec = Exec {
        candidates: vec![c"/bin/bare".to_owned()],
        args: vec![c"bare".to_owned(), c"true".to_owned()],
        env: vec![],
    };
    let mut plan = Plan::new(exec);
    let [target, attached] = [plan.slot()?, plan.slot()?];
    let mut push = |step| plan.push("floor", step);
    push(Step::Unshare(Namespaces::CGROUP));
    push(Step::HostName(b"bench".to_vec()));
    push(Step::Propagation { path: c"/".to_owned(), flags: MountFlags::PRIVATE | MountFlags::REC });
    push(open_in(At::Cwd, &source, Absent::Fail, target));
    push(Step::MoveMount { from: tree.into(), to: target.into() });
    push(open_in(At::Cwd, &source, Absent::Fail, attached));
    let mut making = Making { plan, root: attached };
    making.file_system(c"proc", c"proc", MountAttrs::empty(), &[])?;
    let nosuid = MountAttrs::NOSUID;
    let strict = nosuid | MountAttrs::NOEXEC | MountAttrs::NODEV;
    making.file_system(c"tmpfs", c"dev", nosuid, &[(c"mode", c"755"), (c"size", c"65536k")])?;
    for name in [&b"dev/pts"[..], b"dev/shm", b"dev/mqueue"] {
        let root = At::Slot(making.root);
        let path = PathIn::new(name).context("cut a path")?;
        let out = making.plan.slot()?;
        making.plan.push("floor", Step::EnsureDir { root, path, out });
    }
    let pts = [(c"ptmxmode", c"0666"), (c"mode", c"0620"), (c"gid", c"5")];
    making.file_system(c"devpts", c"dev/pts", nosuid | MountAttrs::NOEXEC, &pts)?;
    making.file_system(c"tmpfs", c"dev/shm", strict, &[(c"mode", c"1777"), (c"size", c"65536k")])?;
    making.file_system(c"mqueue", c"dev/mqueue", strict, &[])?;
    making.file_system(c"sysfs", c"sys", strict | MountAttrs::RDONLY, &[])?;
    making.file_system(c"cgroup2", c"sys/fs/cgroup", strict | MountAttrs::RDONLY, &[])?;
    making.devices()?;
    making.masks()?;
    making.readonly()?;
    let Making { mut plan, root } = making;
    plan.push("floor", Step::ChangeDirectoryTo(root.into()));
    plan.push("floor", Step::PivotRoot);
    plan.push("floor", Step::Unmount { path: c".".to_owned(), flags: Unmount::DETACH });
    plan.push("floor", Step::NoNewPrivileges);
    Ok(plan)
}

fn open_in(dir: At, path: &CStr, absent: Absent, out: Slot) -> Step {
    Step::OpenIn { dir, path: path.to_owned(), flags: Open::PATH, resolve: Resolve::empty(), absent, out }
}

impl Making {
    fn push(&mut self, step: Step) {
        self.plan.push("floor", step);
    }

    fn file_system(
        &mut self,
        kind: &CStr,
        target: &CStr,
        attrs: MountAttrs,
        options: &[(&CStr, &CStr)],
    ) -> Result<()> {
        let [context, mounted, place] = [self.plan.slot()?, self.plan.slot()?, self.plan.slot()?];
        self.push(Step::FsOpen { fstype: kind.to_owned(), out: context });
        for (key, value) in options {
            self.push(Step::FsString { context, key: (*key).to_owned(), value: (*value).to_owned() });
        }
        self.push(Step::FsMount { context, attrs, out: mounted });
        self.push(open_in(self.root.into(), target, Absent::Fail, place));
        self.push(Step::MoveMount { from: mounted.into(), to: place.into() });
        Ok(())
    }

    fn devices(&mut self) -> Result<()> {
        let dev = self.plan.slot()?;
        self.push(open_in(self.root.into(), c"dev", Absent::Fail, dev));
        for (name, minor) in [(c"null", 3), (c"zero", 5), (c"full", 7), (c"random", 8), (c"urandom", 9)] {
            self.node(dev, name, 1, minor);
        }
        self.node(dev, c"tty", 5, 0);
        for (name, target) in [
            (c"fd", c"/proc/self/fd"),
            (c"stdin", c"/proc/self/fd/0"),
            (c"stdout", c"/proc/self/fd/1"),
            (c"stderr", c"/proc/self/fd/2"),
        ] {
            self.push(Step::Symlink { dir: dev.into(), name: name.to_owned(), target: target.to_owned() });
        }
        Ok(())
    }

    fn node(&mut self, dev: Slot, name: &CStr, major: u32, minor: u32) {
        const MODE: u32 = 0o020_666;
        let dir = At::Slot(dev);
        self.push(Step::Device { dir, name: name.to_owned(), mode: MODE, major, minor, uid: 0, gid: 0 });
    }

    /// Masks: a file that reads as empty, or a directory that holds nothing.
    fn masks(&mut self) -> Result<()> {
        for path in MASKED {
            let [place, file, context, dir] = [(); 4].map(|()| self.plan.slot());
            let (place, file, context, dir) = (place?, file?, context?, dir?);
            self.push(open_in(self.root.into(), path, Absent::Skip(7), place));
            self.push(Step::SkipIfDirectory { fd: place.into(), skip: 3 });
            let (null, flags) = (c"dev/null".to_owned(), OpenTree::CLONE);
            self.push(Step::OpenTree { dir: self.root.into(), path: null, flags, out: file });
            self.push(Step::MoveMount { from: file.into(), to: place.into() });
            self.push(Step::Skip(3));
            self.push(Step::FsOpen { fstype: c"tmpfs".to_owned(), out: context });
            self.push(Step::FsMount { context, attrs: MountAttrs::RDONLY, out: dir });
            self.push(Step::MoveMount { from: dir.into(), to: place.into() });
        }
        Ok(())
    }

    fn readonly(&mut self) -> Result<()> {
        for path in READONLY {
            let [place, cover] = [self.plan.slot()?, self.plan.slot()?];
            self.push(open_in(self.root.into(), path, Absent::Skip(3), place));
            let flags = OpenTree::CLONE | OpenTree::EMPTY_PATH;
            self.push(Step::OpenTree { dir: place.into(), path: c"".to_owned(), flags, out: cover });
            let (set, propagation) = (MountAttrs::RDONLY, MountFlags::empty());
            self.push(Step::SetAttributes {
                mount: cover.into(),
                recursive: false,
                set,
                clear: 0,
                propagation,
            });
            self.push(Step::MoveMount { from: cover.into(), to: place.into() });
        }
        Ok(())
    }
}
