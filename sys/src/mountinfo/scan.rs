//! `mountinfo` as a stream, for a child that has no memory to keep it in.

use std::os::fd::BorrowedFd;

use crate::{Result, file};

/// What a line says of where a mount is and of its propagation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Peers {
    pub(crate) id: u64,
    pub(crate) shared: bool,
    pub(crate) slave: bool,
    pub(crate) unbindable: bool,
}

/// Reads `mountinfo` to its end and calls `each` for each line. Lines may be of any length.
pub(crate) fn scan(mountinfo: BorrowedFd<'_>, each: &mut dyn FnMut(Peers) -> Result<()>) -> Result<()> {
    let mut buffer = [0u8; 4096];
    let mut scan = Scan::default();
    loop {
        let count = file::read(mountinfo, &mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        for byte in buffer.iter().take(count) {
            if let Some(line) = scan.take(*byte) {
                each(line)?;
            }
        }
    }
}

/// Where in a line the stream is.
#[derive(Default)]
struct Scan {
    line: Peers,
    /// The number of the field, the mount's id being 0.
    field: u32,
    /// Whether the optional fields are over.
    past_dash: bool,
    /// How a field begins; longer than any word that counts.
    word: [u8; 12],
    length: usize,
}

/// The number of the first optional field.
const OPTIONAL: u32 = 6;

impl Scan {
    /// Takes a byte; gives the line that it ends.
    fn take(&mut self, byte: u8) -> Option<Peers> {
        match byte {
            b'\n' => {
                self.end_field();
                let line = self.line;
                *self = Self::default();
                Some(line)
            }
            b' ' => {
                self.end_field();
                self.field = self.field.saturating_add(1);
                self.length = 0;
                None
            }
            byte => {
                if let Some(place) = self.word.get_mut(self.length) {
                    *place = byte;
                    self.length = self.length.saturating_add(1);
                }
                if self.field == 0 {
                    let digit = u64::from(byte.saturating_sub(b'0'));
                    self.line.id = self.line.id.saturating_mul(10).saturating_add(digit);
                }
                None
            }
        }
    }

    fn end_field(&mut self) {
        if self.field < OPTIONAL || self.past_dash {
            return;
        }
        let word = self.word.get(..self.length).unwrap_or_default();
        if word == b"-" {
            self.past_dash = true;
        } else if word.starts_with(b"shared:") {
            self.line.shared = true;
        } else if word.starts_with(b"master:") {
            self.line.slave = true;
        } else if word == b"unbindable" {
            self.line.unbindable = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8]) -> Vec<Peers> {
        let mut scan = Scan::default();
        text.iter().filter_map(|byte| scan.take(*byte)).collect()
    }

    #[test]
    fn finds_what_counts() {
        let text = b"36 35 98:0 /mnt1 /mnt2 rw shared:7 master:1 - ext3 /dev/root rw\n\
            7 36 0:1 / /shared:1 rw unbindable - shared:2 master:2 rw\n\
            123456789012 7 0:1 / /x rw,a-very-long-option-that-does-not-fit - tmpfs - shared:1 -\n";
        let found = lines(text);
        assert_eq!(
            found,
            [
                Peers { id: 36, shared: true, slave: true, unbindable: false },
                Peers { id: 7, shared: false, slave: false, unbindable: true },
                Peers { id: 123_456_789_012, ..Peers::default() },
            ]
        );
    }

    #[test]
    fn agrees_with_the_parser_on_the_hosts_own() {
        let text = std::fs::read("/proc/self/mountinfo").unwrap();
        let lines = lines(&text);
        let parsed: Vec<_> = text
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| {
                let line = super::super::Line::parse(line).unwrap();
                let has = |name: &[u8]| line.tag(name).is_some();
                let unbindable = line.optional_fields().any(|word| word == b"unbindable");
                Peers { id: line.id, shared: has(b"shared"), slave: has(b"master"), unbindable }
            })
            .collect();
        assert_eq!(lines, parsed);
    }
}
