//! `linux.sysctl`: only parameters that a namespace of the container's own holds.

use cofferdam_ns::NsKind;
use oci_spec::runtime::Linux;

use super::namespaces::Lowered;
use crate::{Error, Result};

/// The parameters of the IPC namespace outside `fs.mqueue.` (`ipc_namespaces(7)`).
const IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

pub(super) fn lower(linux: &Linux, namespaces: &Lowered) -> Result<Vec<(String, String)>> {
    let mut list = Vec::new();
    for (name, value) in linux.sysctl().iter().flatten() {
        let field = format!("linux.sysctl[\"{}\"]", name.escape_default());
        let parts: Vec<&str> = name.split('.').collect();
        let plain = |part: &&str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-/".contains(&b))
        };
        if !parts.iter().all(plain) || name.contains("//") || name.starts_with('/') || name.ends_with('/') {
            return Err(Error::config(&field, "is no name of a kernel parameter"));
        }
        let Some(kind) = namespace_of(name) else {
            return Err(Error::config(&field, "belongs to no namespace, so it would change the host"));
        };
        if !namespaces.has(kind) {
            return Err(Error::config(
                &field,
                format!("needs a {kind} namespace, or it would change the host"),
            ));
        }
        // A `/` in a name stands for a `.` of an interface's name, as in sysctl(8).
        let path: String = name
            .chars()
            .map(|c| {
                if c == '.' {
                    '/'
                } else if c == '/' {
                    '.'
                } else {
                    c
                }
            })
            .collect();
        list.push((path, value.clone()));
    }
    // The config's map has no order; the plan's is the same in every run.
    list.sort();
    Ok(list)
}

/// The namespace that holds a parameter.
fn namespace_of(name: &str) -> Option<NsKind> {
    if name.starts_with("net.") {
        return Some(NsKind::Network);
    }
    (IPC.contains(&name) || name.starts_with("fs.mqueue.")).then_some(NsKind::Ipc)
}
