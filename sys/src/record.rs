//! What a child says on its report descriptor: records of one fixed size, each written at once.
//!
//! A pipe takes a record whole (`PIPE_BUF`), and a fixed size needs no parser. The text makes a record
//! readable where the plan is not at hand: the process that starts a waiting child is another than the
//! one that made it.

use std::os::fd::BorrowedFd;

use crate::process::Exit;
use crate::{Errno, Result, file};

/// The size of a record in bytes.
pub(crate) const SIZE: usize = 256;
/// The room for text in it.
const TEXT: usize = SIZE - 12;

/// Stands for `execve(2)` where a step's number is expected.
pub(crate) const EXECVE: u32 = u32::MAX;
/// The news of a fork.
pub(crate) const FORKED: u32 = u32::MAX - 1;
/// Stands for what the child does before its first step.
pub(crate) const PRELUDE: u32 = u32::MAX - 2;
/// "I have come as far as I was asked to"; see [`crate::plan::Step::TellParent`].
pub(crate) const REACHED: u32 = u32::MAX - 3;

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    /// The number of the step that failed, or one of the numbers above.
    pub(crate) number: u32,
    /// The kernel's answer, 0 for none.
    pub(crate) errno: i32,
    /// What the number asks for: see [`Detail`].
    pub(crate) detail: u32,
    text: [u8; TEXT],
}

/// How a program that a step ran has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    None,
    Ended(Exit),
    TimedOut,
}

impl Detail {
    const CODE: u32 = 1 << 16;
    const SIGNAL: u32 = 2 << 16;
    const TIME: u32 = 3 << 16;

    pub(crate) fn encode(self) -> u32 {
        match self {
            Detail::None => 0,
            Detail::Ended(Exit::Code(code)) => Self::CODE | (code.unsigned_abs() & 0xffff),
            Detail::Ended(Exit::Signal(signal)) => Self::SIGNAL | (signal.unsigned_abs() & 0xffff),
            Detail::TimedOut => Self::TIME,
        }
    }

    pub(crate) fn decode(word: u32) -> Self {
        let value = i32::try_from(word & 0xffff).unwrap_or(0);
        match word & !0xffff {
            Self::CODE => Detail::Ended(Exit::Code(value)),
            Self::SIGNAL => Detail::Ended(Exit::Signal(value)),
            Self::TIME => Detail::TimedOut,
            _ => Detail::None,
        }
    }
}

impl Record {
    /// A record; text that is too long is cut.
    pub(crate) fn new(number: u32, errno: i32, detail: u32, text: &[u8]) -> Self {
        let mut record = Self { number, errno, detail, text: [0; TEXT] };
        for (place, byte) in record.text.iter_mut().zip(text) {
            *place = *byte;
        }
        record
    }

    /// Adds to the text as much as there is room for, up to the first NUL.
    pub(crate) fn append(&mut self, more: &[u8]) {
        let free = self.text.iter_mut().skip_while(|byte| **byte != 0);
        for (place, byte) in free.zip(more.iter().take_while(|byte| **byte != 0)) {
            *place = *byte;
        }
    }

    /// As it is sent.
    pub(crate) fn bytes(&self) -> [u8; SIZE] {
        let mut bytes = [0u8; SIZE];
        let words = [self.number.to_ne_bytes(), self.errno.to_ne_bytes(), self.detail.to_ne_bytes()];
        for (place, byte) in bytes.iter_mut().zip(words.iter().flatten().chain(&self.text)) {
            *place = *byte;
        }
        bytes
    }

    /// From what was sent.
    pub(crate) fn parse(bytes: &[u8; SIZE]) -> Self {
        let word = |at: usize| {
            let four = bytes.get(at..at.saturating_add(4)).and_then(|four| <[u8; 4]>::try_from(four).ok());
            four.unwrap_or_default()
        };
        let text = bytes.get(12..).unwrap_or_default();
        let (number, errno, detail) =
            (u32::from_ne_bytes(word(0)), i32::from_ne_bytes(word(4)), u32::from_ne_bytes(word(8)));
        Self::new(number, errno, detail, text)
    }

    /// Writes it whole.
    pub(crate) fn send(&self, to: BorrowedFd<'_>) -> Result<()> {
        file::write_once(to, &self.bytes())
    }

    /// Reads one from a stream; `None` at the end of the file.
    ///
    /// # Errors
    /// As `read(2)`; `EPROTO` for a record that was cut off, which only a child that was killed leaves.
    pub(crate) fn receive(from: BorrowedFd<'_>) -> Result<Option<Self>> {
        let mut bytes = [0u8; SIZE];
        let mut have = 0usize;
        while have < SIZE {
            match file::read(from, bytes.get_mut(have..).unwrap_or_default())? {
                0 if have == 0 => return Ok(None),
                0 => return Err(Errno::EPROTO),
                count => have = have.saturating_add(count),
            }
        }
        Ok(Some(Self::parse(&bytes)))
    }

    /// Its text.
    pub(crate) fn text(&self) -> String {
        let text = self.text.split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsFd;

    #[test]
    fn records_arrive_as_they_were_sent() {
        let (read, write) = std::io::pipe().unwrap();
        let long = "x".repeat(1000);
        let sent = [Record::new(7, 2, 0, b"open it"), Record::new(REACHED, 0, 0, long.as_bytes())];
        for record in sent {
            record.send(write.as_fd()).unwrap();
        }
        drop(write);
        for record in sent {
            assert_eq!(Record::receive(read.as_fd()).unwrap(), Some(record));
        }
        assert_eq!(sent[0].text(), "open it");
        assert_eq!(sent[1].text().len(), TEXT);
        assert_eq!(Record::receive(read.as_fd()).unwrap(), None);
    }

    #[test]
    fn half_a_record_is_none() {
        let (read, mut write) = std::io::pipe().unwrap();
        write.write_all(&[0; SIZE / 2]).unwrap();
        drop(write);
        assert_eq!(Record::receive(read.as_fd()).unwrap_err(), Errno::EPROTO);
    }

    #[test]
    fn ends_of_programs_survive() {
        let ends = [Exit::Code(0), Exit::Code(255), Exit::Signal(9)].map(Detail::Ended);
        for detail in ends.into_iter().chain([Detail::None, Detail::TimedOut]) {
            assert_eq!(Detail::decode(detail.encode()), detail);
        }
    }
}
