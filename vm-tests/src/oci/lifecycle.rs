//! `create`, `start`, `state`, `kill`, `delete`: one container by single commands.

use crate::bundle::{At, Bundle};
use crate::registry::{Context, OrFail, Result, Test};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

pub(super) const TESTS: &[Test] = &[
    Test::oci("oci::create-start", "created, running, stopped: the program runs after start only", steps),
    Test::oci("oci::create-pid-file", "--pid-file has the number of the state, without a newline", pid_file),
    Test::oci(
        "oci::create-id-in-use",
        "An id in use is refused, and the container that has it lives",
        in_use,
    ),
    Test::oci("oci::create-state", "The state has the fields of the specification", fields),
    Test::oci(
        "oci::create-bundle-changed",
        "What happens to the bundle after create does not matter",
        changed,
    ),
    Test::oci("oci::create-absent-program", "A program that does not exist fails create or start", absent),
    Test::oci("oci::start-twice", "A container that runs or has ended is not started again", twice),
    Test::oci("oci::start-unknown", "Commands on an unknown id fail with a line", unknown),
    Test::oci("oci::kill", "A signal by number, name or name with SIG arrives", kill),
    Test::oci("oci::kill-created", "A container that was not started can be killed", kill_created),
    Test::oci("oci::kill-stopped", "A container that has ended cannot be killed", kill_stopped),
    Test::oci("oci::kill-unknown-signal", "An unknown signal is refused and does no harm", kill_unknown),
    Test::oci("oci::delete-running", "A container that runs is deleted by force only", delete_running),
    Test::oci("oci::delete-created", "A container that was not started is deleted by force", delete_created),
    Test::oci(
        "oci::delete-absent",
        "delete --force of an unknown id succeeds, delete does not",
        delete_absent,
    ),
    Test::oci("oci::run-detach", "run --detach comes back once the program runs", detach),
];

fn steps(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "steps");
    bundle.probe(&["show", "args", "+", "sleep", "100"]);
    let container = bundle.create()?;
    let state = container.state()?;
    ensure_eq!(state.at("status"), "created", "the status after create; {state}");
    let pid = container.pid()?;
    ensure!(Path::new(&format!("/proc/{pid}")).exists(), "process {pid} is not there");
    ensure_eq!(container.output()?.stdout, "", "the output before start");
    container.must(&["start"])?;
    container.wait_for_step("args")?;
    ensure_eq!(container.pid()?, pid, "the pid after start");
    ensure_eq!(container.state()?.at("status"), "running", "the status after start");
    bundle.order(&["kill", bundle.id(), "KILL"])?.success()?;
    container.wait_until_stopped()?;
    container.must(&["delete"])?;
    let ended = container.order(&["state"])?;
    ensure!(ended.status != 0, "a deleted container has a state; {ended}");
    bundle.nothing_left(&ended)
}

fn pid_file(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "pid-file");
    bundle.probe(&["sleep", "100"]).write()?;
    let file = bundle.dir().join("pid").to_string_lossy().into_owned();
    let (container, ended) = bundle.try_create(&["--pid-file", &file])?;
    ended.success()?;
    ensure_eq!(fs::read_to_string(&file)?, container.pid()?.to_string(), "the pid file");
    let left: Vec<_> =
        fs::read_dir(bundle.dir())?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    ensure!(left.iter().all(|name| !name.starts_with('.')), "files beside the pid file: {left:?}");
    container.delete()
}

fn in_use(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "in-use");
    bundle.probe(&["sleep", "100"]);
    let container = bundle.create()?;
    let pid = container.pid()?;
    let dir = bundle.dir().to_string_lossy().into_owned();
    let second = bundle.order(&["create", "--bundle", &dir, bundle.id()])?;
    ensure!(second.status != 0, "a second container has the id; {second}");
    ensure!(second.stderr.contains("exist"), "the message does not say why; {second}");
    ensure_eq!(container.pid()?, pid, "the pid of the first container");
    ensure_eq!(container.state()?.at("status"), "created", "the status of the first container");
    container.delete()
}

fn fields(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "fields");
    bundle.set("/annotations", json!({ "org.example/key": "a \"value\"" })).probe(&["sleep", "100"]);
    let container = bundle.create()?;
    let state = container.state()?;
    ensure!(state.at("ociVersion").as_str().is_some_and(|version| version.starts_with("1.")), "{state}");
    ensure_eq!(state.at("id"), bundle.id(), "the id");
    ensure_eq!(state.at("bundle"), json!(bundle.dir()), "the bundle");
    ensure_eq!(state.at("annotations"), json!({ "org.example/key": "a \"value\"" }), "the annotations");
    container.delete()
}

fn changed(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "changed");
    bundle.probe(&["show", "args", "first"]);
    let container = bundle.create()?;
    fs::write(bundle.dir().join("config.json"), "no longer a config")?;
    container.must(&["start"])?;
    ensure_eq!(container.wait_for_step("args")?, json!(["first"]), "the arguments");
    container.wait_until_stopped()?;
    container.must(&["delete"])?;
    Ok(())
}

fn absent(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "absent-program");
    bundle.set("/process/args", json!(["/no-such-program"])).write()?;
    let (container, mut ended) = bundle.try_create(&[])?;
    if ended.status == 0 {
        ended = container.order(&["start"])?;
    } else {
        // Only this runtime's status tells; the line is what engines look for.
        bundle.nothing_left(&ended)?;
    }
    ensure!(ended.status != 0, "it was started; {ended}");
    if ctx.own_runtime() {
        ensure_eq!(ended.status, 127, "the status; {ended}");
    }
    let line = ended.stderr.to_lowercase();
    ensure!(line.contains("no such file or directory"), "the message does not say why; {ended}");
    container.delete()
}

