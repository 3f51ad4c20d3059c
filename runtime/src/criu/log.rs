//! The end of criu's log: it says in words why something failed.

use std::io::{Read, Seek, SeekFrom};

use super::Folder;

/// How much of the log is looked at.
const END: u64 = 64 << 10;

/// How many lines are shown.
const LINES: usize = 3;

/// The last lines that tell of an error, without the time before each, in one; empty when there are none.
pub(super) fn errors(folder: &Folder, name: &str) -> String {
    let Some(mut file) = folder.log(name) else { return String::new() };
    let mut text = Vec::new();
    let length = file.metadata().map_or(0, |meta| meta.len());
    let from = SeekFrom::Start(length.saturating_sub(END));
    if file.seek(from).and_then(|_| file.take(END).read_to_end(&mut text)).is_err() {
        return String::new();
    }
    last(&String::from_utf8_lossy(&text))
}

fn last(text: &str) -> String {
    let errors = text.lines().filter_map(|line| line.find("Error (").and_then(|at| line.get(at..)));
    let mut lines: Vec<&str> = errors.map(str::trim_end).collect();
    lines.drain(..lines.len().saturating_sub(LINES));
    lines.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_errors_are_shown() {
        assert_eq!(last("(00.000001) fine\nWarn  (x.c:1): hm\n"), "");
        let text = "(00.1) Error (a.c:1): one\n(00.2) ok\n(00.3)     12: Error (b.c:2): two\n(00.4) Error (c.c:3): three\nError (d.c:4): four";
        assert_eq!(last(text), "Error (b.c:2): two; Error (c.c:3): three; Error (d.c:4): four");
    }
}
