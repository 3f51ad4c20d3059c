//! What the bench runs: the least program, the floor of bare system calls, and a measure of memory.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    cofferdam_vm_tests::bare::main(&arguments)
}
