//! Running hooks by the runtime itself.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;

use cofferdam_sys::plan::{At, Plan, Step};
use cofferdam_sys::process::{self, Exit};
use cofferdam_sys::spawn::{Request, spawn};
use cofferdam_sys::{Errno, errno, memfd, signal};

use super::{Hook, about, json};
use crate::state::State;
use crate::{Error, ErrorKind, Result};

const SIGKILL: i32 = 9;

/// How much of a failed hook's output is shown.
const OUTPUT: u64 = 1000;

/// Runs hooks one after the other, to the first that fails.
///
/// # Errors
/// [`ErrorKind::Hook`] with `error running KIND hook #NUMBER`.
pub(crate) fn run(kind: &str, hooks: &[Hook], state: &State) -> Result<()> {
    if hooks.is_empty() {
        return Ok(());
    }
    let text = json(state)?;
    hooks.iter().enumerate().try_for_each(|(number, hook)| numbered(kind, number, hook, &text))
}

/// Runs the `poststop` hooks. One that fails is told and does not keep the others from running (runtime-spec,
/// runtime, "Lifecycle").
pub(crate) fn poststop(hooks: &[Hook], state: &State, warn: &mut dyn FnMut(&str)) {
    let Ok(text) = json(state) else { return };
    for (number, hook) in hooks.iter().enumerate() {
        if let Err(error) = numbered("poststop", number, hook, &text) {
            warn(&error.to_string());
        }
    }
}

fn numbered(kind: &str, number: usize, hook: &Hook, state: &str) -> Result<()> {
    one(hook, state).map_err(|why| {
        Error::new(ErrorKind::Hook, format!("{}: {why}", about(kind, number)))
            .with_hint(format!("the hook is {}", hook.path.display()))
    })
}

fn one(hook: &Hook, state: &str) -> std::result::Result<(), String> {
    let io = |error: std::io::Error| errno::describe(errno::from_io(&error));
    let mut input = file_in_memory()?;
    input.write_all(state.as_bytes()).and_then(|()| input.seek(SeekFrom::Start(0))).map_err(io)?;
    let output = file_in_memory()?;

    let mut plan = Plan::new(hook.exec(&[]).map_err(|error| error.to_string())?);
    let end = At::from(OwnedFd::from(output.try_clone().map_err(io)?));
    // Nobody would wait for it, or end it at its timeout, were this process killed.
    plan.push("end with the runtime", Step::ParentDeathSignal(SIGKILL));
    plan.push("standard input", Step::Duplicate { from: At::from(OwnedFd::from(input)), to: 0 });
    plan.push("standard output", Step::Duplicate { from: end.clone(), to: 1 });
    plan.push("standard error", Step::Duplicate { from: end, to: 2 });
    plan.push("working directory", Step::ChangeDirectory(c"/".into()));
    let child = spawn(&plan, &Request::default())
        .and_then(cofferdam_sys::spawn::Spawning::finish)
        .map_err(|failure| failure.to_string())?;
    let end = process::wait_for(child.pidfd(), hook.timeout()).map_err(errno::describe)?;
    let end = match end {
        Some(Exit::Code(0)) => return Ok(()),
        Some(Exit::Code(code)) => format!("exit status {code}"),
        Some(Exit::Signal(signal)) => format!("killed by signal {}", signal::describe(signal)),
        None => format!("killed after {} s, its timeout", hook.timeout.unwrap_or(0)),
    };
    Err(match beginning(output) {
        text if text.is_empty() => end,
        text => format!("{end}, it wrote: {text}"),
    })
}

fn file_in_memory() -> std::result::Result<File, String> {
    memfd::create(c"cofferdam", memfd::Flags::CLOEXEC)
        .map(File::from)
        .map_err(|number: Errno| errno::describe(number))
}

/// What a hook wrote, as far as it can be had: it is only a help for who reads the error.
fn beginning(mut output: File) -> String {
    let mut bytes = Vec::new();
    let read = output.seek(SeekFrom::Start(0)).and_then(|_| output.take(OUTPUT).read_to_end(&mut bytes));
    if read.is_ok() { String::from_utf8_lossy(&bytes).trim_end().to_owned() } else { String::new() }
}
