//! Runs a program in a network of its own that has nothing but a loopback device, which is up.
//!
//! `cargo run -p cofferdam-netbridge --example loopback -- ip address` (an ordinary user gets a user namespace,
//! too, where the host allows it).

use std::error::Error;
use std::ffi::{CString, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::process::ExitCode;

use cofferdam_netbridge::loopback_up;
use cofferdam_sys::clone::Namespaces;
use cofferdam_sys::plan::{Exec, Plan};
use cofferdam_sys::spawn::{Request, spawn};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let program = args.first().ok_or("usage: loopback PROGRAM [ARG…]")?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let strings = |list: Vec<OsString>| {
        list.into_iter().map(|text| CString::new(text.into_vec())).collect::<Result<Vec<_>, _>>()
    };
    let mut plan = Plan::new(Exec {
        candidates: Exec::search(program.as_bytes(), path.as_bytes()).ok_or("a name with NUL")?,
        args: strings(args.clone())?,
        env: strings(vec!["PATH=/usr/sbin:/usr/bin:/sbin:/bin".into()])?,
    });
    loopback_up(&mut plan);
    let mut namespaces = Namespaces::NET;
    if std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self")?) != 0 {
        namespaces |= Namespaces::USER;
    }
    let child = spawn(&plan, &Request { namespaces, ..Request::default() })?.finish()?;
    Ok(ExitCode::from(child.wait()?.status()))
}
