//! The program that is placed in containers: observes, makes attempts, prints one JSON line a step.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    cofferdam_vm_tests::probe::main(&arguments)
}
