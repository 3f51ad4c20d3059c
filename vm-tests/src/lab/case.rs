//! What a case starts with: nothing of another one, and nothing of PID 1's.

use crate::guest::processes;
use crate::registry::{Context, OrFail, Result, Test};
use std::fs;
use std::path::Path;

pub(super) const TESTS: &[Test] = &[
    Test::integration(
        "lab::case-starts-clean",
        "A case has a session and a cgroup of its own, alone",
        starts_clean,
    ),
    Test::integration(
        "lab::case-inherits-nothing",
        "What a case starts inherits no descriptor",
        inherits_nothing,
    ),
    Test::integration(
        "lab::scratch-is-empty",
        "A case has an empty directory that takes devices",
        scratch_is_empty,
    ),
];

fn starts_clean(ctx: &mut Context) -> Result {
    let own = nix::unistd::getpid();
    ensure_eq!(nix::unistd::getsid(None)?, own, "the session");
    let others: Vec<_> = processes::all().into_iter().filter(|other| other.pid != own.as_raw()).collect();
    ensure!(others.is_empty(), "other processes are here: {others:?}");
    let members = fs::read_to_string(ctx.layout().case().join("cgroup.procs"))?;
    ensure_eq!(members.trim(), own.to_string(), "the members of the case's cgroup");
    Ok(())
}

fn inherits_nothing(_: &mut Context) -> Result {
    const CLOSE_ON_EXEC: u32 = 0o2_000_000;
    for entry in fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        let number: u32 = name.to_string_lossy().parse()?;
        // The descriptor of this very listing is gone, or not, when it is looked at.
        let Ok(info) = fs::read_to_string(Path::new("/proc/self/fdinfo").join(&name)) else { continue };
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).or_fail("flags")?;
        let flags = u32::from_str_radix(flags.trim(), 8)?;
        ensure!(number <= 2 || flags & CLOSE_ON_EXEC != 0, "descriptor {number} would be inherited: {info}");
    }
    ensure_eq!(fs::read_link("/proc/self/fd/0")?, Path::new("/dev/null"), "standard input");
    Ok(())
}

fn scratch_is_empty(ctx: &mut Context) -> Result {
    ensure_eq!(fs::read_dir(ctx.scratch())?.count(), 0, "entries of the scratch directory");
    let options = nix::sys::statvfs::statvfs(ctx.scratch())?.flags();
    let refused = nix::sys::statvfs::FsFlags::ST_NODEV | nix::sys::statvfs::FsFlags::ST_NOEXEC;
    ensure!(!options.intersects(refused), "the scratch directory is mounted {options:?}");
    Ok(())
}
