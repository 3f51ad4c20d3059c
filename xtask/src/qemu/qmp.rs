//! A client of QEMU's control protocol (QMP) for the handful of commands that the lab needs.
//!
//! The published client generates thousands of types from QEMU's schema; this is a request and its answer at a time.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::fail;

/// No answer that is asked for here is longer.
const LONGEST: usize = 1 << 20;

/// A connection; asks for nothing until the first command.
#[derive(Debug)]
pub(super) struct Qmp {
    stream: BufReader<UnixStream>,
    negotiated: bool,
    line: Vec<u8>,
}

impl Qmp {
    /// A client on one end of a socket pair.
    pub(super) fn new(stream: UnixStream) -> Self {
        Self { stream: BufReader::new(stream), negotiated: false, line: Vec::new() }
    }

    /// Executes a command and returns its answer.
    ///
    /// # Errors
    ///
    /// When QEMU refuses it, has ended, or does not answer in time.
    pub(super) fn execute(&mut self, command: &str, arguments: &Value, limit: Duration) -> Result<Value> {
        let until = Instant::now() + limit;
        if !self.negotiated {
            self.greeting(until)?;
            self.request("qmp_capabilities", &json!({}), until)?;
            self.negotiated = true;
        }
        self.request(command, arguments, until)
    }

    /// Waits for QEMU's greeting; a line before it is not the protocol's.
    fn greeting(&mut self, until: Instant) -> Result<()> {
        while !self.receive(until).context("waiting for QEMU's greeting")?.starts_with(b"{\"QMP\"") {}
        Ok(())
    }

    fn request(&mut self, command: &str, arguments: &Value, until: Instant) -> Result<Value> {
        let what = || format!("asking QEMU for `{command}`");
        let mut line = json!({"execute": command, "arguments": arguments}).to_string();
        line.push('\n');
        self.stream.get_mut().write_all(line.as_bytes()).with_context(what)?;
        loop {
            let line = self.receive(until).with_context(what)?;
            let mut answer: Value = serde_json::from_slice(line).with_context(|| {
                format!("QEMU's answer is not JSON: {}", String::from_utf8_lossy(line).trim_end())
            })?;
            if let Some(error) = answer.get("error") {
                let reason = error.get("desc").and_then(Value::as_str).unwrap_or("no reason given");
                return Err(fail::lab(format!("QEMU refuses `{command}`: {reason}")));
            }
            // Everything else is the greeting or an event.
            if let Some(answer) = answer.get_mut("return") {
                return Ok(answer.take());
            }
        }
    }

    /// Reads one line; a partial one is kept over an interrupted read.
    fn receive(&mut self, until: Instant) -> Result<&[u8]> {
        self.line.clear();
        while !self.line.ends_with(b"\n") {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::Error::from(io::ErrorKind::TimedOut).into());
            }
            self.stream.get_ref().set_read_timeout(Some(left))?;
            match self.stream.read_until(b'\n', &mut self.line) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof)).context("QEMU has ended"),
                Ok(_) => {}
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(error) => return Err(error.into()),
            }
            if self.line.len() > LONGEST {
                return Err(fail::lab("QEMU's answer has no end"));
            }
        }
        Ok(&self.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    /// A peer that says `lines`, each after having read a line; the first at once.
    fn peer(lines: &'static [&'static str]) -> Qmp {
        let (ours, theirs) = UnixStream::pair().unwrap();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(theirs);
            for line in lines {
                reader.get_mut().write_all(line.as_bytes()).unwrap();
                reader.read_line(&mut String::new()).unwrap();
            }
        });
        Qmp::new(ours)
    }

    #[test]
    fn events_between_are_skipped() {
        let mut qmp = peer(&[
            "{\"QMP\":{}}\n",
            "{\"return\":{}}\n",
            "{\"event\":\"STOP\"}\n{\"return\":{\"status\":\"running\"}}\n",
        ]);
        let answer = qmp.execute("query-status", &json!({}), LIMIT).unwrap();
        assert_eq!(answer, json!({"status": "running"}));
    }

    #[test]
    fn refusals_ends_and_nonsense_are_told_apart() {
        let fails = |lines| {
            let error = peer(lines).execute("migrate", &json!({}), LIMIT).unwrap_err();
            format!("{error:#}")
        };
        let refused = fails(&[
            "running 1 test\n{\"QMP\":{}}\n",
            "{\"return\":{}}\n",
            "{\"error\":{\"desc\":\"not now\"}}\n",
        ]);
        assert!(refused.contains("`migrate`: not now"), "{refused}");
        let ended = fails(&["{\"QMP\":{}}\n"]);
        assert!(ended.contains("has ended"), "{ended}");
        let nonsense = fails(&["{\"QMP\":{}}\n", "qemu: no\n"]);
        assert!(nonsense.contains("not JSON: qemu: no"), "{nonsense}");
    }

    #[test]
    fn silence_ends_in_time() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let begun = Instant::now();
        let error = Qmp::new(ours).execute("cont", &json!({}), Duration::from_millis(50)).unwrap_err();
        assert!(begun.elapsed() < LIMIT, "{error:#}");
    }
}
