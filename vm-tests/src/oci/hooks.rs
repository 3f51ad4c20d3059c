//! Hooks: when they run, what they are given, and what their failure does.

use crate::bundle::{At, Bundle};
use crate::guest::paths;
use crate::registry::{Context, OrFail, Result, Test};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

pub(super) const TESTS: &[Test] = &[
    Test::oci("oci::hooks-order", "All hooks run in order, outside and inside", order),
    Test::oci("oci::hooks-state", "Hooks get the state on standard input, and their own environment", state),
    Test::oci(
        "oci::hooks-failure",
        "A hook that fails fails the container, in the words engines look for",
        failure,
    ),
    Test::oci("oci::hooks-timeout", "A hook that hangs is killed after its timeout", timeout),
    Test::oci(
        "oci::hooks-poststop",
        "A poststop hook that fails does not keep delete from its work",
        poststop,
    ),
    Test::oci(
        "oci::hooks-start-container",
        "startContainer hooks run in the container, with its user",
        inside,
    ),
];

/// A hook that notes in a file what it is given.
fn hook(file: &Path, word: &str) -> Value {
    json!({ "path": paths::PROBE, "args": ["probe", "note", file, word], "env": ["HOOK=yes"] })
}

/// A hook that ends with a status.
fn ending(path: &str, status: &str) -> Value {
    json!({ "path": path, "args": ["probe", "exit", status] })
}

/// An empty file for notes. A hook in the container's user namespace is nobody to the host's files.
fn notebook(ctx: &Context) -> Result<PathBuf> {
    let path = ctx.scratch().join("notes");
    fs::write(&path, "")?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666))?;
    Ok(path)
}

/// What hooks have noted: the word of each and what it saw.
fn notes(file: &Path) -> Result<Vec<(String, Value)>> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let note = |line: &str| {
        let value: Value = serde_json::from_str(line)?;
        Ok((value.at("word").as_str().or_fail("the word of a note")?.to_owned(), value))
    };
    text.lines().map(note).collect()
}

fn order(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "hooks-order");
    let file = notebook(ctx)?;
    for kind in ["prestart", "createRuntime", "createContainer", "poststart", "poststop"] {
        bundle.set(&format!("/hooks/{kind}"), json!([hook(&file, kind), hook(&file, &format!("{kind}-2"))]));
    }
    bundle.probe(&["sleep", "100"]);
    let container = bundle.create()?;
    let words =
        |file: &Path| -> Result<Vec<String>> { Ok(notes(file)?.into_iter().map(|(word, _)| word).collect()) };
    let before = [
        "prestart",
        "prestart-2",
        "createRuntime",
        "createRuntime-2",
        "createContainer",
        "createContainer-2",
    ];
    ensure_eq!(words(&file)?, before, "the hooks up to create");
    container.must(&["start"])?;
    ensure_eq!(
        words(&file)?.get(6..).or_fail("more hooks")?,
        ["poststart", "poststart-2"],
        "the hooks of start"
    );
    bundle.order(&["kill", bundle.id(), "KILL"])?.success()?;
    container.wait_until_stopped()?;
    container.must(&["delete"])?;
    ensure_eq!(
        words(&file)?.get(8..).or_fail("more hooks")?,
        ["poststop", "poststop-2"],
        "the hooks of delete"
    );
    Ok(())
}

fn state(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "hooks-state");
    let file = notebook(ctx)?;
    for kind in ["createRuntime", "createContainer", "poststart", "poststop"] {
        bundle.set(&format!("/hooks/{kind}"), json!([hook(&file, kind)]));
    }
    bundle.set("/annotations", json!({ "key": "value" })).probe(&["sleep", "100"]);
    let container = bundle.create()?;
    let pid = container.pid()?;
    container.must(&["start"])?;
    bundle.order(&["kill", bundle.id(), "KILL"])?.success()?;
    container.wait_until_stopped()?;
    container.must(&["delete"])?;
    let notes = notes(&file)?;
    ensure_eq!(notes.len(), 4, "the notes");
    for (word, note) in &notes {
        let state = &note.at("state");
        ensure_eq!(state.at("id"), bundle.id(), "the id that {word} got");
        ensure_eq!(state.at("bundle"), json!(bundle.dir()), "the bundle that {word} got");
        ensure_eq!(state.at("annotations").at("key"), "value", "the annotations that {word} got");
        let status = match word.as_str() {
            "createRuntime" | "createContainer" => "creating",
            "poststart" => "running",
            _ => "stopped",
        };
        // crun says created where the specification says creating.
        if ctx.own_runtime() {
            ensure_eq!(state.at("status"), status, "the status that {word} got");
        }
        if word != "poststop" {
            ensure_eq!(state.at("pid"), json!(pid), "the pid that {word} got");
        }
        ensure_eq!(note.at("env").at("HOOK"), "yes", "the environment of {word}");
        // Engines have come to rely on nothing of the caller's; crun passes it on.
        if ctx.own_runtime() {
            ensure_eq!(note.at("env"), json!({ "HOOK": "yes" }), "the environment of {word}");
            ensure_eq!(note.at("fds"), json!([0, 1, 2]), "the descriptors of {word}");
            // Where it finds the root that is not the container's yet.
            let directory = if word == "createContainer" { state.at("rootfs") } else { json!("/") };
            ensure_eq!(note.at("cwd"), directory, "the directory of {word}");
        }
    }
    Ok(())
}

