//! The same verdicts as libseccomp, and at most as many instructions a call.
//!
//! `cargo test -p cofferdam-seccomp --features libseccomp`

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::io::{Read, Seek};

use cofferdam_seccomp::notify::CallData;
use cofferdam_seccomp::{Answer, Arch, Compare, Condition, Filter, Profile, Rule, Width, interpret};
use cofferdam_sys::seccomp::Instruction;
use libseccomp::{ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};
use proptest::prelude::*;

fn action(answer: Answer) -> ScmpAction {
    match answer {
        Answer::KillProcess => ScmpAction::KillProcess,
        Answer::KillThread => ScmpAction::KillThread,
        Answer::Trap => ScmpAction::Trap,
        Answer::Errno(errno) => ScmpAction::Errno(errno.into()),
        Answer::Trace(message) => ScmpAction::Trace(message),
        Answer::Log => ScmpAction::Log,
        Answer::Allow => ScmpAction::Allow,
        other => panic!("{other} is not compared"),
    }
}

fn arch(arch: Arch) -> ScmpArch {
    match arch {
        Arch::X86_64 => ScmpArch::X8664,
        Arch::X86 => ScmpArch::X86,
        Arch::X32 => ScmpArch::X32,
        other => panic!("{other} is not compared"),
    }
}

fn compare(condition: &Condition) -> ScmpArgCompare {
    let whole = |op, value| ScmpArgCompare::new(condition.argument.into(), op, value);
    match (condition.width, condition.compare) {
        (Width::Whole, Compare::Ne(value)) => whole(ScmpCompareOp::NotEqual, value),
        (Width::Whole, Compare::Lt(value)) => whole(ScmpCompareOp::Less, value),
        (Width::Whole, Compare::Le(value)) => whole(ScmpCompareOp::LessOrEqual, value),
        (Width::Whole, Compare::Eq(value)) => whole(ScmpCompareOp::Equal, value),
        (Width::Whole, Compare::Ge(value)) => whole(ScmpCompareOp::GreaterEqual, value),
        (Width::Whole, Compare::Gt(value)) => whole(ScmpCompareOp::Greater, value),
        (Width::Whole, Compare::MaskedEq { mask, value }) => whole(ScmpCompareOp::MaskedEqual(mask), value),
        (Width::Low, Compare::Eq(value)) => whole(ScmpCompareOp::MaskedEqual(0xffff_ffff), value),
        (Width::Low, Compare::MaskedEq { mask, value }) => {
            whole(ScmpCompareOp::MaskedEqual(mask & 0xffff_ffff), value)
        }
        other => panic!("{other:?} is not compared"),
    }
}

/// libseccomp's program for a profile, with the binary tree (`SCMP_FLTATR_CTL_OPTIMIZE` = 2).
fn theirs(profile: &Profile, tree: bool) -> Vec<Instruction> {
    let mut context = ScmpFilterContext::new(action(profile.default)).unwrap();
    context.set_act_badarch(action(profile.bad_arch)).unwrap();
    if tree {
        context.set_ctl_optimize(2).unwrap();
    }
    for one in Arch::all().filter(|one| matches!(one, Arch::X86_64 | Arch::X86 | Arch::X32)) {
        if profile.architectures.contains(&one) {
            context.add_arch(arch(one)).unwrap();
        } else if context.is_arch_present(arch(one)).unwrap() {
            context.remove_arch(arch(one)).unwrap();
        }
    }
    for rule in profile.rules.iter().filter(|rule| rule.answer != profile.default) {
        for name in &rule.names {
            // Newer than this libseccomp.
            let Ok(call) = ScmpSyscall::from_name(name) else { continue };
            let conditions: Vec<_> = rule.conditions.iter().map(compare).collect();
            let added = if conditions.is_empty() {
                context.add_rule(action(rule.answer), call)
            } else {
                context.add_rule_conditional(action(rule.answer), call, &conditions)
            };
            // An exact repetition is an error there.
            if let Err(error) = added {
                assert_eq!(
                    error.errno().map(|errno| format!("{errno:?}")),
                    Some("EEXIST".to_owned()),
                    "{name}: {error}"
                );
            }
        }
    }
    let mut file = tempfile::tempfile().unwrap();
    context.export_bpf(&file).unwrap();
    file.rewind().unwrap();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    bytes
        .chunks_exact(8)
        .map(|chunk| match *chunk {
            [c0, c1, jump_true, jump_false, k0, k1, k2, k3] => Instruction {
                code: u16::from_ne_bytes([c0, c1]),
                jump_true,
                jump_false,
                operand: u32::from_ne_bytes([k0, k1, k2, k3]),
            },
            _ => panic!("8 bytes are 8"),
        })
        .collect()
}

const NAMES: [&str; 12] = [
    "read",
    "write",
    "open",
    "stat",
    "socket",
    "clone",
    "ioctl",
    "execve",
    "getpid",
    "prctl",
    "openat",
    "personality",
];

fn answers() -> impl Strategy<Value = Answer> {
    prop_oneof![
        Just(Answer::Allow),
        Just(Answer::Errno(1)),
        Just(Answer::KillProcess),
        Just(Answer::Trap),
        Just(Answer::Log),
        Just(Answer::Trace(3)),
    ]
}

