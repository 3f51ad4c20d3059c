//! What a case prints: the end of it is kept, however much it is.

use std::collections::VecDeque;

/// How much is kept.
const KEPT: usize = 16 * 1024;

/// The last [`KEPT`] bytes of a stream.
#[derive(Debug, Default)]
pub(super) struct Tail {
    bytes: VecDeque<u8>,
    dropped: u64,
}

impl Tail {
    /// Takes the next piece.
    pub(super) fn push(&mut self, piece: &[u8]) {
        self.bytes.extend(piece);
        let excess = self.bytes.len().saturating_sub(KEPT);
        self.bytes.drain(..excess);
        self.dropped += u64::try_from(excess).unwrap_or(u64::MAX);
    }

    /// What was kept, after a line that says how much was not.
    pub(super) fn text(&self) -> String {
        let (first, second) = self.bytes.as_slices();
        let text = String::from_utf8_lossy(&[first, second].concat()).trim_end().to_owned();
        if self.dropped == 0 { text } else { format!("[{} bytes before this]\n{text}", self.dropped) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_output_is_whole() {
        let mut tail = Tail::default();
        tail.push(b"one\n");
        tail.push(b"two\n");
        assert_eq!(tail.text(), "one\ntwo");
    }

    #[test]
    fn long_output_is_bounded() {
        let mut tail = Tail::default();
        for _ in 0..100 {
            tail.push(&[b'x'; 1000]);
        }
        tail.push(b"end");
        let text = tail.text();
        assert!(text.len() < KEPT + 64 && text.ends_with("xend"), "{}", text.len());
        assert!(text.starts_with(&format!("[{} bytes before this]", 100_003 - KEPT)));
    }
}
