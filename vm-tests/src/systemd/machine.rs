//! A systemd that a case boots, and commands in its world.
//!
//! ```text
//! case ─▶ guest systemd CGROUP         makes namespaces, forks
//!         └▶ guest systemd-init …      process 1: enters the cgroup, mounts /proc, /run, /sys/fs/cgroup of its own, becomes
//!                                      systemd
//! case ─▶ guest systemd-join PID …     enters a cgroup there and the namespaces, forks
//!         └▶ the command
//! ```

use super::units;
use crate::bundle::Ended;
use crate::guest::paths;
use crate::registry::{OrFail, Result};
use cofferdam_cgroup::{Cgroup, Hierarchy};
use cofferdam_sys::clone::{Namespaces, setns, unshare};
use cofferdam_sys::process::pidfd_open;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::time::Duration;
use std::{fs, io};

const SYSTEMD: &str = "/usr/lib/systemd/systemd";

/// The name of its part of the cgroup tree, as seen from outside.
const PART: &str = "systemd";

/// The cgroup in it from which commands are given, as from a user's session.
pub(super) const SESSION: &str = "session";

/// Where the `/run` of a systemd is put together.
const NEW: &str = "/mnt/run";

const NONE: Option<&str> = None;

/// A systemd that is up. It and all that it has made are gone when this is dropped.
#[derive(Debug)]
pub(super) struct Machine {
    process: Child,
    /// Its process 1, as the case numbers it.
    pid: String,
    part: Cgroup,
}

impl Machine {
    /// Boots one and waits until it says that it is up.
    pub(super) fn boot() -> Result<Self> {
        let root = Cgroup::root(&Hierarchy::detect()?)?;
        let part = Cgroup::create(&root, PART)?;
        // What systemd is to be told by, where sd_notify(3) looks for it.
        let socket = Path::new(paths::SCRATCH).join("notify");
        let told = std::os::unix::net::UnixDatagram::bind(&socket).or_fail("the socket for news")?;
        told.set_read_timeout(Some(Duration::from_mins(1)))?;
        let mut command = Command::new(paths::INIT);
        command.args(["systemd", PART]).stdin(Stdio::null()).env("NOTIFY_SOCKET", &socket);
        let process = command.spawn().or_fail("starting systemd")?;
        let mut machine = Self { process, pid: String::new(), part };
        let mut text = [0; 4096];
        loop {
            let count = told.recv(&mut text).or_fail("waiting for systemd")?;
            let text = String::from_utf8_lossy(text.get(..count).unwrap_or_default()).into_owned();
            if text.lines().any(|line| line == "READY=1") {
                break;
            }
        }
        let children = format!("/proc/{0}/task/{0}/children", machine.process.id());
        fs::read_to_string(children)?.trim().clone_into(&mut machine.pid);
        Ok(machine)
    }

    /// A command there, given by this user.
    pub(super) fn command(&self, user: u32, words: &[&str]) -> Command {
        let mut command = Command::new(paths::INIT);
        command.args(["systemd-join", &self.pid, SESSION, &user.to_string()]).args(words);
        command.env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
        command
    }

    /// Runs a command of root's to its end.
    pub(super) fn order(&self, words: &[&str]) -> Result<Ended> {
        to_end(self.command(0, words))
    }

    /// The runtime with the option for systemd.
    pub(super) fn runtime(&self, words: &[&str]) -> Result<Ended> {
        self.order(&[&[paths::RUNTIME, "--systemd-cgroup"], words].concat())
    }

    /// A property of a unit as `systemctl show` prints it.
    pub(super) fn property(&self, unit: &str, name: &str) -> Result<String> {
        let words = ["/usr/bin/systemctl", "show", "--value", "--property", name, unit];
        Ok(self.order(&words)?.success()?.stdout.trim_end().to_owned())
    }

    /// Takes systemd's own socket away while something is done, for which only the bus is left then.
    pub(super) fn by_bus<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let path = format!("/proc/{}/root/run/systemd/private", self.pid);
        let hidden = format!("{path}.hidden");
        fs::rename(&path, &hidden).or_fail(format_args!("{path}"))?;
        let done = work();
        fs::rename(&hidden, &path).or_fail(format_args!("{hidden}"))?;
        done
    }

    /// A path in the cgroup tree as systemd sees it, from here.
    pub(super) fn cgroup(path: &str) -> std::path::PathBuf {
        Path::new("/sys/fs/cgroup").join(PART).join(path)
    }

    /// The units of a pattern that systemd has in memory.
    pub(super) fn units(&self, pattern: &str) -> Result<Vec<String>> {
        let words = ["/usr/bin/systemctl", "list-units", "--all", "--plain", "--no-legend", pattern];
        let text = self.order(&words)?.success()?.stdout;
        Ok(text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Its process 1 ends with whom it was forked by, and with it all that is in the namespace.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = self.part.kill();
        let _ = self.part.wait_empty(Duration::from_secs(10));
        let _ = Cgroup::root(&Hierarchy::detect().unwrap_or(Hierarchy::None))
            .and_then(|root| root.child(PART))
            .and_then(Cgroup::delete);
    }
}

/// Runs a command to its end. A container that it starts has its output, which is a file for that reason.
pub(super) fn to_end(mut command: Command) -> Result<Ended> {
    let file = |name: &str| {
        let path = Path::new(paths::SCRATCH).join(name);
        // A new one each time: an older one may be a container's.
        let _ = fs::remove_file(&path);
        fs::File::create_new(&path).map(|file| (path, file))
    };
    let ((stdout, out), (stderr, err)) = (file("stdout")?, file("stderr")?);
    let status = command.stdout(out).stderr(err).status().or_fail(format_args!("{command:?}"))?;
    let read = |path| fs::read(path);
    Ok(Ended::of(&Output { status, stdout: read(stdout)?, stderr: read(stderr)? }))
}

