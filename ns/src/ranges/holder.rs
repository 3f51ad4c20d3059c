//! A process as a line of text that can be told from a later one of the same number.

use crate::{Error, Identity, NsKind, Process};

/// A process: its number, in which PID namespace, and when it was started since which boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    pid: i32,
    /// In clock ticks since boot, `/proc/PID/stat`.
    started: u64,
    /// The inode of the PID namespace that numbers it so.
    namespace: u64,
    boot: String,
}

impl Holder {
    /// The process as the caller numbers it.
    pub(super) fn of(process: &Process) -> Result<Self, Error> {
        let stat = process.read(c"stat")?;
        let started = started(&stat).ok_or_else(|| Error::invalid(format!("what is `{}`?", stat.trim())))?;
        Ok(Self { pid: process.pid(), started, namespace: own_namespace()?.ino, boot: boot()? })
    }

    /// `holder PID STARTED NAMESPACE BOOT`, and the end of the line.
    pub(super) fn line(&self) -> String {
        format!("holder {} {} {} {}\n", self.pid, self.started, self.namespace, self.boot)
    }

    /// Reads what follows `holder `.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let fields: Vec<&str> = text.split(' ').collect();
        let parsed = match fields.as_slice() {
            [pid, started, namespace, boot] => {
                let numbers = (pid.parse().ok(), started.parse().ok(), namespace.parse().ok());
                let (Some(pid), Some(started), Some(namespace)) = numbers else {
                    return Err(Error::invalid("the holder of a lease has no numbers"));
                };
                Some(Self { pid, started, namespace, boot: (*boot).to_owned() })
            }
            _ => None,
        };
        parsed.ok_or_else(|| Error::invalid("the holder of a lease has not four fields"))
    }

    /// Whether it lives. What cannot be known counts as alive: a range too many is taken, none is shared.
    pub(super) fn is_alive(&self) -> bool {
        let (Ok(boot), Ok(namespace)) = (boot(), own_namespace()) else { return true };
        if boot != self.boot {
            return false;
        }
        if namespace.ino != self.namespace {
            return true;
        }
        match Process::open(self.pid) {
            Ok(process) => match process.read(c"stat") {
                // A zombie's ids are used by nobody, but its number is not free yet.
                Ok(stat) => started(&stat).is_none_or(|started| started == self.started && !is_dead(&stat)),
                Err(_) => process.is_there().unwrap_or(true),
            },
            Err(error) => error.kind() != crate::ErrorKind::Os(cofferdam_sys::Errno::ESRCH),
        }
    }
}

/// Field 22 of `/proc/PID/stat`, counted from the end of the name, which may hold anything.
fn started(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

fn is_dead(stat: &str) -> bool {
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_ascii_whitespace().next());
    matches!(state, Some("Z" | "X"))
}

fn own_namespace() -> Result<Identity, Error> {
    crate::Namespace::of_process(0, NsKind::Pid)?.identity()
}

fn boot() -> Result<String, Error> {
    let path = "/proc/sys/kernel/random/boot_id";
    let text = std::fs::read_to_string(path).map_err(|error| Error::io(&error, format!("read {path}")))?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Holder {
        Holder::of(&Process::open(std::process::id().cast_signed()).unwrap()).unwrap()
    }

    #[test]
    fn the_own_process_is_alive_and_an_earlier_one_is_not() {
        let own = own();
        assert!(own.is_alive());
        assert!(!Holder { started: own.started - 1, ..own.clone() }.is_alive());
        assert!(!Holder { boot: "another".to_owned(), ..own.clone() }.is_alive());
        // In a PID namespace that is not ours, nobody knows.
        assert!(Holder { namespace: 1, started: 1, ..own.clone() }.is_alive());
        assert_eq!(Holder::parse(own.line().trim_end().strip_prefix("holder ").unwrap()).unwrap(), own);
    }

    #[test]
    fn a_zombie_holds_nothing() {
        let mut child = std::process::Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let holder = Holder::of(&Process::open(child.id().cast_signed()).unwrap()).unwrap();
        assert!(holder.is_alive());
        child.kill().unwrap();
        while holder.is_alive() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(!holder.is_alive());
    }

    #[test]
    fn a_name_may_hold_anything() {
        let stat = "7 (a) Z 1) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 12345 2 3\n";
        assert_eq!(started(stat), Some(12_345));
        assert!(!is_dead(stat));
        assert_eq!(started(""), None);
    }
}
