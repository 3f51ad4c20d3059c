//! A range of host ids for each container, which no other container has.
//!
//! ```text
//! DIR/lock        held (flock(2)) while somebody looks for a range
//! DIR/lease-N     one a lease: its ranges, and the process that it was handed to
//! ```
//! A lease is alive while its maker holds its file locked, which the kernel ends with the maker, or while the
//! process that it was handed to lives. The next one who looks takes away what is dead. So a range comes back
//! whoever is killed, and at whatever moment.

mod holder;
mod record;

use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use cofferdam_sys::ids;

use crate::subid::{self, IdRange};
use crate::{Error, ErrorKind, IdMaps, Process};
use holder::Holder;
use record::Record;

/// The host ids that containers may get, and the directory where it is kept who has which.
///
/// All who take from the same ids must use the same directory, on a local file system; `/run/…` is right for root,
/// `$XDG_RUNTIME_DIR/…` for another user.
#[derive(Debug, Clone)]
pub struct Pool {
    dir: PathBuf,
    uid: Vec<IdRange>,
    gid: Vec<IdRange>,
}

/// A range of user ids and one of group ids that nobody else has while this is alive.
#[derive(Debug)]
pub struct Lease {
    path: PathBuf,
    file: File,
    record: Record,
    kept: bool,
}

impl Pool {
    /// A pool of these ids, kept in `dir`, which is made (mode 0700) when it is missing.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when there is no user or no group id; [`ErrorKind::Os`] when the directory cannot
    /// be made.
    pub fn new(dir: &Path, uid: Vec<IdRange>, gid: Vec<IdRange>) -> Result<Self, Error> {
        if uid.is_empty() || gid.is_empty() {
            return Err(Error::invalid("a pool of ids needs user and group ids").with_hint(
                "give the user a range in /etc/subuid and /etc/subgid (usermod --add-subuids --add-subgids)",
            ));
        }
        let mut builder = fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder
            .recursive(true)
            .create(dir)
            .map_err(|error| Error::io(&error, format!("make {}", dir.display())))?;
        Ok(Self { dir: dir.to_owned(), uid, gid })
    }

    /// The ids that `/etc/subuid` and `/etc/subgid` give to the calling user.
    ///
    /// # Errors
    /// As [`Pool::new`] and [`subid::of_user`].
    pub fn of_caller(dir: &Path) -> Result<Self, Error> {
        let uid = ids::effective_uid();
        let ranges = |file| subid::of_user(Path::new(file), uid);
        Self::new(dir, ranges("/etc/subuid")?, ranges("/etc/subgid")?)
    }

    /// Takes `count` user ids and `count` group ids.
    ///
    /// Waits for other processes that are looking for a range, which is short.
    ///
    /// # Errors
    /// [`ErrorKind::Exhausted`] when no gap is that large; [`ErrorKind::Invalid`] for 0 ids; [`ErrorKind::Os`] as
    /// the files of the directory answer.
    pub fn take(&self, count: u32) -> Result<Lease, Error> {
        if count == 0 {
            return Err(Error::invalid("a lease of 0 ids"));
        }
        let _alone = self.lock()?;
        let taken = self.living()?;
        let exhausted = |what: &str| {
            let held = taken.len();
            Error::new(
                ErrorKind::Exhausted,
                format!("no {count} {what} ids in a row are free, {held} leases are held"),
            )
            .with_hint("end a container, or give the user more ids in /etc/subuid and /etc/subgid")
        };
        let users = taken.iter().map(|record| record.uid);
        let groups = taken.iter().map(|record| record.gid);
        let uid = gap(&self.uid, users, count).ok_or_else(|| exhausted("user"))?;
        let gid = gap(&self.gid, groups, count).ok_or_else(|| exhausted("group"))?;
        self.record(Record { uid, gid, holder: None })
    }

    /// The ranges that are taken now.
    ///
    /// # Errors
    /// [`ErrorKind::Os`] as the files of the directory answer.
    pub fn taken(&self) -> Result<Vec<(IdRange, IdRange)>, Error> {
        let _alone = self.lock()?;
        Ok(self.living()?.into_iter().map(|record| (record.uid, record.gid)).collect())
    }

    fn lock(&self) -> Result<File, Error> {
        let path = self.dir.join("lock");
        let step = || format!("lock {}", path.display());
        let file =
            open_private(File::options().create(true), &path).map_err(|error| Error::io(&error, step()))?;
        file.lock().map_err(|error| Error::io(&error, step()))?;
        Ok(file)
    }