/// What the namespaces of a machine are.
fn namespaces() -> Namespaces {
    Namespaces::MOUNT | Namespaces::PID | Namespaces::CGROUP | Namespaces::UTS | Namespaces::IPC
}

/// `guest systemd CGROUP`: the parent of systemd, and what ends it.
pub fn begin(cgroup: &str) -> ExitCode {
    let begun = || -> io::Result<i32> {
        unshare(namespaces().difference(Namespaces::CGROUP))?;
        let mut child = Command::new(paths::INIT);
        let status = child.args(["systemd-init", cgroup]).status()?;
        Ok(status.code().unwrap_or(1))
    };
    end("boot systemd", begun())
}

/// `guest systemd-init CGROUP`: becomes systemd.
pub fn init(cgroup: &str) -> ExitCode {
    let failed = || -> io::Result<i32> {
        // Nobody else is in it, or systemd could not give its controllers to those below.
        fs::write(Path::new("/sys/fs/cgroup").join(cgroup).join("cgroup.procs"), "0")?;
        unshare(Namespaces::CGROUP)?;
        cofferdam_sys::process::set_parent_death_signal(9)?;
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)?;
        mount(Some("proc"), "/proc", Some("proc"), flags, NONE)?;
        umount2("/sys/fs/cgroup", MntFlags::MNT_DETACH)?;
        mount(
            Some("cgroup2"),
            "/sys/fs/cgroup",
            Some("cgroup2"),
            flags,
            Some("nsdelegate,memory_recursiveprot"),
        )?;
        // A /run of its own, in which the case's directory is where it was.
        let scratch = format!("{NEW}/{}", paths::SCRATCH.trim_start_matches("/run/"));
        fs::create_dir_all(NEW)?;
        mount(Some("tmpfs"), NEW, Some("tmpfs"), flags, Some("mode=755"))?;
        fs::create_dir_all(&scratch)?;
        mount(Some(paths::SCRATCH), scratch.as_str(), NONE, MsFlags::MS_BIND, NONE)?;
        mount(Some(NEW), "/run", NONE, MsFlags::MS_MOVE, NONE)?;
        write_units()?;
        mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_SHARED, NONE)?;
        let mut systemd = Command::new(SYSTEMD);
        systemd.args(["--system", "--log-target=console", "--log-level=notice", "--show-status=no"]);
        systemd.env_clear().env("container", "lab").env("SYSTEMD_UNIT_PATH", units::PATH);
        if let Some(socket) = std::env::var_os("NOTIFY_SOCKET") {
            systemd.env("NOTIFY_SOCKET", socket);
        }
        Err(systemd.exec())
    };
    end("become systemd", failed())
}

fn write_units() -> io::Result<()> {
    for (folder, list) in [(units::FOLDER, units::MACHINE), (units::FOLDER_OF_USER, units::OF_USER)] {
        fs::create_dir(folder)?;
        for (name, text) in list {
            fs::write(Path::new(folder).join(name), text)?;
        }
    }
    fs::create_dir_all("/run/user")?;
    let own = format!("/run/user/{}", units::USER);
    fs::DirBuilder::new().mode(0o700).create(&own)?;
    std::os::unix::fs::chown(&own, Some(units::USER), Some(units::USER))?;
    fs::create_dir_all("/etc")?;
    let users = format!("root:x:0:0::/:/bin/sh\nuser:x:{0}:{0}::/:/bin/sh\n", units::USER);
    fs::write("/run/passwd", users)?;
    fs::write("/run/group", format!("root:x:0:\nuser:x:{}:\n", units::USER))?;
    for name in ["passwd", "group"] {
        let target = format!("/etc/{name}");
        fs::OpenOptions::new().create(true).append(true).open(&target)?;
        mount(Some(format!("/run/{name}").as_str()), target.as_str(), NONE, MsFlags::MS_BIND, NONE)?;
    }
    Ok(())
}

/// `guest systemd-join PID CGROUP USER WORDS…`: a command in the world of a systemd, from a cgroup there.
pub fn join(pid: &str, cgroup: &str, user: &str, words: &[&str]) -> ExitCode {
    let joined = || -> io::Result<i32> {
        let number = |text: &str| text.parse().map_err(io::Error::other);
        let session = Machine::cgroup(cgroup);
        match fs::create_dir(&session) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => fs::write(session.join("cgroup.procs"), "0")?,
        }
        let pidfd = pidfd_open(number(pid)?)?;
        setns(pidfd.as_fd(), namespaces())?;
        let (program, rest) = words.split_first().ok_or_else(|| io::Error::other("no command is given"))?;
        let user = u32::try_from(number(user)?).map_err(io::Error::other)?;
        let status = Command::new(program).args(rest).uid(user).gid(user).current_dir("/").status()?;
        Ok(status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1))
    };
    end(&format!("{words:?}"), joined())
}

fn end(what: &str, result: io::Result<i32>) -> ExitCode {
    match result {
        Ok(status) => ExitCode::from(u8::try_from(status).unwrap_or(1)),
        Err(error) => {
            eprintln!("guest: {what}: {error}");
            ExitCode::FAILURE
        }
    }
}
