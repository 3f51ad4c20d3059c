//! A host to experiment on: a mount namespace of the test's own, shared as on a usual machine.
//!
//! A test of isolation has to be harmless when isolation fails. So: its `/dev` has nodes of its own (a
//! container that can change the mask of a file changes a node); nothing of the machine is ever a source
//! of a bind; and files are removed only after the namespace is gone, from where none of its mounts can
//! be seen, since a mount that leaked into the image would lead the removal into its source.

use std::ffi::CString;
use std::fs;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use cofferdam_mountfs::{Api, Host, RootFs};
use cofferdam_sys::clone::{Namespaces, unshare};
use cofferdam_sys::mount::{MountFlags, mount};
use cofferdam_sys::open::{chmodat, mknodat};
use cofferdam_sys::plan::{At, Exec, Plan, Step};
use cofferdam_sys::process::Exit;
use cofferdam_sys::spawn::{Failure, Request, Spawning, spawn};

const BUSYBOX: &str = "/bin/busybox";

/// The programs of the image.
const APPLETS: [&str; 16] = [
    "sh", "cat", "ls", "touch", "mkdir", "mount", "umount", "awk", "chmod", "stat", "readlink", "sort", "tr",
    "id", "dd", "grep",
];

/// How a container is started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mode {
    pub(crate) name: &'static str,
    pub(crate) host: Host,
    /// The first host id of the user namespace's 65536, if there is one.
    pub(crate) user: Option<u32>,
}

impl Mode {
    /// Whether it is without `mount_setattr(2)`.
    pub(crate) fn is_old(&self) -> bool {
        self.host.api() < Api::Setattr
    }
}

/// Each way to mount, with and without a user namespace.
pub(crate) fn modes() -> Vec<Mode> {
    let host = Host::probe().unwrap();
    let mode = |name, host, user| Mode { name, host, user };
    let old = host.at_most(Api::Fsmount).without_statmount();
    let oldest = host.at_most(Api::Mount).without_statmount();
    vec![
        mode("plain", host, None),
        mode("without statmount", host.without_statmount(), None),
        mode("before 5.12", old, None),
        mode("before 5.2", oldest, None),
        mode("by path", host.without_detached_trees(), None),
        mode("before 5.12, by path", old.without_detached_trees(), None),
        mode("user namespace", host, Some(100_000)),
        mode("user namespace, before 5.12", old, Some(100_000)),
        // Without detached trees the child itself must be able to reach the image.
        mode("user namespace, by path", host.without_detached_trees(), Some(0)),
        mode("user namespace, before 5.12, by path", old.without_detached_trees(), Some(0)),
        mode("user namespace, before 5.2", oldest, Some(0)),
    ]
}

/// An image in a directory of its own, and what a container said.
pub(crate) struct Lab {
    pub(crate) dir: PathBuf,
    pub(crate) mode: Mode,
}

impl Lab {
    /// The image's directory.
    pub(crate) fn image(&self) -> PathBuf {
        self.dir.join("image")
    }

    /// The image as a root filesystem with nothing in it.
    pub(crate) fn rootfs(&self) -> RootFs {
        let mut rootfs = RootFs::new(self.image());
        rootfs.user_namespace = self.mode.user.is_some();
        rootfs
    }

    /// Makes a file with its directories.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.dir.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn link(&self, path: &str, to: &str) {
        symlink(to, self.dir.join(path)).unwrap();
    }

    /// Runs a script in the container; its output and end.
    pub(crate) fn run(&self, rootfs: &RootFs, script: &str) -> Result<(String, Exit), Failure> {
        self.run_with(rootfs, script, |_| {})
    }

    /// The same with a plan that was disturbed.
    pub(crate) fn run_with(
        &self,
        rootfs: &RootFs,
        script: &str,
        disturb: impl FnOnce(&mut Plan),
    ) -> Result<(String, Exit), Failure> {
        own(&self.dir, self.mode.user.unwrap_or(0));
        let (mut read, write) = std::io::pipe().unwrap();
        let mut plan = self.plan(rootfs, script, write.into());
        disturb(&mut plan);
        let child = self.start(&plan)?.finish()?;
        drop(plan);
        let mut output = String::new();
        read.read_to_string(&mut output).unwrap();
        Ok((output, child.wait().unwrap()))
    }

    /// The steps of a container that runs a script.
    pub(crate) fn plan(&self, rootfs: &RootFs, script: &str, output: OwnedFd) -> Plan {
        let text = |text: &str| CString::new(text).unwrap();
        let exec = Exec {
            candidates: vec![text("/bin/sh")],
            args: ["sh", "-c", script].map(text).into(),
            env: vec![text("PATH=/bin")],
        };
        let mut plan = Plan::new(exec);
        plan.push("standard output", Step::Duplicate { from: At::from(output.try_clone().unwrap()), to: 1 });
        plan.push("standard error", Step::Duplicate { from: At::from(output), to: 2 });
        plan.push("wait for the id maps", Step::WaitForParent);
        if self.mode.user.is_some() {
            plan.push("be root's group", Step::Gid(0));
            plan.push("be root", Step::Uid(0));
        }
        rootfs.prepare(&self.mode.host).unwrap().lower(&mut plan).unwrap();
        plan
    }

    /// Starts a child that walks the plan.
    pub(crate) fn start<'plan>(&self, plan: &'plan Plan) -> Result<Spawning<'plan>, Failure> {
        let mut namespaces = Namespaces::MOUNT | Namespaces::PID | Namespaces::IPC | Namespaces::NET;
        namespaces |= Namespaces::CGROUP | Namespaces::UTS;
        if self.mode.user.is_some() {
            namespaces |= Namespaces::USER;
        }
        let mut spawning = spawn(plan, &Request { namespaces, ..Request::default() }).unwrap();
        if let Some(first) = self.mode.user {
            for map in ["uid_map", "gid_map"] {
                fs::write(format!("/proc/{}/{map}", spawning.pid()), format!("0 {first} 65536")).unwrap();
            }
        }
        spawning.release()?;
        Ok(spawning)
    }

    /// Runs a script that must succeed; its output.
    pub(crate) fn output(&self, rootfs: &RootFs, script: &str) -> String {
        let (output, exit) = self.run(rootfs, script).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(exit, Exit::Code(0), "{}: {output}", self.mode.name);
        output
    }
}

