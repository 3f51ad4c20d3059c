//! Which system calls a container may make.
//!
//! Errors of filters are numbers that the kernel never gives, so that it is clear who refused.

use crate::bundle::{At, Bundle, Ended, Layer};
use crate::registry::{Context, OrFail, Result, Test};
use cofferdam_seccomp::{Arch, Listener};
use cofferdam_sys::send::receive_descriptor;
use serde_json::{Value, json};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;

pub(super) const TESTS: &[Test] = &[
    Test::oci("oci::seccomp-errno", "A call gives the error that the config says", errno),
    Test::oci("oci::seccomp-default", "What no rule allows gives the default's error", default),
    Test::oci("oci::seccomp-comparisons", "Arguments are compared as the config says", comparisons),
    Test::oci("oci::seccomp-conjunction", "Comparisons of different arguments must all hold", conjunction),
    Test::oci("oci::seccomp-alternatives", "Of two comparisons of one argument one is enough", alternatives),
    Test::oci("oci::seccomp-kill", "A call kills the process", kill),
    Test::oci(
        "oci::seccomp-architectures",
        "Rules hold for the architectures that are listed",
        architectures,
    ),
    Test::oci("oci::seccomp-privileged", "A filter needs no no_new_privs", privileged),
    Test::oci("oci::seccomp-hardened", "The hardened profile runs programs and refuses the rest", hardened),
    Test::oci("oci::seccomp-notify", "An agent at listenerPath answers calls", notify),
    Test::oci("oci::seccomp-notify-absent", "Without an agent nothing is started", notify_absent),
    Test::oci("oci::seccomp-refused", "A profile that makes no sense is refused", refused),
];

/// A bundle that allows everything but what the rules say, and makes these calls.
fn bundle(ctx: &Context, id: &str, rules: &Value, calls: &[&str]) -> Bundle {
    let mut bundle = Bundle::hardened(ctx, id);
    bundle.set("/linux/seccomp", json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules }));
    show(&mut bundle, calls);
    bundle
}

fn show(bundle: &mut Bundle, calls: &[&str]) {
    let words: Vec<&str> = calls.iter().flat_map(|call| ["+", "show", "call", *call]).skip(1).collect();
    bundle.probe(&words);
}

fn answers(ended: &Ended) -> Vec<String> {
    ended.lines().iter().map(|line| line.value.as_str().unwrap_or("nothing").to_owned()).collect()
}

fn errno(ctx: &mut Context) -> Result {
    let rules = json!([
        { "names": ["getuid"], "action": "SCMP_ACT_ERRNO" },
        { "names": ["getppid", "no_such_call"], "action": "SCMP_ACT_ERRNO", "errnoRet": 4000 },
    ]);
    let calls = ["native:getuid", "native:getppid", "native:getgid"];
    let ended = bundle(ctx, "errno", &rules, &calls).run()?.success()?;
    ensure_eq!(answers(&ended), ["!EPERM", "!4000", "0"], "{calls:?}");
    Ok(())
}

fn default(ctx: &mut Context) -> Result {
    let calls = ["native:ptrace", "native:bpf", "native:getuid"];
    for (given, shown) in [(None, "!EPERM"), (Some(4001), "!4001")] {
        let mut bundle = Bundle::hardened(ctx, &format!("default-{}", given.unwrap_or(0)));
        bundle.seccomp();
        if let Some(number) = given {
            bundle.set("/linux/seccomp/defaultErrnoRet", json!(number));
        }
        // Only what is allowed: what is refused gets the default's error.
        bundle.list("/linux/seccomp/syscalls").retain(|rule| rule.at("action") == "SCMP_ACT_ALLOW");
        show(&mut bundle, &calls);
        ensure_eq!(answers(&bundle.run()?.success()?), [shown, shown, "0"], "{calls:?} with {given:?}");
    }
    Ok(())
}

/// `dup` of what is no descriptor fails with `EBADF` when it is not refused.
fn comparisons(ctx: &mut Context) -> Result {
    const VALUE: u64 = 0x1_4000_0005;
    let operators = [
        ("SCMP_CMP_NE", [true, false, true]),
        ("SCMP_CMP_LT", [true, false, false]),
        ("SCMP_CMP_LE", [true, true, false]),
        ("SCMP_CMP_EQ", [false, true, false]),
        ("SCMP_CMP_GE", [false, true, true]),
        ("SCMP_CMP_GT", [false, false, true]),
    ];
    for (number, (operator, holds)) in operators.into_iter().enumerate() {
        let args = json!([{ "index": 0, "value": VALUE, "op": operator }]);
        let rules = json!([{ "names": ["dup"], "action": "SCMP_ACT_ERRNO", "errnoRet": 4000, "args": args }]);
        let calls: Vec<String> = [0x4000_0005, VALUE, VALUE + (1 << 32)]
            .iter()
            .map(|value| format!("native:dup={value}"))
            .collect();
        let calls: Vec<&str> = calls.iter().map(String::as_str).collect();
        let ended = bundle(ctx, &format!("compare-{number}"), &rules, &calls).run()?.success()?;
        ensure_eq!(answers(&ended), holds.map(|holds| if holds { "!4000" } else { "!EBADF" }), "{operator}");
    }
    let args = json!([{ "index": 0, "value": 0xf0_0000_000f_u64, "valueTwo": 0x10_0000_0005_u64, "op": "SCMP_CMP_MASKED_EQ" }]);
    let rules = json!([{ "names": ["dup"], "action": "SCMP_ACT_ERRNO", "errnoRet": 4000, "args": args }]);
    let calls = [
        "native:dup=0x1040000005",
        "native:dup=0x1740000ff5",
        "native:dup=0x2040000005",
        "native:dup=0x1040000006",
    ];
    let ended = bundle(ctx, "compare-masked", &rules, &calls).run()?.success()?;
    ensure_eq!(answers(&ended), ["!4000", "!4000", "!EBADF", "!EBADF"], "SCMP_CMP_MASKED_EQ");
    Ok(())
}

