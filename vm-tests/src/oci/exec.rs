//! `exec`: another process in a container.

use crate::bundle::{At, Bundle, Created, HARDENED_CAPABILITIES};
use crate::registry::{Context, Failure, OrFail, Result, Test};
use serde_json::{Value, json};
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

pub(super) const TESTS: &[Test] = &[
    Test::oci("oci::exec-namespaces", "A process joins all namespaces of the container", namespaces),
    Test::oci("oci::exec-status", "Its exit status and output are passed on", status),
    Test::oci(
        "oci::exec-config",
        "It has the config's environment, directory, user and capabilities",
        config,
    ),
    Test::oci("oci::exec-options", "--cwd, --env, --user change what the config says", options),
    Test::oci("oci::exec-process", "--process FILE is the whole process", process),
    Test::oci("oci::exec-descriptors", "It has no descriptors but 0, 1 and 2", descriptors),
    Test::oci("oci::exec-cgroup", "It is in the container's cgroup", cgroup),
    Test::oci("oci::exec-detach", "--detach comes back, --pid-file has its number", detach),
    Test::oci("oci::exec-absent-program", "A program that does not exist fails and does no harm", absent),
    Test::oci("oci::exec-refused", "No process joins a container that has ended or is paused", refused),
    Test::oci(
        "oci::exec-own-binary",
        "A process that executes the runtime's program gives nobody the host's file to write",
        own_binary,
    ),
    Test::oci("oci::exec-no-new-privileges", "--no-new-privs is set when asked for", no_new_privileges),
];

/// A container that stays.
fn container(bundle: &mut Bundle) -> Result<Created> {
    bundle.probe(&["show", "ns", "+", "show", "status", "+", "sleep", "100"]);
    let container = bundle.create()?;
    container.must(&["start"])?;
    container.wait_for_step("status")?;
    Ok(container)
}

/// What a probe in the container finds.
#[track_caller]
fn ask(bundle: &Bundle, options: &[&str], words: &[&str]) -> Result<Value> {
    let words = [&["exec"], options, &[bundle.id(), "/probe", "show"], words].concat();
    bundle.order(&words)?.success()?.value(words.get(options.len() + 4).or_fail("a word")?)
}

fn namespaces(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "exec-namespaces");
    let container = container(&mut bundle)?;
    let wanted = container.wait_for_step("ns")?;
    let found = ask(&bundle, &[], &["ns"])?;
    for kind in ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"] {
        ensure_eq!(found.at(kind), wanted.at(kind), "the {kind} namespace");
    }
    container.delete()
}

fn status(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "exec-status");
    let container = container(&mut bundle)?;
    for status in [0, 1, 42, 255] {
        let ended = bundle.order(&["exec", bundle.id(), "/probe", "exit", &status.to_string()])?;
        ensure_eq!(ended.status, status, "the status; {ended}");
    }
    let ended = bundle.order(&["exec", bundle.id(), "/probe", "to-stderr", "complaint"])?.success()?;
    ensure_eq!(ended.stderr, "complaint\n", "the errors");
    container.delete()
}

fn config(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "exec-config");
    bundle.set("/process/env", json!(["PATH=/bin", "HOME=/", "NAME=value"]));
    bundle.set("/process/cwd", json!("/etc"));
    bundle.set("/process/user", json!({ "uid": 1000, "gid": 1001, "additionalGids": [7] }));
    let container = container(&mut bundle)?;
    ensure_eq!(ask(&bundle, &[], &["env"])?.at("NAME"), "value", "the environment");
    ensure_eq!(ask(&bundle, &[], &["cwd"])?, "/etc", "the directory");
    let (found, first) = (ask(&bundle, &[], &["status"])?, container.wait_for_step("status")?);
    for field in
        ["Uid", "Gid", "Groups", "CapBnd", "CapPrm", "CapEff", "CapInh", "CapAmb", "NoNewPrivs", "Seccomp"]
    {
        ensure_eq!(found.at(field), first.at(field), "{field}");
    }
    container.delete()
}

