//! The results of a run, and what they mean together.

use std::path::Path;

use serde::Serialize;

use super::Kind;
use super::scenarios::Scenario;

/// How a scenario went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Outcome {
    /// As it should.
    Passed,
    /// Not so, and another runtime could, or was not there to ask.
    Failed,
    /// The engine has no such thing, or cannot run here.
    Skipped,
    /// No runtime could: the host cannot.
    Host,
}

/// One scenario on one engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Row {
    /// The scenario's name.
    pub scenario: String,
    /// How it went.
    pub outcome: Outcome,
    /// Why it failed or was skipped.
    pub reason: String,
    /// Milliseconds.
    pub ms: u64,
    /// Other runtimes that were asked after a failure, each with the reason when it failed too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub controls: Vec<(String, Option<String>)>,
}

impl Row {
    /// A result.
    pub(super) fn new(scenario: &str, outcome: Outcome, reason: impl Into<String>, ms: u64) -> Self {
        Self { scenario: scenario.to_owned(), outcome, reason: reason.into(), ms, controls: Vec::new() }
    }

    /// Whether another runtime was asked and could do it.
    fn controlled(&self) -> bool {
        self.controls.iter().any(|(_, why)| why.is_none())
    }

    /// For the one who waits.
    pub(super) fn line(&self) -> String {
        let word = super::report::word(self.outcome);
        let reason = self.reason.lines().next().unwrap_or_default();
        let colon = if reason.is_empty() { "" } else { ": " };
        format!("{} {word} in {} ms{colon}{reason}", self.scenario, self.ms)
    }
}

/// What was found out about one engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Engine {
    /// What it says about itself.
    pub version: Option<String>,
    /// Why it cannot run here, if so.
    pub cannot: Option<String>,
    /// One entry per scenario.
    pub rows: Vec<Row>,
}

/// A whole run.
#[derive(Debug, Serialize)]
pub(super) struct Results {
    /// The runtime's program.
    pub runtime: String,
    /// The scenarios, in the order of the table.
    pub scenarios: Vec<&'static str>,
    /// The engines, in the order of the columns.
    pub engines: Vec<(Kind, Engine)>,
}

