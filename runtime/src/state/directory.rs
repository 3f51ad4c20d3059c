//! The directory of one container.

use std::ffi::{CStr, CString};
use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

use cofferdam_sys::open::{Dir, Open, Resolve, exchange, openat2, renameat, rmdirat, unlinkat};
use cofferdam_sys::{Errno, errno, file, socket};

use super::root::{missing, name};
use super::{Record, StateRoot};
use crate::{ContainerId, Error, ErrorKind, Result};

const STATE: &CStr = c"state.json";
const STATE_NEW: &CStr = c"state.json.new";
const CONFIG: &CStr = c"config.json";
const START: &CStr = c"start";

/// The longest file that is read.
const LARGEST: u64 = 32 << 20;

/// A container's directory, to be read without a lock.
#[derive(Debug)]
pub(crate) struct Directory<'root> {
    root: &'root StateRoot,
    id: ContainerId,
    fd: Arc<File>,
}

impl<'root> Directory<'root> {
    pub(super) fn new(root: &'root StateRoot, id: &ContainerId, fd: OwnedFd) -> Self {
        Self { root, id: id.clone(), fd: Arc::new(fd.into()) }
    }

    pub(crate) fn id(&self) -> &ContainerId {
        &self.id
    }

    /// The error for a container that is not there.
    pub(crate) fn missing(&self) -> Error {
        missing(&self.id)
    }

    /// Waits until no other command changes this container.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it was deleted meanwhile.
    pub(crate) fn lock(self) -> Result<Locked<'root>> {
        self.fd.lock().map_err(|error| self.fail("lock", &error))?;
        // Who waited for the lock may hold the lock of a directory that is gone.
        let named = self.root.container(&self.id)?;
        if self.is(&named)? { Ok(Locked { directory: self }) } else { named.lock() }
    }

    /// The same for one that was locked before; `None` when it was deleted meanwhile, whatever has its id now.
    pub(crate) fn lock_again(self) -> Result<Option<Locked<'root>>> {
        self.fd.lock().map_err(|error| self.fail("lock", &error))?;
        match self.root.container(&self.id) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            named => Ok(self.is(&named?)?.then_some(Locked { directory: self })),
        }
    }

    /// Locks it where no other command holds it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it was deleted meanwhile.
    pub(super) fn try_lock(self) -> Result<Option<Locked<'root>>> {
        match self.fd.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(self.fail("lock", &error)),
        }
        let named = self.root.container(&self.id)?;
        if self.is(&named)? { Ok(Some(Locked { directory: self })) } else { named.try_lock() }
    }

    /// Whether both are one directory. While it is open, no other gets its number.
    fn is(&self, other: &Self) -> Result<bool> {
        let stat = |fd: &File| {
            file::fstat(fd.as_fd()).map_err(|number| self.fail("identify", &errno::describe(number)))
        };
        let (own, named) = (stat(&self.fd)?, stat(&other.fd)?);
        Ok((own.dev, own.ino) == (named.dev, named.ino))
    }

    /// Whether some command is changing it right now.
    pub(crate) fn is_locked(&self) -> bool {
        // A lock of its own: descriptors that were opened apart do not share one.
        let Ok(other) = self.root.container(&self.id) else { return false };
        matches!(other.fd.try_lock(), Err(TryLockError::WouldBlock))
    }

    /// What is kept of it; `None` where nothing was written yet.
    pub(crate) fn record(&self) -> Result<Option<Record>> {
        match self.read(STATE)? {
            Some(text) => Record::parse(self.id.as_str(), &text).map(Some),
            None => Ok(None),
        }
    }

    /// The config as it was at the creation.
    pub(crate) fn config(&self) -> Result<Vec<u8>> {
        let missing = || self.fail("read config.json", &errno::describe(Errno::ENOENT));
        self.read(CONFIG)?.ok_or_else(missing)
    }

    /// Whether a process waits at the socket to be started; asking does not start it.
    pub(crate) fn waits(&self) -> bool {
        self.connect().is_ok()
    }

    /// Connects to the process that waits to be started.
    pub(crate) fn connect(&self) -> std::io::Result<UnixStream> {
        UnixStream::connect(self.socket())
    }

    /// A path that fits into an address, however long the directory's own is.
    fn socket(&self) -> PathBuf {
        format!("/proc/self/fd/{}/{}", self.fd.as_raw_fd(), "start").into()
    }

    fn read(&self, name: &CStr) -> Result<Option<Vec<u8>>> {
        let step = || format!("read {}", name.to_string_lossy());
        let resolve = Resolve::BENEATH | Resolve::NO_SYMLINKS;
        let file = match openat2(Dir::Fd(self.fd.as_fd()), name, Open::empty(), 0, resolve) {
            Ok(file) => File::from(file),
            Err(Errno::ENOENT) => return Ok(None),
            Err(number) => return Err(self.fail(&step(), &errno::describe(number))),
        };
        let mut text = Vec::with_capacity(4096);
        file.take(LARGEST).read_to_end(&mut text).map_err(|error| self.fail(&step(), &error))?;
        Ok(Some(text))
    }

    fn fail(&self, step: &str, why: &dyn std::fmt::Display) -> Error {
        let path = self.root.path().join(self.id.as_str());
        Error::new(ErrorKind::State, format!("container {}: {step} in {}: {why}", self.id, path.display()))
    }
}

