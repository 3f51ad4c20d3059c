//! Runs one case as PID 1 sees it: starts it, bounds it, judges it, cleans up after it.

use super::case::Report;
use super::cgroups::Layout;
use super::leaks::{self, State};
use super::mounts::{Mount, mount};
use super::output::Tail;
use super::processes::{self, Children};
use super::{exec, paths};
use crate::protocol::{Case, Outcome, Verdict};
use crate::registry;
use nix::mount::{MntFlags, MsFlags, umount2};
use nix::sys::wait::WaitStatus;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

/// How long what a case left may take to go by itself: a dying namespace takes its links with it later.
const GRACE: Duration = Duration::from_secs(1);
/// The environment of a case.
const ENVIRONMENT: [(&str, &str); 3] =
    [("PATH", "/lab/bin:/usr/sbin:/usr/bin:/sbin:/bin"), ("HOME", "/root"), ("LANG", "C.UTF-8")];

/// Runs one case; however it ends, this gives exactly one outcome.
pub(super) fn run(case: &Case, limit: Duration, children: &Children, layout: Layout) -> Outcome {
    let started = Instant::now();
    let report = supervised(case, limit, children, layout)
        .unwrap_or_else(|error| failed(format!("PID 1 could not run the case: {error}")));
    let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Outcome { case: case.clone(), outcome: report.outcome, reason: report.reason, ms }
}

fn supervised(case: &Case, limit: Duration, children: &Children, layout: Layout) -> io::Result<Report> {
    let before = State::now(layout);
    make_scratch()?;
    let ended = execute(case, limit, children)?;
    let mut report = judge(&ended, limit);
    // A case that was cut off had no chance to clean up.
    let left = if ended.status.is_some() { leftovers(&before, children, layout) } else { Vec::new() };
    clean_up(&before, children, layout)?;
    if !left.is_empty() && !is_thrown_away(case) {
        report = leaked(&report, &left);
    }
    Ok(report)
}

/// What became of the process of a case.
struct Ended {
    /// Its status; none when its time was over.
    status: Option<WaitStatus>,
    verdict: Vec<u8>,
    output: Tail,
}

fn execute(case: &Case, limit: Duration, children: &Children) -> io::Result<Ended> {
    let (verdict, verdict_end) = io::pipe()?;
    let (output, output_end) = io::pipe()?;
    // The pipe of the verdict goes as standard input: the one descriptor that can be handed over under a
    // known number without opening a window in which others inherit it.
    let pid = exec::spawn(
        Command::new(paths::INIT)
            .args(["case", &case.test, &case.mode])
            .env_clear()
            .envs(ENVIRONMENT)
            .stdin(Stdio::from(verdict_end))
            .stdout(Stdio::from(output_end.try_clone()?))
            .stderr(Stdio::from(output_end)),
    )?;
    let mut tail = Tail::default();
    let mut line = Vec::new();
    let status = exec::watch(
        pid,
        children,
        Some(Instant::now() + limit),
        &mut [
            (verdict.into(), &mut |piece| line.extend_from_slice(piece)),
            (output.into(), &mut |piece| tail.push(piece)),
        ],
    )?;
    Ok(Ended { status, verdict: line, output: tail })
}

/// A case passes when it says so once, and ends well.
fn judge(ended: &Ended, limit: Duration) -> Report {
    let text = String::from_utf8_lossy(&ended.verdict);
    let mut reports = text.lines().map(serde_json::from_str::<Report>);
    let said = (reports.next(), reports.next());
    let report = match (ended.status, said) {
        (None, _) => failed(format!("did not end within {} ms", limit.as_millis())),
        (Some(WaitStatus::Exited(_, 0)), (Some(Ok(report)), None)) => report,
        (Some(WaitStatus::Exited(_, 0)), (None, _)) => failed("ended without a verdict".to_owned()),
        (Some(WaitStatus::Exited(_, 0)), _) => failed(format!("its verdict is not one line: {text}")),
        (Some(WaitStatus::Exited(_, code)), _) => failed(format!("exited with status {code}")),
        (Some(WaitStatus::Signaled(_, signal, _)), _) => failed(format!("was killed by {signal}")),
        (Some(other), _) => failed(format!("ended oddly: {other:?}")),
    };
    with_output(report, &ended.output)
}

