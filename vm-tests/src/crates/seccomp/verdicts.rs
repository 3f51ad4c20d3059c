//! What each answer does, and that the kernel compares as the profile says.

use super::{KILLED, MARK, MARKED, ask, end, errno, only};
use crate::registry::{Context, OrFail, Result, Test};
use cofferdam_seccomp::notify::CallData;
use cofferdam_seccomp::{Action, Answer, Arch, Compare, Condition, Filter, Profile, Rule, Width};
use cofferdam_sys::Errno;
use std::collections::BTreeSet;
use std::fs;

pub(in super::super) const TESTS: &[Test] = &[
    Test::integration(
        "seccomp::actions",
        "The actions that are probed are those that the kernel lists",
        actions,
    ),
    Test::integration("seccomp::errno", "A refused call gives the profile's error number", gives_errno),
    Test::integration("seccomp::default-errno", "A call without a rule gives the default's", default_errno),
    Test::integration("seccomp::kill-process", "A call kills the process", kill_process),
    Test::integration("seccomp::kill-thread", "A call kills its thread and no other", kill_thread),
    Test::integration("seccomp::trap", "A call raises SIGSYS", trap),
    Test::integration("seccomp::trace", "Without a tracer a traced call is missing", trace),
    Test::integration("seccomp::log", "A call that is logged goes through, and is in the log", log),
    Test::integration(
        "seccomp::comparisons",
        "The kernel answers random profiles as they are defined",
        comparisons,
    ),
    Test::integration(
        "seccomp::several-architectures",
        "One filter has rules for x86-64, x32 and i386",
        several,
    ),
    Test::integration("seccomp::foreign-kills", "Calls of architectures that are not listed kill", foreign),
    Test::integration(
        "seccomp::socketcall",
        "A rule for a socket call covers socketcall(2) of i386",
        socketcall,
    ),
    Test::integration("seccomp::newer-calls", "Calls newer than the profile are missing", newer),
];

fn actions(_: &mut Context) -> Result {
    let listed = fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail")?;
    let probed = cofferdam_seccomp::available_actions()?;
    let probed: BTreeSet<&str> = probed.into_iter().map(Action::kernel_name).collect();
    ensure_eq!(probed, listed.split_whitespace().collect::<BTreeSet<_>>(), "the actions");
    Ok(())
}

const GETPPID: &str = "call:native:getppid";

fn gives_errno(_: &mut Context) -> Result {
    for (number, shown) in [(1, "!EPERM"), (38, "!ENOSYS"), (4000, "!4000"), (4095, "!4095")] {
        let filter = Filter::compile(&only(Answer::Errno(number), &["getppid"]))?;
        let facts = ask(&filter, &[GETPPID, "call:native:getpid", "link:/proc/self/ns/pid"])?;
        ensure_eq!(facts.get(GETPPID)?, shown, "a refused call");
        ensure!(!facts.get("call:native:getpid")?.starts_with('!'), "{facts:?}");
        ensure!(facts.get("link:/proc/self/ns/pid")?.starts_with("pid:["), "{facts:?}");
    }
    // Zero is no error: the call is left out and gives 0.
    let facts = ask(&Filter::compile(&only(Answer::Errno(0), &["getppid"]))?, &[GETPPID])?;
    ensure_eq!(facts.get(GETPPID)?, "0", "a call that is left out");
    Ok(())
}

fn default_errno(_: &mut Context) -> Result {
    // Only what the program needs to start and answer is allowed.
    let profile = Profile { newer: None, ..Profile::hardened() };
    let profile = Profile { default: Answer::Errno(MARK), ..profile };
    let facts = ask(&Filter::compile(&profile)?, &["call:native:ptrace", "call:native:getpid"])?;
    // The hardened profile names it with an error of its own.
    ensure_eq!(facts.get("call:native:ptrace")?, "!EPERM", "a call with a rule");
    let profile = Profile {
        rules: profile.rules.into_iter().filter(|rule| rule.answer == Answer::Allow).collect(),
        ..profile
    };
    let facts = ask(&Filter::compile(&profile)?, &["call:native:ptrace", "call:native:getpid"])?;
    ensure_eq!(facts.get("call:native:ptrace")?, MARKED, "a call without a rule");
    ensure!(!facts.get("call:native:getpid")?.starts_with('!'), "{facts:?}");
    Ok(())
}