    /// The leases that are alive; the files of the others are removed. Only under the lock.
    fn living(&self) -> Result<Vec<Record>, Error> {
        let step = || format!("look through {}", self.dir.display());
        let mut living = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(|error| Error::io(&error, step()))? {
            let entry = entry.map_err(|error| Error::io(&error, step()))?;
            if !entry.file_name().to_string_lossy().starts_with("lease-") {
                continue;
            }
            match look_at(&entry.path())? {
                Some(record) => living.push(record),
                None => remove(&entry.path())?,
            }
        }
        Ok(living)
    }

    /// Under the lock, so that nobody sees the file before it is locked and whole. When we die in between, it is
    /// not locked, and nobody was handed it: dead.
    fn record(&self, record: Record) -> Result<Lease, Error> {
        let path = self.dir.join(format!("lease-{}", record.uid.first));
        let step = || format!("write {}", path.display());
        let mut file = open_private(File::options().create_new(true), &path)
            .map_err(|error| Error::io(&error, step()))?;
        let written = file.lock().and_then(|()| file.write_all(record.to_string().as_bytes()));
        if let Err(error) = written {
            let failed = Error::io(&error, step());
            return Err(match remove(&path) {
                Ok(()) => failed,
                Err(left) => Error::new(failed.kind(), format!("{} (and then: {left})", step())),
            });
        }
        Ok(Lease { path, file, record, kept: false })
    }
}

/// For reading and writing, for the owner only, without following a link that somebody put there.
fn open_private(options: &mut fs::OpenOptions, path: &Path) -> std::io::Result<File> {
    options.read(true).write(true).mode(0o600).open(path)
}

/// The record of a lease, `None` when it is dead.
fn look_at(path: &Path) -> Result<Option<Record>, Error> {
    let step = || format!("look at {}", path.display());
    let file = open_private(&mut File::options(), path).map_err(|error| Error::io(&error, step()))?;
    let text = std::io::read_to_string(&file).map_err(|error| Error::io(&error, step()))?;
    let record: Result<Record, Error> = text.parse();
    let held = match file.try_lock() {
        Ok(()) => false,
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(error)) => return Err(Error::io(&error, step())),
    };
    match record {
        Ok(record) if held || record.holder.as_ref().is_some_and(Holder::is_alive) => Ok(Some(record)),
        // A lock without a record cannot be: it is written before the directory's lock is given back.
        Err(error) if held => Err(Error::new(error.kind(), format!("{}: {error}", step()))),
        _ => Ok(None),
    }
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::io(&error, format!("remove {}", path.display()))),
    }
}

/// The first `count` ids in a row of `pool` that none of `taken` has.
fn gap(pool: &[IdRange], taken: impl Iterator<Item = IdRange>, count: u32) -> Option<IdRange> {
    let mut taken: Vec<IdRange> = taken.collect();
    taken.sort_unstable();
    pool.iter().find_map(|range| {
        let mut first = range.first;
        for other in taken.iter().filter(|other| other.overlaps(*range)) {
            if other.first.saturating_sub(first) >= count {
                break;
            }
            first = first.max(other.end());
        }
        IdRange::new(first, count).filter(|found| found.end() <= range.end())
    })
}

impl Lease {
    /// The user ids.
    pub fn uid(&self) -> IdRange {
        self.record.uid
    }

    /// The group ids.
    pub fn gid(&self) -> IdRange {
        self.record.gid
    }

    /// The maps of a user namespace that has these ids from 0 on.
    pub fn maps(&self) -> IdMaps {
        IdMaps { uid: vec![self.record.uid.map()], gid: vec![self.record.gid.map()] }
    }

    /// Hands the lease to a process: the ids stay taken until that one has ended, whatever becomes of the caller.
    ///
    /// # Errors
    /// [`ErrorKind::Os`] when the process has ended already or the file cannot be written; the lease is then as it
    /// was, and given back when it is dropped.
    pub fn keep_for(mut self, process: &Process) -> Result<(), Error> {
        let record = Record { holder: Some(Holder::of(process)?), ..self.record.clone() };
        let step = || format!("write {}", self.path.display());
        // Behind what is there, in one write: whoever reads meanwhile sees the lock, and a cut line is no record.
        let line = record.holder.as_ref().map_or_else(String::new, Holder::line);
        self.file.write_all(line.as_bytes()).map_err(|error| Error::io(&error, step()))?;
        self.kept = true;
        Ok(())
    }

    /// Gives the ids back.
    ///
    /// # Errors
    /// [`ErrorKind::Os`] when the file cannot be removed. The ids are free nevertheless: the lock is gone.
    pub fn give_back(mut self) -> Result<(), Error> {
        self.kept = true;
        remove(&self.path)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.kept {
            // A file that stays is dead without its lock, and the next one who looks removes it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests;
