//! The reports of a run, each made from [`Results`] alone.

pub mod html;
pub mod junit;
pub mod matrix;

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::results::Results;
use crate::protocol::Verdict;

/// The glyph of a verdict.
pub fn glyph(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "✔",
        Verdict::Failed => "✘",
        Verdict::Skipped => "–",
    }
}

/// The word for a verdict.
pub fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Failed => "failed",
        Verdict::Skipped => "skipped",
    }
}

/// Writes all reports into a folder; each file appears whole or not at all.
///
/// # Errors
/// A file that cannot be written.
pub fn write(dir: &Path, results: &Results) -> Result<()> {
    let mut json = serde_json::to_string_pretty(results).context("make results.json")?;
    json.push('\n');
    replace(&dir.join("results.json"), &json)?;
    replace(&dir.join("junit.xml"), &junit::junit(results)?)?;
    replace(&dir.join("matrix.md"), &matrix::markdown(results))?;
    replace(&dir.join("index.html"), &html::page(results))
}

/// Writes a file beside its final name, then renames it.
pub(crate) fn replace(path: &Path, text: &str) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let attempt = || -> Result<()> {
        let mut file = tempfile::Builder::new().prefix(".report-").tempfile_in(dir)?;
        file.write_all(text.as_bytes())?;
        let mode = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o644);
        file.as_file().set_permissions(mode)?;
        file.persist(path)?;
        Ok(())
    };
    attempt().with_context(|| format!("write the report {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::results::tests::sample;

    #[test]
    fn all_four_appear_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &sample()).unwrap();
        let mut names: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["index.html", "junit.xml", "matrix.md", "results.json"]);
    }

    #[test]
    fn an_unwritable_folder_is_named() {
        let error = write(Path::new("/proc/no"), &sample()).unwrap_err();
        assert!(format!("{error:#}").contains("/proc/no/results.json"), "{error:#}");
    }
}
