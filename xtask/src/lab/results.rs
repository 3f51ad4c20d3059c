//! The results of a run: what `results.json` holds, and what the other reports are made from.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::protocol::Verdict;

/// The version of the schema; docs/results.md describes it.
pub const SCHEMA: u32 = 1;

/// A whole run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Results {
    /// [`SCHEMA`].
    pub schema: u32,
    /// `cofferdam`, or the path given as `--runtime`.
    pub runtime: String,
    /// The kernels, in the order of the columns.
    pub kernels: Vec<KernelRow>,
    /// One entry per kernel and case.
    pub results: Vec<Row>,
    /// What makes the lab itself fail; not part of the schema.
    #[serde(skip)]
    pub faults: Vec<String>,
    /// What the reader should know beside the outcomes; not part of the schema.
    #[serde(skip)]
    pub notes: Vec<String>,
}

/// A kernel that was booted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelRow {
    /// The series, such as `6.12`.
    pub series: String,
    /// `uname -r`.
    pub release: String,
    /// `cloud`, `generic`, `rt`, or `custom` for a kernel given by path or tree.
    pub flavour: String,
    /// `kvm` or `tcg`.
    pub accel: String,
    /// `microvm` or `q35`: the machine the times were measured on.
    pub machine: String,
    /// Milliseconds from the start of QEMU to PID 1; absent when the kernel never booted.
    pub boot_ms: Option<u64>,
    /// Milliseconds from the start of QEMU to the answer of a resumed guest; absent without a resume.
    pub resume_ms: Option<u64>,
}

/// One case on one kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The kernel's series, see [`columns`].
    pub kernel: String,
    /// The cgroup layout.
    pub cgroup: String,
    /// `integration`, `escape` or `selftest`.
    pub suite: String,
    /// The name of the test.
    pub test: String,
    /// `full`, `peel:LAYER` or `control`.
    pub mode: String,
    /// The verdict.
    pub outcome: Verdict,
    /// Why it failed or was skipped.
    pub reason: String,
    /// Milliseconds of guest time.
    pub ms: u64,
}

/// How many of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Passed.
    pub passed: usize,
    /// Failed.
    pub failed: usize,
    /// Skipped.
    pub skipped: usize,
}

impl Totals {
    /// The count of one verdict.
    pub fn of(&self, verdict: Verdict) -> usize {
        match verdict {
            Verdict::Passed => self.passed,
            Verdict::Failed => self.failed,
            Verdict::Skipped => self.skipped,
        }
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// The names of the kernels' columns, and of [`Row::kernel`]: the series, with `:FLAVOUR` where a run has
/// several kernels of one series and this is not the default one.
pub fn columns(kernels: &[KernelRow]) -> Vec<String> {
    let name = |kernel: &KernelRow| {
        let alone = kernels.iter().filter(|other| other.series == kernel.series).count() == 1;
        if alone || kernel.flavour == "cloud" {
            kernel.series.clone()
        } else {
            format!("{}:{}", kernel.series, kernel.flavour)
        }
    };
    kernels.iter().map(name).collect()
}

/// One line of the matrix: a case, and its outcome by column.
#[derive(Debug)]
pub struct Line<'a> {
    /// The suite.
    pub suite: &'a str,
    /// The test.
    pub test: &'a str,
    /// The mode.
    pub mode: &'a str,
    /// The cell of each column, in the order of [`Results::columns`].
    pub cells: Vec<Option<&'a Row>>,
}

impl Line<'_> {
    /// The test, with its mode unless that is `full`.
    pub fn name(&self) -> String {
        case_name(self.test, self.mode)
    }
}

/// The test, with its mode unless that is `full`.
pub fn case_name(test: &str, mode: &str) -> String {
    if mode == "full" { test.to_owned() } else { format!("{test} [{mode}]") }
}

impl Results {
    /// How many of each over all kernels.
    pub fn totals(&self) -> Totals {
        totals(self.results.iter())
    }

