//! Runs a program that may read everything, and write below some directories only.
//!
//! ```text
//! cargo run -p cofferdam-lsm --example confined -- /tmp /var/tmp -- sh -c 'echo x > /tmp/x; echo x > /etc/x'
//! ```
//! Needs no privilege, and Linux 5.13. `--best-effort` first takes what the kernel has and says what it lacks.

use std::error::Error;
use std::ffi::CString;
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;

use cofferdam_lsm::landlock::{FsAccess, NEWEST_ABI, Prepared, Ruleset, Scopes, landlock_abi};
use cofferdam_sys::plan::{Exec, Plan};
use cofferdam_sys::spawn::{Request, spawn};

fn main() -> ExitCode {
    match run() {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("confined: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<u8, Box<dyn Error>> {
    let mut words = std::env::args().skip(1).peekable();
    let best_effort = words.next_if_eq("--best-effort").is_some();
    let directories: Vec<String> = words.by_ref().take_while(|word| word != "--").collect();
    let args = words.map(CString::new).collect::<Result<Vec<_>, _>>()?;
    let Some(program) = args.first() else {
        return Err("usage: confined [--best-effort] DIRECTORY… -- PROGRAM [ARGUMENT]…".into());
    };

    // Everything of this kernel's ABI, or of the newest one, whose absence is then reported.
    let abi = if best_effort { NEWEST_ABI } else { landlock_abi()?.unwrap_or(NEWEST_ABI) };
    let handled = FsAccess::of_abi(abi);
    let mut ruleset = Ruleset::new()
        .handle_fs(handled)
        .scope(Scopes::of_abi(abi))
        .allow_path("/", (FsAccess::READ | FsAccess::EXECUTE | FsAccess::RESOLVE_UNIX) & handled)
        .allow_path("/dev", (FsAccess::WRITE_FILE | FsAccess::IOCTL_DEV) & handled);
    for directory in directories {
        ruleset = ruleset.allow_path(directory, FsAccess::WRITE & handled);
    }
    let prepared = prepare(&ruleset, best_effort)?;

    let env = std::env::vars_os().map(|(name, value)| {
        let mut entry = name;
        entry.push("=");
        entry.push(value);
        CString::new(entry.into_vec())
    });
    let path = std::env::var_os("PATH").map(OsStringExt::into_vec).unwrap_or_default();
    let candidates = Exec::search(program.as_bytes(), &path).ok_or("PATH holds a NUL byte")?;
    let mut plan = Plan::new(Exec { candidates, args: args.clone(), env: env.collect::<Result<_, _>>()? });
    prepared.lower(&mut plan)?;
    let child = spawn(&plan, &Request::default())?.finish()?;
    Ok(child.wait()?.status())
}

fn prepare(ruleset: &Ruleset, best_effort: bool) -> Result<Prepared, cofferdam_lsm::Error> {
    if !best_effort {
        return ruleset.prepare();
    }
    let (prepared, report) = ruleset.prepare_best_effort()?;
    eprintln!("confined: {report}");
    Ok(prepared)
}