fn kill_process(_: &mut Context) -> Result {
    let filter = Filter::compile(&only(Answer::KillProcess, &["getppid"]))?;
    ensure_eq!(end(&filter, GETPPID)?, KILLED, "the end of who makes the call");
    ensure_eq!(end(&filter, "thread:native:getppid")?, KILLED, "the end of a process whose thread does");
    ensure!(end(&filter, "call:native:getpid")? != KILLED, "killed for another call");
    Ok(())
}

fn kill_thread(_: &mut Context) -> Result {
    let filter = Filter::compile(&only(Answer::KillThread, &["getppid"]))?;
    let facts = ask(&filter, &["thread:native:getppid", "call:native:getpid"])?;
    ensure_eq!(facts.get("thread:native:getppid")?, "gone", "the thread that made the call");
    ensure_eq!(end(&filter, GETPPID)?, KILLED, "the end of a process without other threads");
    Ok(())
}

fn trap(_: &mut Context) -> Result {
    let filter = Filter::compile(&only(Answer::Trap, &["getppid"]))?;
    // Not a kill: the default of the signal ends the process, threads and all.
    ensure_eq!(
        end(&filter, "thread:native:getppid")?,
        KILLED,
        "the end of a process that does not handle it"
    );
    Ok(())
}

fn trace(_: &mut Context) -> Result {
    let filter = Filter::compile(&only(Answer::Trace(7), &["getppid"]))?;
    ensure_eq!(ask(&filter, &[GETPPID])?.get(GETPPID)?, "!ENOSYS", "a traced call without a tracer");
    Ok(())
}

fn log(_: &mut Context) -> Result {
    let filter = Filter::compile(&only(Answer::Log, &["getppid"]))?;
    let facts = ask(&filter, &[GETPPID])?;
    ensure!(!facts.get(GETPPID)?.starts_with('!'), "it did not go through: {facts:?}");
    let number = Arch::native().and_then(|arch| arch.number("getppid")).or_fail("the number")?;
    let kernel = cofferdam_sys::attempts::kernel_log()?;
    let kernel = String::from_utf8_lossy(&kernel);
    let line = kernel
        .lines()
        .rfind(|line| line.contains("type=1326") && line.contains(&format!("syscall={number} ")));
    ensure!(line.is_some(), "the kernel's log has no line about call {number}");
    Ok(())
}

/// A sequence that looks random and is always the same.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        // The constants of Knuth's MMIX; the upper bits are the good ones.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// Values around which comparisons turn.
    fn value(&mut self) -> u64 {
        const EDGES: [u64; 8] =
            [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x1_0000_0000, 0x1_0000_0001, u64::MAX];
        let edge = usize::try_from(self.next() % 12).unwrap_or(0);
        EDGES.get(edge).copied().unwrap_or_else(|| self.next() << 20 ^ self.next())
    }

    fn condition(&mut self, argument: u8) -> Condition {
        let value = self.value();
        let compare = match self.next() % 7 {
            0 => Compare::Ne(value),
            1 => Compare::Lt(value),
            2 => Compare::Le(value),
            3 => Compare::Eq(value),
            4 => Compare::Ge(value),
            5 => Compare::Gt(value),
            _ => Compare::MaskedEq { mask: self.value(), value },
        };
        let width = if self.next().is_multiple_of(3) { Width::Low } else { Width::Whole };
        Condition { argument, width, compare }
    }
}