    /// How many of each on one kernel.
    pub fn totals_of(&self, column: &str) -> Totals {
        totals(self.results.iter().filter(|row| row.kernel == column))
    }

    /// The exit status: 3 when the lab failed, 1 when a test failed.
    pub fn exit(&self) -> u8 {
        match (self.faults.is_empty(), self.totals().failed) {
            (false, _) => 3,
            (true, 0) => 0,
            (true, _) => 1,
        }
    }

    /// The kernels across.
    pub fn columns(&self) -> Vec<String> {
        columns(&self.kernels)
    }

    /// The cases down, in the order in which they appear.
    pub fn lines(&self) -> Vec<Line<'_>> {
        let columns = self.columns();
        let mut lines: Vec<Line<'_>> = Vec::new();
        let mut index: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for row in &self.results {
            let at = *index.entry((&row.test, &row.mode)).or_insert_with(|| {
                lines.push(Line {
                    suite: &row.suite,
                    test: &row.test,
                    mode: &row.mode,
                    cells: vec![None; columns.len()],
                });
                lines.len() - 1
            });
            let column = columns.iter().position(|column| *column == row.kernel);
            if let Some(cell) =
                column.and_then(|column| lines.get_mut(at).and_then(|line| line.cells.get_mut(column)))
            {
                *cell = Some(row);
            }
        }
        lines
    }

    /// The reasons of skips, each with the cases and the kernels it is about.
    pub fn skips(&self) -> Vec<(String, Vec<String>)> {
        let mut by_reason: BTreeMap<&str, BTreeMap<String, BTreeSet<&str>>> = BTreeMap::new();
        for row in self.results.iter().filter(|row| row.outcome == Verdict::Skipped) {
            let cases = by_reason.entry(&row.reason).or_default();
            cases.entry(case_name(&row.test, &row.mode)).or_default().insert(&row.kernel);
        }
        by_reason
            .into_iter()
            .map(|(reason, cases)| {
                let cases = cases
                    .into_iter()
                    .map(|(case, kernels)| {
                        format!("{case} on {}", kernels.into_iter().collect::<Vec<_>>().join(" "))
                    })
                    .collect();
                (reason.to_owned(), cases)
            })
            .collect()
    }

    /// Turns a case that is skipped on every kernel into a failure, for nothing has shown it to hold.
    ///
    /// `exempt` are cases that the command line itself left out.
    pub fn fail_skipped_everywhere(&mut self, exempt: &BTreeSet<(String, String)>) {
        let mut ran: BTreeSet<(String, String)> = exempt.clone();
        for row in self.results.iter().filter(|row| row.outcome != Verdict::Skipped) {
            ran.insert((row.test.clone(), row.mode.clone()));
        }
        for row in &mut self.results {
            if !ran.contains(&(row.test.clone(), row.mode.clone())) {
                row.outcome = Verdict::Failed;
                row.reason = format!("skipped on every kernel of a full run: {}", row.reason);
            }
        }
    }
}

