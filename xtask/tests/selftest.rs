//! The lab, tested with guests that misbehave: each misbehaviour is told apart, and none is a pass.
//!
//! `cargo xtask test` runs these; alone: `cargo test -p xtask --test selftest -- --ignored --test-threads=1`.
#![cfg(test)]

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The oldest of the default kernels, which is also the quickest to boot.
const KERNEL: &str = "5.10";
const OK: i32 = 0;
const TEST_FAILED: i32 = 1;
const LAB_FAILED: i32 = 3;

struct Ran {
    status: i32,
    stdout: String,
    stderr: String,
}

impl Ran {
    fn of(output: &Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The rows of results.json.
    fn rows(&self) -> Vec<Value> {
        let json: Value = serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error} in {}\n{}", self.stdout, self.stderr));
        assert_eq!(json["schema"], 1);
        json["results"].as_array().unwrap().clone()
    }

    fn count(&self, fits: impl Fn(&Value) -> bool) -> usize {
        self.rows().iter().filter(|row| fits(row)).count()
    }

    /// The verdict and reason of the only row.
    fn only(&self) -> (String, String) {
        let rows = self.rows();
        assert_eq!(rows.len(), 1, "{}", self.stdout);
        (rows[0]["outcome"].as_str().unwrap().into(), rows[0]["reason"].as_str().unwrap().into())
    }
}

fn xtask(out: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["vm-test", "--json", "--out"]).arg(out).args(words).stdin(Stdio::null());
    command
}

fn run(words: &[&str]) -> Ran {
    let out = tempfile::tempdir().unwrap();
    Ran::of(&xtask(out.path(), words).output().unwrap())
}

fn selftest(name: &str, more: &[&str]) -> Ran {
    let words = ["--suite", "selftest", "--kernel", KERNEL, "--filter", name];
    run(&[words.as_slice(), more].concat())
}

/// One misbehaving case alone: the status of the run, the verdict, and what the reason says.
fn check(name: &str, status: i32, outcome: &str, reason: &str) {
    let ran = selftest(name, &["--limit-ms", "5000"]);
    let (found, why) = ran.only();
    assert_eq!((ran.status, found.as_str()), (status, outcome), "{name}: {why}\n{}", ran.stderr);
    assert!(why.contains(reason), "{name}: `{why}` lacks `{reason}`");
}

#[test]
#[ignore = "boots guests"]
fn what_is_well_passes() {
    for name in ["selftest-pass", "selftest-noisy", "selftest-warn"] {
        check(name, OK, "passed", "");
    }
    check("selftest-skip", OK, "skipped", "on purpose");
}

#[test]
#[ignore = "boots guests"]
fn a_failed_test_is_no_failure_of_the_lab() {
    check("selftest-fail", TEST_FAILED, "failed", "fails on purpose");
    check("selftest-unwind", TEST_FAILED, "failed", "panics on purpose");
    check("selftest-killed", TEST_FAILED, "failed", "SIGKILL");
    check("selftest-quit", TEST_FAILED, "failed", "without a verdict");
    check("selftest-leak", TEST_FAILED, "failed", "left behind");
    check("selftest-hop", TEST_FAILED, "failed", "left behind");
}

#[test]
#[ignore = "boots guests"]
fn a_test_that_takes_too_long_fails() {
    check("selftest-slow", TEST_FAILED, "failed", "did not end within 5000 ms");
}

#[test]
#[ignore = "boots guests"]
fn a_kernel_that_panics_is_the_labs_failure() {
    check("selftest-panic", LAB_FAILED, "failed", "kernel panicked");
    check("selftest-exit", LAB_FAILED, "failed", "Attempted to kill init");
}

#[test]
#[ignore = "boots guests"]
fn a_kernel_in_trouble_is_the_labs_failure() {
    check("selftest-oops", LAB_FAILED, "failed", "oopsed");
    check("selftest-bug", LAB_FAILED, "failed", "hit a bug");
    check("selftest-soft-lockup", LAB_FAILED, "failed", "locked up");
    check("selftest-rcu-stall", LAB_FAILED, "failed", "RCU stalled");
    check("selftest-hung-task", LAB_FAILED, "failed", "task hung");
}

#[test]
#[ignore = "boots guests"]
fn a_guest_that_falls_silent_is_the_labs_failure() {
    check("selftest-hang", LAB_FAILED, "failed", "fell silent");
}

#[test]
#[ignore = "boots guests"]
fn a_flooded_console_is_the_labs_failure() {
    let ran = selftest("selftest-flood", &["--limit-ms", "60000"]);
    let (outcome, why) = ran.only();
    assert_eq!((ran.status, outcome.as_str()), (LAB_FAILED, "failed"), "{why}\n{}", ran.stderr);
    assert!(why.contains("flooded its console"), "{why}");
}

