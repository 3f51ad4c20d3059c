//! Taking memory away from a cgroup, and the peak of its use.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;

use cofferdam_sys::open::Open;
use cofferdam_sys::{Errno, file};

use crate::file::{again, number};
use crate::{Cgroup, Error, ErrorKind, Result};

/// The most memory that a cgroup has used since this was made or last reset (Linux 6.12).
///
/// Each has a peak of its own; that of the cgroup, [`crate::MemoryStats::peak`], is never reset.
#[derive(Debug)]
pub struct Peak {
    file: File,
    path: PathBuf,
}

impl Peak {
    /// The most since the last reset, in bytes.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a cgroup that is gone.
    pub fn bytes(&mut self) -> Result<u64> {
        number("memory.peak", &again(&self.path, &mut self.file)?)
    }

    /// Begins anew with what is in use now.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] before Linux 6.12.
    pub fn reset(&mut self) -> Result<()> {
        file::write_once(self.file.as_fd(), b"reset").map_err(|number| {
            let error = Error::system(format!("write `reset` to {}", self.path.display()), number);
            match number {
                Errno::EINVAL | Errno::EBADF => no_reset(error),
                _ => error,
            }
        })
    }
}

impl Cgroup {
    /// Begins a measurement of the most memory that is used from now on (Linux 6.12).
    ///
    /// # Errors
    /// [`ErrorKind::NoController`] without the controller or before Linux 5.19; [`ErrorKind::Unsupported`]
    /// before Linux 6.12.
    pub fn memory_peak(&self) -> Result<Peak> {
        const FILE: &str = "memory.peak";
        let opened = self.files().open_with(FILE, Open::RDWR).map_err(|error| match error.errno() {
            // The file could be read alone.
            Some(Errno::EACCES | Errno::EPERM | Errno::EINVAL) => no_reset(error),
            _ => crate::limits::explain(error, FILE),
        })?;
        let mut peak = Peak { file: opened, path: self.path().join(FILE) };
        peak.reset()?;
        Ok(peak)
    }

    /// Has the kernel take memory away from it and those below (`memory.reclaim`, Linux 5.19): the pages that
    /// were not used lately. Whether it found as many bytes.
    ///
    /// `swappiness`, 0 to 200, says how much anonymous memory is preferred to files (Linux 6.11).
    ///
    /// # Errors
    /// [`ErrorKind::NoController`] without the controller or before Linux 5.19; [`ErrorKind::Invalid`] for a
    /// swappiness that the kernel does not take, or knows not.
    pub fn reclaim(&self, bytes: u64, swappiness: Option<u8>) -> Result<bool> {
        const FILE: &str = "memory.reclaim";
        let line = match swappiness {
            Some(swappiness) => format!("{bytes} swappiness={swappiness}"),
            None => bytes.to_string(),
        };
        match self.files().write(FILE, &line) {
            Ok(()) => Ok(true),
            Err(error) if error.errno() == Some(Errno::EAGAIN) => Ok(false),
            Err(error) => Err(crate::limits::explain(error, FILE)),
        }
    }
}

fn no_reset(error: Error) -> Error {
    error.with_kind(ErrorKind::Unsupported).with_hint("a peak of one's own is there since Linux 6.12")
}
