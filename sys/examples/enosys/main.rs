//! Runs a program on a kernel that seems older: the named system calls fail with `ENOSYS`.
//!
//! `cargo run -p cofferdam-sys --example enosys -- clone3,openat2 PROGRAM [ARG…]`; `--list` prints the names.
//! `cargo xtask test --enosys NAMES` runs the workspace's tests under it, so that what is done on old kernels
//! is tested on new ones.

mod filter;

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use filter::CALLS;

const USAGE: u8 = 2;
const NOT_IN_PLACE: u8 = 3;
const NOT_EXECUTED: u8 = 127;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match arguments.as_slice() {
        [flag] if flag == "--list" => {
            println!("{}", names());
            ExitCode::SUCCESS
        }
        [list, program, rest @ ..] => run(&list.to_string_lossy(), Command::new(program).args(rest)),
        _ => fail(USAGE, "usage: enosys CALL[,CALL…] PROGRAM [ARG…] | --list"),
    }
}

fn run(list: &str, program: &mut Command) -> ExitCode {
    let mut numbers = Vec::new();
    for name in list.split(',') {
        match CALLS.iter().find(|(known, _)| *known == name) {
            Some((_, number)) => numbers.push(*number),
            None => return fail(USAGE, &format!("unknown system call `{name}`: known are {}", names())),
        }
    }
    if let Err(error) = filter::install(&numbers) {
        return fail(NOT_IN_PLACE, &format!("the filter cannot be installed: {error}"));
    }
    if let Some(number) = numbers.iter().find(|number| !filter::is_refused(**number)) {
        return fail(NOT_IN_PLACE, &format!("call {number} is not refused: the filter is not in place"));
    }
    let error = program.env("COFFERDAM_ENOSYS", list).exec();
    fail(NOT_EXECUTED, &format!("{}: {error}", program.get_program().to_string_lossy()))
}

fn names() -> String {
    CALLS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

fn fail(status: u8, message: &str) -> ExitCode {
    eprintln!("enosys: {message}");
    ExitCode::from(status)
}