fn options(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "exec-options");
    let container = container(&mut bundle)?;
    ensure_eq!(ask(&bundle, &["--cwd", "/tmp"], &["cwd"])?, "/tmp", "the directory");
    ensure_eq!(ask(&bundle, &["--env", "A=b=c"], &["env"])?.at("A"), "b=c", "the environment");
    let found = ask(&bundle, &["--user", "1000:1001"], &["status"])?;
    ensure_eq!(found.at("Uid"), "1000 1000 1000 1000", "the user");
    ensure_eq!(found.at("Gid"), "1001 1001 1001 1001", "the group");
    container.delete()
}

fn process(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "exec-process");
    let container = container(&mut bundle)?;
    let file = container.beside("process.json");
    let process = json!({
        "args": ["/probe", "show", "args", "whole", "+", "show", "status", "+", "show", "env", "+", "show", "cwd"],
        "cwd": "/tmp", "env": ["PATH=/", "HOME=/", "ONLY=this"],
        "user": { "uid": 5, "gid": 6 }, "noNewPrivileges": true,
        "capabilities": { "bounding": HARDENED_CAPABILITIES, "effective": [], "permitted": [] },
    });
    fs::write(&file, process.to_string())?;
    let file = file.to_string_lossy().into_owned();
    let ended = bundle.order(&["exec", "--process", &file, bundle.id()])?.success()?;
    ensure_eq!(ended.value("args")?, json!(["whole"]), "the arguments");
    ensure_eq!(ended.value("cwd")?, "/tmp", "the directory");
    ensure_eq!(ended.value("env")?, json!({ "PATH": "/", "HOME": "/", "ONLY": "this" }), "the environment");
    ensure_eq!(ended.value("status")?.at("Uid"), "5 5 5 5", "the user");
    ensure_eq!(ended.value("status")?.at("CapEff"), "0000000000000000", "the effective set");
    container.delete()
}

fn descriptors(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "exec-descriptors");
    let container = container(&mut bundle)?;
    ensure_eq!(ask(&bundle, &[], &["fds"])?, json!([0, 1, 2]), "the descriptors");
    container.delete()
}

fn cgroup(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "exec-cgroup");
    let container = container(&mut bundle)?;
    let file = container.beside("pid").to_string_lossy().into_owned();
    let words = ["exec", "--detach", "--pid-file", &file, bundle.id(), "/probe", "sleep", "100"];
    let null = || std::process::Stdio::null();
    let status = bundle.command(&words).stdout(null()).stderr(null()).status()?;
    ensure!(status.success(), "exec --detach failed: {status}");
    let pid = fs::read_to_string(&file)?;
    let of = |pid: &str| fs::read_to_string(format!("/proc/{pid}/cgroup"));
    ensure_eq!(of(&pid)?, of(&container.pid()?.to_string())?, "the cgroup");
    let listed: Vec<u64> = serde_json::from_str(&container.must(&["ps", "--format", "json"])?.stdout)?;
    ensure!(listed.contains(&pid.parse()?) && listed.contains(&container.pid()?), "ps prints {listed:?}");
    container.delete()
}

fn detach(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "exec-detach");
    let container = container(&mut bundle)?;
    let file = container.beside("pid").to_string_lossy().into_owned();
    let words = ["exec", "--detach", "--pid-file", &file, bundle.id(), "/probe", "sleep", "100"];
    let null = || std::process::Stdio::null();
    let status = bundle.command(&words).stdout(null()).stderr(null()).status()?;
    ensure!(status.success(), "exec --detach failed: {status}");
    let pid = fs::read_to_string(&file)?;
    let arguments = fs::read(format!("/proc/{pid}/cmdline"))?;
    ensure_eq!(arguments, b"/probe\0sleep\x00100\0", "what runs as the pid file's number");
    container.delete()?;
    ensure!(fs::metadata(format!("/proc/{pid}")).is_err(), "process {pid} outlived its container");
    Ok(())
}