fn twice(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "twice");
    bundle.probe(&["sleep", "100"]);
    let container = bundle.create()?;
    container.must(&["start"])?;
    let again = container.order(&["start"])?;
    ensure!(again.status != 0 && !again.stderr.is_empty(), "a running container was started; {again}");
    bundle.order(&["kill", bundle.id(), "KILL"])?.success()?;
    container.wait_until_stopped()?;
    let again = container.order(&["start"])?;
    ensure!(again.status != 0 && !again.stderr.is_empty(), "a stopped container was started; {again}");
    container.delete()
}

fn unknown(ctx: &mut Context) -> Result {
    let bundle = Bundle::hardened(ctx, "unknown");
    for command in ["state", "start", "kill", "delete", "pause", "resume"] {
        let ended = bundle.order(&[command, "no-such-container"])?;
        ensure!(ended.status != 0, "{command} succeeded; {ended}");
        let says = ended.stderr.contains("does not exist") || ended.stderr.contains("No such file");
        ensure!(says, "{command} does not say why; {ended}");
    }
    Ok(())
}

/// Without a pid namespace, where the probe has the default reaction to signals.
fn kill(ctx: &mut Context) -> Result {
    for (number, signal) in ["9", "KILL", "SIGTERM", "15", "hup"].into_iter().enumerate() {
        let mut bundle = Bundle::hardened(ctx, &format!("kill-{number}"));
        bundle.peel(crate::bundle::Layer::PidNamespace).probe(&["show", "args", "+", "sleep", "100"]);
        let container = bundle.create()?;
        container.must(&["start"])?;
        container.wait_for_step("args")?;
        bundle.order(&["kill", bundle.id(), signal])?.success()?;
        container.wait_until_stopped()?;
        container.delete()?;
    }
    Ok(())
}

fn kill_created(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "kill-created");
    bundle.probe(&["sleep", "100"]);
    let container = bundle.create()?;
    bundle.order(&["kill", bundle.id(), "KILL"])?.success()?;
    container.wait_until_stopped()?;
    container.must(&["delete"])?;
    Ok(())
}

fn kill_stopped(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "kill-stopped");
    bundle.probe(&["exit", "0"]);
    let container = bundle.create()?;
    container.must(&["start"])?;
    container.wait_until_stopped()?;
    let ended = bundle.order(&["kill", bundle.id(), "TERM"])?;
    ensure!(ended.status != 0, "a stopped container was killed; {ended}");
    // What engines look for; crun has other words.
    ensure!(
        !ctx.own_runtime() || ended.stderr.contains("container not running"),
        "the message has not the words that engines look for; {ended}"
    );
    container.delete()
}

fn kill_unknown(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "kill-unknown");
    bundle.probe(&["sleep", "100"]);
    let container = bundle.create()?;
    for signal in ["NOSUCH", "SIGSIGTERM", "9x"] {
        let ended = bundle.order(&["kill", bundle.id(), signal])?;
        ensure!(ended.status != 0, "the signal {signal:?} was taken; {ended}");
    }
    ensure_eq!(container.state()?.at("status"), "created", "the status");
    container.delete()
}

/// Whether a process lives: one that nobody has waited for yet does not.
fn lives(pid: u64) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, fields)| !fields.starts_with('Z'))
}

fn delete_running(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "delete-running");
    bundle.probe(&["sleep", "100"]);
    let container = bundle.create()?;
    container.must(&["start"])?;
    let ended = container.order(&["delete"])?;
    ensure!(ended.status != 0, "a running container was deleted; {ended}");
    ensure!(ended.stderr.contains("running") || ended.stderr.contains("not stopped"), "{ended}");
    ensure_eq!(container.state()?.at("status"), "running", "the status");
    let pid = container.pid()?;
    container.delete()?;
    ensure!(!lives(pid), "process {pid} still lives");
    Ok(())
}

fn delete_created(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "delete-created");
    bundle.probe(&["sleep", "100"]);
    let container = bundle.create()?;
    let pid = container.pid()?;
    container.delete()?;
    ensure!(!lives(pid), "process {pid} still lives");
    Ok(())
}

fn delete_absent(ctx: &mut Context) -> Result {
    let bundle = Bundle::hardened(ctx, "delete-absent");
    bundle.order(&["delete", "--force", "no-such-container"])?.success()?;
    let ended = bundle.order(&["delete", "no-such-container"])?;
    ensure!(ended.status != 0, "an unknown container was deleted; {ended}");
    Ok(())
}

fn detach(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "detach");
    bundle.probe(&["sleep", "100"]).write()?;
    let dir = bundle.dir().to_string_lossy().into_owned();
    let mut command = bundle.command(&["run", "--detach", "--bundle", &dir, bundle.id()]);
    let null = || std::process::Stdio::null();
    let status = command.stdout(null()).stderr(null()).status().or_fail("starting the runtime")?;
    ensure!(status.success(), "run --detach failed: {status}");
    let state: Value = serde_json::from_str(&bundle.order(&["state", bundle.id()])?.success()?.stdout)?;
    ensure_eq!(state.at("status"), "running", "the status");
    let ended = bundle.order(&["delete", "--force", bundle.id()])?.success()?;
    bundle.nothing_left(&ended)
}