/// A container's directory that nobody else changes for now.
#[derive(Debug)]
pub(crate) struct Locked<'root> {
    directory: Directory<'root>,
}

impl<'root> std::ops::Deref for Locked<'root> {
    type Target = Directory<'root>;

    fn deref(&self) -> &Directory<'root> {
        &self.directory
    }
}

impl<'root> Locked<'root> {
    /// Lets others change the container again.
    pub(crate) fn unlock(self) -> Result<Directory<'root>> {
        self.fd.unlock().map_err(|error| self.fail("unlock", &error))?;
        Ok(self.directory)
    }

    /// Replaces the record.
    pub(crate) fn save(&self, record: &Record) -> Result<()> {
        self.write(STATE_NEW, &record.text()?)?;
        let dir = Dir::Fd(self.fd.as_fd());
        // Of two that trade places, ext4 does not write the new one to the disk at once, as it does for one that
        // replaces another.
        if record.init.is_some() && exchange(dir, STATE_NEW, STATE).is_ok() {
            return self.unlink(STATE_NEW);
        }
        renameat(dir, STATE_NEW, dir, STATE)
            .map_err(|number| self.fail("replace state.json", &errno::describe(number)))
    }

    /// Keeps the config. Written once, before there is a process in the record.
    pub(crate) fn save_config(&self, text: &[u8]) -> Result<()> {
        self.write(CONFIG, text)
    }

    /// The socket that a created container waits at. The container calls `listen(2)` itself, so that it is
    /// the peer which who connects sees.
    pub(crate) fn listener(&self) -> Result<OwnedFd> {
        let path = CString::new(self.socket().into_os_string().into_encoded_bytes());
        path.map_err(|_| Errno::EINVAL)
            .and_then(|path| socket::bound(&path))
            .map_err(|number| self.fail("make the socket `start`", &errno::describe(number)))
    }

    /// Removes the socket, once the container has been started.
    pub(crate) fn remove_listener(&self) -> Result<()> {
        self.unlink(START)
    }

    /// What holds the lock. A child that keeps a copy of it holds the lock too, also when its maker was killed.
    pub(crate) fn holder(&self) -> Arc<File> {
        Arc::clone(&self.fd)
    }

    /// Removes all that is kept.
    pub(crate) fn remove(self) -> Result<()> {
        // What tells who it is goes last: a removal that is cut off can be taken up again.
        for name in [START, CONFIG, STATE_NEW, STATE] {
            self.unlink(name)?;
        }
        let parent = Dir::Fd(self.root.fd().as_fd());
        match rmdirat(parent, &name(&self.id)?) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(number) => Err(self.fail("remove the directory", &errno::describe(number))),
        }
    }

    fn unlink(&self, name: &CStr) -> Result<()> {
        match unlinkat(Dir::Fd(self.fd.as_fd()), name) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(number) => {
                let step = format!("remove {}", name.to_string_lossy());
                Err(self.fail(&step, &errno::describe(number)))
            }
        }
    }

    fn write(&self, name: &CStr, text: &[u8]) -> Result<()> {
        let step = || format!("write {}", name.to_string_lossy());
        let flags = Open::WRONLY | Open::CREAT | Open::TRUNC;
        let resolve = Resolve::BENEATH | Resolve::NO_SYMLINKS;
        let file = openat2(Dir::Fd(self.fd.as_fd()), name, flags, 0o600, resolve)
            .map_err(|number| self.fail(&step(), &errno::describe(number)))?;
        File::from(file).write_all(text).map_err(|error| self.fail(&step(), &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ContainerId {
        text.parse().unwrap()
    }

    #[test]
    fn an_id_is_given_once() {
        let dir = tempfile::tempdir().unwrap();
        let root = StateRoot::open(&dir.path().join("a/b")).unwrap();
        let first = root.create(&id("box")).unwrap();
        assert_eq!(root.create(&id("box")).unwrap_err().kind(), ErrorKind::Exists);
        assert_eq!(root.ids().unwrap(), [id("box")]);
        first.remove().unwrap();
        assert_eq!(root.container(&id("box")).unwrap_err().kind(), ErrorKind::NotFound);
        assert!(root.ids().unwrap().is_empty());
    }

    #[test]
    fn a_lock_keeps_others_out_and_does_not_outlive_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let root = StateRoot::open(dir.path()).unwrap();
        let first = root.create(&id("box")).unwrap();
        assert!(root.container(&id("box")).unwrap().is_locked());
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| root.container(&id("box")).unwrap().lock().map(drop));
            std::thread::sleep(std::time::Duration::from_millis(50));
            assert!(!waits.is_finished());
            first.remove().unwrap();
            assert_eq!(waits.join().unwrap().unwrap_err().kind(), ErrorKind::NotFound);
        });
    }

    #[test]
    fn the_last_record_is_the_one_that_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let root = StateRoot::open(dir.path()).unwrap();
        let directory = root.create(&id("box")).unwrap();
        for owner in 0..4 {
            let record = Record { owner, ..super::super::record::tests::record() };
            directory.save(&record).unwrap();
            assert_eq!(directory.record().unwrap(), Some(record));
        }
        directory.remove().unwrap();
        assert!(root.ids().unwrap().is_empty());
    }

    #[test]
    fn what_was_deleted_meanwhile_is_not_locked_again() {
        let dir = tempfile::tempdir().unwrap();
        let root = StateRoot::open(dir.path()).unwrap();
        let first = root.create(&id("box")).unwrap().unlock().unwrap();
        assert!(!root.container(&id("box")).unwrap().is_locked());
        let first = first.lock_again().unwrap().unwrap();
        assert!(root.container(&id("box")).unwrap().is_locked());
        let first = first.unlock().unwrap();
        root.container(&id("box")).unwrap().lock().unwrap().remove().unwrap();
        let second = root.create(&id("box")).unwrap();
        assert!(first.lock_again().unwrap().is_none());
        let third = second.unlock().unwrap();
        root.container(&id("box")).unwrap().lock().unwrap().remove().unwrap();
        assert!(third.lock_again().unwrap().is_none());
    }

    #[test]
    fn links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let root = StateRoot::open(dir.path()).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), dir.path().join("box")).unwrap();
        assert_eq!(root.container(&id("box")).unwrap_err().kind(), ErrorKind::State);
        assert_eq!(root.create(&id("box")).unwrap_err().kind(), ErrorKind::Exists);
    }

    #[test]
    fn a_long_path_has_a_socket_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let root = StateRoot::open(&dir.path().join("x".repeat(200)).join("y".repeat(200))).unwrap();
        let directory = root.create(&id("box")).unwrap();
        assert!(!directory.waits());
        let listener = directory.listener().unwrap();
        assert!(!directory.waits());
        socket::listen(listener.as_fd(), 1).unwrap();
        assert!(directory.waits());
        drop(listener);
        assert!(!directory.waits());
        directory.remove().unwrap();
    }
}
