//! A child in namespaces, cgroups and roots of a test's choice, asked what it sees.

use crate::guest::paths;
use crate::registry::{OrFail, Result};
use cofferdam_ns::Isolation;
use cofferdam_sys::plan::{At, Exec, Plan, Step};
use cofferdam_sys::process::{Exit, pidfd_send_signal};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::io::{self, Read};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

/// A plan that executes this program with these words.
pub(super) fn plan(words: &[&str]) -> Result<Plan> {
    plan_of(paths::INIT, words)
}

/// A plan that executes a copy of this program, which is at `path` in the child's root.
pub(super) fn plan_of(path: &str, words: &[&str]) -> Result<Plan> {
    let program = CString::new(path)?;
    let mut args = vec![program.clone()];
    for word in words {
        args.push(CString::new(*word)?);
    }
    Ok(Plan::new(Exec { candidates: vec![program], args, env: vec![] }))
}

/// What a child saw, by what it was asked.
#[derive(Debug)]
pub(super) struct Facts(BTreeMap<String, String>);

impl Facts {
    /// What a child printed.
    pub(super) fn parse(text: &str) -> Result<Self> {
        Ok(Self(serde_json::from_str(text)?))
    }

    /// The answer to a question.
    pub(super) fn get(&self, fact: &str) -> Result<&str> {
        Ok(self.0.get(fact).or_fail(fact)?.trim_end())
    }

    /// The field of `/proc/self/status`, which must have been asked for.
    pub(super) fn status(&self, field: &str) -> Result<String> {
        let text = self.get("file:/proc/self/status")?;
        let line =
            text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).or_fail(field)?;
        Ok(line.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

/// Makes a child in these namespaces, in that cgroup, after these steps, and asks it.
pub(super) fn ask(
    isolation: &Isolation,
    cgroup: Option<BorrowedFd<'_>>,
    steps: Vec<(&str, Step)>,
    facts: &[&str],
) -> Result<Facts> {
    let mut plan = plan(&[&["facts"], facts].concat())?;
    isolation.lower(&mut plan);
    for (about, step) in steps {
        plan.push(about, step);
    }
    ask_with(isolation, cgroup, plan)
}

/// The same, with a plan that is complete but for its standard output.
pub(super) fn ask_with(isolation: &Isolation, cgroup: Option<BorrowedFd<'_>>, plan: Plan) -> Result<Facts> {
    ask_after(isolation, cgroup, plan, |_| Ok(()))
}

/// The same, and before the child goes on, something is done to its process.
pub(super) fn ask_after(
    isolation: &Isolation,
    cgroup: Option<BorrowedFd<'_>>,
    mut plan: Plan,
    prepare: impl FnOnce(i32) -> Result,
) -> Result<Facts> {
    let (mut answers, output) = io::pipe()?;
    plan.push("send the answers back", Step::Duplicate { from: At::from(OwnedFd::from(output)), to: 1 });
    let mut spawning = isolation.spawn(&plan, cgroup)?;
    isolation.map_ids(&spawning)?;
    prepare(spawning.pid())?;
    spawning.release()?;
    let child = spawning.finish()?;
    // The plan holds the other end of the pipe.
    drop(plan);
    let mut text = String::new();
    answers.read_to_string(&mut text)?;
    ensure_eq!(child.wait()?, Exit::Code(0), "the end of the child that was asked");
    Facts::parse(&text)
}

/// A child that does nothing; it is killed when this is dropped.
pub(super) struct Sleeper(cofferdam_sys::spawn::Child);

impl Sleeper {
    /// Starts it in these namespaces, in that cgroup, after these steps.
    pub(super) fn start(
        isolation: &Isolation,
        cgroup: Option<BorrowedFd<'_>>,
        steps: Vec<(&str, Step)>,
    ) -> Result<Self> {
        let mut plan = plan(&["sleep", "86400"])?;
        isolation.lower(&mut plan);
        for (about, step) in steps {
            plan.push(about, step);
        }
        let mut spawning = isolation.spawn(&plan, cgroup)?;
        isolation.map_ids(&spawning)?;
        spawning.release()?;
        Ok(Self(spawning.finish()?))
    }

    pub(super) fn pid(&self) -> i32 {
        self.0.pid()
    }

    /// Waits for an end that somebody else gives it, and reaps it.
    pub(super) fn wait(&self) -> Result<Exit> {
        let ended = cofferdam_sys::pidfd::ended(self.0.pidfd(), Duration::from_secs(20))?;
        ensure!(ended, "process {} lives", self.pid());
        Ok(self.0.wait()?)
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        if pidfd_send_signal(self.0.pidfd(), nix::libc::SIGKILL).is_ok() {
            // Fails only when it was waited for before.
            let _ = self.0.wait();
        }
    }
}
