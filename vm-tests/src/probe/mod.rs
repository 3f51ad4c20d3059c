//! What runs inside containers: `probe COMMAND [ARGUMENT]… [+ COMMAND …]`.
//!
//! `show WHAT` observes, `try WHAT` makes an attempt; both print one [`Line`] a step. The last line of an
//! attempt is the step [`BREACH`]: whether it got through. `exit`, `signal`, `sleep` and `count` end or
//! hold the process.

mod show;
mod tries;

use cofferdam_sys::{Errno, errno};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

/// The step that says whether an attempt got through.
pub const BREACH: &str = "breach";

/// One step of an observation or an attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// What was done.
    pub step: String,
    /// Whether the kernel let it happen.
    pub ok: bool,
    /// The error number's name when it did not.
    pub errno: Option<String>,
    /// What came of it.
    #[serde(default)]
    pub value: Value,
}

/// What a step gives.
pub(crate) type Tried<T = Value> = Result<T, Errno>;

/// Prints steps as they are made: the process may be killed after any of them.
#[derive(Debug, Default)]
pub(crate) struct Steps;

impl Steps {
    /// Prints what came of a step that has no value of its own, and hands the result on.
    pub(crate) fn step<T>(&self, name: &str, result: Tried<T>) -> Tried<T> {
        self.say(name, result.as_ref().map(|_| Value::Null).map_err(|errno| *errno));
        result
    }

    /// Prints one line.
    #[expect(clippy::unused_self, reason = "whoever prints was given the right to")]
    pub(crate) fn say(&self, name: &str, result: Tried) {
        let line = Line {
            step: name.to_owned(),
            ok: result.is_ok(),
            errno: result.as_ref().err().map(|errno| format!("{errno:?}")),
            value: result.unwrap_or(Value::Null),
        };
        if let Ok(mut text) = serde_json::to_string(&line) {
            text.push('\n');
            // Whoever reads has gone away: there is nobody left to tell.
            let _ = std::io::stdout().lock().write_all(text.as_bytes());
        }
    }
}

/// Runs the commands one after the other.
pub fn main(arguments: &[String]) -> ExitCode {
    for command in arguments.split(|word| word == "+") {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["show", what, rest @ ..] => Steps.say(what, show::show(what, rest)),
            ["try", what, rest @ ..] => Steps.say(BREACH, tries::attempt(&Steps, what, rest)),
            ["exit", code] => return ExitCode::from(code.parse().unwrap_or(u8::MAX)),
            ["signal", number] => signal(number),
            ["sleep", seconds] => std::thread::sleep(Duration::from_secs(seconds.parse().unwrap_or(1))),
            ["count", file] => count(file),
            ["note", file, word] => note(file, word),
            ["to-stderr", text] => eprintln!("{text}"),
            ["chrooted", root, rest @ ..] => return chrooted(root, rest),
            _ => {
                eprintln!("probe: unknown command {words:?}");
                return ExitCode::from(2);
            }
        }
    }
    ExitCode::SUCCESS
}

/// Appends a line about what a hook is given: its input, its environment, its directory, its descriptors.
fn note(file: &str, word: &str) {
    let see = |what: &str| show::show(what, &[]).unwrap_or(Value::Null);
    let input = see("stdin");
    let state: Value = serde_json::from_str(input.as_str().unwrap_or_default()).unwrap_or(Value::Null);
    let line = serde_json::json!({
        "word": word, "state": state, "env": see("env"), "cwd": see("cwd"), "fds": see("fds"),
    });
    let file = std::fs::File::options().append(true).create(true).open(file);
    // A test that finds no line says so.
    let _ = file.and_then(|mut file| writeln!(file, "{line}"));
}

/// Counts for ever; where it is, is in memory, and in a file for who looks.
fn count(file: &str) {
    for number in 0_u64.. {
        // Who looks and finds nothing says so.
        let _ = std::fs::write(file, number.to_string());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Sends the own process a signal.
fn signal(number: &str) {
    let signal = number.parse().ok().and_then(|number: i32| nix::sys::signal::Signal::try_from(number).ok());
    if let Some(signal) = signal {
        let _ = nix::sys::signal::raise(signal);
    }
}

/// Goes on in what a runtime without `pivot_root(2)` would make of a root directory: a mere `chroot(2)`.
fn chrooted(root: &str, command: &[&str]) -> ExitCode {
    let entered = nix::unistd::chroot(root).and_then(|()| nix::unistd::chdir("/"));
    if Steps.step("chroot", entered).is_err() {
        return ExitCode::FAILURE;
    }
    main(&command.iter().map(|&word| word.to_owned()).collect::<Vec<_>>())
}

/// The error number of an I/O error.
pub(crate) fn io<T>(result: std::io::Result<T>) -> Tried<T> {
    result.map_err(|error| errno::from_io(&error))
}

/// A number that came as an argument.
pub(crate) fn number<T: std::str::FromStr>(text: &str) -> Tried<T> {
    text.parse().map_err(|_| Errno::EINVAL)
}

/// A path that came as an argument.
pub(crate) fn c_string(text: &str) -> Tried<std::ffi::CString> {
    std::ffi::CString::new(text).map_err(|_| Errno::EINVAL)
}

/// Bytes as two digits each.
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

/// The bytes of [`hex`]'s text.
pub(crate) fn unhex(text: &str) -> Tried<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| {
            let pair = std::str::from_utf8(pair).map_err(|_| Errno::EINVAL)?;
            u8::from_str_radix(pair, 16).map_err(|_| Errno::EINVAL)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_round_trip() {
        assert_eq!(unhex(&hex(&[0, 0x7f, 0xff])).unwrap(), [0, 0x7f, 0xff]);
        assert_eq!(unhex("zz").unwrap_err(), Errno::EINVAL);
    }

    #[test]
    fn a_line_is_what_the_tests_read() {
        let line = Line { step: "x".into(), ok: false, errno: Some("EPERM".into()), value: Value::Null };
        let text = serde_json::to_string(&line).unwrap();
        assert_eq!(text, r#"{"step":"x","ok":false,"errno":"EPERM","value":null}"#);
        assert_eq!(serde_json::from_str::<Line>(&text).unwrap(), line);
    }
}
