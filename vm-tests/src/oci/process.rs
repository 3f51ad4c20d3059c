//! What a container's process is given.

use crate::bundle::{At, Bundle, HARDENED_CAPABILITIES, Layer};
use crate::registry::{Context, OrFail, Result, Test};
use serde_json::{Value, json};

pub(super) const TESTS: &[Test] = &[
    Test::oci("oci::exit-status", "The exit status is passed through", exit_status),
    Test::oci("oci::exit-signal", "A process that a signal kills gives 128 + signal", exit_signal),
    Test::oci("oci::args", "Arguments arrive as they are", args),
    Test::oci("oci::env", "The environment is the config's and nothing else", env),
    Test::oci("oci::cwd", "The working directory is the config's", cwd),
    Test::oci("oci::user", "User, group and additional groups are the config's", user),
    Test::oci("oci::capabilities", "All five sets hold what the config says and nothing else", capabilities),
    Test::oci("oci::capabilities-ambient", "Ambient capabilities reach a process without root", ambient),
    Test::oci(
        "oci::no-new-privileges",
        "no_new_privs is set when asked for, and only then",
        no_new_privileges,
    ),
    Test::oci("oci::rlimits", "Resource limits are the config's", rlimits),
    Test::oci("oci::oom-score", "The OOM score adjustment is the config's", oom_score),
    Test::oci("oci::umask", "The umask is the config's, or 0022", umask),
    Test::oci("oci::descriptors", "The process has no descriptors but 0, 1 and 2", descriptors),
];

fn exit_status(ctx: &mut Context) -> Result {
    for status in [0, 42, 255] {
        let mut bundle = Bundle::hardened(ctx, &format!("exit-{status}"));
        let ended = bundle.probe(&["exit", &status.to_string()]).run()?;
        ensure_eq!(ended.status, status, "the exit status; {ended}");
    }
    Ok(())
}

/// Without a pid namespace: its first process would ignore signals of its own.
fn exit_signal(ctx: &mut Context) -> Result {
    for signal in [9, 15] {
        let mut bundle = Bundle::hardened(ctx, &format!("signal-{signal}"));
        let ended = bundle.peel(Layer::PidNamespace).probe(&["signal", &signal.to_string()]).run()?;
        ensure_eq!(ended.status, 128 + signal, "the exit status; {ended}");
    }
    Ok(())
}

fn args(ctx: &mut Context) -> Result {
    let words = ["a b", "", "$HOME", "\"quoted\"", "ü"];
    let mut bundle = Bundle::hardened(ctx, "args");
    let ended = bundle.probe(&[&["show", "args"], words.as_slice()].concat()).run()?.success()?;
    ensure_eq!(ended.value("args")?, json!(words), "the arguments");
    Ok(())
}

/// runc adds HOME where the config has none, so the config has one.
fn env(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "env");
    bundle.set("/process/env", json!(["PATH=/bin", "HOME=/", "EMPTY=", "EQUALS=a=b"]));
    let ended = bundle.probe(&["show", "env"]).run()?.success()?;
    let wanted = json!({ "PATH": "/bin", "HOME": "/", "EMPTY": "", "EQUALS": "a=b" });
    ensure_eq!(ended.value("env")?, wanted, "the environment");
    Ok(())
}

fn cwd(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "cwd");
    bundle.set("/process/cwd", json!("/etc"));
    let ended = bundle.probe(&["show", "cwd"]).run()?.success()?;
    ensure_eq!(ended.value("cwd")?, json!("/etc"), "the working directory");
    Ok(())
}

/// The process's `/proc/self/status` for a config.
fn status(ctx: &Context, id: &str, change: impl FnOnce(&mut Bundle)) -> Result<Value> {
    let mut bundle = Bundle::hardened(ctx, id);
    change(&mut bundle);
    bundle.probe(&["show", "status"]).run()?.success()?.value("status")
}

fn user(ctx: &mut Context) -> Result {
    let status = status(ctx, "user", |bundle| {
        bundle.set("/process/user", json!({ "uid": 1000, "gid": 1001, "additionalGids": [7, 1002] }));
    })?;
    ensure_eq!(status.at("Uid"), json!("1000 1000 1000 1000"), "the user ids");
    ensure_eq!(status.at("Gid"), json!("1001 1001 1001 1001"), "the group ids");
    let listed = status.at("Groups");
    let mut groups: Vec<&str> = listed.as_str().or_fail("the groups")?.split(' ').collect();
    // Some runtimes count the group itself among the additional ones.
    groups.retain(|group| *group != "1001");
    ensure_eq!(groups, ["7", "1002"], "the additional groups");
    Ok(())
}

