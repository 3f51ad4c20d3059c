//! The matrix, kernels across and tests down: on the terminal, and as Markdown.

use std::fmt::Write as _;

use super::{glyph, word};
use crate::lab::results::{Results, Row, Totals};
use crate::protocol::Verdict;

/// The matrix for a terminal, with totals, failures and skips with their reasons.
pub fn text(results: &Results) -> String {
    let columns = results.columns();
    let lines = results.lines();
    let width = lines.iter().map(|line| line.name().chars().count()).max().unwrap_or(0).max(6);
    let mut text = String::new();
    let mut suite = "";
    for line in &lines {
        if line.suite != suite {
            suite = line.suite;
            let _ = write!(text, "\n{suite:width$}");
            for column in &columns {
                let _ = write!(text, "  {column:>6}");
            }
            text.push('\n');
        }
        let _ = write!(text, "{:width$}", line.name());
        for (cell, column) in line.cells.iter().zip(&columns) {
            let cell = cell.map_or(" ", |row| glyph(row.outcome));
            let _ = write!(text, "  {cell:>0$}", column.len().max(6));
        }
        text.push('\n');
    }
    totals_lines(&mut text, results, &columns, width);
    failures(&mut text, results);
    skips(&mut text, results);
    for (title, lines) in [("notes", &results.notes), ("the lab failed", &results.faults)] {
        if !lines.is_empty() {
            let _ = writeln!(text, "\n{title}:");
        }
        for line in lines {
            let _ = writeln!(text, "  ! {line}");
        }
    }
    text
}

fn totals_lines(text: &mut String, results: &Results, columns: &[String], width: usize) {
    let totals: Vec<Totals> = columns.iter().map(|column| results.totals_of(column)).collect();
    text.push('\n');
    for verdict in [Verdict::Passed, Verdict::Failed, Verdict::Skipped] {
        let _ = write!(text, "{:width$}", word(verdict));
        for (total, column) in totals.iter().zip(columns) {
            let _ = write!(text, "  {:>1$}", total.of(verdict), column.len().max(6));
        }
        text.push('\n');
    }
}

fn failures(text: &mut String, results: &Results) {
    for row in failed(results) {
        let name = crate::lab::results::case_name(&row.test, &row.mode);
        let _ = writeln!(text, "\n✘ {name} on {} ({}):", row.kernel, row.cgroup);
        for line in row.reason.lines() {
            let _ = writeln!(text, "    {line}");
        }
    }
}

fn skips(text: &mut String, results: &Results) {
    let skips = results.skips();
    if !skips.is_empty() {
        text.push_str("\nskipped:\n");
    }
    for (reason, cases) in skips {
        let _ = writeln!(text, "  – {reason}");
        for case in cases {
            let _ = writeln!(text, "      {case}");
        }
    }
}

fn failed(results: &Results) -> impl Iterator<Item = &Row> {
    results.results.iter().filter(|row| row.outcome == Verdict::Failed)
}

/// The matrix as Markdown.
pub fn markdown(results: &Results) -> String {
    let columns = results.columns();
    let mut text = String::from("# Test matrix\n\n");
    let _ = writeln!(text, "Runtime: {}. {}.\n", escape(&results.runtime), results.totals());
    text.push_str("| kernel | release | flavour | accelerator | machine | boot ms | resume ms |\n");
    text.push_str("|---|---|---|---|---|--:|--:|\n");
    for kernel in &results.kernels {
        let [boot, resume] =
            [kernel.boot_ms, kernel.resume_ms].map(|ms| ms.map_or("–".to_owned(), |ms| ms.to_string()));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {boot} | {resume} |",
            escape(&kernel.series),
            escape(&kernel.release),
            escape(&kernel.flavour),
            kernel.accel,
            kernel.machine,
        );
    }
    let _ = write!(text, "\n| suite | test |");
    for column in &columns {
        let _ = write!(text, " {column} |");
    }
    let _ = writeln!(text, "\n|---|---|{}", ":-:|".repeat(columns.len()));
    for line in results.lines() {
        let _ = write!(text, "| {} | {} |", line.suite, escape(&line.name()));
        for cell in &line.cells {
            let _ = write!(text, " {} |", cell.map_or("", |row| glyph(row.outcome)));
        }
        text.push('\n');
    }
    markdown_reasons(&mut text, results);
    text
}

fn markdown_reasons(text: &mut String, results: &Results) {
    let mut first = true;
    for row in failed(results) {
        if std::mem::take(&mut first) {
            text.push_str("\n## Failures\n\n");
        }
        let name = crate::lab::results::case_name(&row.test, &row.mode);
        let reason = escape(&row.reason).replace('\n', "<br>");
        let _ = writeln!(text, "- **{}** on {} ({}): {reason}", escape(&name), row.kernel, row.cgroup);
    }
    let skips = results.skips();
    if !skips.is_empty() {
        text.push_str("\n## Skips\n\n");
    }
    for (reason, cases) in skips {
        let _ = writeln!(text, "- {}: {}", escape(&reason), escape(&cases.join("; ")));
    }
    for (title, lines) in [("Notes", &results.notes), ("The lab failed", &results.faults)] {
        if !lines.is_empty() {
            let _ = writeln!(text, "\n## {title}\n");
        }
        for line in lines {
            let _ = writeln!(text, "- {}", escape(line).replace('\n', "<br>"));
        }
    }
}

/// Escapes what Markdown or the HTML inside it would take as markup.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::results::tests::sample;

    #[test]
    fn the_terminal_matrix() {
        let text = text(&sample());
        let expected = "
integration       5.10     7.3
ns::pid              ✔       ✔
ns::new              –       ✔

escape            5.10     7.3
mask [control]       ✘        

passed               1       2
failed               1       0
skipped              1       0

✘ mask [control] on 5.10 (v2):
    a < b && \"c\"

skipped:
  – needs <statmount>
      ns::new on 5.10
";
        assert_eq!(text, expected);
    }

    #[test]
    fn markdown_keeps_cells_apart() {
        let mut results = sample();
        results.results[2].reason = "x | y\n<z>".into();
        let text = markdown(&results);
        assert!(text.contains("| escape | mask \\[control\\] | ✘ |  |"), "{text}");
        assert!(text.contains("x \\| y<br>&lt;z&gt;"), "{text}");
        assert!(text.contains("- needs &lt;statmount&gt;: ns::new on 5.10"), "{text}");
    }
}
