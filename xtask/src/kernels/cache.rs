//! The cache that all checkouts share: nothing half-written is ever seen in it, and two runs can use it at once.

use anyhow::{Context as _, Result, bail};
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tempfile::TempDir;

use crate::fail;

/// The cache folder of the user.
#[derive(Clone, Debug)]
pub struct Cache {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    work: Mutex<Option<Work>>,
}

/// The folder of this process for what is being written; the lock on it tells other runs that it is in use.
#[derive(Debug)]
struct Work {
    dir: TempDir,
    _held: File,
}

/// An exclusive lock, released when dropped (and by the kernel when the process dies).
#[derive(Debug)]
#[must_use = "the lock is released at once when it is not kept"]
pub struct Lock {
    _held: File,
}

impl Cache {
    /// Opens `$COFFERDAM_CACHE`, `$XDG_CACHE_HOME/cofferdam` or `~/.cache/cofferdam`, and makes it if need be.
    ///
    /// # Errors
    ///
    /// When none of the variables is set, or the folder cannot be made or written.
    pub fn open() -> Result<Self> {
        let root = root_from(|name| std::env::var_os(name)).ok_or_else(|| {
            fail::lab("no cache folder: none of COFFERDAM_CACHE, XDG_CACHE_HOME and HOME is set; set COFFERDAM_CACHE to a folder that can be written")
        })?;
        Self::at(&root)
    }

    /// Opens the cache in a given folder.
    ///
    /// # Errors
    ///
    /// When the folder cannot be made or written.
    pub fn at(root: &Path) -> Result<Self> {
        let root = std::path::absolute(root).with_context(|| format!("cache folder {}", root.display()))?;
        for folder in ["locks", "tmp"] {
            let folder = root.join(folder);
            fs::create_dir_all(&folder).map_err(|error| unusable(&root, &error))?;
        }
        let cache = Self { inner: Arc::new(Inner { root, work: Mutex::new(None) }) };
        cache.sweep()?;
        Ok(cache)
    }

    /// The root folder.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// The path of an entry, given relative to the root.
    pub fn path(&self, entry: impl AsRef<Path>) -> PathBuf {
        self.inner.root.join(entry)
    }

    /// Takes the exclusive lock `name`, waiting for another run (or thread) that holds it.
    ///
    /// # Errors
    ///
    /// When the lock file cannot be made, or the file system has no locks.
    pub fn lock(&self, name: &str) -> Result<Lock> {
        let path = self.path("locks").join(format!("{name}.lock"));
        let options = || File::options().create(true).truncate(false).write(true).open(&path);
        let held = options().map_err(|error| unusable(self.root(), &error))?;
        match held.try_lock() {
            Ok(()) => return Ok(Lock { _held: held }),
            Err(TryLockError::WouldBlock) if name != "tmp" => {
                eprintln!("waiting for another run that is using the cache ({name})");
            }
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(unusable(self.root(), &error)),
        }
        held.lock().map_err(|error| unusable(self.root(), &error))?;
        Ok(Lock { _held: held })
    }

    /// Writes the file `entry`: it appears complete, under its name, only after `write` has succeeded.
    ///
    /// # Errors
    ///
    /// That of `write`, or of the file system; nothing is left behind then.
    pub fn put(
        &self,
        entry: impl AsRef<Path>,
        write: impl FnOnce(&mut File) -> Result<()>,
    ) -> Result<PathBuf> {
        let target = self.path(entry);
        let written = (|| {
            self.make_parent(&target)?;
            let mut file = tempfile::Builder::new().tempfile_in(self.work()?)?;
            write(file.as_file_mut())?;
            file.persist(&target)?;
            Ok(())
        })();
        written.map_err(|error| self.explain(error, &target))?;
        Ok(target)
    }

    /// Fills the folder `entry`: it appears under its name, in the place of an older one, only after `fill` has succeeded.
    ///
    /// # Errors
    ///
    /// That of `fill`, or of the file system; nothing is left behind then.
    pub fn put_dir(
        &self,
        entry: impl AsRef<Path>,
        fill: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let target = self.path(entry);
        let written = (|| {
            self.make_parent(&target)?;
            let holder = self.temp_dir()?;
            let (new, old) = (holder.path().join("new"), holder.path().join("old"));
            fs::create_dir(&new)?;
            fill(&new)?;
            if target.exists() {
                fs::rename(&target, &old)?;
            }
            fs::rename(&new, &target)?;
            Ok(())
        })();
        written.map_err(|error| self.explain(error, &target))?;
        Ok(target)
    }

