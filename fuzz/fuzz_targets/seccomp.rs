//! Bytes as `linux.seccomp` in JSON, then NUL and a call: what compiles answers the call as the profile says.
#![no_main]

use cofferdam::spec::{
    LinuxSeccomp, LinuxSeccompAction as Action, LinuxSeccompOperator as Op, SeccompArch, from_slice,
};
use cofferdam_fuzz::one_line;
use cofferdam_seccomp::{Answer, Arch, Compare, Condition, Filter, Profile, Rule, Width};
use cofferdam_sys::seccomp::CallData;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let (json, call) = split(input);
    let Ok(spec) = from_slice::<LinuxSeccomp>(json) else { return };
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
    let mut profile = Profile::new(answer(spec.default_action, spec.default_errno_ret)?);
    for arch in &spec.architectures {
        profile.architectures.push(match arch {
            SeccompArch::X86_64 => Arch::X86_64,
            SeccompArch::X86 => Arch::X86,
            SeccompArch::X32 => Arch::X32,
            SeccompArch::Aarch64 => Arch::Aarch64,
            SeccompArch::Arm => Arch::Arm,
            _ => return None,
        });
    }
    for rule in &spec.syscalls {
        let conditions = rule.args.iter().map(|arg| {
            let (value, two) = (arg.value, arg.value_two.unwrap_or_default());
            let compare = match arg.op {
                Op::Ne => Compare::Ne(value),
                Op::Lt => Compare::Lt(value),
                Op::Le => Compare::Le(value),
                Op::Eq => Compare::Eq(value),
                Op::Ge => Compare::Ge(value),
                Op::Gt => Compare::Gt(value),
                Op::MaskedEq => Compare::MaskedEq { mask: value, value: two },
            };
            let argument = u8::try_from(arg.index).ok()?;
            let width = if arg.index % 2 == 0 { Width::Whole } else { Width::Low };
            Some(Condition { argument, width, compare })
        });
        profile.rules.push(Rule {
            names: rule.names.clone(),
            answer: answer(rule.action, rule.errno_ret)?,
            conditions: conditions.collect::<Option<_>>()?,
        });
    }
    Some(profile)
}

fn answer(action: Action, errno: Option<u32>) -> Option<Answer> {
    let data = u16::try_from(errno.unwrap_or(1)).ok()?;
    Some(match action {
        Action::Kill | Action::KillThread => Answer::KillThread,
        Action::KillProcess => Answer::KillProcess,
        Action::Trap => Answer::Trap,
        Action::Errno => Answer::Errno(data),
        Action::Trace => Answer::Trace(data),
        Action::Notify => Answer::Notify,
        Action::Log => Answer::Log,
        Action::Allow => Answer::Allow,
    })
}