fn failure(ctx: &mut Context) -> Result {
    for kind in ["prestart", "createRuntime", "createContainer", "startContainer", "poststart"] {
        let mut bundle = Bundle::hardened(ctx, "hooks-failure");
        let path = if kind == "startContainer" { "/probe" } else { paths::PROBE };
        bundle.set(&format!("/hooks/{kind}"), json!([ending(path, "0"), ending(path, "3")]));
        bundle.probe(&["sleep", "100"]).write()?;
        let (container, mut ended) = bundle.try_create(&[])?;
        if ended.status == 0 {
            ended = container.order(&["start"])?;
        } else {
            bundle.nothing_left(&ended)?;
        }
        ensure!(ended.status != 0, "a {kind} hook failed and the container went on; {ended}");
        if ctx.own_runtime() {
            let words = format!("error running {kind} hook #1");
            ensure!(ended.stderr.contains(&words), "the message does not have {words:?}; {ended}");
            ensure!(ended.stderr.contains("exit status 3"), "the message does not have the status; {ended}");
        }
        container.delete()?;
    }
    Ok(())
}

fn timeout(ctx: &mut Context) -> Result {
    let exceeds = |kind: &str| {
        let mut bundle = Bundle::hardened(ctx, &format!("hooks-timeout-{kind}"));
        let hook = json!({ "path": paths::PROBE, "args": ["probe", "sleep", "1000"], "timeout": 1 });
        bundle.set(&format!("/hooks/{kind}"), json!([hook])).probe(&["exit", "0"]).write()?;
        let (container, ended) = bundle.try_create(&[])?;
        ensure!(ended.status != 0, "a {kind} hook hangs and the container went on; {ended}");
        bundle.nothing_left(&ended)?;
        container.delete()
    };
    // The shortest timeout is a second, in which nothing happens: both wait at once.
    std::thread::scope(|scope| {
        let other = scope.spawn(|| exceeds("createContainer"));
        exceeds("createRuntime")?;
        other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn poststop(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "hooks-poststop");
    let file = notebook(ctx)?;
    let hooks = json!([ending(paths::PROBE, "3"), hook(&file, "second")]);
    bundle.set("/hooks/poststop", hooks).probe(&["exit", "0"]);
    let container = bundle.create()?;
    container.must(&["start"])?;
    container.wait_until_stopped()?;
    let ended = container.order(&["delete"])?;
    bundle.nothing_left(&ended)?;
    if ctx.own_runtime() {
        ensure!(ended.stderr.contains("error running poststop hook #0"), "nothing is said; {ended}");
        ensure_eq!(notes(&file)?.len(), 1, "the hooks behind the one that failed");
    }
    Ok(())
}

fn inside(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "hooks-inside");
    let hook = json!({
        "path": "/probe",
        "args": ["probe", "show", "write", "/tmp/note", "here"],
    });
    bundle.set("/hooks/startContainer", json!([hook]));
    bundle.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    bundle.probe(&["show", "read", "/tmp/note", "+", "show", "stat", "/tmp/note"]);
    let container = bundle.create()?;
    container.must(&["start"])?;
    ensure_eq!(container.wait_for_step("read")?, "here", "what the hook wrote");
    if ctx.own_runtime() {
        ensure_eq!(container.wait_for_step("stat")?.at("uid"), 1000, "the user of the hook");
    }
    container.wait_until_stopped()?;
    container.must(&["delete"])?;
    Ok(())
}