#[test]
#[ignore = "boots guests"]
fn each_case_has_exactly_one_outcome() {
    check("selftest-none", LAB_FAILED, "failed", "no outcome");
    check("selftest-twice", LAB_FAILED, "failed", "twice");
}

/// The other cases of a guest that is lost run in a new one.
#[test]
#[ignore = "boots guests"]
fn the_rest_runs_after_a_lost_guest() {
    let ran = selftest("selftest-p", &["--limit-ms", "5000"]);
    let verdicts: Vec<(String, String)> = ran
        .rows()
        .iter()
        .map(|row| (row["test"].as_str().unwrap().into(), row["outcome"].as_str().unwrap().into()))
        .collect();
    let expected = [("selftest-panic", "failed"), ("selftest-pass", "passed")];
    assert_eq!(verdicts, expected.map(|(test, outcome)| (test.to_owned(), outcome.to_owned())));
    assert_eq!(ran.status, LAB_FAILED);
    assert!(ran.stderr.contains("Kernel panic - not syncing"), "the console's end is shown: {}", ran.stderr);
}

#[test]
#[ignore = "boots guests"]
fn a_qemu_that_is_killed_from_outside_is_the_labs_failure() {
    let out = tempfile::tempdir().unwrap();
    let run = start(out.path());
    kill("KILL", qemu_of(run.id()).expect("QEMU runs"));
    let ran = Ran::of(&run.wait_with_output().unwrap());
    let (outcome, why) = ran.only();
    assert_eq!((ran.status, outcome.as_str()), (LAB_FAILED, "failed"), "{why}\n{}", ran.stderr);
    assert!(why.contains("QEMU ended"), "{why}");
}

#[test]
#[ignore = "boots guests"]
fn nothing_is_left_behind_when_the_lab_is_interrupted_or_killed() {
    for signal in ["INT", "TERM", "KILL"] {
        let out = tempfile::tempdir().unwrap();
        let run = start(out.path());
        let qemu = qemu_of(run.id()).expect("QEMU runs");
        kill(signal, run.id());
        let ran = Ran::of(&run.wait_with_output().unwrap());
        assert_eq!(ran.status, if signal == "KILL" { -1 } else { LAB_FAILED }, "{}", ran.stderr);
        wait_for("the end of QEMU", || !Path::new(&format!("/proc/{qemu}")).exists());
        assert!(!out.path().join("results.json").exists(), "{signal}: half a report was written");
    }
}

/// A defence that the guest leaves out of its configs turns its attempt red on every kernel: the attempt
/// can fail, so its passing means something.
#[test]
#[ignore = "boots guests"]
fn a_defence_that_is_left_out_is_seen_on_every_kernel() {
    for (defence, attempt) in [("masks", "fs-mask-peel"), ("bounding", "cap-regain-by-exec")] {
        let whole = run(&["--suite", "escape", "--filter", attempt]);
        assert_eq!(whole.status, OK, "{attempt}: {}", whole.stderr);
        let kernels = whole.count(|_| true) / whole.count(|row| row["kernel"] == KERNEL);
        assert_eq!(kernels, 3, "{}", whole.stdout);

        let broken = run(&["--suite", "escape", "--filter", attempt, "--break", defence]);
        assert_eq!(broken.status, TEST_FAILED, "{attempt} without {defence}: {}", broken.stderr);
        for kernel in ["5.10", "6.12", "7.3"] {
            let failed = |row: &Value| row["kernel"] == kernel && row["outcome"] == "failed";
            assert!(broken.count(failed) > 0, "{attempt} passes on {kernel} without {defence}");
            let control = |row: &Value| failed(row) && row["mode"] == "control";
            assert_eq!(broken.count(control), 0, "the control of {attempt} needs no defence");
        }
    }
}

/// Starts a run and waits until its case, which sleeps, has begun.
fn start(out: &Path) -> Child {
    let words =
        ["--suite", "selftest", "--kernel", KERNEL, "--filter", "selftest-slow", "--limit-ms", "300000"];
    let run = xtask(out, &words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let log = out.join(format!("consoles/{KERNEL}-v2.log"));
    wait_for("QEMU", || log.exists() && qemu_of(run.id()).is_some());
    // The boot itself, and the begin of the case.
    std::thread::sleep(Duration::from_secs(6));
    run
}

fn qemu_of(parent: u32) -> Option<u32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).find(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let Some((name, rest)) = stat.rsplit_once(") ") else { return false };
        name.contains("(qemu-system") && rest.split(' ').nth(1) == Some(&parent.to_string())
    })
}

fn kill(signal: &str, pid: u32) {
    let status = Command::new("kill").args(["-s", signal, &pid.to_string()]).status().unwrap();
    assert!(status.success());
}

fn wait_for(what: &str, done: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_mins(3);
    while !done() {
        assert!(Instant::now() < until, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
