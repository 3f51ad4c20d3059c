//! A running guest: boot, commands, events, end.

use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::console::Console;
use super::qmp::Qmp;
use super::unnamed::Unnamed;
use super::watch::Trouble;
use super::{Accel, Config, channel, command, disk, guard};
use crate::protocol::{Command, Event, PROTOCOL};

/// How many messages wait at most; the guest is held up when it says more before anyone listens.
const QUEUE: usize = 1024;
/// How often a wait for the first word looks whether QEMU has stopped the guest.
const TICK: Duration = Duration::from_millis(500);
/// How long QEMU may take to answer.
pub(super) const ANSWER: Duration = Duration::from_secs(30);
/// How long a guest may take to obey `Stop`.
const GOODBYE: Duration = Duration::from_secs(5);

/// What a guest said of itself when it was up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// `uname -r`.
    pub release: String,
    /// Milliseconds from the kernel's start to PID 1, by the guest's clock.
    pub init_ms: u64,
}

/// What happens in a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VmEvent {
    /// The guest said something on its channel.
    Guest(Event),
    /// A console line; one may be left out when nobody listens for long.
    Console(String),
    /// The guest cannot be trusted any more.
    Trouble(Trouble),
    /// QEMU ended, after everything before it was delivered; says how.
    Exited(String),
    /// Nothing happened in the time given.
    Idle,
}

/// A guest that did not get to where it should, with what its console said last.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong.
    pub trouble: Trouble,
    /// The last console lines.
    pub tail: Vec<String>,
    /// The whole console log.
    pub log: PathBuf,
    /// Whether the guest was merely too slow.
    late: bool,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.trouble)?;
        if self.tail.is_empty() {
            return write!(formatter, " (the console said nothing)");
        }
        write!(formatter, "\nthe console ended with (all of it: {}):", self.log.display())?;
        self.tail.iter().try_for_each(|line| write!(formatter, "\n    {line}"))
    }
}

impl std::error::Error for Failure {}

/// What the threads that read from a guest pass on.
enum Message {
    Guest(Event),
    Console(String),
    Trouble(Trouble),
    /// One of the two connections has ended.
    End,
}

/// A guest; killed when dropped, and when this program ends in whatever way.
pub struct Vm {
    config: Config,
    child: Child,
    channel: UnixStream,
    console: Console,
    console_in: UnixStream,
    qmp: Qmp,
    messages: Option<Receiver<Message>>,
    readers: Vec<JoinHandle<()>>,
    activity: Arc<Mutex<Instant>>,
    ended: usize,
    hello: Hello,
    ready_ms: u64,
    _disk: Option<Unnamed>,
}

impl Vm {
    /// Boots a guest and waits for its hello; one that is too slow gets a second chance.
    ///
    /// # Errors
    ///
    /// When QEMU cannot be started, or the guest panics, ends or does not say hello in time.
    pub fn boot(config: &Config) -> Result<Self, Failure> {
        match Self::boot_once(config) {
            // A guest that stops before init without a word was seen about once in a thousand boots.
            Err(failure) if failure.late => Self::boot_once(config),
            done => done,
        }
    }

    pub(super) fn boot_once(config: &Config) -> Result<Self, Failure> {
        let begun = Instant::now();
        let mut vm = Self::start(config, None)?;
        let until = begun + config.limits.boot;
        match vm.first_word(until) {
            Ok(Event::Hello { protocol: PROTOCOL, release, init_ms }) => {
                vm.hello = Hello { release, init_ms };
                vm.ready_ms = millis(begun.elapsed());
                Ok(vm)
            }
            Ok(Event::Hello { protocol, .. }) => {
                let why = format!(
                    "the guest speaks version {protocol} of the protocol and this program {PROTOCOL}: build both anew"
                );
                Err(vm.failure(Trouble::Malformed(why)))
            }
            Ok(Event::Fault { message }) => {
                Err(vm.failure(Trouble::NoBoot(format!("PID 1 gave up: {message}"))))
            }
            Ok(event) => {
                Err(vm.failure(Trouble::Malformed(format!("the first word is not hello but {event:?}"))))
            }
            Err(trouble) => Err(vm.failure(trouble)),
        }
    }

    /// Resumes a guest from a state and waits for its first answer.
    pub(super) fn resume_from(config: &Config, state: &Path, hello: Hello) -> Result<Self, Failure> {
        let begun = Instant::now();
        let mut vm = Self::start(config, Some(state))?;
        let until = begun + config.limits.resume;
        // What is written to the port before the state is loaded would be lost.
        while vm.status() == "inmigrate" && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        if let Err(error) = vm.send(&Command::Ping) {
            return Err(
                vm.failure(Trouble::NoBoot(format!("the resumed guest cannot be spoken to: {error:#}")))
            );
        }
        match vm.first_word(until) {
            Ok(Event::Pong) => {
                vm.hello = hello;
                vm.ready_ms = millis(begun.elapsed());
                Ok(vm)
            }
            Ok(event) => {
                Err(vm.failure(Trouble::Malformed(format!("a resumed guest answered {event:?} to a ping"))))
            }
            Err(trouble) => Err(vm.failure(trouble)),
        }
    }