/// `dup` fails with `EBADF` for all of these values when the filter lets it pass.
fn comparisons(_: &mut Context) -> Result {
    let mut numbers = Numbers(7);
    let arch = Arch::native().or_fail("a table")?;
    for _ in 0..12 {
        let rules = (0..=numbers.next() % 4).map(|rule| {
            let conditions = (0..=numbers.next() % 2).map(|_| numbers.condition(0)).collect();
            let answer = Answer::Errno(MARK + u16::try_from(rule).unwrap_or(9));
            Rule { names: vec!["dup".to_owned()], answer, conditions }
        });
        let rules = rules.collect();
        let profile = Profile { rules, ..Profile::new(Answer::Allow) };
        // Numbers from 2^30 on are no descriptors, whatever the limit is.
        let values: Vec<u64> = (0..20).map(|_| numbers.value() | 0x4000_0000).collect();
        let facts: Vec<String> = values.iter().map(|value| format!("call:native:dup={value:#x}")).collect();
        let asked: Vec<&str> = facts.iter().map(String::as_str).collect();
        let found = ask(&Filter::compile(&profile)?, &asked)?;
        for (value, fact) in values.into_iter().zip(asked) {
            let number = arch.number("dup").or_fail("dup")?.cast_signed();
            let call = CallData {
                number,
                arch: arch.audit(),
                instruction_pointer: 0,
                arguments: [value, 0, 0, 0, 0, 0],
            };
            let wanted = match profile.answer(&call)? {
                Answer::Errno(number) => format!("!{number}"),
                _ => "!EBADF".to_owned(),
            };
            ensure_eq!(found.get(fact)?, wanted, "dup({value:#x}) under {:?}", profile.rules);
        }
    }
    Ok(())
}

/// Skipped where the machine has one architecture.
fn machine_of_x86() -> Result {
    if Arch::native() != Some(Arch::X86_64) {
        skip!("the machine is no x86-64");
    }
    Ok(())
}

fn several(_: &mut Context) -> Result {
    machine_of_x86()?;
    let filter = Filter::compile(&only(Answer::Errno(MARK), &["getppid", "mmap2"]))?;
    let refused = [GETPPID, "call:x32:getppid", "call:i386:getppid", "call:i386:mmap2"];
    let allowed = ["call:native:getuid", "call:i386:getuid"];
    let facts = ask(&filter, &[refused.as_slice(), &allowed].concat())?;
    for fact in refused {
        ensure_eq!(facts.get(fact)?, MARKED, "{fact}");
    }
    for fact in allowed {
        ensure_eq!(facts.get(fact)?, "0", "{fact}");
    }
    Ok(())
}

fn foreign(_: &mut Context) -> Result {
    machine_of_x86()?;
    for bad_arch in [Answer::KillThread, Answer::KillProcess] {
        let profile =
            Profile { bad_arch, ..Profile::new(Answer::Allow).rule(Answer::Errno(MARK), &["getppid"]) };
        let filter = Filter::compile(&profile)?;
        ensure_eq!(ask(&filter, &[GETPPID])?.get(GETPPID)?, MARKED, "a call that is listed");
        for fact in ["call:i386:getppid", "call:i386:getuid", "call:x32:getppid", "call:x32:getuid"] {
            ensure_eq!(end(&filter, fact)?, KILLED, "the end of who does {fact}");
        }
    }
    Ok(())
}

fn socketcall(_: &mut Context) -> Result {
    machine_of_x86()?;
    let filter = Filter::compile(&only(Answer::Errno(MARK), &["socket"]))?;
    // With all ones it is none of the calls that it hides; with 1 it is `socket`.
    let facts = ask(&filter, &["call:i386:socketcall", "call:i386:socket", "call:native:socket"])?;
    ensure_eq!(facts.get("call:i386:socketcall")?, "!EINVAL", "socketcall that is no socket");
    ensure_eq!(facts.get("call:i386:socket")?, MARKED, "socket of i386");
    ensure_eq!(facts.get("call:native:socket")?, MARKED, "socket");
    Ok(())
}

fn newer(_: &mut Context) -> Result {
    let profile = Profile { newer: Some(Answer::Errno(MARK)), ..Profile::hardened() };
    let facts = ask(&Filter::compile(&profile)?, &["sweep:native:472-480", "call:native:mount"])?;
    for line in facts.get("sweep:native:472-480")?.lines() {
        ensure!(line.ends_with(MARKED), "a newer call: {line}");
    }
    ensure_eq!(facts.get("call:native:mount")?, "!EPERM", "a call that the profile knows");
    let facts = ask(&Filter::compile(&Profile::hardened())?, &["sweep:native:472-480"])?;
    ensure!(facts.get("sweep:native:472-480")?.lines().all(|line| line.ends_with("!ENOSYS")), "{facts:?}");
    ensure_eq!(errno(Errno::ENOSYS), Answer::Errno(38), "the number of ENOSYS");
    Ok(())
}
