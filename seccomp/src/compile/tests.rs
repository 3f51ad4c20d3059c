//! Compiled filters against the meaning of their profiles.

use cofferdam_sys::seccomp::CallData;
use proptest::prelude::*;

use crate::arch::X32_BIT;
use crate::{Action, Answer, Arch, Compare, Condition, ErrorKind, Filter, Profile, Rule, Unknown, Width};

/// Names that are close together, far apart, newest, hidden in others, of one architecture only, and none.
const NAMES: [&str; 26] = [
    "read",
    "write",
    "open",
    "close",
    "stat",
    "fstat",
    "socket",
    "socketpair",
    "socketcall",
    "ipc",
    "semget",
    "clone",
    "clone3",
    "openat2",
    "ioctl",
    "execve",
    "listns",
    "mmap2",
    "set_tls",
    "pidfd_open",
    "uretprobe",
    "pidfd_getfd",
    "personality",
    "rt_sigreturn",
    "no_such_call",
    "io_uring_setup",
];

fn answers() -> impl Strategy<Value = Answer> {
    prop_oneof![
        Just(Answer::Allow),
        Just(Answer::Errno(1)),
        Just(Answer::Errno(38)),
        Just(Answer::KillProcess),
        Just(Answer::KillThread),
        Just(Answer::Trap),
        Just(Answer::Notify),
        Just(Answer::Log),
        (0..3u16).prop_map(Answer::Trace),
    ]
}

/// Values around which comparisons turn.
fn words() -> impl Strategy<Value = u64> {
    let edges =
        [0, 1, 2, 0x10, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x1_0000_0000, 0x1_0000_0001, u64::MAX];
    prop_oneof![prop::sample::select(edges.to_vec()), 0..20u64, any::<u64>()]
}

fn comparisons() -> impl Strategy<Value = Compare> {
    prop_oneof![
        words().prop_map(Compare::Ne),
        words().prop_map(Compare::Lt),
        words().prop_map(Compare::Le),
        words().prop_map(Compare::Eq),
        words().prop_map(Compare::Ge),
        words().prop_map(Compare::Gt),
        (words(), words()).prop_map(|(mask, value)| Compare::MaskedEq { mask, value }),
    ]
}

fn conditions() -> impl Strategy<Value = Condition> {
    (0..6u8, any::<bool>(), comparisons()).prop_map(|(argument, low, compare)| Condition {
        argument,
        width: if low { Width::Low } else { Width::Whole },
        compare,
    })
}

fn rules() -> impl Strategy<Value = Rule> {
    let names = prop::collection::vec(prop::sample::select(NAMES.to_vec()), 1..6);
    let conditions = prop::collection::vec(conditions(), 0..4);
    (names, answers(), conditions).prop_map(|(names, answer, conditions)| Rule {
        names: names.into_iter().map(str::to_owned).collect(),
        answer,
        conditions,
    })
}

fn profiles() -> impl Strategy<Value = Profile> {
    let archs = prop::collection::vec(prop::sample::select(Arch::all().collect::<Vec<_>>()), 0..4);
    let newer = prop::option::of(answers());
    (archs, answers(), answers(), newer, prop::collection::vec(rules(), 0..12)).prop_map(
        |(architectures, default, bad_arch, newer, rules)| Profile {
            architectures,
            bad_arch,
            newer,
            rules,
            ..Profile::new(default)
        },
    )
}