    /// What the guest said of itself when it was up.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Milliseconds from the start of QEMU to the guest's hello, or to its first answer when it was resumed.
    pub fn ready_ms(&self) -> u64 {
        self.ready_ms
    }

    /// What the guest was started with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The last console lines, oldest first.
    pub fn tail(&self) -> Vec<String> {
        self.console.tail()
    }

    /// The console's log file.
    pub fn log(&self) -> &Path {
        &self.config.log
    }

    /// Gives a command to the guest.
    ///
    /// # Errors
    ///
    /// When the guest has ended or takes nothing in.
    pub fn send(&mut self, command: &Command) -> Result<()> {
        let mut line = serde_json::to_vec(command)?;
        line.push(b'\n');
        touch(&self.activity);
        self.channel.write_all(&line).context("giving a command to the guest")
    }

    /// The next thing that happens in the guest, or [`VmEvent::Idle`] after `timeout`.
    pub fn next(&mut self, timeout: Duration) -> VmEvent {
        let until = Instant::now().checked_add(timeout);
        loop {
            let Some(messages) = self.messages.as_ref().filter(|_| self.ended < 2) else {
                return VmEvent::Exited(self.how_it_ended());
            };
            let now = Instant::now();
            let quiet_since = *self.activity.lock().unwrap_or_else(PoisonError::into_inner);
            let silent_at = quiet_since.checked_add(self.config.limits.silence);
            let wake = [until, silent_at].into_iter().flatten().min();
            let wait = wake.map_or(Duration::from_hours(1), |wake| wake.saturating_duration_since(now));
            match messages.recv_timeout(wait) {
                Ok(Message::Guest(event)) => return VmEvent::Guest(event),
                Ok(Message::Console(line)) => return VmEvent::Console(line),
                Ok(Message::Trouble(trouble)) => return VmEvent::Trouble(trouble),
                Ok(Message::End) => self.ended += 1,
                Err(RecvTimeoutError::Disconnected) => self.ended = 2,
                Err(RecvTimeoutError::Timeout) => {
                    let now = Instant::now();
                    if silent_at.is_some_and(|at| at <= now) {
                        touch(&self.activity);
                        let seconds = self.config.limits.silence.as_secs();
                        return VmEvent::Trouble(Trouble::Silence(format!(
                            "no event and no console line for {seconds} s"
                        )));
                    }
                    if until.is_some_and(|until| until <= now) {
                        return VmEvent::Idle;
                    }
                }
            }
        }
    }

    /// Where an interactive console is written to.
    ///
    /// # Errors
    ///
    /// When the descriptor cannot be copied.
    pub fn console_input(&self) -> io::Result<UnixStream> {
        self.console_in.try_clone()
    }

    /// From now on the console is copied to `out`, byte by byte, and is not limited in length.
    pub fn tee(&self, out: Box<dyn io::Write + Send>) {
        self.console.tee(out);
    }

    /// From now on a guest may be silent for as long as it likes: someone types into it.
    pub fn allow_silence(&mut self) {
        self.config.limits.silence = Duration::MAX;
    }

    /// Asks the guest to end, and kills it when it does not; returns how QEMU ended.
    pub fn stop(mut self) -> String {
        let until = Instant::now() + GOODBYE;
        if self.send(&Command::Stop).is_ok() {
            while Instant::now() < until {
                if let VmEvent::Exited(how) = self.next(TICK) {
                    return how;
                }
            }
        }
        "it was killed".into()
    }

    /// Asks QEMU something.
    pub(super) fn ask(&mut self, command: &str, arguments: &Value) -> Result<Value> {
        self.qmp.execute(command, arguments, ANSWER)
    }