impl Results {
    /// No results yet.
    pub(super) fn new(runtime: &Path, scenarios: &[&'static Scenario]) -> Self {
        Self {
            runtime: runtime.display().to_string(),
            scenarios: scenarios.iter().map(|scenario| scenario.name).collect(),
            engines: Vec::new(),
        }
    }

    /// Takes in an engine.
    pub(super) fn add(&mut self, kind: Kind, engine: Engine) {
        self.engines.push((kind, engine));
    }

    /// An engine's result.
    pub(super) fn row(&self, kind: Kind, scenario: &str) -> Option<&Row> {
        let (_, engine) = self.engines.iter().find(|(other, _)| *other == kind)?;
        engine.rows.iter().find(|row| row.scenario == scenario)
    }

    /// The scenarios that failed and that no other runtime could do so far.
    pub(super) fn open(&self, kind: Kind, scenarios: &[&'static Scenario]) -> Vec<&'static Scenario> {
        let open = |row: &Row| row.outcome == Outcome::Failed && !row.controlled();
        scenarios.iter().filter(|scenario| self.row(kind, scenario.name).is_some_and(open)).copied().collect()
    }

    /// Takes in what another runtime did with what failed.
    pub(super) fn control(&mut self, kind: Kind, name: &str, control: &Engine) {
        let Some((_, engine)) = self.engines.iter_mut().find(|(other, _)| *other == kind) else { return };
        for row in engine.rows.iter_mut().filter(|row| row.outcome == Outcome::Failed) {
            let Some(other) = control.rows.iter().find(|other| other.scenario == row.scenario) else {
                continue;
            };
            match other.outcome {
                Outcome::Passed => row.controls.push((name.to_owned(), None)),
                Outcome::Failed => row.controls.push((name.to_owned(), Some(other.reason.clone()))),
                // Nothing was learnt.
                Outcome::Skipped | Outcome::Host => {}
            }
        }
    }

    /// What no other runtime could do either is the host's.
    pub(super) fn settle(&mut self) {
        for row in self.engines.iter_mut().flat_map(|(_, engine)| &mut engine.rows) {
            if row.outcome == Outcome::Failed && !row.controls.is_empty() && !row.controlled() {
                row.outcome = Outcome::Host;
            }
        }
    }

    /// 0 when nothing failed, 1 when something did, 3 when nothing was learnt: no engine ran, or one that was
    /// `named` cannot run here.
    pub(super) fn exit(&self, named: bool) -> u8 {
        let cannot = |(_, engine): &(Kind, Engine)| engine.cannot.is_some();
        if self.engines.iter().all(cannot) || (named && self.engines.iter().any(cannot)) {
            return 3;
        }
        let failed = |row: &Row| row.outcome == Outcome::Failed;
        u8::from(self.engines.iter().any(|(_, engine)| engine.rows.iter().any(failed)))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::engines::scenarios::ALL;

    /// Two engines: one with an outcome of each kind, one that cannot run.
    pub(in crate::engines) fn sample() -> Results {
        let scenarios: Vec<&'static Scenario> = ALL.iter().take(4).collect();
        let mut results = Results::new(Path::new("/bin/runtime"), &scenarios);
        let row = |index: usize, outcome, reason| Row::new(scenarios[index].name, outcome, reason, 7);
        let rows = vec![
            row(0, Outcome::Passed, ""),
            row(1, Outcome::Failed, "red | first\nsecond"),
            row(2, Outcome::Failed, "the kernel says no"),
            row(3, Outcome::Skipped, "it has no such thing"),
        ];
        results.add(Kind::Podman, Engine { version: Some("4.3.1".into()), cannot: None, rows });
        let rows = (0..4).map(|index| row(index, Outcome::Skipped, "no overlayfs")).collect();
        results.add(Kind::Docker, Engine { version: None, cannot: Some("no overlayfs".into()), rows });
        results
    }

    fn other(rows: Vec<Row>) -> Engine {
        Engine { version: None, cannot: None, rows }
    }

    #[test]
    fn what_no_runtime_can_do_is_the_hosts() {
        let mut results = sample();
        let [_, first, second, _] = [0, 1, 2, 3].map(|index| ALL[index].name);
        let scenarios: Vec<&'static Scenario> = ALL.iter().take(4).collect();
        let names = |results: &Results| -> Vec<&str> {
            results.open(Kind::Podman, &scenarios).iter().map(|scenario| scenario.name).collect()
        };
        assert_eq!(names(&results), [first, second]);
        let passed = Row::new(first, Outcome::Passed, "", 1);
        let failed = Row::new(second, Outcome::Failed, "no", 1);
        results.control(Kind::Podman, "runc", &other(vec![passed, failed]));
        assert_eq!(names(&results), [second], "what another runtime can do is not asked of a third");
        results.settle();
        assert_eq!(results.row(Kind::Podman, first).unwrap().outcome, Outcome::Failed);
        assert_eq!(results.row(Kind::Podman, second).unwrap().outcome, Outcome::Host);
        assert_eq!(results.exit(false), 1);
    }

    /// Without another runtime to ask, a failure is one.
    #[test]
    fn nothing_learnt_settles_nothing() {
        let mut results = sample();
        let skipped = Row::new(ALL[1].name, Outcome::Skipped, "cannot", 1);
        results.control(Kind::Podman, "runc", &other(vec![skipped]));
        results.settle();
        assert_eq!(results.row(Kind::Podman, ALL[1].name).unwrap().outcome, Outcome::Failed);
    }

    #[test]
    fn the_exit_status() {
        let mut results = sample();
        assert_eq!(results.exit(false), 1);
        assert_eq!(results.exit(true), 3, "a named engine cannot run");
        results.engines[0].1.rows.retain(|row| row.outcome != Outcome::Failed);
        assert_eq!(results.exit(false), 0);
        results.engines.remove(0);
        assert_eq!(results.exit(false), 3, "no engine ran");
    }
}
