//! Hooks that fail, or never end.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use serde_json::json;

use crate::left::children;
use crate::order::{HANG, RUNTIME};
use crate::scene::Scene;

/// Hooks that come before there is a container, and by which command they are run.
const BEFORE: [&str; 4] = ["prestart", "createRuntime", "createContainer", "startContainer"];

fn with_hook(scene: &Scene, kind: &str, script: &str, timeout: Option<u64>) {
    let mut hook = json!({ "path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin"] });
    if let Some(seconds) = timeout {
        hook["timeout"] = json!(seconds);
    }
    scene.configure(|config| config["hooks"] = json!({ kind: [hook] }));
}

/// Which command runs a hook, when the others before it have gone well.
fn command(kind: &str) -> &'static str {
    if matches!(kind, "startContainer" | "poststart") { "start" } else { "create" }
}

#[test]
fn a_hook_that_fails_ends_the_command_and_leaves_nothing() {
    let Some(scene) = Scene::new("hook-fails") else { return };
    for kind in BEFORE.into_iter().chain(["poststart"]) {
        with_hook(&scene, kind, "echo complaint >&2; exit 7", None);
        if command(kind) == "start" {
            scene.must(&["create"]);
        }
        let ended = scene.order(&[command(kind)]);
        assert_eq!(ended.code, Some(1), "{kind}: {ended:?}");
        for wanted in [&format!("error running {kind} hook #0"), "exit status 7", "complaint"] {
            assert!(ended.stderr.contains(wanted), "{kind}: no `{wanted}` in {ended:?}");
        }
        if command(kind) == "start" {
            // The spec has the container stopped then, not gone.
            assert_eq!(scene.status().as_deref(), Ok("stopped"), "{kind}");
            scene.must(&["delete"]);
        }
        assert_eq!(scene.left(), "", "{kind}");
        let ran = scene.order(&["run"]);
        assert_eq!(ran.code, Some(1), "{kind}: {ran:?}");
        assert_eq!(scene.left(), "", "{kind}, run");
    }
}

#[test]
fn a_hook_that_exceeds_its_time_is_ended_and_nothing_is_left() {
    let Some(scene) = Scene::new("hook-late") else { return };
    for kind in BEFORE.into_iter().chain(["poststart"]) {
        with_hook(&scene, kind, "exec sleep 1000", Some(1));
        let begun = Instant::now();
        let ended = scene.order(&["run"]);
        assert!(begun.elapsed() < HANG, "{kind} took {:?}", begun.elapsed());
        assert_eq!(ended.code, Some(1), "{kind}: {ended:?}");
        assert!(ended.stderr.contains(&format!("error running {kind} hook #0")), "{kind}: {ended:?}");
        assert_eq!(scene.left(), "", "{kind}");
    }
}

/// Hooks behind the end cannot undo it: the container is gone, the failure is told.
#[test]
fn a_poststop_hook_that_fails_is_told_and_the_container_is_gone() {
    let Some(scene) = Scene::new("poststop") else { return };
    for (what, timeout) in [("exit 7", None), ("exec sleep 1000", Some(1))] {
        with_hook(&scene, "poststop", what, timeout);
        scene.must(&["run", "--detach"]);
        let deleted = scene.must(&["delete", "--force"]);
        assert!(deleted.stderr.contains("error running poststop hook #0"), "{deleted:?}");
        assert_eq!(scene.left(), "", "{what}");
    }
}

/// An engine kills a runtime whose hook does not come to an end, and deletes the container then.
#[test]
fn a_runtime_killed_in_a_hook_that_hangs_leaves_what_can_be_deleted() {
    let Some(scene) = Scene::new("hook-hangs") else { return };
    for kind in BEFORE.into_iter().chain(["poststart"]) {
        with_hook(&scene, kind, "exec sleep 1000", None);
        if command(kind) == "start" {
            scene.must(&["create"]);
        }
        let mut runtime = spawn(&scene, command(kind));
        wait_for_hook(&mut runtime);
        // While it lives it is in nobody's way who only asks.
        let status = scene.status();
        assert!(status.is_ok(), "{kind}: {status:?}");
        runtime.kill().unwrap();
        runtime.wait().unwrap();
        scene.clear();
    }
}

fn spawn(scene: &Scene, command: &str) -> Child {
    let stderr = fs::File::create(scene.path().join("said")).unwrap();
    let mut child = Command::new(RUNTIME);
    child.args(scene.words(&[command])).stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
    child.spawn().unwrap()
}

/// Waits until the hook runs: below the runtime, or below the container's process, which this program has adopted.
fn wait_for_hook(runtime: &mut Child) {
    let end = Instant::now() + HANG;
    let is_hook =
        |pid: &Pid| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == b"sleep\x001000\x00");
    while !descendants(&children(Pid::this())).iter().any(is_hook) {
        assert!(runtime.try_wait().unwrap().is_none(), "it has ended");
        assert!(Instant::now() < end, "no hook runs");
        thread::sleep(Duration::from_millis(2));
    }
}

fn descendants(of: &[Pid]) -> Vec<Pid> {
    of.iter().flat_map(|pid| [vec![*pid], descendants(&children(*pid))].concat()).collect()
}
