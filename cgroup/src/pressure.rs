//! Pressure stall information (PSI): for how much of the time processes wait for a resource, and being woken
//! when that is too much.
//!
//! Linux 4.20 with `CONFIG_PSI`; some distributions switch it off unless the kernel is booted with `psi=1`.

use std::fmt;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cofferdam_sys::open::Open;
use cofferdam_sys::poll::{self, Priority};
use cofferdam_sys::{Errno, errno, file};

use crate::file::number;
use crate::{Cgroup, Error, ErrorKind, Result};

/// What processes can wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Resource {
    /// A processor.
    Cpu,
    /// Memory.
    Memory,
    /// A disk.
    Io,
    /// An interrupt that is being served (Linux 6.1, with `CONFIG_IRQ_TIME_ACCOUNTING`).
    Irq,
}

impl Resource {
    /// The word of the files: `memory` of `memory.pressure`.
    pub fn word(self) -> &'static str {
        match self {
            Resource::Cpu => "cpu",
            Resource::Memory => "memory",
            Resource::Io => "io",
            Resource::Irq => "irq",
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// How long processes have waited.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Stall {
    /// Percent of the last 10 seconds.
    pub avg10: f64,
    /// Percent of the last 60 seconds.
    pub avg60: f64,
    /// Percent of the last 300 seconds.
    pub avg300: f64,
    /// Microseconds since the start.
    pub total_us: u64,
}

/// One pressure file.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pressure {
    /// At least one process waited; `None` for interrupts.
    pub some: Option<Stall>,
    /// All that were not idle waited; `None` for processors before Linux 5.13.
    pub full: Option<Stall>,
}

/// When to wake: processes waited for `stall` within any `window`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threshold {
    /// Whether all processes must have waited, or one is enough.
    pub full: bool,
    /// The time that they waited in a window, in microseconds: more than 0, at most the window.
    pub stall_us: u64,
    /// The window, in microseconds: 500000 to 10000000. For a caller without `CAP_SYS_RESOURCE` (Linux 6.6)
    /// a multiple of 2000000.
    pub window_us: u64,
}

impl Threshold {
    /// The bounds of a window that the kernel takes, in microseconds.
    pub const WINDOW_US: std::ops::RangeInclusive<u64> = 500_000..=10_000_000;

    fn line(self) -> Result<String> {
        let Self { full, stall_us, window_us } = self;
        let fault = if !Self::WINDOW_US.contains(&window_us) {
            Some(format!("a window of {window_us} µs is not within 500000 and 10000000"))
        } else if stall_us == 0 || stall_us > window_us {
            Some(format!("a stall of {stall_us} µs is not within 1 and the window of {window_us}"))
        } else {
            None
        };
        match fault {
            Some(fault) => Err(Error::new(ErrorKind::Invalid, format!("pressure threshold: {fault}"))),
            None => Ok(format!("{} {stall_us} {window_us}", if full { "full" } else { "some" })),
        }
    }
}

/// A threshold that the kernel watches. Dropping it ends that.
///
/// Its descriptor can be given to an event loop, which is to wait for `POLLPRI` (`EPOLLPRI`).
#[derive(Debug)]
pub struct Trigger {
    file: File,
    path: PathBuf,
}

impl Trigger {
    /// Waits until the threshold is crossed; `false` after `timeout`. The kernel wakes once a window at most.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the cgroup is gone.
    pub fn wait(&self, timeout: Duration) -> Result<bool> {
        let what = || format!("wait for pressure in {}", self.path.display());
        match poll::priority(self.file.as_fd(), timeout).map_err(|number| Error::system(what(), number))? {
            Priority::Raised => Ok(true),
            Priority::TimedOut => Ok(false),
            Priority::Error => Err(Error::system(what(), Errno::ENODEV).with_hint("the cgroup is gone")),
        }
    }
}

impl AsFd for Trigger {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Cgroup {
    /// Reads how long its processes and those below have waited (`RESOURCE.pressure`).
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] on a kernel that does not measure it; [`ErrorKind::Invalid`] with a line
    /// that is not understood.
    pub fn pressure(&self, resource: Resource) -> Result<Pressure> {
        let file = format!("{resource}.pressure");
        let text = self.files().read(&file).map_err(|error| unmeasured(error, resource))?;
        parse(&file, &text)
    }

    /// Has the kernel watch a threshold.
    ///
    /// # Errors
    /// As [`Cgroup::pressure`]; [`ErrorKind::Invalid`] for a threshold beyond its bounds.
    pub fn pressure_trigger(&self, resource: Resource, threshold: Threshold) -> Result<Trigger> {
        let line = threshold.line()?;
        let file = format!("{resource}.pressure");
        let flags = Open::RDWR | Open::NONBLOCK;
        let fd = self.files().open_with(&file, flags).map_err(|error| unmeasured(error, resource))?;
        arm(fd, self.path().join(file), &line)
    }

    /// Whether waiting is measured for it (`cgroup.pressure`, Linux 6.1).
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] on a kernel without the file.
    pub fn pressure_enabled(&self) -> Result<bool> {
        let value = self.files().number_if_there("cgroup.pressure")?;
        value.map(|value| value != 0).ok_or_else(no_switch)
    }

    /// Switches measuring off for it alone, or on again (`cgroup.pressure`, Linux 6.1).
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] on a kernel without the file.
    pub fn enable_pressure(&self, on: bool) -> Result<()> {
        let value = if on { "1" } else { "0" };
        self.files().write("cgroup.pressure", value).map_err(|error| match error.errno() {
            Some(Errno::ENOENT) => no_switch(),
            _ => error,
        })
    }
}