fn conjunction(ctx: &mut Context) -> Result {
    let args = json!([
        { "index": 0, "value": 77, "op": "SCMP_CMP_EQ" },
        { "index": 1, "value": 5, "op": "SCMP_CMP_GE" },
    ]);
    let rules = json!([{ "names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 4000, "args": args }]);
    let calls = ["native:socket=77,5,0", "native:socket=77,4,0", "native:socket=78,5,0"];
    let ended = bundle(ctx, "conjunction", &rules, &calls).run()?.success()?;
    ensure_eq!(answers(&ended), ["!4000", "!EAFNOSUPPORT", "!EAFNOSUPPORT"], "{calls:?}");
    Ok(())
}

fn alternatives(ctx: &mut Context) -> Result {
    let args = json!([
        { "index": 0, "value": 77, "op": "SCMP_CMP_EQ" },
        { "index": 0, "value": 78, "op": "SCMP_CMP_EQ" },
    ]);
    let rules = json!([{ "names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 4000, "args": args }]);
    let calls = ["native:socket=77,1,0", "native:socket=78,1,0", "native:socket=79,1,0"];
    let ended = bundle(ctx, "alternatives", &rules, &calls).run()?.success()?;
    ensure_eq!(answers(&ended), ["!4000", "!4000", "!EAFNOSUPPORT"], "{calls:?}");
    Ok(())
}

/// In the host's PID namespace: a first process is not killed by signals of its own.
fn kill(ctx: &mut Context) -> Result {
    for action in ["SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL", "SCMP_ACT_TRAP"] {
        let rules = json!([{ "names": ["getppid"], "action": action }]);
        let mut bundle = bundle(ctx, &action.to_lowercase(), &rules, &["native:getuid", "native:getppid"]);
        let ended = bundle.peel(Layer::PidNamespace).run()?;
        ensure_eq!(ended.status, 128 + 31, "the status with {action}; {ended}");
        ensure_eq!(answers(&ended), ["0"], "what was made before");
    }
    Ok(())
}

fn architectures(ctx: &mut Context) -> Result {
    if Arch::native() != Some(Arch::X86_64) {
        skip!("the machine is no x86-64");
    }
    let rules = json!([{ "names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 4000 }]);
    let calls = ["native:getppid", "i386:getppid", "i386:getuid", "x32:getppid"];
    let mut all = bundle(ctx, "architectures", &rules, &calls);
    all.set("/linux/seccomp/architectures", json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]));
    ensure_eq!(answers(&all.run()?.success()?), ["!4000", "!4000", "0", "!4000"], "{calls:?}");
    for call in ["i386:getuid", "x32:getuid"] {
        let mut one = bundle(ctx, call.split(':').next().unwrap_or("one"), &rules, &["native:getuid", call]);
        one.set("/linux/seccomp/architectures", json!(["SCMP_ARCH_X86_64"]));
        let ended = one.peel(Layer::PidNamespace).run()?;
        ensure_eq!(answers(&ended), ["0"], "{call} was answered; {ended}");
        ensure!(ended.status != 0, "{call} did not end it; {ended}");
    }
    Ok(())
}

/// Without a user namespace too, and for a user without capabilities.
fn privileged(ctx: &mut Context) -> Result {
    for user in [0, 1000] {
        for peeled in [None, Some(Layer::UserNamespace)] {
            let rules = json!([{ "names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 4000 }]);
            let mut bundle = bundle(ctx, &format!("user-{user}-{}", peeled.is_some()), &rules, &[]);
            bundle.peel(Layer::NoNewPrivileges).set("/process/user", json!({ "uid": user, "gid": user }));
            if let Some(layer) = peeled {
                bundle.peel(layer);
            }
            let ended =
                bundle.probe(&["show", "call", "native:getppid", "+", "show", "status"]).run()?.success()?;
            let lines = ended.lines();
            let [call, status] = lines.as_slice() else { fail!("not two lines; {ended}") };
            ensure_eq!(call.value, json!("!4000"), "the call of user {user} without {peeled:?}");
            ensure_eq!(status.value.at("Seccomp"), json!("2"), "the mode");
            ensure_eq!(status.value.at("NoNewPrivs"), json!("0"), "no_new_privs");
        }
    }
    Ok(())
}

fn hardened(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "hardened");
    bundle.seccomp();
    // Spawns a thread, reads and writes files, asks for its own limits and namespaces.
    let words = [
        "show",
        "status",
        "+",
        "show",
        "ns",
        "+",
        "show",
        "write",
        "/tmp/x",
        "y",
        "+",
        "show",
        "read",
        "/tmp/x",
        "+",
        "show",
        "call",
        "native:keyctl",
        "+",
        "show",
        "call",
        "native:clone3",
    ];
    let ended = bundle.probe(&words).run()?.success()?;
    let lines = ended.lines();
    let [status, _, _, text, keyctl, clone3] = lines.as_slice() else { fail!("not six lines; {ended}") };
    ensure_eq!(status.value.at("Seccomp"), json!("2"), "the mode");
    ensure_eq!(text.value, json!("y"), "a file");
    ensure_eq!(keyctl.value, json!("!EPERM"), "keyctl");
    ensure_eq!(clone3.value, json!("!ENOSYS"), "clone3");
    Ok(())
}

fn notify(ctx: &mut Context) -> Result {
    let path = ctx.scratch().join("agent.sock");
    let agent = UnixListener::bind(&path)?;
    let rules = json!([{ "names": ["getppid"], "action": "SCMP_ACT_NOTIFY" }]);
    let mut bundle = bundle(ctx, "notify", &rules, &["native:getppid", "native:getuid"]);
    bundle
        .set("/linux/seccomp/listenerPath", json!(path))
        .set("/linux/seccomp/listenerMetadata", json!("for the agent"));
    bundle.set("/annotations", json!({ "a": "b" }));
    bundle.write()?;
    let running = bundle.start()?;
    let (connection, _) = agent.accept()?;
    let mut buffer = vec![0; 64 << 10];
    let (length, listener) = receive_descriptor(connection.as_fd(), &mut buffer)?;
    let listener = Listener::from(listener.or_fail("a descriptor")?);
    let call = listener.receive()?.or_fail("a call")?;
    listener.give(&call, 4711)?;
    let ended = running.end()?.success()?;
    ensure_eq!(answers(&ended), ["4711", "0"], "the agent's answer");
    let told: Value =
        serde_json::from_slice(buffer.get(..length).unwrap_or_default()).or_fail("the state as JSON")?;
    ensure_eq!(told.at("fds"), json!(["seccompFd"]), "the descriptors' names; {told}");
    ensure_eq!(told.at("metadata"), json!("for the agent"), "the metadata; {told}");
    ensure_eq!(told.at("state").at("id"), json!("notify"), "the id; {told}");
    ensure_eq!(told.at("state").at("annotations").at("a"), json!("b"), "the annotations; {told}");
    ensure_eq!(told.at("state").at("bundle"), json!(bundle.dir()), "the bundle; {told}");
    ensure!(told.at("pid").as_i64().is_some_and(|pid| pid > 1), "the process id; {told}");
    bundle.nothing_left(&ended)
}

fn notify_absent(ctx: &mut Context) -> Result {
    let path = ctx.scratch().join("nobody.sock");
    let rules = json!([{ "names": ["getppid"], "action": "SCMP_ACT_NOTIFY" }]);
    let mut bundle = bundle(ctx, "absent", &rules, &["native:getuid"]);
    bundle.set("/linux/seccomp/listenerPath", json!(path));
    let ended = bundle.run()?;
    ensure!(ended.status != 0 && ended.lines().is_empty(), "it was started; {ended}");
    Ok(())
}

fn refused(ctx: &mut Context) -> Result {
    let no_path = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": ["getppid"], "action": "SCMP_ACT_NOTIFY" }] });
    let faults = [
        ("action", json!({ "defaultAction": "SCMP_ACT_EAT" })),
        (
            "operator",
            json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": ["read"], "action": "SCMP_ACT_ERRNO",
            "args": [{ "index": 0, "value": 0, "op": "SCMP_CMP_LIKE" }] }] }),
        ),
        (
            "index",
            json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{ "names": ["read"], "action": "SCMP_ACT_ERRNO",
            "args": [{ "index": 6, "value": 0, "op": "SCMP_CMP_EQ" }] }] }),
        ),
        ("listener", no_path),
    ];
    for (id, seccomp) in faults {
        let mut bundle = Bundle::hardened(ctx, id);
        bundle.set("/linux/seccomp", seccomp).probe(&["exit", "0"]);
        let ended = bundle.run()?;
        ensure!(ended.status != 0 && ended.status < 128, "{id} was not refused; {ended}");
        if ctx.own_runtime() {
            ensure!(ended.stderr.contains("linux.seccomp"), "the message does not name the field; {ended}");
        }
    }
    Ok(())
}
