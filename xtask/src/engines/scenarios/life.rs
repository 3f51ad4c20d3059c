//! Start, pause, restart and end of a container.

use anyhow::{Result, ensure};

use super::super::image::CONTEXT;
use super::super::inside::DIR;
use super::{Ask, Engine, SLEEPER, Started, Status, expect, until};

/// When the first process was started.
const AGE: &str = "cut -d ' ' -f 22 /proc/1/stat";

pub(super) fn run(engine: &dyn Engine) -> Result<()> {
    let output = engine.run(&Ask::new("run-0", &["sh", "-c", "echo out; echo err >&2"]))?;
    expect(&output, 0, "out")?;
    ensure!(output.stderr.contains("err"), "standard error has `{}`", output.stderr);
    let output = engine.run(&Ask::new("run-42", &["sh", "-c", "echo $FROM_IMAGE; exit 42"]))?;
    expect(&output, 42, "yes")
}

pub(super) fn no_program(engine: &dyn Engine) -> Result<()> {
    for (name, program, status) in [("absent", "/no/such/program", 127), ("plain", "/etc/plain", 126)] {
        let output = engine.run(&Ask::new(name, &[program]))?;
        let said = super::super::process::said(&output);
        // An engine of its own mind about the number still must say which program.
        ensure!(output.status == status || output.status == 1, "{program}: exit {}: {said}", output.status);
        ensure!(said.contains(program), "the message does not name {program}: {said}");
    }
    Ok(())
}

pub(super) fn logs(engine: &dyn Engine) -> Result<()> {
    let script = "for i in 1 2 3; do echo line $i; done; echo problem >&2; exit 5";
    let container = Started::new(engine, &Ask::new("logs", &["sh", "-c", script]))?;
    let (code, _) = container.exited()?;
    ensure!(code == 5, "exit {code}");
    let logs = engine.logs("logs")?;
    let mut lines: Vec<&str> = logs.lines().collect();
    lines.sort_unstable();
    ensure!(lines == ["line 1", "line 2", "line 3", "problem"], "the logs are `{logs}`");
    Ok(())
}

pub(super) fn pause(engine: &dyn Engine) -> Result<()> {
    let script = "i=0; while :; do i=$((i+1)); echo $i > /tmp/count; done";
    let container = Started::new(engine, &Ask::new("pause", &["sh", "-c", script]))?;
    let count =
        || -> Result<u64> { Ok(container.sh("cat /tmp/count 2>/dev/null || :")?.parse().unwrap_or(0)) };
    until("the container to count", || Ok(count()? > 0))?;
    engine.pause("pause")?;
    let status = engine.status("pause")?;
    ensure!(status == Status::Paused, "paused, and the engine says {status:?}");
    let running = counted()?;
    std::thread::sleep(std::time::Duration::from_millis(300));
    ensure!(counted()? == running, "processor time was used in a paused container");
    engine.resume("pause")?;
    let status = engine.status("pause")?;
    ensure!(status == Status::Running, "resumed, and the engine says {status:?}");
    let before = count()?;
    until("the container to count again", || Ok(count()? != before))
}

/// Processor time of every process in the box that runs this script; a paused container cannot be asked.
fn counted() -> Result<u64> {
    let mut total = 0;
    for entry in std::fs::read_dir("/proc")? {
        let path = entry?.path();
        let read = |file: &str| std::fs::read_to_string(path.join(file)).unwrap_or_default();
        if read("cmdline").starts_with("sh\0-c\0i=0;") {
            let stat = read("stat");
            let fields: Vec<&str> = stat.split(' ').collect();
            let ticks =
                |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
            total += ticks(13) + ticks(14);
        }
    }
    ensure!(total > 0, "no process of the container is seen from the host");
    Ok(total)
}

pub(super) fn restart(engine: &dyn Engine) -> Result<()> {
    let container = Started::new(engine, &Ask::new("restart", SLEEPER))?;
    container.says("ready")?;
    let first = container.sh(&format!("echo kept > /tmp/kept; {AGE}"))?;
    engine.restart("restart")?;
    until("the second start", || Ok(engine.logs("restart")?.matches("ready").count() == 2))?;
    let logs = engine.logs("restart")?;
    ensure!(logs.contains("stopping"), "it was not asked to stop: `{logs}`");
    let found = container.sh("cat /tmp/kept")?;
    ensure!(found == "kept", "its files are not kept: `{found}`");
    ensure!(container.sh(AGE)? != first, "its first process is the same");
    Ok(())
}

pub(super) fn kill(engine: &dyn Engine) -> Result<()> {
    for (name, signal, status) in [("kill-kill", "KILL", 137), ("kill-term", "TERM", 7)] {
        let container = Started::new(engine, &Ask::new(name, SLEEPER))?;
        container.says("ready")?;
        let found = engine.status(name)?;
        ensure!(found == Status::Running, "started, and the engine says {found:?}");
        engine.kill(name, signal)?;
        let (code, oom) = container.exited()?;
        ensure!(code == status, "SIG{signal}: exit {code}, expected {status}");
        ensure!(oom != Some(true), "SIG{signal}: reported as out of memory");
    }
    Ok(())
}

pub(super) fn build(engine: &dyn Engine) -> Result<()> {
    let folder = format!("{DIR}/{CONTEXT}");
    expect(&engine.build(&folder)?, 0, "built\n1000")
}