fn calls() -> impl Strategy<Value = CallData> {
    let arch = prop_oneof![
        9 => prop::sample::select(Arch::all().map(Arch::audit).collect::<Vec<_>>()),
        1 => any::<u32>(),
    ];
    let named = (
        prop::sample::select(NAMES.to_vec()),
        prop::sample::select(Arch::all().collect::<Vec<_>>()),
        -1..2i64,
    )
        .prop_map(|(name, arch, beside)| {
            let number = i64::from(arch.number(name).unwrap_or(0)) + beside;
            u32::try_from(number.rem_euclid(1 << 32)).unwrap()
        });
    let edges =
        [X32_BIT - 1, X32_BIT, u32::MAX - 1, u32::MAX, 0x8000_0000, 0xf_0000, 0xf_0005, 471, 472, 547];
    let number =
        prop_oneof![6 => named, 1 => prop::sample::select(edges.to_vec()), 1 => 0..600u32, 1 => any::<u32>()];
    (number, arch, prop::array::uniform6(words())).prop_map(|(number, arch, arguments)| CallData {
        number: number.cast_signed(),
        arch,
        instruction_pointer: 0,
        arguments,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn a_filter_says_what_the_profile_means(profile in profiles(), calls in prop::collection::vec(calls(), 60)) {
        let filter = Filter::compile(&profile).unwrap();
        for call in &calls {
            let found = filter.ask(call).unwrap();
            prop_assert_eq!(found.value, profile.answer(call).unwrap().value(), "{:x?}", call);
        }
    }
}

fn call(arch: Arch, name: &str, arguments: [u64; 6]) -> CallData {
    let number = arch.number(name).unwrap().cast_signed();
    CallData { number, arch: arch.audit(), instruction_pointer: 0, arguments }
}

fn said(profile: &Profile, call: &CallData) -> Answer {
    Filter::compile(profile).unwrap().ask(call).unwrap().answer()
}

const ALLOW: Answer = Answer::Allow;
const EPERM: Answer = Answer::Errno(1);
const NONE: [u64; 6] = [0; 6];

fn on(architectures: &[Arch], profile: Profile) -> Profile {
    Profile { architectures: architectures.to_vec(), ..profile }
}

#[test]
fn every_action_arrives_with_its_data() {
    for action in Action::all() {
        let answer = Answer::from_value(action.value() | 5);
        let profile = on(&[Arch::X86_64], Profile::new(ALLOW).rule(answer, &["mkdir"]));
        assert_eq!(said(&profile, &call(Arch::X86_64, "mkdir", NONE)), answer);
        assert_eq!(said(&profile, &call(Arch::X86_64, "read", NONE)), ALLOW);
    }
}

#[test]
fn a_rule_without_conditions_goes_before_those_with_them() {
    let one = [Condition::whole(0, Compare::Eq(1))];
    let profile = Profile::new(EPERM)
        .rule_if(Answer::Log, &["read"], &one)
        .rule(ALLOW, &["read"])
        .rule(Answer::Trap, &["read"]);
    let profile = on(&[Arch::X86_64], profile);
    assert_eq!(said(&profile, &call(Arch::X86_64, "read", [1, 0, 0, 0, 0, 0])), ALLOW);
}

#[test]
fn the_first_rule_whose_conditions_hold_decides() {
    let profile = Profile::new(EPERM)
        .rule_if(Answer::Log, &["read"], &[Condition::whole(1, Compare::Ge(5))])
        .rule_if(ALLOW, &["read"], &[Condition::whole(0, Compare::Eq(1))]);
    let profile = on(&[Arch::X86_64], profile);
    assert_eq!(said(&profile, &call(Arch::X86_64, "read", [1, 5, 0, 0, 0, 0])), Answer::Log);
    assert_eq!(said(&profile, &call(Arch::X86_64, "read", [1, 4, 0, 0, 0, 0])), ALLOW);
    assert_eq!(said(&profile, &call(Arch::X86_64, "read", [2, 4, 0, 0, 0, 0])), EPERM);
}

#[test]
fn all_conditions_of_a_rule_must_hold() {
    let both = [Condition::whole(0, Compare::Gt(1 << 32)), Condition::whole(0, Compare::Ne((1 << 32) + 7))];
    let profile = on(&[Arch::X86_64], Profile::new(EPERM).rule_if(ALLOW, &["read"], &both));
    for (value, wanted) in
        [(1 << 32, EPERM), ((1 << 32) + 1, ALLOW), ((1 << 32) + 7, EPERM), (2 << 32, ALLOW), (1, EPERM)]
    {
        assert_eq!(said(&profile, &call(Arch::X86_64, "read", [value, 0, 0, 0, 0, 0])), wanted, "{value:#x}");
    }
}

#[test]
fn a_bit_above_an_int_hides_nothing() {
    let vsock = Condition::low(0, Compare::Eq(40));
    let profile = on(&[Arch::X86_64], Profile::new(ALLOW).rule_if(EPERM, &["socket"], &[vsock]));
    for family in [0x28, 0x28 | 1 << 32, 0x28 | u64::MAX << 32] {
        assert_eq!(
            said(&profile, &call(Arch::X86_64, "socket", [family, 0, 0, 0, 0, 0])),
            EPERM,
            "{family:#x}"
        );
    }
}

#[test]
fn numbers_of_x32_never_slip_past() {
    let profile = Profile {
        bad_arch: Answer::KillProcess,
        ..on(&[Arch::X86_64], Profile::new(ALLOW).rule(EPERM, &["keyctl"]))
    };
    let keyctl = call(Arch::X32, "keyctl", NONE);
    assert_eq!(keyctl.number & 0x4000_0000, 0x4000_0000);
    assert_eq!(said(&profile, &keyctl), Answer::KillProcess);
    let both = Profile { architectures: vec![Arch::X86_64, Arch::X32], ..profile };
    assert_eq!(said(&both, &keyctl), EPERM);
    assert_eq!(said(&both, &call(Arch::X32, "read", NONE)), ALLOW);
}

#[test]
fn newer_calls_are_missing_and_not_forbidden() {
    let enosys = Answer::Errno(38);
    let profile = on(&[Arch::X86_64], Profile::new(EPERM).rule(ALLOW, &["read", "clone3"]));
    assert_eq!(said(&profile, &call(Arch::X86_64, "openat2", NONE)), enosys);
    assert_eq!(said(&profile, &call(Arch::X86_64, "write", NONE)), EPERM);
    assert_eq!(
        said(&Profile { newer: None, ..profile.clone() }, &call(Arch::X86_64, "openat2", NONE)),
        EPERM
    );
    let open = Profile { default: ALLOW, ..profile };
    assert_eq!(said(&open, &call(Arch::X86_64, "openat2", NONE)), ALLOW);
}

#[test]
fn socketcall_is_covered_by_what_it_hides() {
    let profile = on(&[Arch::X86], Profile::new(ALLOW).rule(EPERM, &["socket", "shmat"]));
    assert_eq!(said(&profile, &call(Arch::X86, "socketcall", [1, 0, 0, 0, 0, 0])), EPERM);
    assert_eq!(said(&profile, &call(Arch::X86, "socketcall", [2, 0, 0, 0, 0, 0])), ALLOW);
    assert_eq!(said(&profile, &call(Arch::X86, "ipc", [21, 0, 0, 0, 0, 0])), EPERM);
    assert_eq!(said(&profile, &call(Arch::X86, "socket", NONE)), EPERM);
}

/// Every call of x86-64 with conditions of its own: blocks that are further apart than a jump reaches.
fn huge(per_call: u64) -> Profile {
    let mut profile = on(&[Arch::X86, Arch::X86_64], Profile::new(EPERM));
    for (name, number) in Arch::X86_64.calls() {
        for value in 0..per_call {
            let compare = Compare::Eq(u64::from(number) << 32 | value);
            profile = profile.rule_if(ALLOW, &[name], &[Condition::whole(0, compare)]);
        }
    }
    profile
}

#[test]
fn jumps_reach_beyond_255_instructions() {
    let profile = huge(1);
    let filter = Filter::compile(&profile).unwrap();
    assert!(filter.program().len() > 2500, "{}", filter.program().len());
    for (name, number) in Arch::X86_64.calls() {
        for (value, wanted) in [(0, ALLOW), (1, EPERM)] {
            let call = call(Arch::X86_64, name, [u64::from(number) << 32 | value, 0, 0, 0, 0, 0]);
            assert_eq!(filter.ask(&call).unwrap().answer(), wanted, "{name}");
        }
    }
}

#[test]
fn too_long_a_program_is_refused() {
    let error = Filter::compile(&huge(9)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLong);
    assert!(error.to_string().contains("the kernel takes 4096"), "{error}");
}

#[test]
fn unknown_names_are_skipped_or_refused() {
    let profile = Profile::new(EPERM).rule(ALLOW, &["read", "opne", "opne", "mmap2"]);
    // A call of another architecture only is known.
    assert_eq!(profile.unknown_names(), ["opne"]);
    let error = Filter::compile(&Profile { unknown: Unknown::Refuse, ..profile }).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownCall);
    assert!(error.to_string().starts_with("rule 0: `opne` is no system call"), "{error}");
}

#[test]
fn senseless_profiles_are_refused() {
    let sixth = Condition::whole(6, Compare::Eq(0));
    let error = Filter::compile(&Profile::new(EPERM).rule_if(ALLOW, &["read"], &[sixth])).unwrap_err();
    assert_eq!(error.to_string(), "rule 0: argument 6: calls have 0 to 5");
    let error = Filter::compile(&Profile::new(Answer::Errno(4096))).unwrap_err();
    assert_eq!(error.to_string(), "the default: error number 4096: the largest is 4095");
}
