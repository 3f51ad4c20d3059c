//! `checkpoint` and `restore`, with a real criu on real kernels.
//!
//! A suite of its own (`--suite checkpoint`): criu comes from the machine outside, and takes seconds under emulation.
//! A network namespace is left out, as criu wants iptables and ip for one.

use crate::bundle::{Bundle, Ended, Layer};
use crate::registry::{Context, OrFail, Result, Test};
use serde_json::json;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

/// What criu asks the kernel about sockets with, and what it tries out at its start.
const MODULES: &[&str] = &[
    "unix_diag",
    "inet_diag",
    "tcp_diag",
    "udp_diag",
    "raw_diag",
    "af_packet_diag",
    "netlink_diag",
    "nf_tables",
    "veth",
    "tun",
];

pub(super) const TESTS: &[Test] = &[
    Test::checkpoint(
        "checkpoint::round-trip",
        "A restored program goes on where it was, with its rights and its limits",
        round_trip,
    )
    .modules(MODULES),
    Test::checkpoint(
        "checkpoint::leave-running",
        "With --pre-dump and --leave-running the program goes on; the later image is restored with the earlier one",
        leave_running,
    )
    .modules(MODULES),
    Test::checkpoint(
        "checkpoint::wider",
        "An image that holds more than the config allows is not restored, and nothing is left of it",
        wider,
    )
    .modules(MODULES),
];

/// Before Linux 5.13 criu cannot ask for restartable sequences: it dumps nothing that uses them, and must not itself.
const NO_RSEQ: (&str, &str) = ("GLIBC_TUNABLES", "glibc.pthread.rseq=0");

/// How long a program may take to count on.
const PATIENCE: Duration = Duration::from_secs(30);

/// A container that counts.
struct Counting {
    bundle: Bundle,
}

impl Counting {
    fn bundle(ctx: &Context, id: &str) -> Bundle {
        let mut bundle = Bundle::hardened(ctx, id);
        bundle
            .peel(Layer::NetworkNamespace)
            .peel(Layer::UserNamespace)
            .peel(Layer::CgroupNamespace)
            .seccomp();
        bundle.list("/process/env").push(json!(format!("{}={}", NO_RSEQ.0, NO_RSEQ.1)));
        bundle.probe(&["count", "/dev/shm/number"]);
        bundle
    }

    fn start(bundle: Bundle) -> Result<Self> {
        bundle.write()?;
        let dir = bundle.dir().to_string_lossy().into_owned();
        let counting = Self { bundle };
        counting.quietly(&["run", "--detach", "--bundle", &dir])?.success()?;
        counting.beyond(2)?;
        Ok(counting)
    }

    /// Gives a command whose standard descriptors become the container's. What it has to say is in the log.
    fn quietly(&self, words: &[&str]) -> Result<Ended> {
        let log = self.path("log").to_string_lossy().into_owned();
        let _ = fs::remove_file(&log);
        let words = [&["--log", &log], words, &[self.bundle.id()]].concat();
        let mut command = self.bundle.command(&words);
        command.env(NO_RSEQ.0, NO_RSEQ.1);
        let status =
            command.stdout(Stdio::null()).stderr(Stdio::null()).status().or_fail("starting the runtime")?;
        let stderr = fs::read_to_string(&log).unwrap_or_default();
        Ok(Ended { status: status.code().unwrap_or(-1), stdout: String::new(), stderr })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.bundle.dir().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_string_lossy().into_owned()
    }

    fn order(&self, words: &[&str]) -> Result<Ended> {
        let mut command = self.bundle.command(&[words, &[self.bundle.id()]].concat());
        let output = command.env(NO_RSEQ.0, NO_RSEQ.1).output().or_fail("starting the runtime")?;
        Ok(Ended::of(&output))
    }

    /// A checkpoint, with criu's log in what is said of a failure.
    fn checkpoint(&self, options: &[&str], image: &str) -> Result {
        let (images, work) = (self.text(image), self.text("work"));
        let words = [&["checkpoint", "--image-path", &images, "--work-path", &work], options].concat();
        let ended = self.order(&words)?;
        ensure!(ended.status == 0, "{ended}; criu: {}", self.log("dump.log"));
        Ok(())
    }

    fn restore(&self, image: &str) -> Result<Ended> {
        let (dir, images, work) = (self.text(""), self.text(image), self.text("work"));
        let folders = ["--bundle", &dir, "--image-path", &images, "--work-path", &work];
        self.quietly(&[&["restore", "--detach"], &folders[..]].concat())
    }

    /// The end of criu's log.
    fn log(&self, name: &str) -> String {
        let text = fs::read_to_string(self.path("work").join(name)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().filter(|line| line.contains("Error")).collect();
        lines.join(" | ")
    }

    fn pid(&self) -> Result<u64> {
        let state: serde_json::Value = serde_json::from_str(&self.order(&["state"])?.success()?.stdout)?;
        crate::bundle::At::at(&state, "pid").as_u64().or_fail("the pid of the state")
    }

    fn number(&self) -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/root/dev/shm/number", self.pid()?))?;
        Ok(text.parse().unwrap_or(0))
    }

