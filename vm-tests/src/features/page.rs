//! `docs/kernel-features.md`: written from the probes' answers, and read back to hold kernels against it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::answers::{Answers, key};

const THERE: &str = "✔";
const ABSENT: &str = "–";

const HEAD: &str = "\
# Kernel features

What the crates use of a kernel where it is there, what they do without it, and which kernels have it. The
oldest kernel is Linux 5.10; what all kernels since then have is not listed unless a crate asks for it.

This page is written by `cargo xtask features`, which boots every kernel of the lab and asks each crate's
probes (`src/probe.rs`). The test `kernel::features` asks them again in every run of the lab and holds the
answers against this page, on both sides: there (✔) where the page says so, absent (–) where it does not.
*Since* is the release of Linux that brought a facility; a kernel may be built without it.
";

/// The answers that the page has, by series.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The columns, oldest first, each with the answers by `CRATE NAME`.
    pub columns: Vec<(String, BTreeMap<String, bool>)>,
}

impl Page {
    /// The page as it is in the repository.
    ///
    /// # Errors
    /// See [`Page::parse`].
    pub fn committed() -> Result<Self, String> {
        Self::parse(include_str!("../../../docs/kernel-features.md"))
    }

    /// Reads a page.
    ///
    /// # Errors
    /// What is not as [`write()`] writes it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut page = Self::default();
        let mut owner = None;
        for line in text.lines() {
            if let Some(title) = line.strip_prefix("## ") {
                owner = Some(title.trim_matches('`'));
            }
            let Some(row) = line.strip_prefix("| ").and_then(|row| row.strip_suffix(" |")) else { continue };
            let cells: Vec<&str> = row.split(" | ").collect();
            let [name, _since, _used, _without, series @ ..] = cells.as_slice() else {
                return Err(format!("a row with {} cells: {line}", cells.len()));
            };
            let Some(owner) = owner else { return Err(format!("a row before the first crate: {line}")) };
            if *name == "facility" {
                page.same_columns(series)?;
                continue;
            }
            if series.len() != page.columns.len() {
                return Err(format!("{} columns and {} answers: {line}", page.columns.len(), series.len()));
            }
            for ((_, answers), cell) in page.columns.iter_mut().zip(series) {
                let there = match *cell {
                    THERE => true,
                    ABSENT => false,
                    other => return Err(format!("`{other}` is no answer: {line}")),
                };
                if answers.insert(key(owner, name.trim_matches('`')), there).is_some() {
                    return Err(format!("a second row: {line}"));
                }
            }
        }
        Ok(page)
    }

    /// Every table has the same kernels.
    fn same_columns(&mut self, series: &[&str]) -> Result<(), String> {
        if self.columns.is_empty() {
            self.columns = series.iter().map(|name| ((*name).to_owned(), BTreeMap::new())).collect();
        }
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
        if names == series { Ok(()) } else { Err(format!("columns {names:?} and {series:?}")) }
    }

    /// What the page says of a series; `None` when it has no column for it.
    pub fn of(&self, series: &str) -> Option<&BTreeMap<String, bool>> {
        self.columns.iter().find(|(name, _)| name == series).map(|(_, answers)| answers)
    }
}

/// How a kernel's answers differ from its column: one line each, empty when they do not.
pub(super) fn differences(column: &BTreeMap<String, bool>, answers: &Answers) -> Vec<String> {
    let mut found: Vec<String> =
        answers.failed.iter().map(|(key, errno)| format!("{key}: the probe failed with {errno}")).collect();
    for (key, there) in &answers.there {
        match column.get(key) {
            None => found.push(format!("{key}: the page has no row for it")),
            Some(said) if said != there => {
                found.push(format!("{key}: the page says {said}, the kernel {there}"));
            }
            Some(_) => {}
        }
    }
    let asked = |key: &&String| answers.there.contains_key(*key) || answers.failed.contains_key(*key);
    let rows = column.keys().filter(|key| !asked(key));
    found.extend(rows.map(|key| format!("{key}: the page has a row, and no crate asks for it")));
    found
}

