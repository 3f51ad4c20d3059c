//! A second process in a container, and what an engine sees of the processes inside.

use anyhow::{Result, ensure};

use super::{Ask, Engine, SLEEPER, Started, expect};

/// What a program sees that has a terminal: all three are one, and it is the container's own.
const TERMINAL: &str = "test -t 0 && test -t 1 && test -t 2 && tty && exit 9";

pub(super) fn exec(engine: &dyn Engine) -> Result<()> {
    let container = Started::new(engine, &Ask::new("exec", SLEEPER))?;
    let found = container.sh("echo $FROM_IMAGE; cat /proc/1/comm; id -u; pwd")?;
    ensure!(found == "yes\nsh\n0\n/", "inside are `{found}`");
    let output = engine.exec("exec", &["sh", "-c", "echo out; echo err >&2; exit 13"], false)?;
    expect(&output, 13, "out")?;
    ensure!(output.stderr.contains("err"), "standard error has `{}`", output.stderr);
    // Same cgroup and same limits as the first process, or it has escaped them.
    let cgroups = container.sh("cat /proc/1/cgroup; echo; cat /proc/self/cgroup")?;
    let (first, second) = cgroups.split_once("\n\n").unwrap_or((&cgroups, ""));
    ensure!(first == second, "the second process is in other cgroups: {cgroups}");
    let missing = engine.exec("exec", &["/no/such/program"], false)?;
    ensure!(missing.status != 0, "a program that is not there: exit 0");
    ensure!(container.sh("echo still here")? == "still here", "the container is gone");
    Ok(())
}

pub(super) fn terminal(engine: &dyn Engine) -> Result<()> {
    let ask = Ask { terminal: true, ..Ask::new("terminal-run", &["sh", "-c", TERMINAL]) };
    let output = engine.run(&ask)?;
    ensure!(output.status == 9, "exit {}: {}", output.status, super::super::process::said(&output));
    ensure!(output.stdout.contains("/dev/"), "the terminal is `{}`", output.stdout.trim());
    Ok(())
}

pub(super) fn exec_terminal(engine: &dyn Engine) -> Result<()> {
    let _container = Started::new(engine, &Ask::new("terminal-exec", SLEEPER))?;
    let output = engine.exec("terminal-exec", &["sh", "-c", TERMINAL], true)?;
    ensure!(output.status == 9, "exit {}: {}", output.status, super::super::process::said(&output));
    ensure!(output.stdout.contains("/dev/pts/"), "the terminal is `{}`", output.stdout.trim());
    let output = engine.exec("terminal-exec", &["sh", "-c", "test -t 0 || echo none"], false)?;
    expect(&output, 0, "none")
}

pub(super) fn top(engine: &dyn Engine) -> Result<()> {
    let container = Started::new(engine, &Ask::new("top", SLEEPER))?;
    container.says("ready")?;
    let listed = engine.processes("top")?;
    // A heading, the shell and its sleep.
    ensure!(listed.lines().count() == 3, "two processes expected: {listed}");
    Ok(())
}

pub(super) fn init(engine: &dyn Engine) -> Result<()> {
    let ask = Ask { init: true, ..Ask::new("init", &["sh", "-c", "tr '\\0' ' ' < /proc/1/cmdline; exit 3"]) };
    let output = engine.run(&ask)?;
    ensure!(output.status == 3, "exit {}: {}", output.status, super::super::process::said(&output));
    ensure!(
        output.stdout.contains("init") && output.stdout.contains(" sh "),
        "process 1 is `{}`",
        output.stdout
    );
    Ok(())
}
