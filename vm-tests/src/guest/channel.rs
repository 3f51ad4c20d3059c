//! The serial line to the machine outside: JSON lines in both directions.

use super::paths;
use crate::protocol::{Command, Event};
use rustix::termios::{ControlModes, OptionalActions, tcgetattr, tcsetattr};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;

/// Both directions of the line.
#[derive(Debug)]
pub struct Channel<R = File, W = File> {
    reader: BufReader<R>,
    writer: W,
}

impl Channel {
    /// Opens the serial port and makes it transparent.
    ///
    /// # Errors
    /// When the machine has no such port.
    pub fn open() -> io::Result<Self> {
        let port = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(nix::fcntl::OFlag::O_NOCTTY.bits())
            .open(paths::CHANNEL)?;
        set_raw(&port)?;
        Ok(Self { reader: BufReader::new(port.try_clone()?), writer: port })
    }

    /// Waits until everything that was said has left.
    ///
    /// # Errors
    /// What `tcdrain(3)` says.
    pub fn drain(&self) -> io::Result<()> {
        Ok(rustix::termios::tcdrain(&self.writer)?)
    }
}

impl<R: Read, W: Write> Channel<R, W> {
    /// Sends one event.
    ///
    /// # Errors
    /// When the line cannot be written.
    pub fn say(&mut self, event: &Event) -> io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        self.writer.write_all(&line)?;
        self.writer.flush()
    }

    /// Waits for the next command; `None` when the line was hung up.
    ///
    /// # Errors
    /// When the line cannot be read or does not hold a command.
    pub fn hear(&mut self) -> io::Result<Option<Command>> {
        loop {
            let mut line = Vec::new();
            if self.reader.read_until(b'\n', &mut line)? == 0 {
                return Ok(None);
            }
            let text = line.trim_ascii();
            if !text.is_empty() {
                return serde_json::from_slice(text).map(Some).map_err(|error| {
                    io::Error::other(format!("not a command: {}: {error}", String::from_utf8_lossy(text)))
                });
            }
        }
    }
}

/// No echo, no line editing, no translation of line ends, no hang-up on close.
fn set_raw(port: impl AsFd) -> io::Result<()> {
    let mut attributes = tcgetattr(&port)?;
    attributes.make_raw();
    attributes.control_modes |= ControlModes::CLOCAL;
    attributes.control_modes &= !ControlModes::HUPCL;
    attributes.set_speed(115_200)?;
    Ok(tcsetattr(&port, OptionalActions::Now, &attributes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte a read, as a slow line does.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let wanted = buffer.len().min(1);
            self.0.read(&mut buffer[..wanted])
        }
    }

    #[test]
    fn commands_arrive_in_pieces() {
        let text = b"\n{\"command\":\"ping\"}\r\n{\"command\":\"stop\"}\n";
        let mut channel = Channel { reader: BufReader::new(Slow(text)), writer: Vec::new() };
        assert_eq!(channel.hear().unwrap(), Some(Command::Ping));
        assert_eq!(channel.hear().unwrap(), Some(Command::Stop));
        assert_eq!(channel.hear().unwrap(), None);
    }

    #[test]
    fn what_is_no_command_is_quoted() {
        let mut channel = Channel { reader: BufReader::new(Slow(b"hello\n")), writer: Vec::new() };
        assert!(channel.hear().unwrap_err().to_string().contains("not a command: hello"));
    }

    #[test]
    fn an_event_is_one_line() {
        let mut channel = Channel { reader: BufReader::new(Slow(b"")), writer: Vec::new() };
        channel.say(&Event::Fault { message: "two\nlines".into() }).unwrap();
        assert_eq!(channel.writer, b"{\"event\":\"fault\",\"message\":\"two\\nlines\"}\n");
    }
}
