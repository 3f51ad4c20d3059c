//! `/init facts …`: what a process sees from where a test has put it, as one JSON object.

use super::paths;
use cofferdam_caps::FileCaps;
use nix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;
use std::{fs, io};

/// Looks at everything that is asked for and prints it.
///
/// `file:PATH` is a file's text, `link:PATH` a link's target, `list:PATH` the sorted names in a directory,
/// one a line, `stat:PATH` its owner, group and mode, `write:PATH=TEXT` is empty when the text could be written.
/// `spawn:N` starts N processes and is how many it could start, `allocate:N` uses N MiB of memory, `spin:N` N
/// milliseconds of processor time. `securebits:` is the number of the thread's secure bits; `setcap:PATH=TEXT`
/// is empty when the file could be given these capabilities, `getcap:PATH` is what it has. `call:…`,
/// `thread:…` and `sweep:…` are system calls (see `crate::calls`). What fails is `!ERRNO`.
pub fn main(asked: &[&str]) -> ExitCode {
    let found: BTreeMap<&str, String> = asked.iter().map(|fact| (*fact, answer(fact))).collect();
    let printed =
        serde_json::to_vec(&found).map_err(io::Error::from).and_then(|text| io::stdout().write_all(&text));
    if printed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn answer(fact: &str) -> String {
    look(fact).unwrap_or_else(|error| match error.raw_os_error() {
        Some(number) => format!("!{:?}", nix::errno::Errno::from_raw(number)),
        None => format!("!{error}"),
    })
}

fn look(fact: &str) -> io::Result<String> {
    let unknown = || io::Error::other(format!("not understood: {fact}"));
    let (kind, path) = fact.split_once(':').ok_or_else(unknown)?;
    match kind {
        "file" => fs::read_to_string(path),
        "link" => Ok(fs::read_link(path)?.to_string_lossy().into_owned()),
        "list" => {
            let entries = fs::read_dir(path)?.collect::<io::Result<Vec<_>>>()?;
            let mut names: Vec<_> =
                entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            Ok(names.join("\n"))
        }
        "stat" => {
            let found = fs::symlink_metadata(path)?;
            Ok(format!("{}:{} {:o}", found.uid(), found.gid(), found.mode()))
        }
        "write" => {
            let (path, text) = path.split_once('=').ok_or_else(unknown)?;
            fs::write(path, text).map(|()| String::new())
        }
        "spawn" => Ok(spawn(number(path)?)),
        "allocate" => Ok(std::hint::black_box(vec![1u8; number(path)? << 20]).len().to_string()),
        "spin" => spin(number(path)?),
        "securebits" => Ok(cofferdam_sys::cred::securebits()?.to_string()),
        "setcap" => {
            let (path, text) = path.split_once('=').ok_or_else(unknown)?;
            let caps: FileCaps = text.parse().map_err(io::Error::other)?;
            caps.write(fs::File::open(path)?).map(|()| String::new()).map_err(of_caps)
        }
        "getcap" => {
            let caps = FileCaps::read(fs::File::open(path)?).map_err(of_caps)?;
            Ok(caps.map_or_else(String::new, |caps| caps.to_string()))
        }
        "call" => crate::calls::call(path),
        "thread" => crate::calls::on_a_thread(path),
        "sweep" => crate::calls::sweep(path),
        _ => Err(unknown()),
    }
}

fn of_caps(error: cofferdam_caps::Error) -> io::Error {
    error.errno().map_or_else(|| io::Error::other(error), io::Error::from)
}

fn number(text: &str) -> io::Result<usize> {
    text.parse().map_err(io::Error::other)
}

fn spawn(wanted: usize) -> String {
    let mut sleep = Command::new(paths::INIT);
    sleep.args(["sleep", "3600"]).stdin(Stdio::null()).stdout(Stdio::null());
    let mut children: Vec<Child> = (0..wanted).map_while(|_| sleep.spawn().ok()).collect();
    for child in &mut children {
        // Neither fails for a child that was not waited for.
        let _ = child.kill();
        let _ = child.wait();
    }
    children.len().to_string()
}

fn spin(milliseconds: usize) -> io::Result<String> {
    let used = || clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map(Duration::from);
    let end = used()? + Duration::from_millis(u64::try_from(milliseconds).map_err(io::Error::other)?);
    while used()? < end {}
    Ok(String::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_found() {
        assert!(answer("file:/proc/self/status").contains("Name:"));
        assert!(answer("list:/proc/self/ns").lines().any(|name| name == "uts"));
        assert!(answer("link:/proc/self/ns/uts").starts_with("uts:["));
        assert_eq!(answer("file:/no/such/file"), "!ENOENT");
        assert_eq!(answer("write:/no/such/file=x"), "!ENOENT");
        assert_eq!(answer("spin:1"), "");
        assert!(answer("what").starts_with("!not understood"));
    }
}