/// The way of CVE-2019-5736: what the container executes is `/proc/self/exe`.
fn own_binary(ctx: &mut Context) -> Result {
    if !ctx.own_runtime() {
        return Err(Failure::skipped("the words that have the program wait are those of our own"));
    }
    let mut bundle = Bundle::hardened(ctx, "exec-own-binary");
    // A file of its own, which root of the guest can write in any case.
    let own = ctx.scratch().join("runtime");
    fs::copy(ctx.runtime(), &own)?;
    bundle.run_by(own.clone());
    let container = container(&mut bundle)?;
    let file = container.beside("pid").to_string_lossy().into_owned();
    let words = ["exec", "--detach", "--pid-file", &file, bundle.id(), "/proc/self/exe"];
    // It waits for the end of its input.
    let words = [&words[..], &["update", "--resources", "-", "x"]].concat();
    let null = || std::process::Stdio::null();
    let mut command = bundle.command(&words);
    let mut child = command.stdin(std::process::Stdio::piped()).stdout(null()).stderr(null()).spawn()?;
    let input = child.stdin.take().or_fail("the input")?;
    ensure!(child.wait()?.success(), "the program was not executed");
    let pid = fs::read_to_string(&file)?;
    let mut path = fs::File::options();
    let program = path.read(true).custom_flags(nix::libc::O_PATH).open(format!("/proc/{pid}/exe"))?;
    let (seen, host) = (program.metadata()?, fs::metadata(&own)?);
    drop(input);
    container.delete()?;

    // Nobody executes it any more, and the file could be written.
    fs::File::options().append(true).open(&own)?;
    if !ctx.has("mount_setattr")? {
        ensure!(seen.ino() != host.ino(), "the program was the host's file and not a copy");
        return Ok(());
    }
    ensure_eq!(seen.ino(), host.ino(), "the file, which is not copied");
    let opened = fs::File::options().append(true).open(format!("/proc/self/fd/{}", program.as_raw_fd()));
    let error = opened.err().or_fail("a refusal: the host's file was opened for writing")?;
    ensure_eq!(error.raw_os_error(), Some(nix::libc::EROFS), "the refusal");
    Ok(())
}

fn absent(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "exec-absent");
    let container = container(&mut bundle)?;
    let ended = bundle.order(&["exec", bundle.id(), "/no-such-program"])?;
    ensure!(ended.status != 0, "it was started; {ended}");
    ensure!(ended.stderr.to_lowercase().contains("no such file or directory"), "{ended}");
    if ctx.own_runtime() {
        ensure_eq!(ended.status, 127, "the status; {ended}");
    }
    ensure_eq!(container.state()?.at("status"), "running", "the status of the container");
    container.delete()
}

fn refused(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "exec-refused");
    let container = container(&mut bundle)?;
    container.must(&["pause"])?;
    ensure_eq!(container.state()?.at("status"), "paused", "the status");
    let ended = bundle.order(&["exec", bundle.id(), "/probe", "show", "args"])?;
    ensure!(ended.status != 0, "a process joined a paused container; {ended}");
    container.must(&["resume"])?;
    ask(&bundle, &[], &["args"])?;
    bundle.order(&["kill", bundle.id(), "KILL"])?.success()?;
    container.wait_until_stopped()?;
    let ended = bundle.order(&["exec", bundle.id(), "/probe", "show", "args"])?;
    ensure!(ended.status != 0 && ended.lines().is_empty(), "a process joined a stopped container; {ended}");
    container.delete()
}

fn no_new_privileges(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "exec-nnp");
    bundle.set("/process/noNewPrivileges", json!(false));
    let container = container(&mut bundle)?;
    ensure_eq!(ask(&bundle, &[], &["status"])?.at("NoNewPrivs"), "0", "no_new_privs");
    ensure_eq!(ask(&bundle, &["--no-new-privs"], &["status"])?.at("NoNewPrivs"), "1", "no_new_privs");
    container.delete()
}
