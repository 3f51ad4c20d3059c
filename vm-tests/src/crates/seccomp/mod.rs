//! Tests of `cofferdam-seccomp`.
//!
//! A filter is tried in a child that is executed under it and makes the calls it is asked for
//! ([`crate::guest::facts`]).

pub(super) mod hardened;
pub(super) mod install;
pub(super) mod notify;
pub(super) mod sweep;
pub(super) mod verdicts;

use super::child::{self, Facts};
use crate::registry::Result;
use cofferdam_ns::{Isolation, Namespaces};
use cofferdam_seccomp::notify::CallData;
use cofferdam_seccomp::{Answer, Arch, Filter, Profile};
use cofferdam_sys::Errno;
use cofferdam_sys::plan::Step;
use cofferdam_sys::process::Exit;
use nix::libc::SIGSYS;

/// A number that no call of the kernel gives: where it comes from is beyond doubt.
const MARK: u16 = 4000;
const MARKED: &str = "!4000";

fn errno(errno: Errno) -> Answer {
    Answer::Errno(u16::try_from(errno as i32).unwrap_or(u16::MAX))
}

/// A profile that answers these calls so and allows the others, on every ABI of the machine.
fn only(answer: Answer, names: &[&str]) -> Profile {
    let architectures = Arch::all().filter(|arch| arch.is_possible()).collect();
    Profile { architectures, ..Profile::new(Answer::Allow).rule(answer, names) }
}

/// What a program that is executed under a filter sees. It has an IPC namespace of its own, so that whatever it
/// makes there goes with it.
fn ask(filter: &Filter, facts: &[&str]) -> Result<Facts> {
    let isolation = Isolation { new: Namespaces::IPC, ..Isolation::default() };
    let mut plan = child::plan(&[&["facts"], facts].concat())?;
    isolation.lower(&mut plan);
    plan.push("no new privileges", Step::NoNewPrivileges);
    filter.lower_last(&mut plan);
    child::ask_with(&isolation, None, plan)
}

/// How a program ends that does this under a filter.
fn end(filter: &Filter, fact: &str) -> Result<Exit> {
    let mut plan = child::plan(&["facts", fact])?;
    plan.push("no new privileges", Step::NoNewPrivileges);
    filter.lower_last(&mut plan);
    let mut spawning = cofferdam_sys::spawn::spawn(&plan, &cofferdam_sys::spawn::Request::default())?;
    spawning.release()?;
    Ok(spawning.finish()?.wait()?)
}

/// Killed by the signal that a filter kills with.
const KILLED: Exit = Exit::Signal(SIGSYS);

/// A call with all ones.
fn ones(arch: Arch, number: u32) -> CallData {
    CallData {
        number: number.cast_signed(),
        arch: arch.audit(),
        instruction_pointer: 0,
        arguments: [if arch == Arch::X86 { u64::from(u32::MAX) } else { u64::MAX }; 6],
    }
}
