//! `contain PROGRAM [ARGUMENT …]`: runs a program as root of its own user, PID, mount, network, IPC, UTS, cgroup and
//! time namespaces, without any privilege. With `--plan` it only prints what the child would do.

use std::process::ExitCode;

use cofferdam_ns::{Error, IdMaps, NamespaceLimits, Namespaces, Offset, Spawn, TimeOffsets};

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let only_plan = words.first().is_some_and(|word| word == "--plan");
    if only_plan {
        words.remove(0);
    }
    let Some((program, arguments)) = words.split_first() else {
        eprintln!("usage: contain [--plan] PROGRAM [ARGUMENT …]");
        return ExitCode::from(2);
    };
    match run(program, arguments, only_plan) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("contain: {error}");
            ExitCode::from(125)
        }
    }
}

fn run(program: &str, arguments: &[String], only_plan: bool) -> Result<u8, Error> {
    // A machine that seems to have been up for a day longer.
    let day = Offset::new(86_400, 0);
    let spawn = Spawn::new(program)
        .args(arguments)
        .ids(IdMaps::caller_as_root())
        .unshare(Namespaces::all())
        .hostname("contained")
        .clocks(TimeOffsets { monotonic: day, boottime: day })
        .limits(NamespaceLimits::no_user_namespaces())
        .end_with_parent(true);
    if only_plan {
        print!("{}", spawn.plan()?);
        return Ok(0);
    }
    Ok(spawn.spawn()?.wait()?.status())
}