/// How long all processes of the machine have waited (`/proc/pressure/RESOURCE`).
///
/// # Errors
/// As [`Cgroup::pressure`].
pub fn of_machine(resource: Resource) -> Result<Pressure> {
    let path = format!("/proc/pressure/{resource}");
    let text = std::fs::read_to_string(&path).map_err(|error| {
        unmeasured(Error::system(format!("read {path}"), errno::from_io(&error)), resource)
    })?;
    parse(&path, &text)
}

/// Has the kernel watch a threshold of the whole machine; before Linux 6.6 that needs `CAP_SYS_RESOURCE`.
///
/// # Errors
/// As [`Cgroup::pressure_trigger`].
pub fn trigger_of_machine(resource: Resource, threshold: Threshold) -> Result<Trigger> {
    let line = threshold.line()?;
    let path = PathBuf::from(format!("/proc/pressure/{resource}"));
    let opened = File::options().read(true).write(true).open(&path).map_err(|error| {
        let what = format!("open {}", path.display());
        unmeasured(Error::system(what, errno::from_io(&error)), resource)
    })?;
    arm(opened, path, &line)
}

fn arm(file: File, path: PathBuf, line: &str) -> Result<Trigger> {
    // The kernel takes the closing NUL as the end.
    let text = [line.as_bytes(), &[0]].concat();
    file::write_once(file.as_fd(), &text).map_err(|number| refused(&path, line, number))?;
    Ok(Trigger { file, path })
}

fn refused(path: &Path, line: &str, number: Errno) -> Error {
    let error = Error::system(format!("write `{line}` to {}", path.display()), number);
    match number {
        Errno::EOPNOTSUPP => not_measured(error),
        Errno::EINVAL => error.with_kind(ErrorKind::Invalid).with_hint(
            "without CAP_SYS_RESOURCE the window must be a multiple of 2 s, and `full` for processors is there \
             since Linux 5.13",
        ),
        Errno::EPERM => error.with_hint("triggers need CAP_SYS_RESOURCE before Linux 6.6"),
        _ => error,
    }
}

fn unmeasured(error: Error, resource: Resource) -> Error {
    match error.errno() {
        Some(Errno::ENOENT) if resource == Resource::Irq => error
            .with_kind(ErrorKind::Unsupported)
            .with_hint("it is there since Linux 6.1, with CONFIG_PSI and CONFIG_IRQ_TIME_ACCOUNTING"),
        Some(Errno::ENOENT | Errno::EOPNOTSUPP) => not_measured(error),
        _ => error,
    }
}

fn not_measured(error: Error) -> Error {
    error.with_kind(ErrorKind::Unsupported).with_hint(
        "the kernel needs CONFIG_PSI, and where that is off by default, psi=1 on its command line; before \
         Linux 6.1 a v1 layout has no pressure of cgroups",
    )
}

fn no_switch() -> Error {
    Error::new(ErrorKind::Unsupported, "cgroup.pressure is not there")
        .with_hint("it is there since Linux 6.1, with CONFIG_PSI")
}

fn parse(file: &str, text: &str) -> Result<Pressure> {
    let mut pressure = Pressure::default();
    for line in text.lines() {
        let stall = |rest: &str| stall(file, rest).map(Some);
        match line.split_once(' ') {
            Some(("some", rest)) => pressure.some = stall(rest)?,
            Some(("full", rest)) => pressure.full = stall(rest)?,
            _ => return Err(odd(file, line)),
        }
    }
    Ok(pressure)
}

fn stall(file: &str, text: &str) -> Result<Stall> {
    let mut stall = Stall::default();
    for word in text.split_ascii_whitespace() {
        let (key, value) = word.split_once('=').ok_or_else(|| odd(file, word))?;
        let percent =
            || value.parse::<f64>().ok().filter(|value| value.is_finite()).ok_or_else(|| odd(file, word));
        match key {
            "avg10" => stall.avg10 = percent()?,
            "avg60" => stall.avg60 = percent()?,
            "avg300" => stall.avg300 = percent()?,
            "total" => stall.total_us = number(&format!("{file}, total"), value)?,
            _ => {}
        }
    }
    Ok(stall)
}

fn odd(file: &str, text: &str) -> Error {
    let shown: String = text.chars().take(60).collect();
    Error::new(ErrorKind::Invalid, format!("{file}: `{}` is not understood", shown.escape_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pressure_is_read() {
        let text = "some avg10=0.12 avg60=3.45 avg300=0.00 total=678\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=9\n";
        let pressure = parse("f", text).unwrap();
        let some = Stall { avg10: 0.12, avg60: 3.45, avg300: 0.0, total_us: 678 };
        assert_eq!(pressure.some, Some(some));
        assert_eq!(pressure.full.unwrap().total_us, 9);
        assert_eq!(parse("f", "").unwrap(), Pressure::default());
        for text in
            ["half avg10=0\n", "some avg10\n", "some avg10=x\n", "some avg10=NaN\n", "some total=-1\n"]
        {
            assert_eq!(parse("f", text).unwrap_err().kind(), ErrorKind::Invalid, "{text:?}");
        }
    }

    #[test]
    fn thresholds_have_bounds() {
        let line = |full, stall_us, window_us| Threshold { full, stall_us, window_us }.line();
        assert_eq!(line(false, 150_000, 1_000_000).unwrap(), "some 150000 1000000");
        assert_eq!(line(true, 500_000, 500_000).unwrap(), "full 500000 500000");
        for (stall, window) in [(1, 499_999), (1, 10_000_001), (0, 500_000), (500_001, 500_000)] {
            assert_eq!(line(false, stall, window).unwrap_err().kind(), ErrorKind::Invalid);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "((some|full|x) ?(avg10|total)?=?[0-9.-]{0,22}\n?){0,3}") {
            let _ = parse("f", &text);
        }
    }
}
