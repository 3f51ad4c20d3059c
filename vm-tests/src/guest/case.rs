//! The process of one case: `/init case NAME MODE`.

use super::cgroups::Layout;
use super::cmdline::Cmdline;
use super::facilities;
use crate::protocol::Verdict;
use crate::registry::{self, Context, Failure, Test};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::Write;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

/// What the process of a case tells PID 1, as one line of JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The verdict.
    pub outcome: Verdict,
    /// Why it is not [`Verdict::Passed`].
    #[serde(default)]
    pub reason: String,
}

/// Runs one case and reports on the descriptor that came as standard input.
pub fn main(name: &str, mode: &str) -> ExitCode {
    match prepare().and_then(|mut to| {
        let report = judge(name, mode);
        let mut line = serde_json::to_vec(&report)?;
        line.push(b'\n');
        to.write_all(&line)
    }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lab: the case cannot report: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Takes the report's pipe off standard input, so that nothing that the test starts inherits it, and enters
/// the session and the cgroup of the case.
fn prepare() -> std::io::Result<File> {
    use std::os::fd::AsFd;
    let pipe = File::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    nix::unistd::dup2_stdin(File::open("/dev/null")?)?;
    nix::unistd::setsid()?;
    fs::write(Layout::here()?.case().join("cgroup.procs"), "0")?;
    Ok(pipe)
}

fn judge(name: &str, mode: &str) -> Report {
    let Some(test) = registry::find(name) else {
        return Report { outcome: Verdict::Failed, reason: format!("there is no test {name}") };
    };
    match run(test, mode) {
        Ok(()) => Report { outcome: Verdict::Passed, reason: String::new() },
        Err(failure @ Failure::Failed { .. }) => {
            Report { outcome: Verdict::Failed, reason: failure.to_string() }
        }
        Err(Failure::Skipped { reason }) => Report { outcome: Verdict::Skipped, reason },
    }
}

fn run(test: &'static Test, mode: &str) -> registry::Result {
    ensure!(test.modes.contains(&mode), "{} has no mode {mode}, only {:?}", test.name, test.modes);
    let layout = Layout::here()?;
    if let Some(wanted) = test.wants.cgroup
        && wanted != layout.name()
    {
        skip!("needs the cgroup layout {wanted}, this guest has {}", layout.name());
    }
    for facility in test.wants.facilities {
        if !facilities::has(facility)? {
            match facility.strip_prefix("cgroup:") {
                Some(controller) => skip!(
                    "no hierarchy of the layout {} has the cgroup controller {controller} with this kernel",
                    layout.name()
                ),
                None => skip!("this kernel has no {facility}"),
            }
        }
    }
    let mut context = Context::new(mode, Cmdline::read()?, layout);
    panic::catch_unwind(AssertUnwindSafe(|| (test.run)(&mut context)))
        .unwrap_or_else(|cause| Err(Failure::failed(format!("the test panicked: {}", message(&*cause)))))
}

fn message(cause: &(dyn std::any::Any + Send)) -> &str {
    cause
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| cause.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_test_is_a_failure() {
        assert_eq!(judge("no-such-test", "full").outcome, Verdict::Failed);
    }

    #[test]
    fn an_unknown_mode_is_a_failure() {
        let report = judge("selftest-pass", "peel:masks");
        assert_eq!(report.outcome, Verdict::Failed);
        assert!(report.reason.contains("no mode peel:masks"), "{}", report.reason);
    }
}