/// Runs a check in each mode, on a host of its own that must be the same afterwards.
pub(crate) fn in_each_mode(check: fn(&Lab)) {
    require();
    for mode in modes() {
        in_mode(mode, check);
    }
}

/// One at a time: a child that another test has just cloned holds a copy of every descriptor, and a
/// program that is open for writing anywhere cannot be executed.
static ONE: Mutex<()> = Mutex::new(());

/// Runs a check in one mode.
pub(crate) fn in_mode(mode: Mode, check: fn(&Lab)) {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    println!("mode: {}", mode.name);
    // Made and removed outside the namespace below: a mount that a broken plan left in it must never be
    // what is removed.
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let lab = Lab { dir: dir.path().to_owned(), mode };
    // A mount namespace is a thread's own, and ends with it.
    let done = std::thread::spawn(move || {
        enter_own_host();
        make_image(&lab);
        let before = mounts();
        check(&lab);
        assert_eq!(before, mounts(), "{}: the host's mounts have changed", mode.name);
    });
    let done = done.join();
    let leaked = fs::read_to_string("/proc/self/mountinfo").unwrap().contains(dir.path().to_str().unwrap());
    if leaked {
        let kept = dir.keep();
        panic!("{}: mounts of the test are on the machine, below {}", mode.name, kept.display());
    }
    if let Err(panic) = done {
        eprintln!("failed in mode: {}", mode.name);
        std::panic::resume_unwind(panic);
    }
}

/// Leaves the machine's mounts: nothing goes back to them, and `/dev` is replaced.
fn enter_own_host() {
    unshare(Namespaces::MOUNT).unwrap();
    let propagation = |flags| mount(None, c"/", None, MountFlags::REC | flags, None).unwrap();
    propagation(MountFlags::PRIVATE);
    mount(Some(c"none"), c"/dev", Some(c"tmpfs"), MountFlags::empty(), Some(c"mode=755")).unwrap();
    let dev = fs::File::open("/dev").unwrap();
    let nodes = [(c"null", 1, 3), (c"zero", 1, 5), (c"full", 1, 7), (c"random", 1, 8), (c"urandom", 1, 9)];
    for (name, major, minor) in nodes.into_iter().chain([(c"tty", 5, 0)]) {
        mknodat(dev.as_fd().into(), name, CHARACTER_DEVICE, major, minor).unwrap();
        chmodat(dev.as_fd().into(), name, 0o666).unwrap();
    }
    mknodat(dev.as_fd().into(), c"loop-control", CHARACTER_DEVICE | 0o600, 10, 237).unwrap();
    for number in 0..64 {
        let name = CString::new(format!("loop{number}")).unwrap();
        mknodat(dev.as_fd().into(), &name, BLOCK_DEVICE | 0o600, 7, number).unwrap();
    }
    propagation(MountFlags::SHARED);
}

/// `S_IFBLK`.
const BLOCK_DEVICE: u32 = 0o060_000;

/// `S_IFCHR`.
const CHARACTER_DEVICE: u32 = 0o020_000;

/// Fails where the tests cannot run: whoever asks for them gets them or a reason.
pub(crate) fn require() {
    let root = fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    assert!(root, "needs root, best in a guest: cargo xtask test");
    assert!(Path::new(BUSYBOX).exists(), "needs {BUSYBOX} (package busybox-static)");
}

/// The mounts of this thread's namespace.
pub(crate) fn mounts() -> Vec<String> {
    let text = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    text.lines().map(str::to_owned).collect()
}

fn make_image(lab: &Lab) {
    lab.write("image/etc/hostname", "lab\n");
    fs::create_dir_all(lab.image().join("bin")).unwrap();
    fs::copy(BUSYBOX, lab.image().join("bin/busybox")).unwrap();
    for applet in APPLETS {
        lab.link(&format!("image/bin/{applet}"), "busybox");
    }
}

/// Gives everything to the container's root; does not cross into other file systems.
pub(crate) fn own(path: &Path, id: u32) {
    use std::os::unix::fs::MetadataExt;
    lchown(path, Some(id), Some(id)).unwrap();
    if path.is_symlink() || !path.is_dir() {
        return;
    }
    let device = fs::metadata(path).unwrap().dev();
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        if entry.metadata().unwrap().dev() == device {
            own(&entry.path(), id);
        }
    }
}
