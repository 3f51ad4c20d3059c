//! Bytes as the interface files of a cgroup: a name, NUL, the content, NUL, and so on. All that the crate reads
//! of a cgroup is read; it is a value, or an error of one line.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use cofferdam_cgroup::{Cgroup, position::Positions};
use cofferdam_fuzz::{one_line, scratch};
use libfuzzer_sys::fuzz_target;

static DIR: LazyLock<PathBuf> = LazyLock::new(scratch);

/// The files that are read; the number in front of a content chooses one.
const FILES: [&str; 36] = [
    "cgroup.events",
    "cgroup.stat",
    "cgroup.procs",
    "cgroup.threads",
    "cgroup.type",
    "cgroup.controllers",
    "cgroup.subtree_control",
    "cpu.stat",
    "cpu.max",
    "cpu.weight",
    "cpu.weight.nice",
    "cpu.uclamp.min",
    "cpu.pressure",
    "cpuset.cpus",
    "cpuset.cpus.partition",
    "memory.current",
    "memory.max",
    "memory.stat",
    "memory.events",
    "memory.peak",
    "memory.swap.current",
    "memory.pressure",
    "io.stat",
    "io.max",
    "io.weight",
    "io.latency",
    "io.prio.class",
    "pids.current",
    "pids.max",
    "pids.events",
    "rdma.max",
    "rdma.current",
    "misc.max",
    "misc.current",
    "dmem.max",
    "dmem.current",
];

fuzz_target!(|input: &[u8]| {
    let mut written = Vec::new();
    let mut rest = input;
    while let [which, tail @ ..] = rest {
        let end = tail.iter().position(|byte| *byte == 0).unwrap_or(tail.len());
        let (content, after) = tail.split_at(end);
        rest = after.get(1..).unwrap_or_default();
        let path = DIR.join(FILES[usize::from(*which) % FILES.len()]);
        if std::fs::write(&path, content).is_ok() {
            written.push(path);
        }
    }
    let cgroup = Cgroup::of_directory(&DIR).expect("the scratch folder");
    say(cgroup.stats());
    say(cgroup.limits());
    say(cgroup.events());
    say(cgroup.descendants());
    say(cgroup.procs());
    say(cgroup.threads());
    say(cgroup.cgroup_type());
    say(cgroup.watch_memory().map(drop));
    say(cgroup.watch_pids().map(drop));
    drop(format!("{:?}", Positions::parse(input)));
    for path in written {
        drop(std::fs::remove_file(path));
    }
});

/// What was read can be shown, and what was refused is one line.
fn say<T: std::fmt::Debug>(read: cofferdam_cgroup::Result<T>) {
    match read {
        Ok(value) => drop(format!("{value:?}")),
        Err(error) => one_line(&error.to_string()),
    }
}
