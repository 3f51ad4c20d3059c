//! Rules about one source file at a time.

use super::Finding;

const MOST_LINES: usize = 800;

/// Checks a file by its path and text.
pub(super) fn check(path: &str, text: &str) -> Vec<Finding> {
    if std::path::Path::new(path).extension().is_none_or(|extension| extension != "rs") {
        return Vec::new();
    }
    let finding = |rule, line, message: String| Finding { rule, path: path.into(), line, message };
    let mut findings = Vec::new();
    // A crate's own page may be its README.
    if !text.starts_with("//!") && !text.starts_with("#![doc = include_str!(") {
        findings.push(finding("module-doc", 1, "the file does not begin with a `//!` line".into()));
    }
    let lines = text.lines().count();
    if lines > MOST_LINES {
        findings.push(finding("length", 0, format!("{lines} lines; at most {MOST_LINES}")));
    }
    for (number, line) in (1..).zip(text.lines()) {
        let code = code_of(line);
        if has_unsafe(code) && !path.starts_with("sys/") {
            findings.push(finding("unsafe", number, "unsafe code outside sys/".into()));
        }
        if code.trim_start().starts_with(BARE) || code.trim_start().starts_with(BARE_INNER) {
            let message = "use `#[expect(LINT, reason = \"…\")]`".into();
            findings.push(finding("allow", number, message));
        }
    }
    findings
}

const BARE: &str = concat!("#", "[allow");
const BARE_INNER: &str = concat!("#!", "[allow");

/// The line without its comment and without the text of string literals that begin and end on it.
fn code_of(line: &str) -> &str {
    line.split_once("//").map_or(line, |(code, _)| code)
}

/// Whether `unsafe` opens a block, function, trait, implementation or foreign item.
fn has_unsafe(code: &str) -> bool {
    let Some((before, after)) = code.split_once("unsafe") else { return false };
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == '"' || c == '`';
    let opens = ["{", "fn ", "impl ", "impl<", "extern ", "trait ", "("];
    !before.ends_with(word) && opens.iter().any(|opener| after.trim_start().starts_with(opener))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<&'static str> {
        check(path, text).into_iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn a_module_begins_with_its_line() {
        assert!(rules("ns/src/lib.rs", "//! Doc.\n").is_empty());
        assert_eq!(rules("ns/src/lib.rs", "use std::io;\n"), ["module-doc"]);
        assert!(rules("ns/src/lib.rs", "#![doc = include_str!(\"../README.md\")]\n").is_empty());
        assert!(rules("README.md", "# Title\n").is_empty());
    }

    #[test]
    fn a_file_has_at_most_800_lines() {
        let text = |count: usize| format!("//! Doc.\n{}", "\n".repeat(count - 1));
        assert!(rules("a.rs", &text(800)).is_empty());
        assert_eq!(rules("a.rs", &text(801)), ["length"]);
    }

    #[test]
    fn unsafe_lives_in_sys() {
        let text = concat!("//! Doc.\nfn f() { uns", "afe { g() } }\n");
        assert!(rules("sys/src/a.rs", text).is_empty());
        assert_eq!(rules("ns/src/a.rs", text), ["unsafe"]);
        assert_eq!(rules("ns/src/a.rs", concat!("//! Doc.\nuns", "afe impl Send for A {}\n")), ["unsafe"]);
        assert!(
            rules("ns/src/a.rs", "//! Doc.\n// unsafe { } is only named here\nlet unsafe_code = 1;\n")
                .is_empty()
        );
    }

    #[test]
    fn allow_takes_the_form_of_expect() {
        let bare = format!("//! Doc.\n{BARE}(dead_code)]\nfn f() {{}}\n");
        assert_eq!(rules("a.rs", &bare), ["allow"]);
        assert_eq!(rules("a.rs", &format!("//! Doc.\n    {BARE_INNER}(dead_code)]\n")), ["allow"]);
        assert!(rules("a.rs", "//! Doc.\n#[expect(dead_code, reason = \"r\")]\nfn f() {}\n").is_empty());
    }
}
