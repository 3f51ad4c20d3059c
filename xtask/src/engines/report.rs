//! The table, engines across and scenarios down; its reasons; `results.json`, `table.md` and `junit.xml`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::results::{Outcome, Results, Row};
use super::scenarios::Scenario;
use crate::lab::report::replace;

/// The word for an outcome.
pub(super) fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Failed => "failed",
        Outcome::Skipped => "skipped",
        Outcome::Host => "cannot here",
    }
}

fn glyph(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "✔",
        Outcome::Failed => "✘",
        Outcome::Skipped => "–",
        Outcome::Host => "○",
    }
}

/// The scenarios and what each shows.
pub(super) fn listing(scenarios: &[&Scenario]) -> String {
    let line = |scenario: &&Scenario| format!("{:16} {}\n", scenario.name, scenario.about);
    scenarios.iter().map(line).collect()
}

/// The table for a terminal, with reasons.
pub(super) fn text(results: &Results) -> String {
    let mut text = format!("\n{:16}", "");
    for (kind, _) in &results.engines {
        let _ = write!(text, "  {:>10}", kind.name());
    }
    text.push('\n');
    for scenario in &results.scenarios {
        let _ = write!(text, "{scenario:16}");
        for (kind, _) in &results.engines {
            let cell = results.row(*kind, scenario).map_or(" ", |row| glyph(row.outcome));
            let _ = write!(text, "  {cell:>0$}", kind.name().len().max(10));
        }
        text.push('\n');
    }
    reasons(&mut text, results);
    let _ = writeln!(text, "\n{}", totals(results));
    text
}

fn totals(results: &Results) -> String {
    let count = |outcome| {
        let rows = results.engines.iter().flat_map(|(_, engine)| &engine.rows);
        rows.filter(|row| row.outcome == outcome).count()
    };
    let part = |outcome, name: &str| format!("{} {name}", count(outcome));
    let mut parts = vec![
        part(Outcome::Passed, "passed"),
        part(Outcome::Failed, "failed"),
        part(Outcome::Skipped, "skipped"),
    ];
    parts.extend((count(Outcome::Host) > 0).then(|| part(Outcome::Host, "that no runtime can here")));
    format!("{} with {}", parts.join(", "), results.runtime)
}

fn reasons(text: &mut String, results: &Results) {
    for (kind, engine) in &results.engines {
        let name = kind.name();
        let version = engine.version.as_deref().unwrap_or("not started");
        let _ = writeln!(text, "\n{name} {version}");
        if let Some(why) = &engine.cannot {
            let _ = writeln!(text, "  – cannot run here: {why}");
            continue;
        }
        let of = |wanted: &[Outcome]| {
            engine.rows.iter().filter(|row| wanted.contains(&row.outcome)).collect::<Vec<&Row>>()
        };
        for row in of(&[Outcome::Failed, Outcome::Host]) {
            let _ = writeln!(text, "  {} {}: {}", glyph(row.outcome), row.scenario, indented(row));
        }
        let mut skipped: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for row in of(&[Outcome::Skipped]) {
            skipped.entry(&row.reason).or_default().push(&row.scenario);
        }
        for (reason, scenarios) in skipped {
            let _ = writeln!(text, "  – {reason}: {}", scenarios.join(", "));
        }
    }
}

/// Lines of a reason, and characters of a line, that a report has; the log has them all.
const LINES: usize = 4;
const WIDTH: usize = 240;

fn indented(row: &Row) -> String {
    let mut text = short(&row.reason, LINES).join("\n      ");
    for (runtime, why) in &row.controls {
        let why = short(why.as_deref().unwrap_or("passed"), 1).join("");
        let _ = write!(text, "\n      with {runtime}: {why}");
    }
    text
}

fn short(text: &str, lines: usize) -> Vec<String> {
    let line = |line: &str| match line.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or(line)),
        None => line.to_owned(),
    };
    text.trim().lines().take(lines).map(line).collect()
}

/// Writes the reports; each file appears whole or not at all.
///
/// # Errors
/// A file cannot be written.
pub(super) fn write(dir: &Path, results: &Results) -> Result<()> {
    let mut json = serde_json::to_string_pretty(results).context("make results.json")?;
    json.push('\n');
    replace(&dir.join("results.json"), &json)?;
    replace(&dir.join("table.md"), &markdown(results))?;
    replace(&dir.join("junit.xml"), &junit(results)?)
}

fn markdown(results: &Results) -> String {
    let mut text = String::from("|");
    for (kind, engine) in &results.engines {
        let _ = write!(text, " | {} {}", kind.name(), engine.version.as_deref().unwrap_or_default());
    }
    let _ = writeln!(text, " |\n|---|{}", ":-:|".repeat(results.engines.len()));
    for scenario in &results.scenarios {
        let _ = write!(text, "| {scenario}");
        for (kind, _) in &results.engines {
            let _ = write!(text, " | {}", results.row(*kind, scenario).map_or("", |row| glyph(row.outcome)));
        }
        text.push_str(" |\n");
    }
    let _ = write!(text, "\n{}\n\n```text", totals(results));
    reasons(&mut text, results);
    text.push_str("```\n");
    text
}

fn junit(results: &Results) -> Result<String> {
    let mut report = Report::new("engine-test");
    for (kind, engine) in &results.engines {
        let mut suite = TestSuite::new(kind.name());
        suite.add_property(("version", engine.version.as_deref().unwrap_or_default()));
        for row in &engine.rows {
            let reason = indented(row);
            let mut status = match row.outcome {
                Outcome::Passed => TestCaseStatus::success(),
                Outcome::Skipped | Outcome::Host => TestCaseStatus::skipped(),
                Outcome::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
            };
            if row.outcome != Outcome::Passed {
                status.set_message(reason.as_str());
            }
            let mut case = TestCase::new(row.scenario.as_str(), status);
            case.set_classname(kind.name());
            case.set_time(Duration::from_millis(row.ms));
            suite.add_test_case(case);
        }
        report.add_test_suite(suite);
    }
    report.to_string().context("make junit.xml")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::results::tests::sample;

    #[test]
    fn every_outcome_is_told_with_its_reason() {
        let mut results = sample();
        let host = results.scenarios[2];
        results.engines[0].1.rows[2].controls.push(("runc".into(), Some("says no too".into())));
        results.settle();
        let text = text(&results);
        for part in [
            "1 passed, 1 failed, 5 skipped, 1 that no runtime can here with /bin/runtime",
            "podman 4.3.1",
            "red | first\n      second",
            "with runc: says no too",
            "cannot run here: no overlayfs",
            &format!("○ {host}"),
        ] {
            assert!(text.contains(part), "`{part}` is not in {text}");
        }
    }

    #[test]
    fn the_files_hold_a_column_an_engine() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &sample()).unwrap();
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert!(read("table.md").starts_with("| | podman 4.3.1 | docker  |\n|---|:-:|:-:|\n"));
        assert!(
            read("junit.xml")
                .contains(r#"<testsuite name="podman" tests="4" skipped="1" errors="0" failures="2""#)
        );
        let json: serde_json::Value = serde_json::from_str(&read("results.json")).unwrap();
        assert_eq!(json["engines"][0][1]["rows"][1]["outcome"], "failed");
    }
}
