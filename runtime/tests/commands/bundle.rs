//! A bundle with a busybox in it, a state directory, and what is left of its containers at the end.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const RUNTIME: &str = env!("CARGO_BIN_EXE_cofferdam");

/// A static one: it needs nothing in the root file system but itself.
const BUSYBOX: &str = "/bin/busybox";

/// What has not happened by then never will.
pub(crate) const HANG: Duration = Duration::from_secs(20);

/// See the module.
pub(crate) struct Bundle {
    dir: TempDir,
    id: String,
    /// The config, to be changed before it is written by a command.
    pub(crate) config: Value,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { status: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Its output, once it has ended well.
    #[track_caller]
    pub(crate) fn good(self) -> String {
        assert_eq!(self.status, Some(0), "{self:?}");
        self.stdout
    }

    /// The one line that it ended badly with.
    #[track_caller]
    pub(crate) fn bad(self, status: i32) -> String {
        assert_eq!(self.status, Some(status), "{self:?}");
        let line = self.stderr.trim_end().to_owned();
        assert!(line.starts_with("cofferdam: ") && line.lines().count() == 1, "not one line: {self:?}");
        line
    }
}

impl Bundle {
    /// `None`, with the reason printed, where this user cannot make containers.
    pub(crate) fn new() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        if fs::metadata("/proc/self").map(|meta| std::os::unix::fs::MetadataExt::uid(&meta)).ok() != Some(0) {
            eprintln!("skipped: containers are made on this machine, which takes root");
            return None;
        }
        if !Path::new(BUSYBOX).exists() {
            eprintln!("skipped: {BUSYBOX} (Debian: busybox-static) is what runs in the containers");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let rootfs = dir.path().join("rootfs");
        for name in ["bin", "proc", "dev", "sys", "tmp", "etc", "volume"] {
            fs::create_dir_all(rootfs.join(name)).unwrap();
        }
        fs::copy(BUSYBOX, rootfs.join("bin/busybox")).unwrap();
        for applet in
            ["sh", "true", "false", "cat", "ls", "sleep", "id", "echo", "stat", "mkfifo", "kill", "ps", "tr"]
        {
            symlink("busybox", rootfs.join("bin").join(applet)).unwrap();
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let id = format!("commands-{}-{number}", std::process::id());
        Some(Self { dir, config: config(&id), id })
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// A path in the bundle.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Has the container run a script of `sh`.
    pub(crate) fn script(&mut self, script: &str) -> &mut Self {
        self.config["process"]["args"] = json!(["sh", "-c", script]);
        self
    }

    /// Adds a directory of the host as a volume.
    pub(crate) fn bind(&mut self, source: &Path, destination: &str) {
        fs::create_dir_all(self.path("rootfs").join(destination.trim_start_matches('/'))).unwrap();
        let mount =
            json!({ "destination": destination, "type": "bind", "source": source, "options": ["rbind"] });
        self.config["mounts"].as_array_mut().unwrap().push(mount);
    }

    pub(crate) fn write(&self) {
        fs::write(self.path("config.json"), self.config.to_string()).unwrap();
    }

    /// A command with these words behind the global options; it runs in the bundle.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(RUNTIME);
        command.arg("--root").arg(self.path("state")).args(words).current_dir(self.dir.path());
        command.stdin(Stdio::null()).env_remove("LISTEN_FDS").env_remove("LISTEN_PID");
        command
    }

    pub(crate) fn order(&self, words: &[&str]) -> Ended {
        Ended::of(&self.command(words).output().unwrap())
    }

    /// Writes the config and runs the container to its end.
    pub(crate) fn run(&self) -> Ended {
        self.write();
        self.order(&["run", &self.id])
    }

    /// Writes the config and starts the container. Descriptors of this process are no container's.
    #[track_caller]
    pub(crate) fn start(&self) {
        self.write();
        let log = fs::File::create(self.path("start.log")).unwrap();
        let mut command = self.command(&["run", "--detach", &self.id]);
        let status = command.stdout(log.try_clone().unwrap()).stderr(log).status().unwrap();
        assert!(status.success(), "{}", fs::read_to_string(self.path("start.log")).unwrap());
    }

    /// The state as `state` prints it.
    pub(crate) fn state(&self) -> Value {
        serde_json::from_str(&self.order(&["state", &self.id]).good()).unwrap()
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let ended = self.order(&["delete", "--force", &self.id]);
        if std::thread::panicking() {
            return;
        }
        assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), ""));
        let kept = fs::read_dir(self.path("state")).map_or(0, Iterator::count);
        assert_eq!(kept, 0, "something is left in the state directory");
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let dir = self.dir.path().to_str().unwrap();
        assert!(!mounts.contains(dir), "a mount is left below {dir}");
        let cgroups = cgroups(&self.id);
        assert!(cgroups.is_empty(), "{cgroups:?} are left");
    }
}

/// The cgroups of a container, in every hierarchy.
fn cgroups(id: &str) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let points = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (point, kind) = (words.next()?, words.next()?);
        kind.starts_with("cgroup").then(|| Path::new(point).join("cofferdam").join(id))
    });
    points.filter(|path| path.exists()).collect()
}

/// Whether this run hides a system call that every supported kernel has, and without which `what` cannot be shown.
pub(crate) fn hides(call: &str, what: &str) -> bool {
    let hidden = cofferdam_sys::hidden::by_the_runner(call);
    if hidden {
        eprintln!("skipped: {what} takes {call}, which is hidden here and is in Linux 5.10");
    }
    hidden
}

/// Tries until something is there.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + HANG;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what}: not within {HANG:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A config that is enough, on the host's user and network namespaces.
fn config(id: &str) -> Value {
    json!({
        "ociVersion": "1.2.0",
        "process": {
            "args": ["true"], "cwd": "/", "user": { "uid": 0, "gid": 0 },
            "env": ["PATH=/bin"],
        },
        "root": { "path": "rootfs" },
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] },
            { "destination": "/dev/pts", "type": "devpts", "source": "devpts",
              "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"] },
        ],
        "linux": {
            "cgroupsPath": format!("/cofferdam/{id}"),
            "namespaces": [{ "type": "mount" }, { "type": "pid" }, { "type": "ipc" }, { "type": "uts" }],
        },
    })
}
