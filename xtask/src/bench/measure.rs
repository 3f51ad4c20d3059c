//! What is measured, each in turns over the runtimes.

use std::ffi::OsStr;
use std::io::Seek as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::bundle::Bundle;
use super::peers::Peer;
use super::report::{Row, Unit, Value};
use super::statistics::summary;
use super::view;
use crate::fail;

/// `run` of a program that ends at once: create, start, wait and delete; and the floor, in turn with them.
pub(super) fn run(bundle: &Bundle, bare: &Path, peers: &[Peer], runs: u32) -> Result<Row> {
    bundle.set(&["/bin/bare", "true"], None)?;
    let mut found = turns(peers.len() + 1, runs, |number, round| match peers.get(number) {
        Some(peer) => timed(&mut runtime(peer, bundle, &["run"], &id(peer, round))),
        None => floor(bundle, bare),
    });
    let floor = found.pop();
    let mut row = row("run + delete of a program that ends at once", peers, found);
    row.floor = match floor {
        Some(Found { failed: Some(why), .. }) => return Err(fail::lab(format!("bench: the floor: {why}"))),
        floor => floor.and_then(|found| summary(&found.values)),
    };
    Ok(row)
}

/// The same container by bare system calls in one process, which takes the time itself, in microseconds.
fn floor(bundle: &Bundle, bare: &Path) -> Result<u64> {
    let output = Command::new(bare)
        .args(["floor", "1"])
        .arg(bundle.dir.join("rootfs"))
        .stdin(Stdio::null())
        .output()
        .context("start it")?;
    if !output.status.success() {
        return Err(fail::lab(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    String::from_utf8_lossy(&output.stdout).trim().parse().context("read its time")
}

/// `create`, `start` and `delete` as an engine calls them, with the program ended in between.
pub(super) fn lifecycle(bundle: &Bundle, peers: &[Peer], runs: u32) -> Result<Row> {
    bundle.set(&["/bin/bare", "true"], None)?;
    Ok(rounds("create, start, delete", peers, runs, |peer, round| {
        let id = id(peer, round);
        let created = timed(&mut runtime(peer, bundle, &["create"], &id))?;
        let started = timed(&mut plain(peer, &["start"], &id))?;
        wait_stopped(peer, &id)?;
        let deleted = timed(&mut plain(peer, &["delete"], &id))?;
        Ok(created + started + deleted)
    }))
}

/// `exec` of a program that ends at once, in a container that sleeps.
pub(super) fn exec(bundle: &Bundle, peers: &[Peer], runs: u32) -> Result<Row> {
    bundle.set(&["/bin/bare", "sleep"], None)?;
    let held: Vec<Held> =
        peers.iter().filter_map(|peer| Held::start(peer, bundle).transpose()).collect::<Result<_>>()?;
    Ok(rounds("exec of a program that ends at once", peers, runs, |peer, _| {
        if held.iter().all(|held| held.peer.name != peer.name) {
            return Err(fail::lab("it does not keep a container"));
        }
        timed(plain(peer, &["exec"], &Held::id(peer)).args(["/bin/bare", "true"]))
    }))
}

/// The least limit of memory, in KiB, under which the program runs three times of three.
pub(super) fn memory(bundle: &Bundle, peers: &[Peer]) -> Result<Row> {
    const LIMITS_KIB: [u64; 9] = [128, 256, 384, 512, 768, 1024, 2048, 4096, 8192];
    let mut row = Row::new("least memory limit that still runs it, 3 of 3", Unit::Kibibytes);
    if !view::has_memory() {
        for peer in peers {
            row.push(
                peer,
                Value::Absent("this layout has no memory controller here: try the other".to_owned()),
            );
        }
        return Ok(row);
    }
    for peer in peers {
        let mut least = None;
        for limit in LIMITS_KIB {
            bundle.set(&["/bin/bare", "true"], Some(limit << 10))?;
            let runs = |round: u32| timed(&mut runtime(peer, bundle, &["run"], &id(peer, round))).is_ok();
            // A container that was killed may leave its id behind.
            let clean = |round: u32| {
                let _ = timed(&mut plain(peer, &["delete", "--force"], &id(peer, round)));
            };
            let good = (0..3)
                .filter(|round| {
                    let ran = runs(*round);
                    clean(*round);
                    ran
                })
                .count();
            if good == 3 {
                least = Some(limit);
                break;
            }
        }
        row.push(peer, least.map_or(Value::Absent("none of the limits up to 8 MiB".to_owned()), Value::one));
    }
    bundle.set(&["/bin/bare", "true"], None)?;
    Ok(row)
}

/// The peak resident memory of a `run`, in KiB: of the runtime and all that it waits for (`getrusage(2)`).
pub(super) fn rss(bundle: &Bundle, bare: &Path, peers: &[Peer], runs: u32) -> Result<Row> {
    bundle.set(&["/bin/bare", "true"], None)?;
    let mut row = rounds("peak resident memory of run", peers, runs.min(10), |peer, round| {
        let command = runtime(peer, bundle, &["run"], &id(peer, round));
        // A child is charged with what its parent had in memory when it was made: a small parent.
        let output = Command::new(bare)
            .arg("rss")
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::null())
            .output()
            .context("measure the memory")?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            return Err(fail::lab(format!("run: {}: {}", output.status, said.trim())));
        }
        String::from_utf8_lossy(&output.stdout).trim().parse().context("read the measure of memory")
    });
    row.unit = Unit::Kibibytes;
    Ok(row)
}

/// The size of the program, in KiB.
pub(super) fn size(peers: &[Peer]) -> Result<Row> {
    let mut row = Row::new("size of the program", Unit::Kibibytes);
    for peer in peers {
        let bytes =
            std::fs::metadata(&peer.path).with_context(|| format!("look at {}", peer.path.display()))?.len();
        row.push(peer, Value::one(bytes >> 10));
    }
    Ok(row)
}

/// Each peer once a round.
fn rounds(about: &str, peers: &[Peer], runs: u32, mut ask: impl FnMut(&Peer, u32) -> Result<u64>) -> Row {
    let found = turns(peers.len(), runs, |number, round| {
        ask(peers.get(number).context("a peer of that number")?, round)
    });
    row(about, peers, found)
}

/// What one participant gave.
#[derive(Debug, Default)]
struct Found {
    values: Vec<u64>,
    failed: Option<String>,
}

/// Asks each participant once a round, the first of a round another one each time. One that fails is not
/// asked again.
fn turns(count: usize, runs: u32, mut ask: impl FnMut(usize, u32) -> Result<u64>) -> Vec<Found> {
    let mut found: Vec<Found> = (0..count).map(|_| Found::default()).collect();
    // The first round fills caches and is not counted.
    for round in 0..=runs {
        let first = usize::try_from(round).unwrap_or_default() % count.max(1);
        for number in (first..count).chain(0..first) {
            let Some(of) = found.get_mut(number).filter(|of| of.failed.is_none()) else { continue };
            match ask(number, round) {
                Ok(value) if round > 0 => of.values.push(value),
                Ok(_) => {}
                Err(error) => of.failed = Some(format!("{error:#}")),
            }
        }
    }
    found
}

fn row(about: &str, peers: &[Peer], found: Vec<Found>) -> Row {
    let mut row = Row::new(about, Unit::Microseconds);
    for (peer, Found { values, failed }) in peers.iter().zip(found) {
        let value = match (failed, summary(&values)) {
            (None, Some(summary)) => Value::Measured(summary),
            (failed, _) => Value::Absent(failed.unwrap_or_default()),
        };
        row.push(peer, value);
    }
    row
}

/// A container that sleeps until this is dropped.
struct Held<'a> {
    peer: &'a Peer,
}

