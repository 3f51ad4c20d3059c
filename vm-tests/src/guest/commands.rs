//! What the machine outside can ask for.

use super::cgroups::{self, Layout};
use super::channel::Channel;
use super::processes::{self, Children};
use super::{exec, shell, supervise};
use crate::protocol::{Case, Command, Event};
use crate::selftest::Misbehaviour;
use nix::sys::wait::WaitStatus;
use std::process::Stdio;
use std::time::Duration;
use std::{io, process, thread};

/// What PID 1 works with.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) channel: Channel,
    pub(super) children: Children,
}

/// Serves commands until the last one.
pub(super) fn serve(guest: &mut Guest) -> io::Result<()> {
    while let Some(command) = guest.channel.hear()? {
        match command {
            Command::Ping => guest.channel.say(&Event::Pong)?,
            Command::Cgroups { layout } => arrange(&layout)?,
            Command::Run { cases, limit_ms } => run(guest, &cases, Duration::from_millis(limit_ms))?,
            Command::Exec { argv, env } => execute(guest, &argv, &env)?,
            Command::Shell { container, size } => interact(guest, container, size)?,
            Command::Stop => break,
        }
    }
    guest.channel.drain()
}

fn arrange(name: &str) -> io::Result<()> {
    let layout =
        Layout::parse(name).ok_or_else(|| io::Error::other(format!("there is no cgroup layout {name}")))?;
    cgroups::set_up(layout).map_err(|error| io::Error::other(format!("cannot set up cgroups: {error}")))
}

fn run(guest: &mut Guest, cases: &[Case], limit: Duration) -> io::Result<()> {
    let layout = Layout::here()?;
    let mut outcomes = 0;
    for case in cases {
        guest.channel.say(&Event::Started(case.clone()))?;
        match Misbehaviour::of(case) {
            Some(Misbehaviour::Hang) => hang(),
            // A PID 1 that ends takes the kernel with it.
            Some(Misbehaviour::Exit) => process::exit(0),
            None | Some(Misbehaviour::SayNothing | Misbehaviour::SayTwice) => {}
        }
        let outcome = supervise::run(case, limit, &guest.children, layout);
        let times = Misbehaviour::of(case).map_or(1, Misbehaviour::times);
        for _ in 0..times {
            guest.channel.say(&Event::Outcome(outcome.clone()))?;
            outcomes += 1;
        }
    }
    guest.channel.say(&Event::Done { outcomes })
}

fn hang() -> ! {
    loop {
        thread::sleep(Duration::from_secs(1));
    }
}

/// Runs a packed program; its output is passed on as it comes.
fn execute(guest: &mut Guest, argv: &[String], env: &[String]) -> io::Result<()> {
    let Some((program, arguments)) = argv.split_first() else {
        return guest.channel.say(&Event::Exited { code: 127 });
    };
    let (output, output_end) = io::pipe()?;
    let started = exec::spawn(
        process::Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(env.iter().filter_map(|pair| pair.split_once('=')))
            .stdin(Stdio::null())
            .stdout(Stdio::from(output_end.try_clone()?))
            .stderr(Stdio::from(output_end)),
    );
    let pid = match started {
        Ok(pid) => pid,
        Err(error) => {
            guest.channel.say(&Event::Output { data: format!("lab: cannot run {program}: {error}\n") })?;
            return guest.channel.say(&Event::Exited { code: 127 });
        }
    };
    let mut text = Utf8::default();
    let mut said = Ok(());
    let channel = &mut guest.channel;
    let mut pass_on = |piece: &[u8]| {
        let data = text.push(piece);
        if said.is_ok() && !data.is_empty() {
            said = channel.say(&Event::Output { data });
        }
    };
    let status = exec::watch(pid, &guest.children, None, &mut [(output.into(), &mut pass_on)])?;
    said?;
    processes::kill_all(&guest.children, Layout::here()?);
    guest.channel.say(&Event::Exited { code: code(status) })
}

fn interact(guest: &mut Guest, container: bool, size: Option<(u16, u16)>) -> io::Result<()> {
    let code = match shell::start(container, size) {
        Ok(pid) => code(exec::watch(pid, &guest.children, None, &mut [])?),
        Err(error) => {
            eprintln!("lab: no shell: {error}");
            127
        }
    };
    processes::kill_all(&guest.children, Layout::here()?);
    guest.channel.say(&Event::Exited { code })
}

/// The status as a shell gives it.
fn code(status: Option<WaitStatus>) -> i32 {
    match status {
        Some(WaitStatus::Exited(_, code)) => code,
        Some(WaitStatus::Signaled(_, signal, _)) => 128 + signal as i32,
        _ => 255,
    }
}

/// Puts characters together that arrive in pieces.
#[derive(Debug, Default)]
struct Utf8 {
    rest: Vec<u8>,
}

impl Utf8 {
    fn push(&mut self, piece: &[u8]) -> String {
        self.rest.extend_from_slice(piece);
        let whole = match std::str::from_utf8(&self.rest) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => self.rest.len(),
        };
        let text: Vec<u8> = self.rest.drain(..whole).collect();
        String::from_utf8_lossy(&text).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::Signal;
    use nix::unistd::Pid;

    #[test]
    fn characters_are_put_together() {
        let mut text = Utf8::default();
        assert_eq!(text.push(&[b'a', 0xc3]), "a");
        assert_eq!(text.push(&[0xa4, b'b']), "äb");
        assert_eq!(text.push(&[0xff, b'c']), "\u{fffd}c");
    }

    #[test]
    fn a_signal_is_128_and_more() {
        assert_eq!(code(Some(WaitStatus::Exited(Pid::from_raw(7), 3))), 3);
        assert_eq!(code(Some(WaitStatus::Signaled(Pid::from_raw(7), Signal::SIGKILL, false))), 137);
    }
}
