//! The other commands: `list`, `ps`, `pause`, `update`, `events`, `spec`, logs, and global options.

use crate::bundle::{At, Bundle};
use crate::registry::{Context, OrFail, Result, Test};
use nix::sys::stat::Mode;
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::time::Duration;

pub(super) const TESTS: &[Test] = &[
    Test::oci("oci::list", "list has every container, as table, JSON and ids", list),
    Test::oci("oci::ps", "ps has the processes of the container", ps),
    Test::oci("oci::pause", "A paused container stands still, and goes on when resumed", pause),
    Test::oci("oci::pause-twice", "What is not paused is not resumed", pause_twice),
    Test::oci("oci::update-flags", "update changes a limit by an option", update_flags)
        .facilities(&["cgroup:pids", "cgroup:memory"]),
    Test::oci(
        "oci::update-resources",
        "update takes resources as JSON from standard input",
        update_resources,
    )
    .facilities(&["cgroup:pids"]),
    Test::oci("oci::events-stats", "events --stats prints what the container uses", events)
        .facilities(&["cgroup:pids"]),
    Test::oci("oci::log-json", "An error is in the log as a line of JSON", log_json),
    Test::oci("oci::log-text", "An error is in the log as a line of text", log_text),
    Test::oci("oci::root", "--root keeps containers apart", root),
    Test::oci("oci::spec", "spec writes a config.json that can be run", spec),
    Test::oci("oci::version", "--version has the lines that engines look for", version),
];

fn list(ctx: &mut Context) -> Result {
    let (mut one, mut two) = (Bundle::hardened(ctx, "list-one"), Bundle::hardened(ctx, "list-two"));
    let first = one.probe(&["sleep", "100"]).create()?;
    let second = two.probe(&["sleep", "100"]).create()?;
    let table = one.order(&["list"])?.success()?.stdout;
    let header: Vec<&str> = table.lines().next().unwrap_or_default().split_whitespace().collect();
    // crun has a NAME where runc has an ID.
    ensure_eq!(header.get(1..), Some(&["PID", "STATUS", "BUNDLE", "CREATED", "OWNER"][..]), "the header");
    ensure!(table.contains("list-one") && table.contains("list-two"), "the table: {table}");
    let ids = one.order(&["list", "--quiet"])?.success()?.stdout;
    ensure_eq!(ids.lines().filter(|id| id.starts_with("list-")).count(), 2, "the ids {ids:?}");
    let all: Value = serde_json::from_str(&one.order(&["list", "--format", "json"])?.success()?.stdout)?;
    let found = all.as_array().into_iter().flatten().find(|state| state.at("id") == "list-two");
    ensure_eq!(found.or_fail("list-two")?.at("status"), "created", "the status in {all}");
    first.delete()?;
    second.delete()
}

fn ps(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "ps");
    let container = bundle.probe(&["sleep", "100"]).create()?;
    let pids: Vec<u64> = serde_json::from_str(&container.must(&["ps", "--format", "json"])?.stdout)?;
    ensure_eq!(pids, [container.pid()?], "the processes");
    container.delete()
}

fn pause(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "pause");
    let volume = ctx.scratch().join("volume");
    let fifo = volume.join("fifo");
    fs::create_dir(&volume)?;
    nix::unistd::mkfifo(&fifo, Mode::from_bits_truncate(0o444))?;
    bundle.bind(&volume, "/data", &["bind", "ro", "nosuid", "nodev", "noexec"]);
    let container = bundle.probe(&["show", "read", "/data/fifo"]).create()?;
    container.must(&["start"])?;
    // Comes back when the container has opened the other end, and so will wait for what is written.
    let mut input = fs::File::options().write(true).open(&fifo)?;
    container.must(&["pause"])?;
    ensure_eq!(container.state()?.at("status"), "paused", "the status");
    input.write_all(b"go on")?;
    drop(input);
    // Nothing tells of what does not happen: one that runs reads at once.
    std::thread::sleep(Duration::from_millis(100));
    ensure_eq!(container.output()?.stdout, "", "the output of a paused container");
    container.must(&["resume"])?;
    ensure_eq!(container.wait_for_step("read")?, "go on", "what it reads then");
    container.wait_until_stopped()?;
    container.delete()
}

fn pause_twice(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "pause-twice");
    let container = bundle.probe(&["sleep", "100"]).create()?;
    container.must(&["start"])?;
    let ended = container.order(&["resume"])?;
    // crun has nothing against it.
    ensure!(!ctx.own_runtime() || ended.status != 0, "a running container was resumed; {ended}");
    ensure_eq!(container.state()?.at("status"), "running", "the status");
    container.delete()
}

fn update_flags(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "update-flags");
    bundle.set("/linux/resources", json!({ "pids": { "limit": 77 }, "memory": { "limit": 64 << 20 } }));
    let container = bundle.probe(&["sleep", "100"]).create()?;
    container.must(&["update", "--pids-limit", "33"])?;
    ensure_eq!(bundle.limit("pids.max")?, "33", "pids.max");
    ensure_eq!(bundle.limit("memory.max")?, (64 << 20).to_string(), "memory.max, which was not named");
    container.must(&["update", "--memory", &(96 << 20).to_string()])?;
    ensure_eq!(bundle.limit("memory.max")?, (96 << 20).to_string(), "memory.max");
    container.delete()
}

