//! The examples of a README, as rustdoc takes them: fenced blocks of Rust, hidden lines shown.

/// An example as a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Example {
    /// The line of the README that its fence is on.
    pub(super) line: usize,
    /// Whether it is to be run, and not only built.
    pub(super) run: bool,
    /// A whole program.
    pub(super) program: String,
}

/// All blocks that rustdoc would compile.
pub(super) fn examples(text: &str) -> Vec<Example> {
    let mut found = Vec::new();
    let mut lines = (1..).zip(text.lines());
    while let Some((line, text)) = lines.next() {
        let Some(info) = text.trim_start().strip_prefix("```") else { continue };
        let body =
            lines.by_ref().map(|(_, text)| text).take_while(|text| !text.trim_start().starts_with("```"));
        let body: Vec<&str> = body.map(shown).collect();
        let words: Vec<&str> = info.split([',', ' ']).filter(|word| !word.is_empty()).collect();
        if words.iter().all(|word| ["rust", "no_run", "should_panic", "edition2024"].contains(word)) {
            found.push(Example { line, run: !words.contains(&"no_run"), program: program(&body) });
        }
    }
    found
}

/// A line without the mark that hides it.
fn shown(line: &str) -> &str {
    let rest = line.trim_start();
    match rest.strip_prefix('#') {
        Some("") => "",
        Some(hidden) if hidden.starts_with(' ') => hidden.get(1..).unwrap_or_default(),
        // `##` stands for a line that begins with `#`.
        Some(escaped) if escaped.starts_with('#') => escaped,
        _ => line,
    }
}

/// Wraps statements into `main`, which returns a result when they end in one.
fn program(body: &[&str]) -> String {
    if body.iter().any(|line| line.trim_start().starts_with("fn main(")) {
        return body.join("\n") + "\n";
    }
    let is_attribute = |line: &&str| line.trim_start().starts_with("#![");
    let (attributes, rest): (Vec<&str>, Vec<&str>) = body.iter().copied().partition(is_attribute);
    let (attributes, rest) = (attributes.join("\n"), rest.join("\n"));
    if rest.trim_end().ends_with("(())") {
        format!(
            "{attributes}\nfn main() {{ fn inner() -> Result<(), impl core::fmt::Debug> {{\n{rest}\n}} inner().unwrap() }}\n"
        )
    } else {
        format!("{attributes}\nfn main() {{\n{rest}\n}}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_rust_are_programs() {
        let text = "# Title\n```text\nno\n```\n```\nlet a = 1;\n# assert_eq!(a, 1);\n```\n```no_run\nfn main() {}\n```\n```sh\nls\n```\n";
        let found = examples(text);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(
            found[0],
            Example {
                line: 5,
                run: true,
                program: "\nfn main() {\nlet a = 1;\nassert_eq!(a, 1);\n}\n".into()
            }
        );
        assert_eq!((found[1].run, found[1].program.as_str()), (false, "fn main() {}\n"));
    }

    #[test]
    fn hidden_lines_are_shown() {
        assert_eq!(shown("# use a::b;"), "use a::b;");
        assert_eq!(shown("  # x"), "x");
        assert_eq!(shown("#"), "");
        assert_eq!(shown("##[derive(Debug)]"), "#[derive(Debug)]");
        assert_eq!(shown("#[derive(Debug)]"), "#[derive(Debug)]");
        assert_eq!(shown("let x = 1; # y"), "let x = 1; # y");
    }

    #[test]
    fn a_question_mark_is_answered() {
        let text = "```\n#![expect(unused)]\nlet a: u8 = \"1\".parse()?;\n# Ok::<(), std::num::ParseIntError>(())\n```\n";
        let program = &examples(text)[0].program;
        assert!(program.starts_with("#![expect(unused)]\nfn main() { fn inner()"), "{program}");
    }
}
