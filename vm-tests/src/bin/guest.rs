//! The guest program: PID 1, the list of tests, and the process of one case.

use cofferdam_vm_tests::{guest, registry, selftest};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["list"] => list(),
        ["case", name, mode] => guest::case::main(name, mode),
        ["terminal", program, rest @ ..] => guest::shell::main(program, rest),
        ["facts", asked @ ..] => guest::facts::main(asked),
        ["sleep", seconds] => selftest::sleep(seconds),
        ["multiply"] => selftest::multiply(),
        // A case's child can be process 1 of its own PID namespace, but that one has a word to say what for.
        _ if std::process::id() == 1 => guest::init::main(),
        _ => {
            eprintln!("usage: guest list | case NAME MODE (as PID 1: the lab's init)");
            ExitCode::from(2)
        }
    }
}

/// Prints every test as one JSON array.
fn list() -> ExitCode {
    let tests: Vec<_> = registry::all().map(registry::Test::info).collect();
    match serde_json::to_writer(std::io::stdout().lock(), &tests) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("guest: cannot print the list: {error}");
            ExitCode::FAILURE
        }
    }
}
