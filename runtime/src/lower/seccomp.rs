//! `linux.seccomp`: which system calls the container may make.

use cofferdam_seccomp::answer::MAX_ERRNO;
use cofferdam_seccomp::notify::CallData;
use cofferdam_seccomp::{Answer, Arch, Compare, Condition, FilterFlags, Profile, Rule};

use crate::bundle::Bundle;
use crate::container::{Agent, Seccomp};
use crate::spec::{
    Linux, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompFilterFlag, LinuxSeccompOperator,
    LinuxSyscall, SeccompArch, State,
};
use crate::{Error, Result};

/// `EPERM`, which a missing `errnoRet` means.
const EPERM: u32 = 1;

pub(super) fn lower(bundle: &Bundle, linux: &Linux) -> Result<Option<Seccomp>> {
    let Some(seccomp) = &linux.seccomp else { return Ok(None) };
    let default = answer(seccomp.default_action, seccomp.default_errno_ret, "linux.seccomp.defaultErrnoRet")?;
    let mut profile = Profile::new(default);
    profile.architectures = architectures(seccomp)?;
    profile.flags = flags(seccomp);
    for (number, syscall) in seccomp.syscalls.iter().enumerate() {
        rules(syscall, &format!("linux.seccomp.syscalls[{number}]"), &mut profile.rules)?;
    }
    profile.validate().map_err(|error| Error::config("linux.seccomp", error))?;
    let agent = agent(bundle, seccomp, &profile)?;
    Ok(Some(Seccomp { profile, agent }))
}

/// The machine's own architecture is always among them, as with runc and crun. Those that the machine cannot
/// have are left out: no call of them can be made.
fn architectures(seccomp: &LinuxSeccomp) -> Result<Vec<Arch>> {
    let native = Arch::native().ok_or_else(|| {
        Error::config("linux.seccomp", "this build has no table of this machine's system calls")
    })?;
    let listed = seccomp.architectures.iter().filter_map(|arch| match arch {
        SeccompArch::X86_64 => Some(Arch::X86_64),
        SeccompArch::X86 => Some(Arch::X86),
        SeccompArch::X32 => Some(Arch::X32),
        SeccompArch::Aarch64 => Some(Arch::Aarch64),
        SeccompArch::Arm => Some(Arch::Arm),
        // The native one is there, and others have no calls on machines that there are tables for.
        _ => None,
    });
    Ok(std::iter::once(native).chain(listed.filter(|arch| arch.is_possible())).collect())
}

fn flags(seccomp: &LinuxSeccomp) -> FilterFlags {
    let one = |flag: &LinuxSeccompFilterFlag| match flag {
        LinuxSeccompFilterFlag::Log => FilterFlags::LOG,
        LinuxSeccompFilterFlag::Tsync => FilterFlags::TSYNC,
        LinuxSeccompFilterFlag::SpecAllow => FilterFlags::SPEC_ALLOW,
        LinuxSeccompFilterFlag::WaitKillableRecv => FilterFlags::WAIT_KILLABLE_RECV,
    };
    seccomp.flags.iter().map(one).fold(FilterFlags::empty(), |all, flag| all | flag)
}

fn answer(action: LinuxSeccompAction, errno: Option<u32>, field: &str) -> Result<Answer> {
    let data = |most: u16| {
        let number = errno.unwrap_or(EPERM);
        u16::try_from(number)
            .ok()
            .filter(|number| *number <= most)
            .ok_or_else(|| Error::config(field, format!("{number} is above {most}")))
    };
    let answer = match action {
        LinuxSeccompAction::Errno => return data(MAX_ERRNO).map(Answer::Errno),
        LinuxSeccompAction::Trace => return data(u16::MAX).map(Answer::Trace),
        LinuxSeccompAction::Kill | LinuxSeccompAction::KillThread => Answer::KillThread,
        LinuxSeccompAction::KillProcess => Answer::KillProcess,
        LinuxSeccompAction::Trap => Answer::Trap,
        LinuxSeccompAction::Notify => Answer::Notify,
        LinuxSeccompAction::Log => Answer::Log,
        LinuxSeccompAction::Allow => Answer::Allow,
    };
    match errno {
        // The specification has it so: "the runtime MUST print an error and fail".
        Some(_) => Err(Error::config(field, format!("{answer} gives no error number"))),
        None => Ok(answer),
    }
}