/// The bit mask of capabilities, as `/proc/PID/status` prints it.
fn mask(names: &[&str]) -> Value {
    const BITS: [(&str, u32); 12] = [
        ("CAP_CHOWN", 0),
        ("CAP_DAC_OVERRIDE", 1),
        ("CAP_FOWNER", 3),
        ("CAP_FSETID", 4),
        ("CAP_KILL", 5),
        ("CAP_SETGID", 6),
        ("CAP_SETUID", 7),
        ("CAP_SETPCAP", 8),
        ("CAP_NET_BIND_SERVICE", 10),
        ("CAP_NET_RAW", 13),
        ("CAP_SYS_CHROOT", 18),
        ("CAP_SETFCAP", 31),
    ];
    let set = BITS.iter().filter(|(name, _)| names.contains(name)).fold(0u64, |set, (_, bit)| set | 1 << bit);
    json!(format!("{set:016x}"))
}

fn capabilities(ctx: &mut Context) -> Result {
    let few = ["CAP_CHOWN", "CAP_SETUID", "CAP_NET_RAW"];
    let found = status(ctx, "capabilities", |bundle| {
        bundle.set("/process/capabilities/bounding", json!(few));
        bundle.set("/process/capabilities/permitted", json!(few));
        bundle.set("/process/capabilities/effective", json!(["CAP_CHOWN", "CAP_SETUID"]));
    })?;
    ensure_eq!(found.at("CapBnd"), mask(&few), "the bounding set");
    // Root gets what the bounding set allows when it executes a program, see capabilities(7).
    ensure_eq!(found.at("CapPrm"), mask(&few), "the permitted set");
    ensure_eq!(found.at("CapEff"), mask(&few), "the effective set");
    ensure_eq!(found.at("CapInh"), mask(&[]), "the inheritable set");
    ensure_eq!(found.at("CapAmb"), mask(&[]), "the ambient set");
    let hardened = status(ctx, "hardened", |_| ())?;
    ensure_eq!(hardened.at("CapBnd"), mask(&HARDENED_CAPABILITIES), "the hardened bounding set");
    Ok(())
}

fn ambient(ctx: &mut Context) -> Result {
    let one = ["CAP_NET_BIND_SERVICE"];
    let found = status(ctx, "ambient", |bundle| {
        bundle.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
        for set in ["bounding", "permitted", "effective", "inheritable", "ambient"] {
            bundle.set(&format!("/process/capabilities/{set}"), json!(one));
        }
    })?;
    for set in ["CapBnd", "CapPrm", "CapEff", "CapInh", "CapAmb"] {
        ensure_eq!(found.at(set), mask(&one), "the set {set}");
    }
    let none = status(ctx, "no-ambient", |bundle| {
        bundle.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    })?;
    ensure_eq!(none.at("CapEff"), mask(&[]), "the effective set of a user without ambient capabilities");
    Ok(())
}

fn no_new_privileges(ctx: &mut Context) -> Result {
    for (asked, wanted) in [(true, "1"), (false, "0")] {
        let found = status(ctx, &format!("nnp-{asked}"), |bundle| {
            bundle.set("/process/noNewPrivileges", json!(asked));
        })?;
        ensure_eq!(found.at("NoNewPrivs"), json!(wanted), "no_new_privs when the config says {asked}");
    }
    Ok(())
}

fn rlimits(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "rlimits");
    bundle.set(
        "/process/rlimits",
        json!([
            { "type": "RLIMIT_NOFILE", "soft": 200, "hard": 300 },
            { "type": "RLIMIT_CORE", "soft": 0, "hard": 0 },
        ]),
    );
    let ended =
        bundle.probe(&["show", "limit", "RLIMIT_NOFILE", "+", "show", "limit", "RLIMIT_CORE"]).run()?;
    let found: Vec<Value> = ended.lines().into_iter().map(|line| line.value).collect();
    ensure_eq!(found, [json!([200, 300]), json!([0, 0])], "the limits; {ended}");
    Ok(())
}

fn oom_score(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "oom-score");
    bundle.set("/process/oomScoreAdj", json!(123));
    let ended = bundle.probe(&["show", "read", "/proc/self/oom_score_adj"]).run()?.success()?;
    ensure_eq!(ended.value("read")?, json!("123\n"), "the adjustment");
    Ok(())
}

fn umask(ctx: &mut Context) -> Result {
    for (asked, wanted) in [(Some(0o027), 0o027), (None, 0o022)] {
        let mut bundle = Bundle::hardened(ctx, &format!("umask-{wanted:o}"));
        if let Some(mask) = asked {
            bundle.set("/process/user/umask", json!(mask));
        }
        let ended = bundle.probe(&["show", "umask"]).run()?.success()?;
        ensure_eq!(ended.value("umask")?, json!(wanted), "the umask for {asked:?}");
    }
    Ok(())
}

fn descriptors(ctx: &mut Context) -> Result {
    let ended = Bundle::hardened(ctx, "descriptors").probe(&["show", "fds"]).run()?.success()?;
    ensure_eq!(ended.value("fds")?, json!([0, 1, 2]), "the open descriptors");
    Ok(())
}
