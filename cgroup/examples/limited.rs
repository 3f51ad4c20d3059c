//! Runs a command in a cgroup of its own and says what it used:
//! `limited [--memory MIB] [--pids N] [--cpu PERCENT] COMMAND …`
//!
//! Works on cgroup v2, v1 and hybrid layouts. The command is moved in before it runs: it waits for a line.

use std::error::Error;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use cofferdam_cgroup::{AnyCgroup, CpuMax, Hierarchy, Limits};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut words = std::env::args().skip(1).peekable();
    let mut limits = Limits::default();
    while let Some(option) = words.next_if(|word| word.starts_with("--")) {
        let value: u64 = words.next().ok_or("a number is missing")?.parse()?;
        match option.as_str() {
            "--memory" => limits.memory_max = Some(value << 20),
            "--pids" => limits.pids_max = Some(value),
            "--cpu" => limits.cpu_max = Some(CpuMax { quota_us: Some(value * 1000), period_us: 100_000 }),
            _ => return Err(format!("unknown option {option}").into()),
        }
    }
    let command: Vec<String> = words.collect();
    if command.is_empty() {
        return Err("usage: limited [--memory MIB] [--pids N] [--cpu PERCENT] COMMAND …".into());
    }

    let layout = Hierarchy::detect()?;
    let name = format!("limited-{}", std::process::id());
    let cgroup = AnyCgroup::create(&layout, &name, &limits.controllers())?;
    let result = run(&cgroup, &limits, &command);
    // Also what it left running in the background.
    cgroup.kill()?;
    cgroup.wait_empty(Duration::from_secs(10))?;
    let stats = cgroup.stats();
    cgroup.delete()?;
    eprintln!("{:#?}", stats?);
    result
}

fn run(cgroup: &AnyCgroup, limits: &Limits, command: &[String]) -> Result<ExitCode, Box<dyn Error>> {
    cgroup.apply(limits)?;
    let mut child = Command::new("sh")
        .args(["-c", "read go && exec \"$@\" </dev/null"])
        .arg0("limited")
        .arg("limited")
        .args(command)
        .stdin(Stdio::piped())
        .spawn()?;
    cgroup.add(i32::try_from(child.id())?)?;
    child.stdin.take().ok_or("no pipe")?.write_all(b"go\n")?;
    let code = child.wait()?.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
