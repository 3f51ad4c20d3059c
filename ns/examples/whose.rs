//! `whose [PID]`: the namespaces of a process, which of them are not the caller's, and who owns them.

use std::process::ExitCode;

use cofferdam_ns::{Error, ErrorKind, IdMaps, NsKind, Process};

fn main() -> ExitCode {
    let pid = match std::env::args().nth(1).map(|word| word.parse::<i32>()) {
        None => std::process::id().cast_signed(),
        Some(Ok(pid)) => pid,
        Some(Err(_)) => {
            eprintln!("usage: whose [PID]");
            return ExitCode::from(2);
        }
    };
    match show(pid) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("whose: {error}");
            ExitCode::FAILURE
        }
    }
}

fn show(pid: i32) -> Result<(), Error> {
    let process = Process::open(pid)?;
    let foreign = process.foreign_namespaces()?;
    for kind in NsKind::ALL {
        let namespace = match process.namespace(kind) {
            Ok(namespace) => namespace,
            Err(error) if error.kind() == ErrorKind::Os(cofferdam_sys::Errno::ENOENT) => continue,
            Err(error) => return Err(error),
        };
        let whose = if foreign.contains(kind.flag()) { "its own" } else { "ours" };
        let owner = match namespace.owner()? {
            _ if kind == NsKind::User => format!("made by user {}", namespace.owner_uid()?),
            Some(owner) => format!("made by user {}", owner.owner_uid()?),
            None => "owned outside of our user namespace".to_owned(),
        };
        let id = namespace.unique_id()?.map_or(String::new(), |id| format!(", id {id}"));
        println!("{kind:8}{whose:8} inode {}, {owner}{id}", namespace.identity()?.ino);
    }
    let ids = IdMaps::of(&process)?;
    for (name, map) in [("uid", ids.uid), ("gid", ids.gid)] {
        let ranges: Vec<String> = map.iter().map(ToString::to_string).collect();
        println!("{name} map {}", ranges.join(" "));
    }
    Ok(())
}