fn totals<'a>(rows: impl Iterator<Item = &'a Row>) -> Totals {
    let mut totals = Totals::default();
    for row in rows {
        match row.outcome {
            Verdict::Passed => totals.passed += 1,
            Verdict::Failed => totals.failed += 1,
            Verdict::Skipped => totals.skipped += 1,
        }
    }
    totals
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn row(kernel: &str, test: &str, mode: &str, outcome: Verdict, reason: &str) -> Row {
        Row {
            kernel: kernel.into(),
            cgroup: "v2".into(),
            suite: if mode == "full" { "integration".into() } else { "escape".into() },
            test: test.into(),
            mode: mode.into(),
            outcome,
            reason: reason.into(),
            ms: 12,
        }
    }

    pub(crate) fn kernel(series: &str) -> KernelRow {
        KernelRow {
            series: series.into(),
            release: format!("{series}.1-cloud-amd64"),
            flavour: "cloud".into(),
            accel: "tcg".into(),
            machine: "microvm".into(),
            boot_ms: Some(900),
            resume_ms: None,
        }
    }

    pub(crate) fn sample() -> Results {
        Results {
            schema: SCHEMA,
            runtime: "cofferdam".into(),
            kernels: vec![kernel("5.10"), kernel("7.3")],
            results: vec![
                row("5.10", "ns::pid", "full", Verdict::Passed, ""),
                row("5.10", "ns::new", "full", Verdict::Skipped, "needs <statmount>"),
                row("5.10", "mask", "control", Verdict::Failed, "a < b && \"c\""),
                row("7.3", "ns::pid", "full", Verdict::Passed, ""),
                row("7.3", "ns::new", "full", Verdict::Passed, ""),
            ],
            faults: Vec::new(),
            notes: Vec::new(),
        }
    }

    #[test]
    fn the_json_is_schema_1() {
        let text = serde_json::to_string(&sample()).unwrap();
        assert!(
            text.starts_with(r#"{"schema":1,"runtime":"cofferdam","kernels":[{"series":"5.10","release":"#)
        );
        assert!(text.contains(
            r#"{"kernel":"5.10","cgroup":"v2","suite":"integration","test":"ns::new","mode":"full","outcome":"skipped","reason":"needs <statmount>","ms":12}"#
        ));
        assert!(text.contains(r#""boot_ms":900,"resume_ms":null"#));
        assert_eq!(serde_json::from_str::<Results>(&text).unwrap(), sample());
    }

    #[test]
    fn lines_and_totals() {
        let results = sample();
        assert_eq!(results.totals(), Totals { passed: 3, failed: 1, skipped: 1 });
        assert_eq!(results.totals_of("7.3"), Totals { passed: 2, failed: 0, skipped: 0 });
        assert_eq!(results.totals().to_string(), "3 passed, 1 failed, 1 skipped");
        let lines = results.lines();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[2].name(), "mask [control]");
        assert!(lines[2].cells[1].is_none());
    }

    #[test]
    fn skips_are_grouped_by_reason() {
        let skips = sample().skips();
        assert_eq!(skips, [("needs <statmount>".into(), vec!["ns::new on 5.10".into()])]);
    }

    #[test]
    fn skipped_on_every_kernel_is_a_failure() {
        let mut results = sample();
        results.results[4].outcome = Verdict::Skipped;
        results.results[4].reason = "absent".into();
        results.fail_skipped_everywhere(&BTreeSet::new());
        assert_eq!(results.totals(), Totals { passed: 2, failed: 3, skipped: 0 });
        assert_eq!(results.results[4].reason, "skipped on every kernel of a full run: absent");
    }

    #[test]
    fn skipped_on_one_kernel_or_left_out_on_purpose_is_none() {
        let mut results = sample();
        results.fail_skipped_everywhere(&BTreeSet::new());
        assert_eq!(results, sample());
        results.results[4].outcome = Verdict::Skipped;
        let before = results.clone();
        results.fail_skipped_everywhere(&BTreeSet::from([("ns::new".into(), "full".into())]));
        assert_eq!(results, before);
    }

    #[test]
    fn a_failure_of_the_lab_beats_one_of_a_test() {
        let mut results = sample();
        assert_eq!(results.exit(), 1);
        results.faults.push("kernel panic".into());
        assert_eq!(results.exit(), 3);
        results.faults.clear();
        results.results.retain(|row| row.outcome != Verdict::Failed);
        assert_eq!(results.exit(), 0);
    }

    #[test]
    fn a_column_is_the_series_unless_two_share_it() {
        let mut rt = kernel("6.12");
        rt.flavour = "rt".into();
        assert_eq!(columns(&[rt.clone(), kernel("7.3")]), ["6.12", "7.3"]);
        assert_eq!(columns(&[kernel("6.12"), rt]), ["6.12", "6.12:rt"]);
    }
}
