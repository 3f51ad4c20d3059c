//! Cases that misbehave while PID 1 and the kernel are well: each is a failed test, or a pass, or a skip.

use crate::guest::paths;
use crate::registry::{Context, Result, Test};
use nix::mount::{MsFlags, mount};
use nix::sys::signal::{Signal, raise};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::process::{self, Command, ExitCode, Stdio};
use std::time::Duration;

pub(super) const TESTS: &[Test] = &[
    Test::selftest("selftest-pass", "A test passes: a pass", pass),
    Test::selftest("selftest-skip", "A test skips: a skip, with its reason", skip),
    Test::selftest("selftest-fail", "A test asserts what does not hold: a failure", fail),
    Test::selftest("selftest-unwind", "A test panics: a failure", unwind),
    Test::selftest("selftest-killed", "A test is killed: a failure", killed),
    Test::selftest("selftest-quit", "A test ends well without a verdict: a failure", quit),
    Test::selftest("selftest-slow", "A test exceeds its limit: a failure", slow),
    Test::selftest("selftest-flood", "A test floods the console without end: a failure", flood),
    Test::selftest("selftest-noisy", "A test prints much, in an instant: a pass", noisy),
    Test::selftest("selftest-leak", "A test leaves a mount, a process and a cgroup: a failure", leak),
    Test::selftest("selftest-hop", "A test leaves a process that keeps changing its id: a failure", hop),
];

#[expect(clippy::unnecessary_wraps, reason = "a test is a function that can fail")]
fn pass(_: &mut Context) -> Result {
    Ok(())
}

fn skip(_: &mut Context) -> Result {
    skip!("skips on purpose")
}

fn fail(_: &mut Context) -> Result {
    println!("printed on purpose");
    fail!("fails on purpose")
}

#[expect(clippy::panic, reason = "a panic is what is tested")]
fn unwind(_: &mut Context) -> Result {
    panic!("panics on purpose")
}

fn killed(_: &mut Context) -> Result {
    Ok(raise(Signal::SIGKILL)?)
}

fn quit(_: &mut Context) -> Result {
    process::exit(0)
}

#[expect(clippy::unnecessary_wraps, reason = "a test is a function that can fail")]
fn slow(_: &mut Context) -> Result {
    std::thread::sleep(Duration::from_hours(24));
    Ok(())
}

fn flood(_: &mut Context) -> Result {
    let mut console = OpenOptions::new().write(true).open("/dev/console")?;
    let line = format!("{}\n", "flood ".repeat(200));
    loop {
        console.write_all(line.as_bytes())?;
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a test is a function that can fail")]
fn noisy(_: &mut Context) -> Result {
    for number in 0..20_000 {
        println!("line {number} of what nobody reads");
    }
    Ok(())
}

fn leak(ctx: &mut Context) -> Result {
    fs::create_dir_all("/tmp/left")?;
    mount(Some("left"), "/tmp/left", Some("tmpfs"), MsFlags::empty(), None::<&str>)?;
    fs::create_dir(ctx.layout().case().with_file_name("left"))?;
    start_sleeper()
}

/// Starts a process that outlives its case.
fn start_sleeper() -> Result {
    Command::new(paths::INIT).args(["sleep", "86400"]).stdin(Stdio::null()).spawn()?;
    Ok(())
}

fn hop(_: &mut Context) -> Result {
    Command::new(paths::INIT).arg("multiply").stdin(Stdio::null()).spawn()?;
    std::thread::sleep(Duration::from_millis(200));
    Ok(())
}

/// `/init sleep SECONDS`: what the images have no other program for.
pub fn sleep(seconds: &str) -> ExitCode {
    match seconds.parse() {
        Ok(seconds) => {
            std::thread::sleep(Duration::from_secs(seconds));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("sleep {seconds}: {error}");
            ExitCode::from(2)
        }
    }
}

/// `/init multiply`: a process that hops: it starts its successor and ends, so that a list of processes is
/// out of date as soon as it is made.
pub fn multiply() -> ExitCode {
    match Command::new(paths::INIT).arg("multiply").spawn() {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
