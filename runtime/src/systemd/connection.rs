//! A connection to systemd: authentication, calls, and the signals that come meanwhile.
//!
//! A client of our own: what the runtime needs is six calls and one signal, one after the other. `zbus` is
//! asynchronous and brings some thirty crates; `rustbus` is synchronous and small, but holds to
//! nix 0.26, thiserror 1 and syn 1 beside ours (16 crates, and a second nix in the program); `dbus` and `sd-bus` link C
//! libraries, which a static program cannot have.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::address::Address;
use super::message::{Call, FIXED, Message, rest};
use super::value::Value;
use super::{Fault, Manager};

/// How long systemd may take for an answer, and for a job: as long as the common runtimes wait.
const PATIENCE: Duration = Duration::from_secs(30);

/// A line of the authentication is never longer.
const LINE: usize = 1024;

#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    address: Address,
    serial: u32,
    /// Signals that came before they were waited for.
    signals: Vec<(String, Vec<Value>)>,
}

impl Connection {
    /// Connects to the first address of a manager where somebody listens.
    pub(super) fn open(manager: Manager) -> Result<Self, Fault> {
        let mut tried = Vec::new();
        for address in Address::of(manager) {
            match address.connect() {
                Ok(stream) => return Self::begin(stream, address),
                Err(error) => tried.push((address.to_string(), error)),
            }
        }
        Err(Fault::NoBus { manager, tried })
    }

    fn begin(stream: UnixStream, address: Address) -> Result<Self, Fault> {
        let mut connection = Self { stream, address, serial: 0, signals: Vec::new() };
        for set in [UnixStream::set_read_timeout, UnixStream::set_write_timeout] {
            set(&connection.stream, Some(PATIENCE)).map_err(|error| connection.failed(&error))?;
        }
        // Without a user id: the kernel tells it, and what this process takes for its own may be another one for
        // systemd, when it is in a user namespace. All at once, as systemd's own library does: a systemd that gets a
        // call together with BEGIN does not look at the call until something else comes.
        connection.send(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n")?;
        connection.accepted()?;
        if !connection.address.direct {
            const BUS: &str = "org.freedesktop.DBus";
            let bus = |member, body| Call {
                destination: Some(BUS),
                path: "/org/freedesktop/DBus",
                interface: BUS,
                member,
                body,
            };
            connection.call(&bus("Hello", &[]))?;
            let wanted = "type='signal',interface='org.freedesktop.systemd1.Manager',member='JobRemoved'";
            connection.call(&bus("AddMatch", &[Value::Text(wanted.into())]))?;
            connection.manager("Subscribe", &[])?;
        }
        Ok(connection)
    }

    /// Calls a method of systemd's manager.
    pub(super) fn manager(&mut self, member: &str, body: &[Value]) -> Result<Vec<Value>, Fault> {
        self.systemd("/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", member, body)
    }

    /// Calls a method of one of systemd's objects.
    pub(super) fn systemd(
        &mut self,
        path: &str,
        interface: &str,
        member: &str,
        body: &[Value],
    ) -> Result<Vec<Value>, Fault> {
        let destination = (!self.address.direct).then_some("org.freedesktop.systemd1");
        self.call(&Call { destination, path, interface, member, body })
    }

    fn call(&mut self, call: &Call<'_>) -> Result<Vec<Value>, Fault> {
        // 0 is no serial.
        self.serial = self.serial.wrapping_add(1).max(1);
        let serial = self.serial;
        let end = Instant::now().checked_add(PATIENCE);
        self.send(&call.bytes(serial))?;
        loop {
            match self.receive(end)? {
                Message::Answer { to, body } if to == serial => return Ok(body),
                Message::Failure { to, name, text } if to == serial => {
                    return Err(Fault::Refused { member: call.member.to_owned(), name, text });
                }
                Message::Signal { member, body } => self.signals.push((member, body)),
                _ => {}
            }
        }
    }

    /// Waits until the job has come to its end, and gives systemd's word for it: `done` when it went well.
    pub(super) fn job_removed(&mut self, job: &Value) -> Result<String, Fault> {
        let end = Instant::now().checked_add(PATIENCE);
        let result = |member: &str, body: &[Value]| match body {
            [Value::U32(_), found, Value::Text(_), Value::Text(result)]
                if member == "JobRemoved" && found == job =>
            {
                Some(result.clone())
            }
            _ => None,
        };
        if let Some(result) = self.signals.drain(..).find_map(|(member, body)| result(&member, &body)) {
            return Ok(result);
        }
        loop {
            if let Message::Signal { member, body } = self.receive(end)?
                && let Some(result) = result(&member, &body)
            {
                return Ok(result);
            }
        }
    }

    fn receive(&mut self, end: Option<Instant>) -> Result<Message, Fault> {
        let mut fixed = [0; FIXED];
        self.read(&mut fixed, end)?;
        let wrong = |connection: &Self| connection.broken("it sent what is no message of D-Bus");
        let rest = rest(&fixed).ok_or_else(|| wrong(self))?;
        let mut whole = fixed.to_vec();
        whole.resize(FIXED.saturating_add(rest), 0);
        let behind = whole.get_mut(FIXED..).unwrap_or_default();
        self.read(behind, end)?;
        Message::parse(&whole).ok_or_else(|| wrong(self))
    }

    fn read(&self, bytes: &mut [u8], end: Option<Instant>) -> Result<(), Fault> {
        // A peer that says something all the time, and never what is waited for, is given up as well.
        if end.is_some_and(|end| Instant::now() > end) {
            return Err(self.broken("it did not answer in time"));
        }
        (&self.stream).read_exact(bytes).map_err(|error| self.failed(&error))
    }

    /// Reads the answers to the authentication. Nothing comes behind them before the first call.
    fn accepted(&self) -> Result<(), Fault> {
        let mut text = Vec::new();
        loop {
            while let Some(end) = text.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = text.drain(..end.saturating_add(2)).collect();
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                match line.split(' ').next() {
                    Some("DATA") => {}
                    Some("OK") => return Ok(()),
                    _ => return Err(self.broken(&format!("it does not let us in: `{line}`"))),
                }
            }
            let mut more = [0; 128];
            let count = (&self.stream).read(&mut more).map_err(|error| self.failed(&error))?;
            text.extend(more.iter().take(count));
            if count == 0 || text.len() > LINE {
                return Err(self.broken("it does not let us in, and gives no reason"));
            }
        }
    }

    fn send(&self, bytes: &[u8]) -> Result<(), Fault> {
        (&self.stream).write_all(bytes).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &io::Error) -> Fault {
        match error.kind() {
            io::ErrorKind::WouldBlock => self.broken("it did not answer in time"),
            io::ErrorKind::UnexpectedEof => self.broken("it closed the connection"),
            _ => self.broken(&error.to_string()),
        }
    }

    fn broken(&self, what: &str) -> Fault {
        Fault::Broken { address: self.address.to_string(), what: what.to_owned() }
    }
}
