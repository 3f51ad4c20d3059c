//! Bad input: one clear line, the right exit status, and nothing booted.
#![cfg(test)]

use std::process::Command;

const USAGE: i32 = 2;

/// The status, and the lines on standard error that are not cargo's.
fn xtask(words: &[&str]) -> (i32, Vec<String>) {
    let output = Command::new(env!("CARGO_BIN_EXE_xtask")).args(words).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines = text.lines().filter(|line| line.starts_with("error:")).map(str::to_owned).collect();
    (output.status.code().unwrap_or(-1), lines)
}

fn refused(words: &[&str], status: i32, parts: &[&str]) {
    let (found, lines) = xtask(words);
    assert_eq!((found, lines.len()), (status, 1), "{words:?}: {lines:?}");
    assert!(parts.iter().all(|part| lines[0].contains(part)), "{words:?}: {lines:?}");
}

#[test]
fn an_unknown_series_lists_the_known_ones() {
    refused(&["vm-test", "--kernel", "3.2"], USAGE, &["3.2", "5.10", "6.12", "7.3"]);
    refused(&["vm-test", "--kernel", "6.12:tiny"], USAGE, &["tiny", "cloud", "generic", "rt"]);
    refused(&["vm-shell", "--kernel", "3.2"], USAGE, &["3.2", "5.10"]);
}

#[test]
fn an_unknown_flag_or_value_is_usage() {
    refused(&["vm-test", "--colour"], USAGE, &["--colour"]);
    refused(&["vm-test", "--suite", "fun"], USAGE, &["fun"]);
    refused(&["vm-test", "--jobs", "none"], USAGE, &["none"]);
    refused(&["no-such-command"], USAGE, &["no-such-command"]);
}

#[test]
fn a_runtime_that_does_not_exist_is_usage() {
    refused(&["vm-test", "--runtime", "/nonexistent/runc"], USAGE, &["/nonexistent/runc", "No such file"]);
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    refused(&["vm-test", "--runtime", path], USAGE, &[path, "not a program"]);
    refused(&["vm-test", "--runtime", "/"], USAGE, &["not a program"]);
}

#[test]
fn an_engine_test_without_sense_starts_no_engine() {
    refused(&["engine-test", "--engine", "rocket"], USAGE, &["rocket"]);
    refused(&["engine-test", "--filter", "teleport"], USAGE, &["teleport", "--list"]);
    refused(
        &["engine-test", "--runtime", "/nonexistent/runc"],
        USAGE,
        &["/nonexistent/runc", "No such file"],
    );
    refused(&["engine-test", "--runtime", "/etc/passwd"], USAGE, &["/etc/passwd", "not a program"]);
}

#[test]
fn a_program_that_does_not_exist_is_usage() {
    refused(&["runner", "--", "/nonexistent/test"], USAGE, &["/nonexistent/test"]);
}

#[test]
fn a_kernel_that_is_none_is_usage_before_anything_is_built() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    refused(&["vm-test", "--kernel-path", path], USAGE, &[path, "give a Linux image"]);
    refused(&["vm-test", "--kernel-path", "/nonexistent"], USAGE, &["/nonexistent", "No such file"]);
    refused(
        &["vm-test", "--kernel-tree", "/nonexistent"],
        USAGE,
        &["/nonexistent", "build the kernel first"],
    );
}

/// `cargo xtask kernels | head -1` ends like any other program.
#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let cache = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["kernels", "--offline", "--json"]).env("COFFERDAM_CACHE", cache.path()).stdout(writer);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!text.contains("panicked"), "{text}");
    // The cache is empty, and that is what is wrong.
    assert_eq!(output.status.code(), Some(3), "{text}");
}

#[test]
fn an_unknown_call_lists_the_known_ones() {
    refused(
        &["test", "--enosys", "clone3,frobnicate"],
        USAGE,
        &["frobnicate", "clone3", "openat2", "statmount"],
    );
    refused(&["test", "--package", "cofferdam-ns"], USAGE, &["required arguments"]);
}
