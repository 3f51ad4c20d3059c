//! Shares of caches and memory bandwidth: `resctrl` (the kernel's filesystems/resctrl.rst), which is no control
//! group and works like one.
//!
//! No machine with such a processor was at hand: the formats and the order of what is done are tested against
//! directories that look like it.

mod schemata;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use cofferdam_sys::{Errno, errno, mountinfo};

use crate::{Error, ErrorKind, Result};
pub use schemata::Schemata;

/// The file system with the groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resctrl {
    root: PathBuf,
}

/// The group of a container's processes: a class of service, and perhaps a group below it that only measures.
///
/// Its directories are named by paths, which are kept and used again by another process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RdtGroup {
    /// The directory of the class.
    pub class: PathBuf,
    /// Whether it was not there before.
    pub made: bool,
    /// The directory that measures.
    pub monitor: Option<PathBuf>,
}

impl Resctrl {
    /// Looks for a mounted one.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when there is none; [`ErrorKind::System`] when mounts cannot be listed.
    pub fn find() -> Result<Self> {
        const PATH: &str = "/proc/self/mountinfo";
        let text =
            fs::read(PATH).map_err(|error| Error::system(format!("read {PATH}"), errno::from_io(&error)))?;
        Self::of_mountinfo(&text).ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "no resctrl file system is mounted").with_hint(
                "`mount -t resctrl resctrl /sys/fs/resctrl` on a processor with Intel RDT or AMD QoS and a kernel \
                 with CONFIG_X86_CPU_RESCTRL",
            )
        })
    }

    /// The one that is mounted on a directory.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn of_mountinfo(text: &[u8]) -> Option<Self> {
        use std::os::unix::ffi::OsStringExt as _;
        let lines = text.split(|byte| *byte == b'\n').filter_map(|line| mountinfo::Line::parse(line).ok());
        let found = lines.rev().find(|line| line.fstype == b"resctrl")?;
        let root: Vec<u8> = mountinfo::unescape(found.mount_point).collect();
        Some(Self { root: PathBuf::from(std::ffi::OsString::from_vec(root)) })
    }

    /// The group of this class, and of this name below it where its use is to be measured. Nothing is made yet.
    ///
    /// The class `/` is that of everything that has no other.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a name that is no single component of a path or one of resctrl's own.
    pub fn group(&self, class: &str, monitor: Option<&str>) -> Result<RdtGroup> {
        let directory = if class == "/" { self.root.clone() } else { self.root.join(component(class)?) };
        let monitor =
            monitor.map(|name| Ok(directory.join("mon_groups").join(component(name)?))).transpose()?;
        Ok(RdtGroup { made: !directory.is_dir(), class: directory, monitor })
    }

    /// Whether events of this name can be measured (`info/L3_MON/mon_features`), such as `llc_occupancy`.
    pub fn measures(&self, event: &str) -> bool {
        let text = fs::read_to_string(self.root.join("info/L3_MON/mon_features")).unwrap_or_default();
        text.lines().any(|line| line.trim() == event)
    }
}

/// A name that stays where it is put.
fn component(name: &str) -> Result<&str> {
    const OWN: [&str; 3] = ["info", "mon_groups", "mon_data"];
    let plain = !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0', '\n']);
    if plain && name.len() < 256 && !OWN.contains(&name) {
        return Ok(name);
    }
    Err(Error::new(ErrorKind::Invalid, format!("`{}` is no name of a resctrl group", name.escape_default())))
}

impl RdtGroup {
    /// Makes what is missing, and sets the shares. What is made is unmade when that fails.
    ///
    /// # Errors
    /// [`ErrorKind::System`] with the file and the kernel's answer, and what `info/last_cmd_status` says of it.
    pub fn create(&self, lines: &[Schemata]) -> Result<()> {
        if self.made {
            make(&self.class)?;
        }
        let set = lines.iter().try_for_each(|line| self.set(line));
        let measured = set.and_then(|()| self.monitor.as_deref().map_or(Ok(()), make));
        measured.map_err(|error| match self.remove() {
            Ok(()) => error,
            Err(cleanup) => error.with_cleanup(&cleanup),
        })
    }

    fn set(&self, schemata: &Schemata) -> Result<()> {
        write(&self.class.join("schemata"), &schemata.to_string())
    }

    /// The shares as they are.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such class; [`ErrorKind::System`].
    pub fn schemata(&self) -> Result<Schemata> {
        let path = self.class.join("schemata");
        let text = fs::read_to_string(&path)
            .map_err(|error| Error::system(format!("read {}", path.display()), errno::from_io(&error)))?;
        Schemata::parse(&text)
    }

    /// Moves a process with one thread into it. Its children begin there.
    ///
    /// # Errors
    /// [`ErrorKind::System`].
    pub fn add(&self, pid: i32) -> Result<()> {
        // The class first: a group that measures takes only processes of its class.
        let directories = std::iter::once(&self.class).chain(&self.monitor);
        directories.into_iter().try_for_each(|directory| write(&directory.join("tasks"), &pid.to_string()))
    }

    /// Removes what was made. A class that others are in by now stays, as they would lose their shares.
    ///
    /// # Errors
    /// [`ErrorKind::System`].
    pub fn remove(&self) -> Result<()> {
        if let Some(monitor) = &self.monitor {
            unmake(monitor)?;
        }
        let used = fs::read_to_string(self.class.join("tasks")).is_ok_and(|tasks| !tasks.trim().is_empty());
        if self.made && !used { unmake(&self.class) } else { Ok(()) }
    }
}

fn make(directory: &Path) -> Result<()> {
    let fail = |number| {
        let error = Error::system(format!("make the resctrl group {}", directory.display()), number);
        // The processor has a fixed number of classes and of groups that measure.
        if number == Errno::ENOSPC {
            error.with_hint("all groups of the processor are in use: remove one")
        } else {
            error
        }
    };
    fs::create_dir(directory).map_err(|error| fail(errno::from_io(&error)))
}

fn unmake(directory: &Path) -> Result<()> {
    match fs::remove_dir(directory).map_err(|error| errno::from_io(&error)) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(number) => {
            Err(Error::system(format!("remove the resctrl group {}", directory.display()), number))
        }
    }
}

/// One write with a line break at its end, as resctrl wants it. Files are there or the kernel lacks them.
fn write(path: &Path, text: &str) -> Result<()> {
    let whole = format!("{}\n", text.trim_end());
    let written = fs::File::options()
        .write(true)
        .truncate(true)
        .open(path)
        .and_then(|mut file| file.write_all(whole.as_bytes()));
    written.map_err(|error| {
        let why = status(path).map(|why| format!(" ({why})")).unwrap_or_default();
        let what = format!("write `{}` to {}{why}", text.trim_end().escape_default(), path.display());
        Error::system(what, errno::from_io(&error))
    })
}

/// What resctrl says of the last thing that failed.
fn status(path: &Path) -> Option<String> {
    let file = path
        .ancestors()
        .map(|directory| directory.join("info/last_cmd_status"))
        .find(|file| file.is_file())?;
    let text = fs::read_to_string(file).ok()?;
    Some(text.trim().to_owned()).filter(|why| !why.is_empty() && why != "ok")
}

#[cfg(test)]
mod tests;
