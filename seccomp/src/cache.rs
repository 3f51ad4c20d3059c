//! Compiled filters in a directory, so that a start compiles nothing.
//!
//! Whoever can write to the cache decides what a container may do. So a file is believed only if the directory
//! and the file belong to the caller and nobody else may write to them, it is no link, and it holds, beside the
//! program, the very profile that is asked for: the hash in its name is only where to look, and two profiles with
//! the same hash do not get each other's filter. Anything else is left unread and replaced.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use cofferdam_sys::Errno;
use cofferdam_sys::seccomp::{Instruction, MAX_INSTRUCTIONS};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, openat, renameat, unlinkat};

use crate::{Error, ErrorKind, Filter, Kernel, Profile, encode};

/// A directory with compiled filters.
#[derive(Debug)]
pub struct Cache {
    dir: OwnedFd,
}

/// Where a filter came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// From the cache.
    Cached,
    /// It was compiled, and is in the cache now.
    Compiled,
    /// It was compiled, and could not be stored: the filter is as good, the next start no quicker.
    NotStored(Error),
}

const MAGIC: &[u8; 8] = b"CDSECC\x01\n";
const HEADER: usize = 32;
/// More than any profile and program come to.
const LARGEST: usize = 4 << 20;

impl Cache {
    /// Opens a directory that exists; its last component is not followed when it is a link.
    ///
    /// # Errors
    /// [`ErrorKind::Cache`] unless it belongs to the caller and nobody else may write to it, [`ErrorKind::Os`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|errno| os(errno, format!("open the filter cache {}", path.display())))?;
        Self::at(dir)
    }

    /// The same with a directory that is open already.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn at(dir: OwnedFd) -> Result<Self, Error> {
        let stat = fstat(&dir).map_err(|errno| os(errno, "look at the filter cache"))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Err(Error::new(ErrorKind::Cache, "the filter cache is no directory"));
        }
        ours(&stat, "the filter cache")?;
        Ok(Self { dir })
    }

    /// The filter of a profile, checked against what the kernel has: from the cache, or compiled and stored.
    ///
    /// # Errors
    /// As [`Filter::compile`] and [`Filter::check`]. Trouble with the cache is none: see [`Origin::NotStored`].
    pub fn filter(&self, profile: &Profile, kernel: &Kernel) -> Result<(Filter, Origin), Error> {
        let key = encode::key(profile, kernel);
        let name = format!("{:016x}.bpf", hash(&key));
        if let Ok(program) = self.load(&name, &key) {
            return Ok((Filter::from_parts(profile, program.into()), Origin::Cached));
        }
        let filter = Filter::compile(profile)?;
        filter.check(kernel)?;
        let origin = match self.store(&name, &key, filter.program()) {
            Ok(()) => Origin::Compiled,
            Err(error) => Origin::NotStored(error),
        };
        Ok((filter, origin))
    }

    fn load(&self, name: &str, key: &[u8]) -> Result<Vec<Instruction>, Error> {
        // Not to wait when it is a FIFO.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let what = || format!("read {name} in the filter cache");
        let file = openat(&self.dir, name, flags, Mode::empty()).map_err(|errno| os(errno, what()))?;
        let stat = fstat(&file).map_err(|errno| os(errno, what()))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Error::new(ErrorKind::Cache, format!("{name} in the filter cache is no file")));
        }
        ours(&stat, name)?;
        let bytes = read(file.as_fd()).map_err(|errno| os(errno, what()))?;
        unpack(&bytes, key).ok_or_else(|| {
            Error::new(
                ErrorKind::Cache,
                format!("{name} in the filter cache is damaged or of another profile"),
            )
        })
    }

    /// Written beside its place and renamed, so that nobody ever sees half of it.
    fn store(&self, name: &str, key: &[u8], program: &[Instruction]) -> Result<(), Error> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let unique = NEXT.fetch_add(1, Ordering::Relaxed);
        let scratch = format!(".{name}.{}.{unique}", std::process::id());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let what = || format!("write {name} in the filter cache");
        let file =
            openat(&self.dir, &scratch, flags, Mode::RUSR | Mode::WUSR).map_err(|errno| os(errno, what()))?;
        let stored = write(file.as_fd(), &pack(key, program))
            .and_then(|()| renameat(&self.dir, &scratch, &self.dir, name));
        stored.map_err(|errno| {
            // The error that counts is the first one; what is left is a small file with a name of its own.
            let _ = unlinkat(&self.dir, &scratch, AtFlags::empty());
            os(errno, what())
        })
    }
}