    /// The state of the machine in QEMU's words; empty when QEMU does not answer.
    fn status(&mut self) -> String {
        let answer = self.ask("query-status", &json!({})).unwrap_or_default();
        answer.get("status").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// Starts QEMU and the threads that read from it.
    fn start(config: &Config, incoming: Option<&Path>) -> Result<Self, Failure> {
        let fail = |error: anyhow::Error| Failure {
            trouble: Trouble::NoBoot(format!("QEMU could not be started: {error:#}")),
            tail: Vec::new(),
            log: config.log.clone(),
            late: false,
        };
        Self::try_start(config, incoming).map_err(fail)
    }

    fn try_start(config: &Config, incoming: Option<&Path>) -> Result<Self> {
        let log = create(&config.log)?;
        let (channel, channel_theirs) = UnixStream::pair()?;
        let (qmp, qmp_theirs) = UnixStream::pair()?;
        let (console_in, console_theirs) = UnixStream::pair()?;
        channel.set_write_timeout(Some(ANSWER))?;
        let channel_out = channel.try_clone()?;
        let console_out = console_in.try_clone()?;

        let disk = config.disk.as_ref().map(|disk| disk::copy(disk, &config.qemu.files)).transpose()?;
        let mut command = guard::command(&command::argv(config, disk.as_ref().map(Unnamed::path), incoming));
        command.stdin(Stdio::from(OwnedFd::from(channel_theirs)));
        command.stdout(Stdio::from(OwnedFd::from(qmp_theirs)));
        command.stderr(Stdio::from(OwnedFd::from(console_theirs)));
        command.env("LC_ALL", "C");
        let child = guard::spawn(command).with_context(|| config.qemu.program.display().to_string())?;

        let (sender, messages) = sync_channel(QUEUE);
        let activity = Arc::new(Mutex::new(Instant::now()));
        let mut vm = Self {
            config: config.clone(),
            child,
            channel,
            console: Console::default(),
            console_in,
            qmp: Qmp::new(qmp),
            messages: Some(messages),
            readers: Vec::new(),
            activity,
            ended: 0,
            hello: Hello { release: String::new(), init_ms: 0 },
            ready_ms: 0,
            _disk: disk,
        };
        vm.read_channel(channel_out, sender.clone())?;
        vm.read_console(console_out, log, sender)?;
        Ok(vm)
    }

    fn read_channel(&mut self, input: UnixStream, out: SyncSender<Message>) -> Result<()> {
        let activity = Arc::clone(&self.activity);
        let reader = move || {
            channel::follow(input, |event| {
                touch(&activity);
                out.send(event.map_or_else(Message::Trouble, Message::Guest)).ok();
            });
            out.send(Message::End).ok();
        };
        self.readers.push(std::thread::Builder::new().name("guest-channel".into()).spawn(reader)?);
        Ok(())
    }

    fn read_console(&mut self, input: UnixStream, log: File, out: SyncSender<Message>) -> Result<()> {
        let activity = Arc::clone(&self.activity);
        let console = self.console.clone();
        let path = self.config.log.clone();
        let reader = move || {
            let followed = console.follow(input, log, |line, trouble| {
                touch(&activity);
                // A line is for information; a trouble must arrive.
                match trouble {
                    Some(trouble) => out.send(Message::Trouble(trouble)).ok(),
                    None => out.try_send(Message::Console(line)).ok(),
                };
            });
            if let Err(error) = followed {
                let why = format!("the console log {} cannot be written: {error}", path.display());
                out.send(Message::Trouble(Trouble::Died(why))).ok();
            }
            out.send(Message::End).ok();
        };
        self.readers.push(std::thread::Builder::new().name("guest-console".into()).spawn(reader)?);
        Ok(())
    }

    /// The first event, or why there is none.
    fn first_word(&mut self, until: Instant) -> Result<Event, Trouble> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.next(left.min(TICK)) {
                VmEvent::Guest(event) => return Ok(event),
                VmEvent::Console(_) | VmEvent::Trouble(Trouble::Silence(_)) => {}
                VmEvent::Trouble(trouble) => return Err(trouble),
                VmEvent::Exited(how) => {
                    return Err(Trouble::Died(format!("{how}, before the guest said anything")));
                }
                VmEvent::Idle if left.is_zero() => {
                    return Err(Trouble::NoBoot("the guest said nothing in time".into()));
                }
                // KVM that cannot go on stops the guest and leaves QEMU running.
                VmEvent::Idle if self.config.accel == Accel::Kvm => {
                    let status = self.status();
                    if !matches!(status.as_str(), "running" | "inmigrate" | "prelaunch" | "") {
                        return Err(Trouble::Died(format!(
                            "it stopped the guest ({status}), before that said anything"
                        )));
                    }
                }
                VmEvent::Idle => {}
            }
        }
    }

    fn failure(mut self, trouble: Trouble) -> Failure {
        let late = matches!(trouble, Trouble::NoBoot(_)) && !self.has_ended();
        self.end();
        Failure { trouble, tail: self.console.tail(), log: self.config.log.clone(), late }
    }

    fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Says how QEMU ended, when its connections are closed; it then ends at once, or is made to.
    fn how_it_ended(&mut self) -> String {
        for _ in 0..200 {
            match self.child.try_wait() {
                Ok(Some(status)) => return status.to_string(),
                Ok(None) => std::thread::sleep(Duration::from_millis(5)),
                Err(error) => return error.to_string(),
            }
        }
        self.end();
        "it closed its connections and was killed".into()
    }

    fn end(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        // What was said is still read; a stray child of QEMU that holds the other end cannot hold us up.
        self.channel.shutdown(Shutdown::Both).ok();
        self.console_in.shutdown(Shutdown::Both).ok();
        // A reader that waits for room in the queue goes on when there is no queue; the log is complete then.
        self.messages = None;
        for reader in self.readers.drain(..) {
            reader.join().ok();
        }
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Vm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Vm")
            .field("pid", &self.child.id())
            .field("hello", &self.hello)
            .finish_non_exhaustive()
    }
}

fn create(log: &Path) -> Result<File> {
    let made = log.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| File::create(log));
    made.with_context(|| format!("the console log {} cannot be written", log.display()))
}

fn touch(activity: &Mutex<Instant>) {
    *activity.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "vm_tests.rs"]
mod tests;