impl<'a> Held<'a> {
    fn start(peer: &'a Peer, bundle: &Bundle) -> Result<Option<Self>> {
        let id = Self::id(peer);
        if timed(&mut runtime(peer, bundle, &["create"], &id)).is_err() {
            return Ok(None);
        }
        let held = Self { peer };
        timed(&mut plain(peer, &["start"], &id))?;
        Ok(Some(held))
    }

    fn id(peer: &Peer) -> String {
        format!("bench-{}-{}-held", std::process::id(), peer.name)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Err(error) = timed(&mut plain(self.peer, &["delete", "--force"], &Self::id(self.peer))) {
            eprintln!("bench: {} delete --force: {error:#}", self.peer.name);
        }
    }
}

fn id(peer: &Peer, round: u32) -> String {
    format!("bench-{}-{}-{round}", std::process::id(), peer.name)
}

/// A command that takes the bundle.
fn runtime(peer: &Peer, bundle: &Bundle, words: &[&str], id: &str) -> Command {
    let mut command = Command::new(&peer.path);
    command.args(words).arg("--bundle").arg(&bundle.dir).arg(id);
    command
}

/// A command on a container that is there.
fn plain(peer: &Peer, words: &[&str], id: &str) -> Command {
    let mut command = Command::new(&peer.path);
    command.args(words).arg(id);
    command
}

/// Runs it and gives the time in microseconds.
fn timed(command: &mut Command) -> Result<u64> {
    // A file, not a pipe: a container that lives on keeps the other end.
    let mut said = tempfile::tempfile().context("make a file for what it says")?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said.try_clone()?);
    let started = Instant::now();
    let status = command.status().with_context(|| format!("start {}", command.get_program().display()))?;
    let elapsed = started.elapsed();
    if status.success() {
        return Ok(u64::try_from(elapsed.as_micros())?);
    }
    said.rewind()?;
    let text = std::io::read_to_string(said).unwrap_or_default();
    let word = command.get_args().next().map(OsStr::to_string_lossy).unwrap_or_default();
    Err(fail::lab(format!("{word}: {status}: {}", text.lines().last().unwrap_or_default().trim())))
}

fn wait_stopped(peer: &Peer, id: &str) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let output =
            plain(peer, &["state"], id).stdin(Stdio::null()).output().context("ask for the state")?;
        let state: serde_json::Value = serde_json::from_slice(&output.stdout).context("read the state")?;
        if state.get("status").and_then(serde_json::Value::as_str) == Some("stopped") {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(fail::lab("the container does not stop"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_turn_and_one_that_fails_is_left_out() {
        let mut order = Vec::new();
        let found = turns(3, 2, |number, round| {
            order.push((round, number));
            if number == 1 && round == 1 { Err(fail::lab("no")) } else { Ok(u64::from(round) * 10) }
        });
        assert_eq!(order, [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (1, 0), (2, 2), (2, 0)]);
        assert_eq!(found[0].values, [10, 20]);
        assert_eq!((found[1].values.len(), found[1].failed.as_deref()), (0, Some("no")));
    }
}
