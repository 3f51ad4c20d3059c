//! The caller's terminal for a process that has one of its own: what is typed goes in, what it writes comes out.
//!
//! ```text
//! standard input ──▶ waiting ──▶ master ═══ slave: 0, 1, 2 of the process
//! standard output ◀───────────── master
//! SIGWINCH ─────────── size ───▶ master
//! ```
//! It ends with the process, and not with the last one that has the terminal open: what a process leaves behind
//! in the background may keep it for ever.

use std::fs::File;
use std::io::{IsTerminal, Read, Write, stdin, stdout};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use cofferdam_sys::poll::{self, Events};
use cofferdam_sys::process::{self, Exit};
use cofferdam_sys::signal::{Signals, is_forwarded};
use cofferdam_sys::spawn::Child;
use cofferdam_sys::tty::{self, Raw};
use cofferdam_sys::{Errno, errno, file, send};

use super::os;
use crate::{Error, ErrorKind, Result};

/// The number of the signal for a terminal of another size.
const SIGWINCH: i32 = 28;

/// The end of the input, as a terminal has it typed (`VEOF` of `termios(3)`).
const END_OF_INPUT: u8 = 4;

/// The size of the caller's terminal, if one of its three descriptors is one.
pub(crate) fn own_size() -> Option<(u16, u16)> {
    let (input, output, error) = (stdin(), stdout(), std::io::stderr());
    let all = [input.as_fd(), output.as_fd(), error.as_fd()];
    all.into_iter().find_map(|fd| tty::size(fd).ok()).filter(|(rows, columns)| *rows > 0 && *columns > 0)
}

/// See the module.
pub(crate) struct Relay {
    master: File,
    /// What was read from the input and not taken by the terminal yet.
    waiting: Vec<u8>,
    /// Whether there may be more input.
    open: bool,
    /// The last byte that was read.
    last: u8,
    _raw: Option<Raw>,
}

impl Relay {
    /// Takes the master that the child has sent, and the caller's terminal, which is raw until the end.
    pub(crate) fn begin(from_child: &UnixStream) -> Result<Self> {
        let failed = |number| os("process.terminal: take its other end", number);
        let (_, master) = send::receive_descriptor(from_child.as_fd(), &mut [0; 64]).map_err(failed)?;
        let master = master.ok_or_else(|| Error::new(ErrorKind::Start, "process.terminal: none came"))?;
        file::set_nonblocking(master.as_fd()).map_err(failed)?;
        let raw = stdin().is_terminal().then(|| Raw::enter(stdin().as_fd())).transpose();
        let raw = raw.map_err(|number| os("process.terminal: make the caller's terminal raw", number))?;
        Ok(Self { master: master.into(), waiting: Vec::new(), open: true, last: b'\n', _raw: raw })
    }

    /// Passes everything on until the process ends, and then what it has written last.
    pub(crate) fn wait(mut self, child: &Child, signals: &Signals) -> cofferdam_sys::Result<Exit> {
        let mut hung_up = false;
        loop {
            let input = stdin();
            let wants = if self.waiting.is_empty() { Events::empty() } else { Events::OUT };
            let listened = (self.open && self.waiting.is_empty()).then_some(input.as_fd());
            let [signal, ended, typed, master] = match poll::wait([
                (Some(signals.fd()), Events::IN),
                (Some(child.pidfd()), Events::IN),
                (listened, Events::IN),
                ((!hung_up).then_some(self.master.as_fd()), Events::IN | wants),
            ]) {
                Err(Errno::EINTR) => continue,
                other => other?,
            };
            if !signal.is_empty()
                && let Some(number) = signals.read()?
            {
                self.signal(number, child)?;
            }
            if master.intersects(Events::IN | Events::HUP | Events::ERR) {
                hung_up = !self.copy_out();
            }
            if master.contains(Events::OUT) {
                self.feed();
            }
            if !typed.is_empty() {
                self.copy_in(input.as_fd());
            }
            if !ended.is_empty() {
                while !hung_up && self.copy_out_some() {}
                return child.wait();
            }
        }
    }

    fn signal(&self, number: i32, child: &Child) -> cofferdam_sys::Result<()> {
        if number == SIGWINCH {
            if let Some((rows, columns)) = own_size() {
                // The kernel tells the processes of the terminal. One that is gone needs no size.
                let _ = tty::set_size(self.master.as_fd(), rows, columns);
            }
            return Ok(());
        }
        if !is_forwarded(number) {
            return Ok(());
        }
        match process::pidfd_send_signal(child.pidfd(), number) {
            Err(Errno::ESRCH) => Ok(()),
            other => other,
        }
    }

    /// Reads once; `false` when nobody has the terminal open any more (`EIO`), or had.
    fn copy_out(&mut self) -> bool {
        let mut bytes = [0; 4096];
        match self.master.read(&mut bytes) {
            Ok(0) => false,
            Ok(count) => {
                show(bytes.get(..count).unwrap_or_default());
                true
            }
            Err(error) => matches!(errno::from_io(&error), Errno::EAGAIN | Errno::EINTR),
        }
    }

    /// Reads once; `false` when there is nothing more at the moment.
    fn copy_out_some(&mut self) -> bool {
        let mut bytes = [0; 4096];
        match self.master.read(&mut bytes) {
            Ok(count) if count > 0 => {
                show(bytes.get(..count).unwrap_or_default());
                true
            }
            _ => false,
        }
    }

    fn copy_in(&mut self, input: BorrowedFd<'_>) {
        let mut bytes = [0; 4096];
        match file::read(input, &mut bytes) {
            Ok(count) if count > 0 => {
                let bytes = bytes.get(..count).unwrap_or_default();
                self.last = bytes.last().copied().unwrap_or(self.last);
                self.waiting.extend_from_slice(bytes);
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            // The process is told as a user would tell it: once, and before that once more for a line that
            // is not ended.
            _ => {
                self.open = false;
                let times = if self.last == b'\n' { 1 } else { 2 };
                self.waiting.extend(std::iter::repeat_n(END_OF_INPUT, times));
            }
        }
        self.feed();
    }

    /// Writes what the terminal takes.
    fn feed(&mut self) {
        match self.master.write(&self.waiting) {
            Ok(count) => drop(self.waiting.drain(..count.min(self.waiting.len()))),
            Err(error) if matches!(errno::from_io(&error), Errno::EAGAIN | Errno::EINTR) => {}
            // Nobody reads there any more.
            Err(_) => self.waiting.clear(),
        }
    }
}

/// Whoever read the output may be gone; the process goes on all the same, as with a closed window.
fn show(bytes: &[u8]) {
    let mut output = stdout().lock();
    let _ = output.write_all(bytes).and_then(|()| output.flush());
}
