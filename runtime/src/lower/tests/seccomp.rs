//! Profiles as engines write them, and what is wrong with others.

use super::*;
use cofferdam_seccomp::{Answer, Arch, Compare, Condition, FilterFlags, Profile, Rule};

fn profile(seccomp: &Value) -> Profile {
    let mut config = config();
    config["linux"]["seccomp"] = seccomp.clone();
    lowered(&config).unwrap().seccomp.unwrap().profile
}

fn rule(name: &str, answer: Answer, conditions: &[Condition]) -> Rule {
    Rule { names: vec![name.to_owned()], answer, conditions: conditions.to_vec() }
}

#[test]
fn a_profile_is_lowered() {
    let found = profile(&json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 38,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64", "SCMP_ARCH_S390X"],
        "flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"],
        "syscalls": [
            { "names": ["read", "no_such_call"], "action": "SCMP_ACT_ALLOW" },
            { "names": ["clone"], "action": "SCMP_ACT_ALLOW",
              "args": [{ "index": 0, "value": 2_114_060_288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ" }] },
            { "names": ["ptrace"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13 },
            { "names": ["mkdir"], "action": "SCMP_ACT_TRACE", "errnoRet": 7 },
            { "names": ["mknod"], "action": "SCMP_ACT_KILL" },
        ],
    }));
    let mask = Compare::MaskedEq { mask: 2_114_060_288, value: 0 };
    assert_eq!(found.default, Answer::Errno(38));
    assert_eq!(found.bad_arch, Answer::KillThread);
    assert_eq!(found.newer, Some(Answer::Errno(38)));
    assert_eq!(found.flags, FilterFlags::LOG | FilterFlags::SPEC_ALLOW);
    let [first, rest @ ..] = found.rules.as_slice() else { panic!("no rules") };
    assert_eq!(first.names, ["read", "no_such_call"]);
    assert_eq!(
        rest,
        [
            rule("clone", Answer::Allow, &[Condition::whole(0, mask)]),
            rule("ptrace", Answer::Errno(13), &[]),
            rule("mkdir", Answer::Trace(7), &[]),
            rule("mknod", Answer::KillThread, &[]),
        ]
    );
    let native = Arch::native().unwrap();
    let archs = found.architectures().unwrap();
    assert_eq!(archs.first(), Some(&native));
    assert!(archs.iter().all(|arch| arch.is_possible()) && archs.len() > 1, "{archs:?}");
}

#[test]
fn two_comparisons_of_one_argument_are_alternatives() {
    let arg = |value: u64| json!({ "index": 0, "value": value, "op": "SCMP_CMP_EQ" });
    let found = profile(&json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [{ "names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [arg(0), arg(8)] }],
    }));
    let wanted =
        [0, 8].map(|value| rule("personality", Answer::Allow, &[Condition::whole(0, Compare::Eq(value))]));
    assert_eq!(found.rules, wanted);
    assert_eq!(found.default, Answer::Errno(1));
}

#[test]
fn an_agent_is_told_the_state() {
    let mut config = config();
    config["annotations"] = json!({ "a": "b" });
    config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": "/run/agent.sock",
        "listenerMetadata": "for the agent",
        "syscalls": [{ "names": ["mkdir"], "action": "SCMP_ACT_NOTIFY" }],
    });
    let agent = lowered(&config).unwrap().seccomp.unwrap().agent.unwrap();
    assert_eq!(agent.socket, std::path::Path::new("/run/agent.sock"));
    assert_eq!(agent.metadata, "for the agent");
    assert_eq!(agent.state.annotations["a"], "b");
    assert_eq!(agent.state.version, "1.0.2");
}

#[test]
fn each_fault_of_a_profile_names_its_field() {
    let arg = |index: u64| json!([{ "index": index, "value": 0, "op": "SCMP_CMP_EQ" }]);
    let call = |call: Value| json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [call] });
    let notify = |name: &str, path: &str| {
        json!({ "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": path,
            "syscalls": [{ "names": [name], "action": "SCMP_ACT_NOTIFY" }] })
    };
    let faults: [(&str, Value); 10] = [
        ("linux.seccomp.defaultAction", json!({ "defaultAction": "SCMP_ACT_EAT" })),
        (
            "linux.seccomp.defaultErrnoRet: 4096 is above",
            json!({ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4096 }),
        ),
        (
            "defaultErrnoRet: SCMP_ACT_ALLOW gives no",
            json!({ "defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1 }),
        ),
        ("syscalls[0].names: names no", call(json!({ "names": [], "action": "SCMP_ACT_ERRNO" }))),
        (
            "syscalls[0].errnoRet: 70000 is above",
            call(json!({ "names": ["read"], "action": "SCMP_ACT_TRACE", "errnoRet": 70000 })),
        ),
        (
            "syscalls[0].args[0].index: 6 is above",
            call(json!({ "names": ["read"], "action": "SCMP_ACT_ERRNO", "args": arg(6) })),
        ),
        ("listenerPath: must be set", notify("mkdir", "")),
        ("sendmsg must be allowed", notify("sendmsg", "/x")),
        ("sendmsg must be allowed", json!({ "defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/x" })),
        (
            "listenerMetadata: must not be set",
            json!({ "defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x" }),
        ),
    ];
    for (words, seccomp) in faults {
        let (kind, message) = refused(|config| config["linux"]["seccomp"] = seccomp.clone());
        assert_eq!(kind, ErrorKind::Config, "{message}");
        assert!(message.contains(words), "`{message}` does not say `{words}`");
    }
}
