//! The log that engines read: one line an entry, as text or as JSON, in the conventional fields.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use clap::ValueEnum;

use crate::state::now;
use crate::{Error, ErrorKind, Result};

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// `time="…" level=… msg="…"`.
    Text,
    /// `{"level":"…","msg":"…","time":"…"}`.
    Json,
}

/// How much an entry matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Debug,
    Warning,
    Error,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Level::Debug => "debug",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }
}

/// The log, if there is one.
pub(super) struct Log {
    file: Option<File>,
    format: Format,
    debug: bool,
}

impl Log {
    /// Opens the file for appending; it is closed when a program is executed.
    pub(super) fn open(path: Option<&Path>, format: Format, debug: bool) -> Result<Self> {
        let open =
            |path: &Path| {
                File::options().append(true).create(true).open(path).map_err(|error| {
                    Error::new(ErrorKind::Usage, format!("--log {}: {error}", path.display()))
                })
            };
        Ok(Self { file: path.map(open).transpose()?, format, debug })
    }

    /// Writes an entry to the file, if there is one.
    pub(super) fn write(&self, level: Level, message: &str) {
        let Some(mut file) = self.file.as_ref().filter(|_| level != Level::Debug || self.debug) else {
            return;
        };
        // One write an entry: others append to the same file. A full disk keeps nobody from working.
        let _ = file.write_all(entry(self.format, level, message, &now()).as_bytes());
    }

    /// Writes an entry to the file or, without one, to standard error.
    pub(super) fn write_or_print(&self, level: Level, message: &str) {
        if self.file.is_some() {
            return self.write(level, message);
        }
        let _ = match level {
            Level::Debug if !self.debug => Ok(()),
            // As in a log, where callers look for the level.
            Level::Debug => {
                std::io::stderr().write_all(entry(self.format, level, message, &now()).as_bytes())
            }
            _ => writeln!(std::io::stderr(), "cofferdam: {}: {message}", level.name()),
        };
    }
}

/// One line.
fn entry(format: Format, level: Level, message: &str, time: &str) -> String {
    // JSON's escapes are also those of the text format's quotes.
    let quoted = serde_json::Value::from(message).to_string();
    let level = level.name();
    match format {
        Format::Text => format!("time=\"{time}\" level={level} msg={quoted}\n"),
        Format::Json => format!("{{\"level\":\"{level}\",\"msg\":{quoted},\"time\":\"{time}\"}}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_one_line_and_can_be_read() {
        let message = "a \"b\"\nc\\";
        let text = entry(Format::Text, Level::Error, message, "T");
        assert_eq!(text, "time=\"T\" level=error msg=\"a \\\"b\\\"\\nc\\\\\"\n");
        let json = entry(Format::Json, Level::Warning, message, "T");
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((&read["msg"], &read["level"]), (&message.into(), &"warning".into()));
        assert_eq!(json.lines().count(), 1);
    }
}
