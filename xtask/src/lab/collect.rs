//! What the guests of a run report, put together as they end.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::results::{KernelRow, Results, Row, SCHEMA, columns};
use crate::kernels::Kernel;
use crate::protocol::{Case, Outcome, TestInfo, Verdict};

/// Gathers outcomes and times from the threads that drive guests.
#[derive(Debug)]
pub struct Collector {
    suites: HashMap<String, String>,
    order: HashMap<Case, usize>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    kernels: Vec<KernelRow>,
    rows: Vec<Row>,
    faults: Vec<String>,
    notes: Vec<String>,
}

/// What was learnt about a kernel by booting it.
#[derive(Debug, Clone)]
pub struct Booted {
    /// `uname -r`.
    pub release: String,
    /// Milliseconds from the start of QEMU to PID 1.
    pub boot_ms: u64,
    /// `microvm` or `q35`.
    pub machine: String,
}

impl Collector {
    /// For these kernels and tests.
    pub fn new(kernels: &[Kernel], tests: &[TestInfo], accel: &str) -> Self {
        let cases = tests.iter().flat_map(super::select::cases);
        let rows = kernels.iter().map(|kernel| KernelRow {
            series: kernel.series.clone(),
            release: kernel.release.clone(),
            flavour: kernel.flavour.clone(),
            accel: accel.to_owned(),
            machine: "microvm".to_owned(),
            boot_ms: None,
            resume_ms: None,
        });
        Self {
            suites: tests.iter().map(|test| (test.name.clone(), test.suite.clone())).collect(),
            order: cases.enumerate().map(|(at, case)| (case, at)).collect(),
            state: Mutex::new(State { kernels: rows.collect(), ..State::default() }),
        }
    }

    /// The names of the kernels' columns.
    pub fn columns(&self) -> Vec<String> {
        columns(&self.lock().kernels)
    }

    /// Enters the outcomes of a guest of the kernel with this index.
    pub fn outcomes(&self, kernel: usize, cgroup: &str, outcomes: Vec<Outcome>) {
        let mut state = self.lock();
        let Some(name) = columns(&state.kernels).into_iter().nth(kernel) else { return };
        for outcome in outcomes {
            let row = Row {
                kernel: name.clone(),
                cgroup: cgroup.to_owned(),
                suite: self.suites.get(&outcome.case.test).cloned().unwrap_or_default(),
                test: outcome.case.test,
                mode: outcome.case.mode,
                outcome: outcome.outcome,
                reason: outcome.reason,
                ms: outcome.ms,
            };
            state.rows.push(row);
        }
    }

    /// Enters a case that is skipped without a boot, on every kernel.
    pub fn excluded(&self, case: &Case, cgroup: &str, reason: &str) {
        let count = self.lock().kernels.len();
        for kernel in 0..count {
            let outcome =
                Outcome { case: case.clone(), outcome: Verdict::Skipped, reason: reason.to_owned(), ms: 0 };
            self.outcomes(kernel, cgroup, vec![outcome]);
        }
    }

    /// Enters a boot; the quickest of a kernel counts, for others compete with more guests for the cores.
    pub fn booted(&self, kernel: usize, booted: &Booted) {
        if let Some(row) = self.lock().kernels.get_mut(kernel) {
            row.release.clone_from(&booted.release);
            if row.boot_ms.is_none_or(|ms| booted.boot_ms < ms) {
                row.boot_ms = Some(booted.boot_ms);
                row.machine.clone_from(&booted.machine);
            }
        }
    }

    /// Enters a resume; the quickest of a kernel counts.
    pub fn resumed(&self, kernel: usize, ms: u64) {
        if let Some(row) = self.lock().kernels.get_mut(kernel) {
            row.resume_ms = Some(row.resume_ms.map_or(ms, |before| before.min(ms)));
        }
    }

    /// Something that makes the lab itself fail.
    pub fn fault(&self, text: String) {
        self.lock().faults.push(text);
    }

    /// Something that the reader should know, such as a boot that needed a second try.
    pub fn note(&self, text: String) {
        self.lock().notes.push(text);
    }