fn words() -> impl Strategy<Value = u64> {
    let edges = [0, 1, 2, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x1_0000_0000, 0x1_0000_0001, u64::MAX];
    prop_oneof![prop::sample::select(edges.to_vec()), 0..8u64, any::<u64>()]
}

fn comparisons() -> impl Strategy<Value = Compare> {
    prop_oneof![
        words().prop_map(Compare::Ne),
        words().prop_map(Compare::Lt),
        words().prop_map(Compare::Le),
        words().prop_map(Compare::Eq),
        words().prop_map(Compare::Ge),
        words().prop_map(Compare::Gt),
        // A mask of nothing is refused there.
        (words().prop_map(|mask| mask | 1), words())
            .prop_map(|(mask, value)| Compare::MaskedEq { mask, value }),
    ]
}

/// Conditions on different arguments: two on one are refused there.
fn conditions() -> impl Strategy<Value = Vec<Condition>> {
    prop::collection::btree_map(0..6u8, comparisons(), 0..3).prop_map(|conditions| {
        conditions.into_iter().map(|(argument, compare)| Condition::whole(argument, compare)).collect()
    })
}

/// Every call has one answer: where several rules with conditions hold, the order is libseccomp's own.
fn profiles(archs: &[Arch]) -> impl Strategy<Value = Profile> {
    let rules = prop::collection::vec(
        (prop::sample::select(NAMES.to_vec()), prop::collection::vec(conditions(), 1..4)),
        0..12,
    );
    let archs = prop::sample::subsequence(archs.to_vec(), 1..=archs.len());
    let by_name = prop::collection::vec(answers(), NAMES.len());
    (archs, answers(), answers(), by_name, rules).prop_map(
        |(architectures, default, bad_arch, by_name, rules)| {
            let answer = |name: &str| {
                NAMES.iter().zip(&by_name).find(|(known, _)| **known == name).map(|(_, answer)| *answer)
            };
            let rules = rules.into_iter().flat_map(|(name, alternatives)| {
                let answer = answer(name).unwrap_or(Answer::Allow);
                alternatives.into_iter().map(move |conditions| Rule {
                    names: vec![name.to_owned()],
                    answer,
                    conditions,
                })
            });
            let rules = comparable(rules.collect());
            Profile { architectures, bad_arch, newer: None, rules, ..Profile::new(default) }
        },
    )
}

/// Leaves out what libseccomp 2.5 gets wrong: of several rules on one call that compare by order or by what is
/// not, it loses some. (`prctl` with argument 0 below 1 << 32, and `prctl` with argument 0 below 0: the value
/// 0x80000000 is found to be neither.) A call with such a rule keeps its first one.
fn comparable(rules: Vec<Rule>) -> Vec<Rule> {
    let plain = |rule: &Rule| {
        rule.conditions
            .iter()
            .all(|condition| matches!(condition.compare, Compare::Eq(_) | Compare::MaskedEq { .. }))
    };
    let mut kept: Vec<Rule> = Vec::new();
    for rule in rules {
        let mut others =
            kept.iter().filter(|other| other.names == rule.names && !other.conditions.is_empty());
        if rule.conditions.is_empty() || others.all(|other| plain(other) && plain(&rule)) {
            kept.push(rule);
        }
    }
    kept
}

fn calls() -> impl Strategy<Value = CallData> {
    let arch = prop::sample::select(vec![Arch::X86_64, Arch::X86, Arch::X32, Arch::Aarch64]);
    let number = prop_oneof![
        6 => (prop::sample::select(NAMES.to_vec()), prop::sample::select(vec![Arch::X86_64, Arch::X86, Arch::X32]))
            .prop_map(|(name, arch)| arch.number(name).unwrap()),
        1 => 0..600u32,
        1 => prop::sample::select(vec![0x3fff_ffff, 0x4000_0000, 0x8000_0000, u32::MAX]),
    ];
    (number, arch, prop::array::uniform6(words())).prop_map(|(number, arch, arguments)| CallData {
        number: number.cast_signed(),
        arch: arch.audit(),
        instruction_pointer: 0,
        // Registers of these have 32 bits, and libseccomp takes x32 for such a one.
        arguments: if arch == Arch::X86_64 {
            arguments
        } else {
            arguments.map(|argument| argument & 0xffff_ffff)
        },
    })
}

fn same(profile: &Profile, calls: &[CallData]) -> Result<(), TestCaseError> {
    let ours = Filter::compile(profile).unwrap();
    for tree in [false, true] {
        let theirs = theirs(profile, tree);
        for call in calls {
            let mut call = *call;
            // x32 calls have whole registers, but libseccomp compares only half of the value.
            if call.number.cast_unsigned() >= 0x4000_0000 {
                call.arguments = call.arguments.map(|argument| argument & 0xffff_ffff);
            }
            let wanted = interpret::run(&theirs, &call).unwrap();
            let found = ours.ask(&call).unwrap();
            prop_assert_eq!(found.answer(), wanted.answer(), "{:x?}", call);
        }
    }
    Ok(())
}

