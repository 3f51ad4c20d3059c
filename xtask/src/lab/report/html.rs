//! `index.html`: one static page, readable without scripts.

use std::fmt::Write as _;

use super::{glyph, word};
use crate::lab::results::{KernelRow, Line, Results, Row};
use crate::protocol::Verdict;

const STYLE: &str = "
:root { color-scheme: light dark; --pass: #1a7f37; --fail: #c62828; --skip: #6e7781; --line: #8885; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .7rem; text-align: left; vertical-align: top; }
thead th { position: sticky; top: 0; background: Canvas; }
td.cell { text-align: center; min-width: 3.2rem; }
td.name { font-family: ui-monospace, monospace; white-space: nowrap; }
.passed { color: var(--pass); } .failed { color: var(--fail); font-weight: 600; } .skipped { color: var(--skip); }
td.failed { background: #c6282818; }
details > summary { cursor: pointer; list-style-position: inside; }
pre { text-align: left; white-space: pre-wrap; overflow-wrap: anywhere; max-width: 44rem; font-size: 13px; color: CanvasText; font-weight: 400; }
";

/// The page.
pub fn page(results: &Results) -> String {
    let totals = results.totals();
    let mut page = String::new();
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{totals}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>Test matrix</h1>\n\
         <p>Runtime <strong>{}</strong>: \
         <span class=\"passed\">✔ {} passed</span>, <span class=\"failed\">✘ {} failed</span>, \
         <span class=\"skipped\">– {} skipped</span>.</p>\n",
        escape(&results.runtime),
        totals.passed,
        totals.failed,
        totals.skipped,
    );
    kernels(&mut page, &results.kernels);
    matrix(&mut page, results);
    skips(&mut page, results);
    list(&mut page, "Notes", &results.notes);
    list(&mut page, "The lab failed", &results.faults);
    page.push_str("</body>\n</html>\n");
    page
}

fn kernels(page: &mut String, kernels: &[KernelRow]) {
    page.push_str(
        "<table>\n<thead><tr><th>kernel</th><th>release</th><th>flavour</th><th>accelerator</th>\
         <th>machine</th><th>boot ms</th><th>resume ms</th></tr></thead>\n<tbody>\n",
    );
    for kernel in kernels {
        page.push_str("<tr>");
        let [boot, resume] =
            [kernel.boot_ms, kernel.resume_ms].map(|ms| ms.map_or("–".to_owned(), |ms| ms.to_string()));
        let cells = [
            &kernel.series,
            &kernel.release,
            &kernel.flavour,
            &kernel.accel,
            &kernel.machine,
            &boot,
            &resume,
        ];
        for cell in cells {
            let _ = write!(page, "<td>{}</td>", escape(cell));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody>\n</table>\n");
}

fn matrix(page: &mut String, results: &Results) {
    let columns = results.columns();
    page.push_str("<table>\n<thead><tr><th>suite</th><th>test</th>");
    for column in &columns {
        let _ = write!(page, "<th>{}</th>", escape(column));
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for line in results.lines() {
        matrix_line(page, &line);
    }
    page.push_str("</tbody>\n<tfoot>\n");
    for verdict in [Verdict::Passed, Verdict::Failed, Verdict::Skipped] {
        let name = word(verdict);
        let _ = write!(page, "<tr class=\"{name}\"><td></td><td>{} {name}</td>", glyph(verdict));
        for column in &columns {
            let count = results.totals_of(column).of(verdict);
            let _ = write!(page, "<td class=\"cell\">{count}</td>");
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tfoot>\n</table>\n");
}

fn matrix_line(page: &mut String, line: &Line<'_>) {
    let _ =
        write!(page, "<tr><td>{}</td><td class=\"name\">{}</td>", escape(line.suite), escape(&line.name()));
    for cell in &line.cells {
        match cell {
            None => page.push_str("<td class=\"cell\"></td>"),
            Some(row) => matrix_cell(page, row),
        }
    }
    page.push_str("</tr>\n");
}

fn matrix_cell(page: &mut String, row: &Row) {
    let (class, glyph) = (word(row.outcome), glyph(row.outcome));
    if row.reason.is_empty() {
        let _ = write!(
            page,
            "<td class=\"cell {class}\" title=\"{class} in {} ms\">{glyph}<span hidden> {class}</span></td>",
            row.ms
        );
    } else {
        let _ = write!(
            page,
            "<td class=\"cell {class}\"><details><summary title=\"{class} in {} ms\">{glyph}</summary>\
             <pre>{}</pre></details></td>",
            row.ms,
            escape(&row.reason)
        );
    }
}

fn skips(page: &mut String, results: &Results) {
    let skips = results.skips();
    if skips.is_empty() {
        return;
    }
    page.push_str("<h2>Skips</h2>\n<ul>\n");
    for (reason, cases) in skips {
        let _ = writeln!(page, "<li>{}: {}</li>", escape(&reason), escape(&cases.join("; ")));
    }
    page.push_str("</ul>\n");
}

fn list(page: &mut String, title: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(page, "<h2>{title}</h2>\n<ul>");
    for line in lines {
        let _ = writeln!(page, "<li>{}</li>", escape(line));
    }
    page.push_str("</ul>\n");
}

/// Escapes text for element content and for double-quoted attributes; control characters become visible.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::results::tests::sample;

    #[test]
    fn every_text_is_escaped() {
        let mut results = sample();
        results.runtime = "<script>alert(1)</script>".into();
        results.results[2].reason = "</pre><script>x</script> & \u{1b}[31m".into();
        results.results[0].test = "<b>".into();
        let page = page(&results);
        assert!(!page.contains("<script"), "{page}");
        assert!(!page.contains("<b>"), "{page}");
        assert!(page.contains("&lt;/pre&gt;&lt;script&gt;x&lt;/script&gt; &amp; \\x1b[31m"), "{page}");
    }

    #[test]
    fn glyph_and_class_stand_together_and_the_reason_is_one_click_away() {
        let page = page(&sample());
        assert!(page.contains("<td class=\"cell passed\""), "{page}");
        assert!(
            page.contains("<details><summary title=\"failed in 12 ms\">✘</summary><pre>a &lt; b"),
            "{page}"
        );
        assert!(page.contains("<li>needs &lt;statmount&gt;: ns::new on 5.10</li>"), "{page}");
        assert!(!page.contains("onclick"));
    }
}