/// One entry as rules: one, or one for each comparison when two are of the same argument.
///
/// That is how runc and crun read such an entry, since libseccomp cannot join them: any of them is enough.
fn rules(syscall: &LinuxSyscall, field: &str, rules: &mut Vec<Rule>) -> Result<()> {
    if syscall.names.is_empty() {
        return Err(Error::config(&format!("{field}.names"), "names no system call"));
    }
    let answer = answer(syscall.action, syscall.errno_ret, &format!("{field}.errnoRet"))?;
    let mut conditions = Vec::new();
    for (number, arg) in syscall.args.iter().enumerate() {
        conditions.push(condition(arg, &format!("{field}.args[{number}]"))?);
    }
    let rule = |conditions: Vec<Condition>| Rule { names: syscall.names.clone(), answer, conditions };
    let mut arguments: Vec<u8> = conditions.iter().map(|condition| condition.argument).collect();
    arguments.sort_unstable();
    if arguments.windows(2).any(|pair| pair.first() == pair.last()) {
        rules.extend(conditions.into_iter().map(|condition| rule(vec![condition])));
    } else {
        rules.push(rule(conditions));
    }
    Ok(())
}

fn condition(arg: &LinuxSeccompArg, field: &str) -> Result<Condition> {
    let value = arg.value;
    let argument = u8::try_from(arg.index)
        .ok()
        .filter(|index| *index < 6)
        .ok_or_else(|| Error::config(&format!("{field}.index"), format!("{} is above 5", arg.index)))?;
    let compare = match arg.op {
        LinuxSeccompOperator::Ne => Compare::Ne(value),
        LinuxSeccompOperator::Lt => Compare::Lt(value),
        LinuxSeccompOperator::Le => Compare::Le(value),
        LinuxSeccompOperator::Eq => Compare::Eq(value),
        LinuxSeccompOperator::Ge => Compare::Ge(value),
        LinuxSeccompOperator::Gt => Compare::Gt(value),
        LinuxSeccompOperator::MaskedEq => {
            Compare::MaskedEq { mask: value, value: arg.value_two.unwrap_or(0) }
        }
    };
    Ok(Condition::whole(argument, compare))
}

/// The listener goes to the agent by `sendmsg(2)`, which must not wait for the agent's own answer.
fn agent(bundle: &Bundle, seccomp: &LinuxSeccomp, profile: &Profile) -> Result<Option<Agent>> {
    let path = seccomp.listener_path.as_ref().filter(|path| !path.as_os_str().is_empty());
    let metadata = seccomp.listener_metadata.as_ref().filter(|text| !text.is_empty());
    if path.is_none() && metadata.is_some() {
        return Err(Error::config("linux.seccomp.listenerMetadata", "must not be set without listenerPath"));
    }
    if !profile.notifies() {
        return Ok(None);
    }
    let Some(path) = path else {
        return Err(Error::config("linux.seccomp.listenerPath", "must be set with SCMP_ACT_NOTIFY"));
    };
    let call = |arch: Arch| CallData {
        number: arch.number("sendmsg").map_or(-1, u32::cast_signed),
        arch: arch.audit(),
        ..CallData::default()
    };
    let sending = Arch::native().map(|arch| profile.answer(&call(arch))).transpose();
    match sending.map_err(|error| Error::config("linux.seccomp", error))? {
        Some(Answer::Allow | Answer::Log) => {}
        _ => {
            return Err(Error::config(
                "linux.seccomp",
                "sendmsg must be allowed with SCMP_ACT_NOTIFY: the container sends its listener with it",
            ));
        }
    }
    let state = State {
        version: bundle.spec.version.clone(),
        bundle: bundle.dir.clone(),
        annotations: bundle.spec.annotations.clone(),
        ..State::default()
    };
    Ok(Some(Agent { socket: path.clone(), metadata: metadata.cloned().unwrap_or_default(), state }))
}