fn half(compare: Compare) -> Compare {
    let low = |value: u64| value & 0xffff_ffff;
    match compare {
        Compare::Ne(value) => Compare::Ne(low(value)),
        Compare::Lt(value) => Compare::Lt(low(value)),
        Compare::Le(value) => Compare::Le(low(value)),
        Compare::Eq(value) => Compare::Eq(low(value)),
        Compare::Ge(value) => Compare::Ge(low(value)),
        Compare::Gt(value) => Compare::Gt(low(value)),
        Compare::MaskedEq { mask, value } => Compare::MaskedEq { mask: low(mask), value: low(value) },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn verdicts_are_the_same_on_64_bits(
        profile in profiles(&[Arch::X86_64]), calls in prop::collection::vec(calls(), 40)
    ) {
        same(&profile, &calls)?;
    }

    #[test]
    fn verdicts_are_the_same_on_several_architectures(
        profile in profiles(&[Arch::X86_64, Arch::X86]), calls in prop::collection::vec(calls(), 60)
    ) {
        same(&profile, &calls)?;
    }

    /// libseccomp compares half of an argument of x32, though the kernel takes the whole register: the same only
    /// for values that have nothing above.
    #[test]
    fn verdicts_are_the_same_on_x32(
        profile in profiles(&[Arch::X86_64, Arch::X86, Arch::X32]), calls in prop::collection::vec(calls(), 60)
    ) {
        let mut profile = profile;
        for condition in profile.rules.iter_mut().flat_map(|rule| &mut rule.conditions) {
            condition.compare = half(condition.compare);
        }
        same(&profile, &calls)?;
    }

    /// Rules without conditions before and behind others, with answers of their own.
    #[test]
    fn rules_without_conditions_decide_alike(
        profile in profiles(&[Arch::X86_64]),
        others in prop::collection::vec((0..12usize, prop::sample::select(NAMES.to_vec()), answers()), 0..8),
        calls in prop::collection::vec(calls(), 40),
    ) {
        let mut profile = profile;
        for (place, name, answer) in others {
            let rule = Rule { names: vec![name.to_owned()], answer, conditions: Vec::new() };
            profile.rules.insert(place.min(profile.rules.len()), rule);
        }
        same(&profile, &calls)?;
    }
}

/// The hardened profile as far as libseccomp can express it: without the last rule of each conditional call,
/// and with every `ioctl`, for it has no conjunction of comparisons of one argument.
fn expressible() -> Profile {
    let mut profile = Profile { newer: None, architectures: vec![Arch::X86_64], ..Profile::hardened() };
    let anything = Compare::MaskedEq { mask: 0, value: 0 };
    profile.rules.retain(|rule| {
        rule.names != ["ioctl"] && rule.conditions.iter().all(|condition| condition.compare != anything)
    });
    profile.rule(Answer::Allow, &["ioctl"])
}

/// What calls of the hardened profile cost, exactly: each at most as much as with libseccomp's binary tree.
#[test]
fn no_call_costs_more_than_with_libseccomp() {
    let ours =
        Filter::compile(&Profile { architectures: vec![Arch::X86_64], ..Profile::hardened() }).unwrap();
    let theirs = theirs(&expressible(), true);
    let mut sums = (0, 0, 0);
    let mut most = (0, 0);
    for (name, number) in Arch::X86_64.calls() {
        let call =
            CallData { number: number.cast_signed(), arch: Arch::X86_64.audit(), ..CallData::default() };
        let our_cost = ours.ask(&call).unwrap().instructions;
        let their_cost = interpret::run(&theirs, &call).unwrap().instructions;
        if name != "ioctl" {
            assert!(our_cost <= their_cost, "{name}: {our_cost} instructions, libseccomp has {their_cost}");
        }
        sums = (sums.0 + our_cost, sums.1 + their_cost, sums.2 + 1);
        most = (most.0.max(our_cost), most.1.max(their_cost));
    }
    println!("instructions over {} calls: {} ours, {} libseccomp; at most {most:?}", sums.2, sums.0, sums.1);
    println!("length: {} ours, {} libseccomp", ours.program().len(), theirs.len());
    let costs = |name: &str, argument: u64| {
        let number = Arch::X86_64.number(name).unwrap().cast_signed();
        let call =
            CallData { number, arch: Arch::X86_64.audit(), instruction_pointer: 0, arguments: [argument; 6] };
        (ours.ask(&call).unwrap().instructions, interpret::run(&theirs, &call).unwrap().instructions)
    };
    for (name, argument) in [
        ("socket", 1),
        ("socket", 2),
        ("socket", 16),
        ("socketpair", 1),
        ("clone", 0x11),
        ("personality", 8),
        ("mknod", 0x1000),
    ] {
        let (ours, theirs) = costs(name, argument);
        assert!(ours <= theirs, "{name} with {argument:#x}: {ours} instructions, libseccomp has {theirs}");
    }
    for name in
        ["read", "write", "futex", "epoll_wait", "openat", "close", "getpid", "statx", "ioctl", "socket"]
    {
        println!("{name}: {:?} (ours, libseccomp)", costs(name, 1));
    }
}
