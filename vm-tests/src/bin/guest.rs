//! The guest program: PID 1, the list of tests, and the process of one case.

use cofferdam_vm_tests::{features, guest, registry, selftest, systemd};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["list"] => list(),
        ["case", name, mode] => guest::case::main(name, mode),
        ["terminal", program, rest @ ..] => guest::shell::main(program, rest),
        ["facts", asked @ ..] => guest::facts::main(asked),
        ["features"] => print_json(&features::ask()),
        ["features-page"] => features_page(),
        ["systemd", cgroup] => systemd::machine::begin(cgroup),
        ["systemd-init", cgroup] => systemd::machine::init(cgroup),
        ["systemd-join", pid, cgroup, user, words @ ..] => systemd::machine::join(pid, cgroup, user, words),
        ["sleep", seconds] => selftest::sleep(seconds),
        ["multiply"] => selftest::multiply(),
        // A case's child can be process 1 of its own PID namespace, but that one has a word to say what for.
        _ if std::process::id() == 1 => guest::init::main(),
        _ => {
            eprintln!("usage: guest list | features | case NAME MODE (as PID 1: the lab's init)");
            ExitCode::from(2)
        }
    }
}

/// Prints every test as one JSON array.
fn list() -> ExitCode {
    print_json(&registry::all().map(registry::Test::info).collect::<Vec<_>>())
}

/// Reads pairs of a kernel series and what [`features::ask`] found there, and prints the page of features.
fn features_page() -> ExitCode {
    let answers: Result<Vec<(String, features::Answers)>, _> =
        serde_json::from_reader(std::io::stdin().lock());
    let columns =
        answers.map(|answers| answers.into_iter().map(|(series, found)| (series, found.there)).collect());
    let columns: Result<Vec<_>, _> = columns.map_err(|error| error.to_string());
    match columns.and_then(|columns| features::write(&columns)) {
        Ok(page) => {
            print!("{page}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("guest: no page of features: {error}");
            ExitCode::FAILURE
        }
    }
}

fn print_json(value: &impl serde::Serialize) -> ExitCode {
    match serde_json::to_writer(std::io::stdout().lock(), value) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("guest: cannot print: {error}");
            ExitCode::FAILURE
        }
    }
}
