//! Runs a program with a set and nothing more: `run HARDENED,-SETFCAP PROGRAM [WORD ...]`.
//!
//! The program keeps the caller's user; where that is not root the set is ambient, so that it survives
//! `execve(2)`. What the caller does not have is refused, with a word on each.

use cofferdam_caps::{CapSet, Child, Credentials, Ids, Sets, last_cap};
use cofferdam_sys::plan::{Exec, Plan};
use cofferdam_sys::process::Exit;
use cofferdam_sys::spawn::{Request, spawn};
use std::error::Error;
use std::ffi::CString;
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("run: {error}");
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    let mut words = std::env::args_os().skip(1);
    let usage = "usage: run SET PROGRAM [WORD ...]";
    let text = words.next().ok_or(usage)?.into_string().map_err(|_| "the set is no UTF-8")?;
    let args = words.map(|word| CString::new(word.into_vec())).collect::<Result<Vec<_>, _>>()?;
    let program = args.first().ok_or(usage)?;

    let caller = Credentials::current()?;
    let set: CapSet = text.parse()?;
    let lacking = set - caller.sets.permitted;
    if !lacking.is_empty() {
        for cap in lacking.iter() {
            eprintln!("run: the caller has no {cap}, which permits: {}", cap.permits());
        }
        return Ok(ExitCode::FAILURE);
    }
    let path = std::env::var_os("PATH").unwrap_or_default().into_vec();
    let candidates = Exec::search(program.as_bytes(), &path).ok_or("the program's name holds NUL")?;
    let env = std::env::vars_os()
        .map(|(name, value)| CString::new([name.into_vec(), value.into_vec()].join(&b'=')))
        .collect::<Result<Vec<_>, _>>()?;
    let mut plan = Plan::new(Exec { candidates, args: args.clone(), env });
    child(set, &caller).lower(last_cap()?, &mut plan)?;
    Ok(match spawn(&plan, &Request::default())?.finish()?.wait()? {
        Exit::Code(code) => ExitCode::from(u8::try_from(code & 0xff)?),
        signal @ Exit::Signal(_) => ExitCode::from(signal.status()),
    })
}

fn child(set: CapSet, caller: &Credentials) -> Child {
    // Root has the bounding set by execve; another user what is ambient. Without CAP_SETPCAP the bounding set
    // stays, which no_new_privs makes harmless.
    let ambient = if caller.uids.real == 0 { CapSet::EMPTY } else { set };
    let shrinks = caller.sets.effective.contains(cofferdam_caps::Cap::SETPCAP);
    let bounding = if shrinks { set } else { caller.sets.bounding };
    Child {
        sets: Sets { inheritable: ambient, ambient, bounding, ..Sets::rooted(set) },
        ids: Ids {
            uid: caller.uids.effective,
            gid: caller.gids.effective,
            groups: vec![],
            set_groups: false,
        },
        bounded: Some(caller.sets.bounding),
        no_new_privs: true,
        ..Child::default()
    }
}
