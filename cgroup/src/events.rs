//! Events: files that say how often something has happened, and waiting for it to happen again.

use std::fs::File;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::Duration;

use cofferdam_sys::poll;

use crate::file::{again, keyed};
use crate::{Cgroup, Error, ErrorKind, Result};

/// The state in `cgroup.events`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Events {
    /// Whether a process lives in it or below.
    pub populated: bool,
    /// Whether all of its processes are stopped; `None` before Linux 5.2.
    pub frozen: Option<bool>,
}

/// `memory.events`: how often something has happened, in it and below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct MemoryEvents {
    /// It was taken from although it had less than `memory.low`.
    pub low: u64,
    /// It was slowed down for having more than `memory.high`.
    pub high: u64,
    /// It was about to have more than `memory.max`.
    pub max: u64,
    /// There was nothing left to take away.
    pub oom: u64,
    /// A process was killed.
    pub oom_kill: u64,
    /// All processes of a cgroup were killed together (Linux 5.17).
    pub oom_group_kill: Option<u64>,
}

/// `pids.events`: how often a fork was refused, in it and below (before Linux 6.11: in it, by any limit).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PidsEvents {
    /// Refused forks.
    pub max: u64,
}

/// What the content of an events file is read as.
pub trait EventFile: Sized + sealed::Parse {}

mod sealed {
    /// Keeps [`super::EventFile`] to the types of this crate.
    pub trait Parse: Sized {
        fn parse_file(text: &str) -> crate::Result<Self>;
    }
}

impl Events {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let populated = keyed("cgroup.events", text, "populated")?
            .ok_or_else(|| Error::new(ErrorKind::Invalid, "cgroup.events has no field `populated`"))?;
        let frozen = keyed("cgroup.events", text, "frozen")?;
        Ok(Self { populated: populated != 0, frozen: frozen.map(|frozen| frozen != 0) })
    }
}

impl MemoryEvents {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let event = |key| keyed("memory.events", text, key);
        let count = |key| event(key).map(Option::unwrap_or_default);
        Ok(Self {
            low: count("low")?,
            high: count("high")?,
            max: count("max")?,
            oom: count("oom")?,
            oom_kill: count("oom_kill")?,
            oom_group_kill: event("oom_group_kill")?,
        })
    }
}

impl PidsEvents {
    fn parse(text: &str) -> Result<Self> {
        Ok(Self { max: keyed("pids.events", text, "max")?.unwrap_or(0) })
    }
}

macro_rules! event_files {
    ($($type:ty),*) => {$(
        impl sealed::Parse for $type {
            fn parse_file(text: &str) -> Result<Self> {
                Self::parse(text)
            }
        }
        impl EventFile for $type {}
    )*};
}
event_files!(Events, MemoryEvents, PidsEvents);

/// An events file that is waited for.
///
/// Its descriptor can be given to an event loop, which is to wait for `POLLPRI` (`EPOLLPRI`), edge-triggered
/// or with [`Watch::now`] after each event.
#[derive(Debug)]
pub struct Watch<E> {
    file: File,
    path: PathBuf,
    event: PhantomData<fn() -> E>,
}

impl<E: EventFile> Watch<E> {
    fn new(cgroup: &Cgroup, name: &str) -> Result<Self> {
        let file = cgroup.files().reader(name)?;
        let mut watch = Self { file, path: cgroup.path().join(name), event: PhantomData };
        // What happened before does not count.
        watch.now()?;
        Ok(watch)
    }

    /// Reads the file now; what has happened until then ends no later wait.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a cgroup that is gone.
    pub fn now(&mut self) -> Result<E> {
        let text = again(&self.path, &mut self.file)?;
        E::parse_file(&text)
    }

    /// Waits until the file changes, and reads it; `None` after `timeout`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the cgroup is removed meanwhile.
    pub fn wait(&mut self, timeout: Duration) -> Result<Option<E>> {
        match poll::changed(self.file.as_fd(), timeout) {
            Ok(true) => self.now().map(Some),
            Ok(false) => Ok(None),
            Err(number) => {
                let what = format!("wait for a change of {}", self.path.display());
                Err(Error::system(what, number))
            }
        }
    }
}

impl<E> AsFd for Watch<E> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Cgroup {
    /// Waits for the last process to end, the first to come, and for being frozen (`cgroup.events`).
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for the root or a cgroup that is gone.
    pub fn watch(&self) -> Result<Watch<Events>> {
        Watch::new(self, "cgroup.events")
    }

    /// Waits for limits of memory to be hit, in it and below (`memory.events`).
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] without the controller.
    pub fn watch_memory(&self) -> Result<Watch<MemoryEvents>> {
        Watch::new(self, "memory.events")
    }

    /// Waits for its own limits of memory to be hit, not those of cgroups below (`memory.events.local`).
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] without the controller.
    pub fn watch_memory_local(&self) -> Result<Watch<MemoryEvents>> {
        Watch::new(self, "memory.events.local")
    }

    /// Waits for forks to be refused (`pids.events`).
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] without the controller.
    pub fn watch_pids(&self) -> Result<Watch<PidsEvents>> {
        Watch::new(self, "pids.events")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn events_are_read() {
        let events = Events::parse("populated 1\nfrozen 0\n").unwrap();
        assert_eq!(events, Events { populated: true, frozen: Some(false) });
        assert_eq!(Events::parse("populated 0\n").unwrap().frozen, None);
        for text in ["", "frozen 1\n", "populated x\n"] {
            assert_eq!(Events::parse(text).unwrap_err().kind(), ErrorKind::Invalid);
        }
        let memory =
            MemoryEvents::parse("low 1\nhigh 2\nmax 3\noom 4\noom_kill 5\noom_group_kill 6\n").unwrap();
        let expected = MemoryEvents { low: 1, high: 2, max: 3, oom: 4, oom_kill: 5, oom_group_kill: Some(6) };
        assert_eq!(memory, expected);
        assert_eq!(PidsEvents::parse("max 7\n").unwrap().max, 7);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "((max|oom|populated)? ?[0-9x]{0,22}\n?){0,4}") {
            let _ = (Events::parse(&text), MemoryEvents::parse(&text), PidsEvents::parse(&text));
        }
    }
}