    /// A folder on the cache's file system that is removed when dropped.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn temp_dir(&self) -> Result<TempDir> {
        let work = self.work()?;
        tempfile::Builder::new().tempdir_in(work).map_err(|error| unusable(self.root(), &error))
    }

    /// Removes what this process has not finished writing: for the way out on a signal.
    pub fn abandon(&self) {
        let work = self.inner.work.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(work);
    }

    /// Says what to do when `target` could not be written because the disk is full or read-only.
    pub fn explain(&self, error: anyhow::Error, target: &Path) -> anyhow::Error {
        let cause = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
        match cause.map(io::Error::kind) {
            Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => self.full(),
            Some(ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => match cause {
                Some(cause) => unusable(self.root(), cause),
                None => error,
            },
            Some(_) => error.context(format!("writing {}", target.display())),
            // Whoever was to write it failed: the name of the file would not help.
            None => error,
        }
    }

    /// The error for a disk that is full.
    pub fn full(&self) -> anyhow::Error {
        fail::lab(format!(
            "the disk is full: free some space under {} or set COFFERDAM_CACHE to a folder elsewhere (nothing half-written was kept)",
            self.root().display()
        ))
    }

    fn make_parent(&self, target: &Path) -> Result<()> {
        let Some(parent) = target.parent().filter(|parent| parent.starts_with(self.root())) else {
            bail!("{} is not inside the cache", target.display());
        };
        fs::create_dir_all(parent)?;
        Ok(())
    }

    fn work(&self) -> Result<PathBuf> {
        let mut work = self.inner.work.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(work) = work.as_ref() {
            return Ok(work.dir.path().to_owned());
        }
        // Made and locked in one step as far as `sweep` of another run can tell.
        let guard = self.lock("tmp")?;
        let made = tempfile::Builder::new().tempdir_in(self.path("tmp"));
        let dir = made.map_err(|error| unusable(self.root(), &error))?;
        let held = File::open(dir.path())?;
        held.lock()?;
        drop(guard);
        let path = dir.path().to_owned();
        *work = Some(Work { dir, _held: held });
        Ok(path)
    }

    /// Removes what runs that were killed have left: folders under `tmp` that no process holds.
    fn sweep(&self) -> Result<()> {
        let _guard = self.lock("tmp")?;
        let entries = fs::read_dir(self.path("tmp")).map_err(|error| unusable(self.root(), &error))?;
        for entry in entries.flatten() {
            let free = File::open(entry.path()).is_ok_and(|held| held.try_lock().is_ok());
            if free {
                // What cannot be removed now is tried again by the next run.
                fs::remove_dir_all(entry.path()).ok();
            }
        }
        Ok(())
    }
}

fn unusable(root: &Path, error: &io::Error) -> anyhow::Error {
    fail::lab(format!(
        "the cache folder {} cannot be written: {error}; make it writable or set COFFERDAM_CACHE to another folder",
        root.display()
    ))
}