/// The page for these answers, which are in the order of the columns.
///
/// # Errors
/// A facility without an answer.
pub fn write(columns: &[(String, BTreeMap<String, bool>)]) -> Result<String, String> {
    let mut text = HEAD.to_owned();
    for (owner, table) in super::TABLES.iter().filter(|(_, table)| !table.is_empty()) {
        let names = columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" | ");
        let lines = columns.iter().map(|_| ":-:|").collect::<String>();
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n## `{owner}`\n\n| facility | since | used for | without it | {names} |\n|---|---|---|---|{lines}\n"
        );
        for probe in *table {
            let mut cells = Vec::new();
            for (series, answers) in columns {
                let there = answers.get(&key(owner, probe.name));
                let there = there.ok_or(format!("{owner} {}: no answer of {series}", probe.name))?;
                cells.push(if *there { THERE } else { ABSENT });
            }
            let (name, cells) = (probe.name, cells.join(" | "));
            let _ = writeln!(
                text,
                "| `{name}` | {} | {} | {} | {cells} |",
                probe.since, probe.used_for, probe.without
            );
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(there: bool) -> Vec<(String, BTreeMap<String, bool>)> {
        let answers: BTreeMap<_, _> =
            super::super::probes().map(|(owner, probe)| (key(owner, probe.name), there)).collect();
        vec![("5.10".to_owned(), answers.clone()), ("7.3".to_owned(), answers)]
    }

    /// The page is what the generator prints from the answers in it: nothing was written by hand, and what
    /// the tables say of a facility is what the page says.
    #[test]
    fn the_committed_page_is_what_the_generator_prints() {
        let page = Page::committed().unwrap();
        let text = write(&page.columns).unwrap_or_else(|why| panic!("{why}: run `cargo xtask features`"));
        let committed = include_str!("../../../docs/kernel-features.md");
        assert!(text == committed, "docs/kernel-features.md is behind: run `cargo xtask features`");
        assert!(page.columns.len() >= 8, "the page lacks kernels");
    }

    /// A facility is on no kernel older than the release that brought it.
    #[test]
    fn nothing_is_there_before_its_time() {
        for (series, answers) in Page::committed().unwrap().columns {
            for (owner, probe) in super::super::probes() {
                let there = answers.get(&key(owner, probe.name)).copied().unwrap_or(false);
                let since = super::super::version(probe.since);
                assert!(
                    !there || super::super::version(&series) >= since,
                    "{owner} {} on {series}",
                    probe.name
                );
            }
        }
    }

    #[test]
    fn a_page_is_read_as_it_was_written() {
        for there in [true, false] {
            let columns = columns(there);
            let page = Page::parse(&write(&columns).unwrap()).unwrap();
            assert_eq!(page.columns, columns);
            assert!(page.of("7.3").is_some() && page.of("6.9").is_none());
        }
    }

    #[test]
    fn a_missing_answer_is_no_page() {
        let mut columns = columns(true);
        columns[1].1.pop_first();
        assert!(write(&columns).unwrap_err().contains("no answer of 7.3"));
    }

    #[test]
    fn what_is_no_page_is_refused() {
        let table = "## `sys`\n| facility | since | used for | without it | 5.10 |\n|---|\n";
        for (row, why) in [
            ("| `a` | 1.0 | b | c | yes |", "no answer"),
            ("| `a` | 1.0 | b | c | ✔ | ✔ |", "1 columns and 2 answers"),
            ("| `a` |", "a row with 1 cells"),
            ("| `a` | 1.0 | b | c | ✔ |\n| `a` | 1.0 | b | c | ✔ |", "a second row"),
            ("## `ns`\n| facility | since | used for | without it | 6.1 |", "columns"),
        ] {
            let error = Page::parse(&format!("{table}{row}\n")).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        assert!(Page::parse("| `a` | 1 | b | c | ✔ |").unwrap_err().contains("before the first crate"));
    }

    #[test]
    fn every_difference_is_told() {
        let column = BTreeMap::from(
            [("sys a", true), ("sys b", false), ("sys gone", true)].map(|(k, v)| (k.to_owned(), v)),
        );
        let mut answers = Answers::default();
        answers.there.extend([
            ("sys a".to_owned(), true),
            ("sys b".to_owned(), true),
            ("sys new".to_owned(), true),
        ]);
        answers.failed.insert("sys c".to_owned(), "EPERM".to_owned());
        let found = differences(&column, &answers);
        assert_eq!(
            found,
            [
                "sys c: the probe failed with EPERM",
                "sys b: the page says false, the kernel true",
                "sys new: the page has no row for it",
                "sys gone: the page has a row, and no crate asks for it",
            ]
        );
        answers.there = column;
        answers.failed.clear();
        assert!(differences(&answers.there.clone(), &answers).is_empty());
    }
}