    /// Waits until it has counted beyond a number.
    fn beyond(&self, number: u64) -> Result<u64> {
        let end = Instant::now() + PATIENCE;
        loop {
            let found = self.number().unwrap_or(0);
            if found > number {
                return Ok(found);
            }
            ensure!(Instant::now() < end, "it does not count beyond {number}, but is at {found}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// What the kernel says of its rights.
    fn rights(&self) -> Result<Vec<String>> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let names = ["Uid:", "Gid:", "Groups:", "Cap", "NoNewPrivs:", "Seccomp"];
        let told = |line: &&str| names.iter().any(|name| line.starts_with(name));
        Ok(status.lines().filter(told).map(str::to_owned).collect())
    }

    fn delete(self) -> Result {
        let ended = self.order(&["delete", "--force"])?.success()?;
        self.bundle.nothing_left(&ended)
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        // Gone already, mostly.
        let _ = self.order(&["delete", "--force"]);
    }
}

fn round_trip(ctx: &mut Context) -> Result {
    let counting = Counting::start(Counting::bundle(ctx, "round"))?;
    let (rights, mounts) = (counting.rights()?, mounts(counting.pid()?)?);
    let limit = counting.bundle.limit("pids.max")?;
    let before = counting.number()?;
    counting.checkpoint(&[], "image")?;
    let gone = counting.order(&["state"])?;
    ensure!(gone.status != 0, "a container that was checkpointed is there; {gone}");
    counting.bundle.nothing_left(&gone)?;

    let ended = counting.restore("image")?;
    ensure!(ended.status == 0, "{ended}; criu: {}", counting.log("restore.log"));
    ensure!(counting.number()? >= before, "it began again");
    counting.beyond(before + 2)?;
    ensure_eq!(counting.rights()?, rights, "the rights of the restored program");
    ensure_eq!(counting.bundle.limit("pids.max")?, limit, "a limit of the restored program");
    if ctx.own_runtime() {
        // criu may leave one of its own below another.
        let now = self::mounts(counting.pid()?)?;
        let lost: Vec<_> = mounts.iter().filter(|mount| !now.contains(mount)).collect();
        ensure!(lost.is_empty(), "the restored program has not the mounts {lost:?}, but {now:?}");
    }
    // It is a container like any other.
    let exec = counting.bundle.order(&["exec", counting.bundle.id(), "/probe", "exit", "7"])?;
    ensure_eq!(exec.status, 7, "exec in the restored container; {exec}");
    counting.delete()
}

/// Places and options of a process's mounts, sorted.
fn mounts(pid: u64) -> Result<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/mountinfo"))?;
    let place = |line: &str| line.split(' ').skip(4).take(2).collect::<Vec<_>>().join(" ");
    let mut mounts: Vec<String> = text.lines().map(place).collect();
    mounts.sort();
    Ok(mounts)
}

fn leave_running(ctx: &mut Context) -> Result {
    let mut bundle = Counting::bundle(ctx, "leave");
    if ctx.has("mount_setattr")? {
        // criu forgets that its file system is read-only, which is mended by this call.
        bundle.list("/linux/namespaces").push(json!({ "type": "cgroup" }));
    }
    let counting = Counting::start(bundle)?;
    counting.checkpoint(&["--pre-dump"], "first")?;
    counting.beyond(counting.number()?)?;
    counting.checkpoint(&["--leave-running", "--parent-path", "../first"], "second")?;
    let kept = counting.number()?;
    counting.beyond(kept)?;
    let size = |image: &str| -> Result<u64> {
        let pages = fs::read_dir(counting.path(image))?.flatten();
        let pages = pages.filter(|entry| entry.file_name().to_string_lossy().starts_with("pages-"));
        Ok(pages.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum())
    };
    let (first, second) = (size("first")?, size("second")?);
    ensure!(second < first, "the later image has {second} bytes of memory, the earlier one {first}");
    counting.order(&["delete", "--force"])?.success()?;
    let ended = counting.restore("second")?;
    ensure!(ended.status == 0, "{ended}; criu: {}", counting.log("restore.log"));
    counting.beyond(kept)?;
    counting.delete()
}

/// What an image may have more, and the words of the refusal.
type Wider = (&'static str, fn(&mut Bundle) -> &mut Bundle, &'static str);

fn wider(ctx: &mut Context) -> Result {
    if !ctx.own_runtime() {
        skip!("other runtimes restore what an image holds");
    }
    let table: [Wider; 4] = [
        ("caps", |bundle| bundle.peel(Layer::Capabilities), "capabilities: the config does not allow"),
        ("privs", |bundle| bundle.set("/process/noNewPrivileges", json!(false)), "no_new_privs: is not set"),
        ("seccomp", |bundle| bundle.set("/linux/seccomp", json!(null)), "seccomp: no filter is in force"),
        ("ipc", |bundle| bundle.peel(Layer::IpcNamespace), "the ipc namespace: is the host's"),
    ];
    for (id, change, words) in table {
        let mut wide = Counting::bundle(ctx, id);
        change(&mut wide);
        let counting = Counting::start(wide)?;
        counting.checkpoint(&[], "image")?;
        Counting::bundle(ctx, id).write()?;
        let ended = counting.restore("image")?;
        ensure!(ended.status != 0 && ended.stderr.contains(words), "{id}: {ended}");
        counting.bundle.nothing_left(&ended)?;
    }
    Ok(())
}
