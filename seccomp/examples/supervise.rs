//! A supervisor that opens files for a program which may not open any itself.
//!
//! `cargo run -p cofferdam-seccomp --example supervise`: `cat` runs under a filter that asks about `openat`. The
//! supervisor looks at who asks, and gives a descriptor of a file of its own choice for one path; everything else is let
//! pass. The path is read from the program's memory, which may change: so what was read decides about what the
//! *supervisor* opens, and never about whether the program's own call goes on.

use std::error::Error;
use std::ffi::CString;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;

use cofferdam_seccomp::notify::{Notification, Place};
use cofferdam_seccomp::{Answer, Filter, Listener, Profile};
use cofferdam_sys::plan::{Exec, Plan, Step};
use cofferdam_sys::send;
use cofferdam_sys::spawn::{Request, spawn};

const WANTED: &str = "/no/such/file";

fn main() -> Result<(), Box<dyn Error>> {
    let filter = Filter::compile(&Profile::new(Answer::Allow).rule(Answer::Notify, &["openat"]))?;
    let (ours, theirs) = UnixStream::pair()?;

    let args = ["cat", WANTED].map(|word| CString::new(word).unwrap_or_default()).to_vec();
    let candidates = Exec::search(b"cat", b"/usr/bin:/bin").ok_or("a path with NUL")?;
    let mut plan = Plan::new(Exec { candidates, args, env: Vec::new() });
    let slot = plan.slot()?;
    plan.push("set no_new_privs", Step::NoNewPrivileges);
    plan.push_last("install the filter", filter.step(Some(slot)));
    let socket = OwnedFd::from(theirs).into();
    let send = Step::SendDescriptor { socket, descriptor: slot.into(), payload: vec![0] };
    plan.push_last("send the listener", send);

    let mut child = spawn(&plan, &Request::default())?;
    child.release()?;
    let (_, listener) = send::receive_descriptor(ours.as_fd(), &mut [0])?;
    let listener = Listener::from(listener.ok_or("no listener came")?);
    let child = child.finish()?;

    let mut given = tempfile::tempfile()?;
    given.write_all(b"This is what the supervisor has for you.\n")?;
    while let Some(call) = listener.receive()? {
        if path(&call).as_deref() == Some(WANTED) && listener.is_waiting(&call)? {
            given.seek(SeekFrom::Start(0))?;
            let number = listener.add_fd(&call, given.as_fd(), Place::default())?;
            listener.give(&call, number.into())?;
        } else {
            listener.let_pass(&call)?;
        }
    }
    println!("cat ended with {:?}", child.wait()?);
    Ok(())
}

/// The path that a call's second argument points to, as far as it can be read.
fn path(call: &Notification) -> Option<String> {
    let [_, address, ..] = call.data.arguments;
    let memory = File::open(format!("/proc/{}/mem", call.pid)).ok()?;
    let mut bytes = [0u8; 64];
    let length = memory.read_at(&mut bytes, address).ok()?;
    let text = bytes.get(..length)?.split(|byte| *byte == 0).next()?;
    String::from_utf8(text.to_vec()).ok()
}
