//! The guest's console: a log file, the last lines, and a watch for trouble, in bounded memory.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use super::watch::{Trouble, classify};

/// How many lines of the end are kept for messages.
const TAIL: usize = 60;
/// A longer line is cut into pieces of this length.
const LONGEST_LINE: usize = 1024;
/// What a console may say in all; a run says a few hundred kilobytes at most.
const MOST: u64 = 4 << 20;

/// What is read by one thread and looked at by another.
#[derive(Clone, Default)]
pub struct Console {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    tail: VecDeque<String>,
    tee: Option<Box<dyn Write + Send>>,
}

impl Console {
    /// The last lines, oldest first.
    pub fn tail(&self) -> Vec<String> {
        self.lock().tail.iter().cloned().collect()
    }

    /// From now on everything is copied to `out` as it comes, and there may be any amount of it.
    pub fn tee(&self, out: Box<dyn Write + Send>) {
        self.lock().tee = Some(out);
    }

    /// Reads the console to its end, and says each line and each trouble as it comes.
    ///
    /// # Errors
    ///
    /// When the log cannot be written: the disk is full. A broken connection is an ordinary end.
    pub fn follow(
        &self,
        mut input: impl Read,
        log: File,
        mut say: impl FnMut(String, Option<Trouble>),
    ) -> io::Result<()> {
        let mut log = Log { file: log, written: 0 };
        let mut line = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let bytes = match input.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => buffer.get(..count).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            let interactive = self.copy(bytes);
            let before = log.written;
            log.append(bytes)?;
            if before <= MOST && log.written > MOST && !interactive {
                say(
                    String::new(),
                    Some(Trouble::Flood(format!("more than {} MiB of console output", MOST >> 20))),
                );
            }
            for byte in bytes {
                if *byte != b'\n' {
                    line.push(*byte);
                }
                if *byte == b'\n' || line.len() >= LONGEST_LINE {
                    self.line(&mut line, &mut say);
                }
            }
        }
        if !line.is_empty() {
            self.line(&mut line, &mut say);
        }
        Ok(())
    }

    fn line(&self, line: &mut Vec<u8>, say: &mut impl FnMut(String, Option<Trouble>)) {
        let text = printable(line);
        line.clear();
        {
            let mut shared = self.lock();
            if shared.tail.len() == TAIL {
                shared.tail.pop_front();
            }
            shared.tail.push_back(text.clone());
        }
        let trouble = classify(&text);
        say(text, trouble);
    }

    /// Copies to the tee, if there is one; one that cannot be written is given up.
    fn copy(&self, bytes: &[u8]) -> bool {
        let mut shared = self.lock();
        let Some(tee) = shared.tee.as_mut() else { return false };
        if tee.write_all(bytes).and_then(|()| tee.flush()).is_err() {
            shared.tee = None;
        }
        true
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The log file, which ends with a remark where the console said too much.
struct Log {
    file: File,
    written: u64,
}

impl Log {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.written <= MOST {
            self.file.write_all(bytes)?;
        }
        let before = self.written;
        self.written = self.written.saturating_add(bytes.len() as u64);
        if before <= MOST && self.written > MOST {
            self.file.write_all(b"\n[the log was cut here: too much console output]\n")?;
        }
        Ok(())
    }
}

/// The text without control characters: it is printed on the contributor's terminal.
fn printable(line: &[u8]) -> String {
    String::from_utf8_lossy(line)
        .trim_end()
        .chars()
        .filter(|char| !char.is_control() || *char == '\t')
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(input: impl Read) -> (Console, String, Vec<Trouble>) {
        let console = Console::default();
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut troubles = Vec::new();
        console.follow(input, file.reopen().unwrap(), |_, trouble| troubles.extend(trouble)).unwrap();
        let log = std::fs::read_to_string(file.path()).unwrap();
        (console, log, troubles)
    }

    #[test]
    fn the_last_lines_are_kept_clean_and_the_log_is_kept_as_it_is() {
        let lines: Vec<String> = (0..100).map(|number| format!("line {number}\x1b[2J\r\n")).collect();
        let mut input = lines.concat();
        input.push_str("[ 1.0] Oops: 0000 [#1]\r\nno newline");
        let (console, log, troubles) = follow(input.as_bytes());
        let tail = console.tail();
        assert_eq!(tail.len(), TAIL);
        assert_eq!(tail[TAIL - 3..], ["line 99[2J", "[ 1.0] Oops: 0000 [#1]", "no newline"]);
        assert_eq!(log, input);
        assert_eq!(troubles.iter().map(Trouble::name).collect::<Vec<_>>(), ["oops"]);
    }

    #[test]
    fn a_flood_is_reported_once_and_takes_no_memory() {
        // Empty lines, then no newline at all.
        let endless = io::repeat(b'\n').take(MOST).chain(io::repeat(b'x').take(MOST));
        let (console, log, troubles) = follow(endless);
        assert_eq!(troubles.iter().map(Trouble::name).collect::<Vec<_>>(), ["flood"]);
        assert!(log.len() as u64 <= MOST + 5000 && log.contains("the log was cut here"), "{}", log.len());
        assert!(console.tail().iter().all(|line| line.len() <= LONGEST_LINE));
    }

    #[test]
    fn a_tee_gets_the_bytes_and_lifts_the_limit() {
        let (mut read, write) = io::pipe().unwrap();
        let console = Console::default();
        console.tee(Box::new(write));
        let reader = std::thread::spawn(move || io::copy(&mut read, &mut io::sink()).unwrap());
        let mut troubles = 0;
        let log = tempfile::tempfile().unwrap();
        console
            .follow(io::repeat(b'\n').take(2 * MOST), log, |_, trouble| {
                troubles += usize::from(trouble.is_some());
            })
            .unwrap();
        drop(console);
        assert_eq!((reader.join().unwrap(), troubles), (2 * MOST, 0));
    }
}