fn with_output(mut report: Report, output: &Tail) -> Report {
    let text = output.text();
    if report.outcome == Verdict::Failed && !text.is_empty() {
        report.reason = format!("{}\noutput:\n{text}", report.reason);
    }
    report
}

/// What a case left, after giving it time to go.
fn leftovers(before: &State, children: &Children, layout: Layout) -> Vec<String> {
    let deadline = Instant::now() + GRACE;
    loop {
        children.reap(nix::unistd::Pid::from_raw(0));
        let mut left = leaks::processes();
        if left.is_empty() && !children.none() {
            left.push("a process that changes its id".to_owned());
        }
        left.extend(
            State::now(layout).since(before).into_iter().filter(|line| !line.contains(paths::SCRATCH_MOUNT)),
        );
        if left.is_empty() || Instant::now() >= deadline {
            return left;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn leaked(report: &Report, left: &[String]) -> Report {
    let reason = format!("left behind: {}", left.join(", "));
    match report.outcome {
        Verdict::Failed => failed(format!("{}\nand {reason}", report.reason)),
        Verdict::Passed | Verdict::Skipped => failed(reason),
    }
}

/// Whether the guest ends after this case: an attempt that succeeds may well leave something.
fn is_thrown_away(case: &Case) -> bool {
    case.mode != "full" && registry::find(&case.test).is_some_and(|test| test.wants.fresh)
}

fn make_scratch() -> io::Result<()> {
    fs::create_dir_all(paths::SCRATCH)?;
    mount(&Mount {
        source: "scratch",
        target: paths::SCRATCH,
        kind: "tmpfs",
        flags: MsFlags::empty(),
        data: "mode=755",
    })
}

fn clean_up(before: &State, children: &Children, layout: Layout) -> io::Result<()> {
    let immortal = processes::kill_all(children, layout);
    State::now(layout).undo(before);
    // Gone already when `undo` took it.
    let _ = umount2(paths::SCRATCH, MntFlags::MNT_DETACH);
    match immortal.first() {
        None => Ok(()),
        Some(process) => {
            Err(io::Error::other(format!("process {} ({}) cannot be killed", process.pid, process.name)))
        }
    }
}

fn failed(reason: String) -> Report {
    Report { outcome: Verdict::Failed, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::Signal;
    use nix::unistd::Pid;

    const PASSED: &str = "{\"outcome\":\"passed\"}\n";

    fn verdict(status: Option<WaitStatus>, said: &str) -> Report {
        let mut output = Tail::default();
        output.push(b"printed");
        judge(&Ended { status, verdict: said.into(), output }, Duration::from_secs(2))
    }

    fn exited(code: i32) -> WaitStatus {
        WaitStatus::Exited(Pid::from_raw(7), code)
    }

    #[test]
    fn one_verdict_and_a_good_end_is_a_pass() {
        assert_eq!(
            verdict(Some(exited(0)), PASSED),
            Report { outcome: Verdict::Passed, reason: String::new() }
        );
    }

    #[test]
    fn nothing_else_is_a_pass() {
        let killed = Some(WaitStatus::Signaled(Pid::from_raw(7), Signal::SIGSEGV, false));
        let cases = [
            (None, PASSED, "did not end within 2000 ms"),
            (Some(exited(3)), PASSED, "exited with status 3"),
            (killed, PASSED, "was killed by SIGSEGV"),
            (Some(exited(0)), "", "ended without a verdict"),
            (
                Some(exited(0)),
                "{\"outcome\":\"passed\"}\n{\"outcome\":\"passed\"}\n",
                "its verdict is not one line",
            ),
            (Some(exited(0)), "passed", "its verdict is not one line"),
        ];
        for (status, said, wanted) in cases {
            let report = verdict(status, said);
            assert_eq!(report.outcome, Verdict::Failed, "{wanted}");
            assert!(
                report.reason.starts_with(wanted) && report.reason.ends_with("printed"),
                "{}",
                report.reason
            );
        }
    }

    #[test]
    fn a_leak_fails_what_passed() {
        let passed = Report { outcome: Verdict::Passed, reason: String::new() };
        let report = leaked(&passed, &["mount /x tmpfs".to_owned()]);
        assert_eq!(report, failed("left behind: mount /x tmpfs".to_owned()));
    }
}
