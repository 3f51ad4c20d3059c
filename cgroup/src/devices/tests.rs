//! The program against the meaning of its rules, by interpreting it.

use super::program::code;
use super::*;
use proptest::prelude::*;

/// One use of a device.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Use {
    pub(crate) kind: Kind,
    pub(crate) access: u32,
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

/// What the rules mean, written down as plainly as it can be.
pub(crate) fn meaning(rules: &[Rule], what: Use) -> bool {
    let names = |rule: &&Rule| {
        rule.kind.is_none_or(|kind| kind == what.kind)
            && rule.major.is_none_or(|major| major == what.major)
            && rule.minor.is_none_or(|minor| minor == what.minor)
    };
    if what.access == 0 {
        return rules.iter().any(|rule| rule.allow && names(&rule));
    }
    (0..3).map(|bit| 1u32 << bit).filter(|bit| what.access & bit != 0).all(|bit| {
        let decides = |rule: &&Rule| names(rule) && u32::from(rule.access.bits()) & bit != 0;
        rules.iter().rfind(decides).is_some_and(|rule| rule.allow)
    })
}

/// Runs the instructions as the kernel would; `None` for anything that its verifier would refuse.
fn run(program: &[Instruction], what: Use) -> Option<bool> {
    let kind: u32 = if what.kind == Kind::Block { 1 } else { 2 };
    let context = [(what.access << 16) | kind, what.major, what.minor];
    let mut registers: [Option<u64>; 11] = [None; 11];
    let mut at = 0usize;
    loop {
        let step = program.get(at)?;
        at += 1;
        let (to, from) = (usize::from(step.registers & 15), usize::from(step.registers >> 4));
        let immediate = i64::from(step.immediate).cast_unsigned();
        let low = |value: u64| u32::try_from(value & 0xffff_ffff).unwrap();
        let jump = match step.code {
            code::LOAD_WORD => {
                assert_eq!(from, 1, "only the context is memory");
                registers[to] = Some(u64::from(context[usize::try_from(step.offset).ok()? / 4]));
                false
            }
            code::MOVE => {
                registers[to] = Some(registers[from]?);
                false
            }
            code::SET => {
                registers[to] = Some(immediate);
                false
            }
            code::AND => {
                registers[to] = Some(registers[to]? & immediate);
                false
            }
            code::SHIFT_RIGHT => {
                registers[to] = Some(registers[to]? >> immediate);
                false
            }
            code::JUMP_NOT_EQUAL => low(registers[to]?) != low(immediate),
            code::JUMP_SET => low(registers[to]?) & low(immediate) != 0,
            code::JUMP => true,
            code::EXIT => return Some(registers[0]? == 1),
            _ => return None,
        };
        if jump {
            at += usize::try_from(step.offset).ok().filter(|over| *over > 0)?;
        }
    }
}

/// Numbers from a small range, so that rules meet; with the ends of the range of all.
fn number() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 0u32..3, 1 => Just(u32::MAX), 1 => Just(0x8000_0000)]
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Block), Just(Kind::Char)]
}

pub(crate) fn any_rule() -> impl Strategy<Value = Rule> {
    use prop::option::of;
    (any::<bool>(), of(kind()), of(number()), of(number()), 1u8..8).prop_map(
        |(allow, kind, major, minor, access)| Rule { allow, kind, major, minor, access: Access(access) },
    )
}

pub(crate) fn any_use() -> impl Strategy<Value = Use> {
    (kind(), 0u32..8, number(), number()).prop_map(|(kind, access, major, minor)| Use {
        kind,
        access,
        major,
        minor,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn the_program_means_what_the_rules_mean(
        rules in prop::collection::vec(any_rule(), 0..8),
        what in any_use(),
    ) {
        let program = compile(&rules).unwrap();
        prop_assert_eq!(run(&program, what), Some(meaning(&rules, what)));
    }

    #[test]
    fn letters_are_read_or_refused(kind in ".{0,2}", access in ".{0,4}") {
        let _ = Rule::new(true, &kind, None, None, &access);
    }
}

#[test]
fn an_access_that_nobody_can_name_is_denied() {
    let all = [Rule { allow: true, ..Rule::DENY_ALL }];
    let program = compile(&all).unwrap();
    let what = Use { kind: Kind::Char, access: 8 | 2, major: 1, minor: 3 };
    assert_eq!(run(&program, what), Some(false));
    assert_eq!(run(&program, Use { access: 2, ..what }), Some(true));
}

#[test]
fn a_write_that_is_denied_is_not_let_in_with_a_read() {
    let null = |allow, access| Rule::new(allow, "c", Some(1), Some(3), access).unwrap();
    let rules = [Rule::DENY_ALL, null(true, "rwm"), null(false, "w")];
    let program = compile(&rules).unwrap();
    let open = |access: Access| {
        run(&program, Use { kind: Kind::Char, access: access.bits().into(), major: 1, minor: 3 }).unwrap()
    };
    assert!(open(Access::READ));
    assert!(!open(Access::WRITE));
    assert!(!open(Access::READ.union(Access::WRITE)));
}

#[test]
fn letters_make_a_rule() {
    let rule = Rule::new(true, "c", Some(1), None, "rwm").unwrap();
    assert_eq!(rule.access, Access::ALL);
    assert_eq!(Rule::new(false, "a", None, None, "mwr").unwrap(), Rule::DENY_ALL);
    for (kind, access, fault) in
        [("p", "r", "`p` is no type"), ("c", "rx", "`x` is no access"), ("c", "", "no access")]
    {
        let error = Rule::new(true, kind, None, None, access).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(fault), "{error}");
    }
}

#[test]
fn there_is_an_end_to_rules() {
    let many = vec![Rule { major: Some(1), minor: Some(1), kind: Some(Kind::Char), ..Rule::DENY_ALL }; 500];
    assert!(compile(&many).unwrap().len() <= 4096);
    let more = vec![Rule::DENY_ALL; 2000];
    assert_eq!(compile(&more).unwrap_err().kind(), ErrorKind::Invalid);
}