    /// Puts the results together: kernels as asked for, cases in the order of the registry.
    pub fn finish(self, runtime: &str) -> Results {
        let State { kernels, mut rows, mut faults, notes } =
            self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let names = columns(&kernels);
        let place = |row: &Row| {
            let case = Case { test: row.test.clone(), mode: row.mode.clone() };
            let kernel = names.iter().position(|name| *name == row.kernel);
            (kernel, self.order.get(&case).copied())
        };
        rows.sort_by_cached_key(place);
        faults.extend(miscounted(&names, &rows, &self.order));
        Results { schema: SCHEMA, runtime: runtime.to_owned(), kernels, results: rows, faults, notes }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whatever went wrong before: in the end every case has one row per kernel.
fn miscounted(kernels: &[String], rows: &[Row], order: &HashMap<Case, usize>) -> Vec<String> {
    let mut faults = Vec::new();
    for name in kernels {
        let of_kernel: Vec<&Row> = rows.iter().filter(|row| row.kernel == *name).collect();
        let distinct: BTreeSet<(&str, &str)> =
            of_kernel.iter().map(|row| (row.test.as_str(), row.mode.as_str())).collect();
        if distinct.len() != order.len() || of_kernel.len() != order.len() {
            faults.push(format!(
                "{name}: {} of {} cases have an outcome, in {} rows",
                distinct.len(),
                order.len(),
                of_kernel.len()
            ));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Needs;

    fn kernel(series: &str) -> Kernel {
        Kernel {
            series: series.into(),
            flavour: "cloud".into(),
            release: format!("{series}.0"),
            vmlinuz: "k".into(),
            modules: None,
            id: series.into(),
        }
    }

    fn test(name: &str) -> TestInfo {
        TestInfo {
            suite: "integration".into(),
            name: name.into(),
            about: String::new(),
            modes: vec!["full".into()],
            oci: false,
            needs: Needs::default(),
        }
    }

    fn passed(test: &str) -> Outcome {
        let case = Case { test: test.into(), mode: "full".into() };
        Outcome { case, outcome: Verdict::Passed, reason: String::new(), ms: 1 }
    }

    #[test]
    fn rows_come_in_the_order_of_kernels_and_tests() {
        let collector = Collector::new(&[kernel("5.10"), kernel("7.3")], &[test("b"), test("a")], "tcg");
        collector.outcomes(1, "v2", vec![passed("a")]);
        collector.outcomes(0, "v2", vec![passed("a"), passed("b")]);
        collector.outcomes(1, "v2", vec![passed("b")]);
        let results = collector.finish("cofferdam");
        let rows: Vec<String> =
            results.results.iter().map(|row| format!("{} {}", row.kernel, row.test)).collect();
        assert_eq!(rows, ["5.10 b", "5.10 a", "7.3 b", "7.3 a"]);
        assert!(results.faults.is_empty(), "{:?}", results.faults);
    }

    #[test]
    fn a_case_without_a_row_or_with_two_is_a_fault() {
        let collector = Collector::new(&[kernel("5.10")], &[test("a"), test("b")], "tcg");
        collector.outcomes(0, "v2", vec![passed("a")]);
        assert_eq!(collector.finish("x").faults, ["5.10: 1 of 2 cases have an outcome, in 1 rows"]);
        let collector = Collector::new(&[kernel("5.10")], &[test("a")], "tcg");
        collector.outcomes(0, "v2", vec![passed("a"), passed("a")]);
        assert_eq!(collector.finish("x").faults.len(), 1);
    }

    #[test]
    fn the_quickest_boot_counts() {
        let collector = Collector::new(&[kernel("5.10")], &[], "tcg");
        for (boot_ms, machine) in [(900, "microvm"), (1200, "q35")] {
            let booted = Booted { release: "5.10.1".into(), boot_ms, machine: machine.into() };
            collector.booted(0, &booted);
        }
        collector.resumed(0, 300);
        collector.resumed(0, 200);
        let row = &collector.finish("x").kernels[0];
        assert_eq!((row.boot_ms, row.machine.as_str(), row.resume_ms), (Some(900), "microvm", Some(200)));
    }
}