fn update_resources(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "update-resources");
    bundle.set("/linux/resources", json!({ "pids": { "limit": 77 } }));
    let container = bundle.probe(&["sleep", "100"]).create()?;
    let mut command = bundle.command(&["update", "--resources", "-", bundle.id()]);
    let mut child = command.stdin(std::process::Stdio::piped()).spawn().or_fail("starting the runtime")?;
    let resources = json!({ "pids": { "limit": 44 } }).to_string();
    child.stdin.take().or_fail("the input")?.write_all(resources.as_bytes())?;
    ensure!(child.wait()?.success(), "update failed");
    ensure_eq!(bundle.limit("pids.max")?, "44", "pids.max");
    container.delete()
}

fn events(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "events-stats");
    let container = bundle.probe(&["sleep", "100"]).create()?;
    let ended = container.order(&["events", "--stats"])?;
    if ended.status != 0 && !ctx.own_runtime() {
        skip!("this runtime has no command events");
    }
    let line: Value = serde_json::from_str(&ended.success()?.stdout)?;
    ensure_eq!(line.at("type"), "stats", "the type");
    ensure_eq!(line.at("id"), bundle.id(), "the id");
    ensure!(line.at("data").at("pids").at("current").as_u64().is_some_and(|pids| pids >= 1), "{line}");
    ensure!(line.at("data").at("cpu").at("usage").at("total").as_u64().is_some(), "{line}");
    container.delete()
}

/// The log of a command that fails.
fn log(ctx: &Context, format: &str) -> Result<String> {
    let bundle = Bundle::hardened(ctx, "log");
    let path = ctx.scratch().join("log").to_string_lossy().into_owned();
    let ended = bundle.order(&["--log", &path, "--log-format", format, "state", "no-such-container"])?;
    ensure!(ended.status != 0, "an unknown container has a state; {ended}");
    Ok(fs::read_to_string(path)?)
}

fn log_json(ctx: &mut Context) -> Result {
    let text = log(ctx, "json")?;
    let last = text.lines().last().or_fail("a line in the log")?;
    let entry: Value = serde_json::from_str(last).or_fail(last)?;
    ensure_eq!(entry.at("level"), "error", "the level in {entry}");
    ensure!(entry.at("msg").as_str().is_some_and(|message| message.contains("no")), "{entry}");
    ensure!(entry.at("time").as_str().is_some_and(|time| time.contains('T')), "{entry}");
    Ok(())
}

fn log_text(ctx: &mut Context) -> Result {
    let text = log(ctx, "text")?;
    ensure!(!text.is_empty(), "the log is empty");
    if ctx.own_runtime() {
        ensure!(text.starts_with("time=\"") && text.contains(" level=error msg=\""), "the log: {text}");
    }
    Ok(())
}

fn root(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "root");
    bundle.probe(&["sleep", "100"]).write()?;
    let (root, dir) = (ctx.scratch().join("elsewhere"), bundle.dir().to_string_lossy().into_owned());
    let root = root.to_string_lossy().into_owned();
    let mut command = bundle.command(&["--root", &root, "create", "--bundle", &dir, bundle.id()]);
    let null = || std::process::Stdio::null();
    ensure!(command.stdout(null()).stderr(null()).status()?.success(), "create failed");
    let here = bundle.order(&["--root", &root, "state", bundle.id()])?.success()?;
    let elsewhere = bundle.order(&["state", bundle.id()])?;
    let ended = bundle.order(&["--root", &root, "delete", "--force", bundle.id()])?.success()?;
    ensure!(here.stdout.contains("created"), "the state; {here}");
    ensure!(elsewhere.status != 0, "it is known without --root; {elsewhere}");
    ensure!(fs::read_dir(&root)?.next().is_none(), "something is left in {root}");
    bundle.nothing_left(&ended)
}

fn spec(ctx: &mut Context) -> Result {
    let bundle = Bundle::hardened(ctx, "spec");
    fs::create_dir_all(bundle.dir())?;
    bundle.order(&["spec", "--bundle", &bundle.dir().to_string_lossy()])?.success()?;
    let config: Value = serde_json::from_str(&fs::read_to_string(bundle.dir().join("config.json"))?)?;
    ensure_eq!(config.at("process").at("terminal"), true, "process.terminal");
    ensure_eq!(config.at("process").at("args"), json!(["sh"]), "process.args");
    let caps = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    ensure_eq!(config.at("process").at("capabilities").at("bounding"), caps, "the bounding set");
    ensure_eq!(config.at("root"), json!({ "path": "rootfs", "readonly": true }), "root");
    Ok(())
}

fn version(ctx: &mut Context) -> Result {
    let bundle = Bundle::hardened(ctx, "version");
    let text = bundle.order(&["--version"])?.success()?.stdout;
    let mut lines = text.lines();
    ensure!(lines.next().is_some_and(|line| line.contains(" version ")), "{text}");
    ensure!(text.lines().any(|line| line.starts_with("commit: ")), "{text}");
    ensure!(text.lines().any(|line| line.starts_with("spec: 1.")), "{text}");
    Ok(())
}