fn root_from(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // The base directory specification has relative values of XDG_CACHE_HOME ignored.
    let xdg = || set("XDG_CACHE_HOME").filter(|path| path.is_absolute());
    set("COFFERDAM_CACHE")
        .or_else(|| xdg().map(|path| path.join("cofferdam")))
        .or_else(|| set("HOME").map(|path| path.join(".cache/cofferdam")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn cache() -> (TempDir, Cache) {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path()).unwrap();
        (root, cache)
    }

    fn left_in_tmp(cache: &Cache) -> usize {
        let folders = fs::read_dir(cache.path("tmp")).unwrap().flatten();
        folders.map(|folder| fs::read_dir(folder.path()).unwrap().count()).sum()
    }

    #[test]
    fn root_follows_the_variables_in_order() {
        let root = |set: &[(&str, &str)]| {
            let set: Vec<(String, OsString)> = set.iter().map(|(k, v)| ((*k).to_owned(), v.into())).collect();
            root_from(|name| set.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()))
        };
        let all = [("COFFERDAM_CACHE", "/a"), ("XDG_CACHE_HOME", "/b"), ("HOME", "/c")];
        assert_eq!(root(&all), Some("/a".into()));
        assert_eq!(root(&all[1..]), Some("/b/cofferdam".into()));
        assert_eq!(root(&all[2..]), Some("/c/.cache/cofferdam".into()));
        assert_eq!(
            root(&[("XDG_CACHE_HOME", "relative"), ("HOME", "/c")]),
            Some("/c/.cache/cofferdam".into())
        );
        assert_eq!(root(&[("COFFERDAM_CACHE", "")]), None);
    }

    #[test]
    fn failed_writes_leave_the_old_entry_and_nothing_else() {
        let (_root, cache) = cache();
        cache.put("a/file", |file| Ok(file.write_all(b"old")?)).unwrap();
        let failed = cache.put("a/file", |file| {
            file.write_all(b"new, but only ha")?;
            Err(io::Error::from(ErrorKind::StorageFull).into())
        });
        let error = failed.unwrap_err();
        assert!(format!("{error:#}").contains("the disk is full"), "{error:#}");
        assert_eq!(fail::exit_code(&error), 3);
        assert_eq!(fs::read(cache.path("a/file")).unwrap(), b"old");

        let failed = cache.put_dir("a/dir", |dir| {
            fs::write(dir.join("x"), "y")?;
            bail!("broken")
        });
        assert!(failed.is_err() && !cache.path("a/dir").exists());
        assert_eq!(left_in_tmp(&cache), 0);
    }

    #[test]
    fn folders_are_replaced_whole() {
        let (_root, cache) = cache();
        cache.put_dir("d", |dir| Ok(fs::write(dir.join("one"), "1")?)).unwrap();
        cache.put_dir("d", |dir| Ok(fs::write(dir.join("two"), "2")?)).unwrap();
        assert!(cache.path("d/two").exists() && !cache.path("d/one").exists());
        assert_eq!(left_in_tmp(&cache), 0);
    }

    #[test]
    fn readers_never_see_half_a_file_and_lock_holders_are_alone() {
        let (_root, cache) = cache();
        let inside = AtomicUsize::new(0);
        let content = |letter: u8| vec![letter; 200_000];
        cache.put("f", |file| Ok(file.write_all(&content(b'a'))?)).unwrap();
        std::thread::scope(|scope| {
            for letter in [b'a', b'b'] {
                let (cache, inside) = (cache.clone(), &inside);
                scope.spawn(move || {
                    for _ in 0..40 {
                        let _lock = cache.lock("test").unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        let halves = content(letter);
                        cache
                            .put("f", |file| {
                                file.write_all(&halves[..100_000])?;
                                std::thread::yield_now();
                                Ok(file.write_all(&halves[100_000..])?)
                            })
                            .unwrap();
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
            for _ in 0..200 {
                let seen = fs::read(cache.path("f")).unwrap();
                assert_eq!(seen.len(), 200_000);
                assert!(seen.iter().all(|byte| *byte == seen[0]));
            }
        });
    }

    #[test]
    fn leavings_of_a_dead_run_go_and_those_of_a_live_one_stay() {
        let (root, live) = cache();
        let kept = live.temp_dir().unwrap();
        let dead = live.path("tmp/dead");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join("half"), "x").unwrap();
        Cache::at(root.path()).unwrap();
        assert!(!dead.exists());
        assert!(kept.path().exists());
        live.abandon();
        assert!(!kept.path().exists());
    }

    #[test]
    fn unusable_folder_is_one_clear_line() {
        let (root, _cache) = cache();
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Cache::at(&file).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("COFFERDAM_CACHE") && !text.contains('\n'), "{text}");
        assert_eq!(fail::exit_code(&error), 3);
    }

    #[test]
    fn nothing_is_written_outside() {
        let (_root, cache) = cache();
        assert!(cache.put("/elsewhere", |_| Ok(())).is_err());
    }
}
