//! The guest's side of the conversation: one event a line, on its second serial port.

use std::io::{self, BufRead, BufReader, Read};

use super::watch::Trouble;
use crate::protocol::Event;

/// No event is longer.
const LONGEST: u64 = 1 << 20;
/// How much of a malformed line is shown.
const SHOWN: usize = 200;

/// Reads events to the end of the connection; what is none is reported and skipped.
pub(super) fn follow(input: impl Read, mut say: impl FnMut(Result<Event, Trouble>)) {
    let mut input = BufReader::new(input);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut input).take(LONGEST).read_until(b'\n', &mut line) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        }
        let text = line.trim_ascii();
        if !text.is_empty() {
            say(parse(text));
        }
    }
}

fn parse(line: &[u8]) -> Result<Event, Trouble> {
    serde_json::from_slice(line).map_err(|error| {
        let shown = String::from_utf8_lossy(line.get(..SHOWN).unwrap_or(line)).escape_debug().to_string();
        Trouble::Malformed(format!("{error} in `{shown}`"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_and_what_is_none_are_told_apart() {
        let endless = io::repeat(b'x').take(2 * LONGEST);
        let tail = b"\n\r\n{\"event\":\"done\",\"outcomes\":2}\r\n{\"event\":\"party\"}\n{\"event\":\"pong\"}\n{\"ev";
        let input = b"{\"event\":\"pong\"}\nnoise\x1b[1m\n".chain(endless).chain(tail.as_slice());
        let mut said = Vec::new();
        follow(input, |event| said.push(event));
        let kinds: Vec<&str> = said
            .iter()
            .map(|event| match event {
                Ok(Event::Pong) => "pong",
                Ok(Event::Done { outcomes: 2 }) => "done",
                Ok(_) => "other",
                Err(trouble) => trouble.name(),
            })
            .collect();
        let bad = "malformed";
        assert_eq!(kinds, ["pong", bad, bad, bad, "done", bad, "pong", bad]);
        let shown = said[1].as_ref().unwrap_err().detail();
        assert!(shown.contains("noise\\u{1b}[1m"), "{shown}");
        assert!(said[2].as_ref().unwrap_err().detail().len() < 2 * SHOWN);
    }
}