fn ours(stat: &rustix::fs::Stat, what: &str) -> Result<(), Error> {
    let me = rustix::process::geteuid().as_raw();
    if stat.st_uid != me {
        let text = format!("{what} belongs to user {}, not to {me}", stat.st_uid);
        return Err(Error::new(ErrorKind::Cache, text));
    }
    if stat.st_mode & 0o022 != 0 {
        let text = format!("{what} may be written by others (mode {:o})", stat.st_mode & 0o7777);
        return Err(Error::new(ErrorKind::Cache, text));
    }
    Ok(())
}

/// FNV-1a: spreads and finds damage, and need not withstand anybody.
fn hash(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// Magic, lengths of key and program in bytes, the hash of both; then both.
fn pack(key: &[u8], program: &[Instruction]) -> Vec<u8> {
    let mut body = key.to_vec();
    for instruction in program {
        body.extend(instruction.code.to_le_bytes());
        body.extend([instruction.jump_true, instruction.jump_false]);
        body.extend(instruction.operand.to_le_bytes());
    }
    let length = |length: usize| u64::try_from(length).unwrap_or(u64::MAX).to_le_bytes();
    let mut bytes = MAGIC.to_vec();
    bytes.extend(length(key.len()));
    bytes.extend(length(body.len().saturating_sub(key.len())));
    bytes.extend(hash(&body).to_le_bytes());
    bytes.extend(body);
    bytes
}

/// The program, if everything about the file is right and it is for that key.
fn unpack(bytes: &[u8], key: &[u8]) -> Option<Vec<Instruction>> {
    let (header, body) = bytes.split_at_checked(HEADER)?;
    let (magic, numbers) = header.split_at_checked(MAGIC.len())?;
    let mut numbers = numbers.chunks_exact(8).map(|number| number.try_into().map(u64::from_le_bytes));
    let mut number = || numbers.next()?.ok();
    let (key_length, length, checksum) = (number()?, number()?, number()?);
    let (found, program) = body.split_at_checked(usize::try_from(key_length).ok()?)?;
    let instructions = program.len() / 8;
    let right = magic == MAGIC
        && u64::try_from(program.len()).ok() == Some(length)
        && program.len().is_multiple_of(8)
        && (1..=MAX_INSTRUCTIONS).contains(&instructions)
        && hash(body) == checksum
        && found == key;
    right.then(|| program.chunks_exact(8).filter_map(instruction).collect())
}

fn instruction(bytes: &[u8]) -> Option<Instruction> {
    match *bytes {
        [c0, c1, jump_true, jump_false, k0, k1, k2, k3] => Some(Instruction {
            code: u16::from_le_bytes([c0, c1]),
            jump_true,
            jump_false,
            operand: u32::from_le_bytes([k0, k1, k2, k3]),
        }),
        _ => None,
    }
}

fn read(file: BorrowedFd<'_>) -> rustix::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut part = [0u8; 16 << 10];
    loop {
        match rustix::io::read(file, &mut part) {
            Ok(0) => return Ok(bytes),
            Ok(count) => bytes.extend(part.iter().take(count)),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        if bytes.len() > LARGEST {
            return Err(rustix::io::Errno::FBIG);
        }
    }
}

fn write(file: BorrowedFd<'_>, mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(file, bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn os(errno: rustix::io::Errno, what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Os(Errno::from_raw(errno.raw_os_error())), what)
}

#[cfg(test)]
mod tests;
