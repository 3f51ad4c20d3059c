//! Bytes as `linux.seccomp` in JSON, then NUL and a call: what compiles answers the call as the profile says.
#![no_main]

use cofferdam::spec::{
    Arch as OciArch, LinuxSeccomp, LinuxSeccompAction as Action, LinuxSeccompOperator as Op,
};
use cofferdam_fuzz::one_line;
use cofferdam_seccomp::{Answer, Arch, Compare, Condition, Filter, Profile, Rule, Width};
use cofferdam_sys::seccomp::CallData;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let (json, call) = split(input);
    let Ok(spec) = serde_json::from_slice::<LinuxSeccomp>(json) else { return };
    let Some(profile) = lower(&spec) else { return };
    if let Err(error) = profile.validate() {
        return one_line(&error.to_string());
    }
    match Filter::compile(&profile) {
        Err(error) => one_line(&error.to_string()),
        Ok(filter) => {
            let found = filter.ask(&call).expect("a filter ends").answer();
            let meant = profile.answer(&call).expect("what compiles has a meaning");
            assert_eq!(found, meant, "{call:?}");
        }
    }
});

/// The JSON, and a call made of what stands behind its NUL.
fn split(input: &[u8]) -> (&[u8], CallData) {
    let at = input.iter().position(|byte| *byte == 0).unwrap_or(input.len());
    let (json, tail) = input.split_at(at);
    let mut bytes = [0; 64];
    for (place, byte) in bytes.iter_mut().zip(tail.iter().skip(1)) {
        *place = *byte;
    }
    let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
    let arch = match bytes[0] {
        0 => 0xc000_003e,
        1 => 0x4000_0003,
        2 => 0xc000_00b7,
        _ => u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
    };
    let number = i32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
    let arguments = std::array::from_fn(|at| word(8 + at * 8));
    (json, CallData { number, arch, instruction_pointer: 0, arguments })
}

fn lower(spec: &LinuxSeccomp) -> Option<Profile> {
    let mut profile = Profile::new(answer(spec.default_action(), spec.default_errno_ret())?);
    for arch in spec.architectures().iter().flatten() {
        profile.architectures.push(match arch {
            OciArch::ScmpArchX86_64 => Arch::X86_64,
            OciArch::ScmpArchX86 => Arch::X86,
            OciArch::ScmpArchX32 => Arch::X32,
            OciArch::ScmpArchAarch64 => Arch::Aarch64,
            OciArch::ScmpArchArm => Arch::Arm,
            _ => return None,
        });
    }
    for rule in spec.syscalls().iter().flatten() {
        let conditions = rule.args().iter().flatten().map(|arg| {
            let (value, two) = (arg.value(), arg.value_two().unwrap_or_default());
            let compare = match arg.op() {
                Op::ScmpCmpNe => Compare::Ne(value),
                Op::ScmpCmpLt => Compare::Lt(value),
                Op::ScmpCmpLe => Compare::Le(value),
                Op::ScmpCmpEq => Compare::Eq(value),
                Op::ScmpCmpGe => Compare::Ge(value),
                Op::ScmpCmpGt => Compare::Gt(value),
                Op::ScmpCmpMaskedEq => Compare::MaskedEq { mask: value, value: two },
            };
            let argument = u8::try_from(arg.index()).ok()?;
            let width = if arg.index() % 2 == 0 { Width::Whole } else { Width::Low };
            Some(Condition { argument, width, compare })
        });
        profile.rules.push(Rule {
            names: rule.names().clone(),
            answer: answer(rule.action(), rule.errno_ret())?,
            conditions: conditions.collect::<Option<_>>()?,
        });
    }
    Some(profile)
}

fn answer(action: Action, errno: Option<u32>) -> Option<Answer> {
    let fits = errno.is_none_or(|errno| errno <= u32::from(u16::MAX));
    fits.then(|| Answer::from_value(action.as_u32(errno)))
}
