//! A bundle, a state folder and a cgroup of one test's own, and the look for what is left of a container.
//!
//! Everything can be looked at without knowing what to look for:
//! - *processes*: this program adopts the orphans of its descendants (`PR_SET_CHILD_SUBREAPER`), so whatever the
//!   runtime leaves is a child of it, and with "no child" nothing is left: no container, no hook, no zombie;
//! - *mounts*: the thread has a mount namespace of its own, whose table nobody else changes;
//! - *cgroups*: all are below one name of the test's own, in whatever hierarchies the machine has;
//! - *files*: the state folder and the bundle are listed whole;
//! - *namespaces* live by processes and mounts.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::bundle;
use crate::left::{children, listing, mounts, settle};
use crate::order::{Ended, order};

/// The id of every scene's container.
pub(crate) const ID: &str = "box";

/// Children are this whole program's: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// See the module.
pub(crate) struct Scene {
    dir: TempDir,
    name: String,
    mounts: String,
    bundle: BTreeSet<PathBuf>,
    _alone: MutexGuard<'static, ()>,
}

impl Scene {
    /// `None`, with the reason printed, where this user cannot make containers.
    pub(crate) fn new(test: &str) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: {test}: containers are made on this machine, which takes root");
            return None;
        }
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        nix::sys::prctl::set_child_subreaper(true).unwrap();
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let none = None::<&str>;
        // Private towards the machine; shared from here on, so that a mount that gets out of a container shows.
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SHARED, none).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let name = format!("cofferdam-robust-{}-{test}", std::process::id());
        let mut scene = Self { dir, name, mounts: mounts(), bundle: BTreeSet::new(), _alone: alone };
        bundle::fill_rootfs(&scene.bundle().join("rootfs"));
        scene.configure(|_| {});
        scene.bundle = listing(&scene.bundle());
        Some(scene)
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn bundle(&self) -> PathBuf {
        self.path().join("bundle")
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.path().join("state")
    }

    /// Writes `config.json`, changed by `change`.
    pub(crate) fn configure(&self, change: impl FnOnce(&mut Value)) {
        let mut config = bundle::config(&format!("/{}/{ID}", self.name));
        change(&mut config);
        fs::write(self.bundle().join("config.json"), config.to_string()).unwrap();
    }

    /// The words of a command on the scene's container.
    pub(crate) fn words(&self, words: &[&str]) -> Vec<String> {
        let root = self.root();
        let bundle = self.bundle();
        let (command, options) = words.split_first().unwrap();
        let mut all = vec!["--root".to_owned(), root.to_str().unwrap().to_owned(), (*command).to_owned()];
        if ["create", "run"].contains(command) {
            all.extend(["--bundle".to_owned(), bundle.to_str().unwrap().to_owned()]);
        }
        // The program of `exec`, and the signal of `kill`, come behind the id.
        let (before, behind): (Vec<&str>, Vec<&str>) = options.iter().partition(|word| word.starts_with('-'));
        all.extend(before.into_iter().map(str::to_owned));
        all.push(ID.to_owned());
        all.extend(behind.into_iter().map(str::to_owned));
        all
    }

    /// Gives a command on the scene's container and waits for its end.
    pub(crate) fn order(&self, words: &[&str]) -> Ended {
        order(&self.words(words))
    }

    /// Gives a command that must succeed.
    #[track_caller]
    pub(crate) fn must(&self, words: &[&str]) -> Ended {
        let ended = self.order(words);
        assert_eq!(ended.code, Some(0), "{words:?}: {}", ended.stderr);
        ended
    }

    /// The status of the container, or why there is none.
    pub(crate) fn status(&self) -> Result<String, String> {
        let ended = self.order(&["state"]);
        if ended.code != Some(0) {
            return Err(ended.stderr);
        }
        let state: Value = serde_json::from_str(&ended.stdout).unwrap();
        Ok(state["status"].as_str().unwrap().to_owned())
    }

    /// The container's first process.
    pub(crate) fn pid(&self) -> Pid {
        let state: Value = serde_json::from_str(&self.must(&["state"]).stdout).unwrap();
        Pid::from_raw(state["pid"].as_i64().unwrap().try_into().unwrap())
    }

    /// Everything that is left, in words; empty when nothing is.
    pub(crate) fn left(&self) -> String {
        let mut left = String::new();
        if let Err(children) = settle(&[]) {
            writeln!(left, "processes: {children}").unwrap();
        }
        let now = mounts();
        if now != self.mounts {
            let before: BTreeSet<&str> = self.mounts.lines().collect();
            let new: Vec<&str> = now.lines().filter(|line| !before.contains(line)).collect();
            writeln!(left, "mounts: {new:?}").unwrap();
        }
        let groups = self.cgroups();
        if !groups.is_empty() {
            writeln!(left, "cgroups: {groups:?}").unwrap();
        }
        let state = listing(&self.root());
        if !state.is_empty() {
            writeln!(left, "state: {state:?}").unwrap();
        }
        let bundle = listing(&self.bundle());
        if bundle != self.bundle {
            writeln!(left, "bundle: {:?}", bundle.symmetric_difference(&self.bundle)).unwrap();
        }
        left
    }

    /// `delete --force` must succeed, whatever there is, and leave nothing.
    #[track_caller]
    pub(crate) fn clear(&self) {
        let ended = self.order(&["delete", "--force"]);
        let left = self.left();
        assert!(ended.code == Some(0) && left.is_empty(), "delete --force: {ended:?}\nleft:\n{left}");
    }

    /// Removes the empty parents of the container's cgroup.
    pub(crate) fn remove_cgroup_parents(&self) {
        for top in self.cgroups() {
            fs::remove_dir(top).unwrap();
        }
    }

    /// The cgroups below the test's own name.
    fn cgroups(&self) -> Vec<PathBuf> {
        let table = mounts();
        let points = table.lines().filter_map(|line| {
            let (mount, kind) = line.split_once(" - ")?;
            kind.starts_with("cgroup").then(|| Path::new(mount.split(' ').nth(4).unwrap()).join(&self.name))
        });
        points.filter(|path| path.exists()).collect()
    }
}

impl Drop for Scene {
    /// What a failed test has left must not make the next one fail.
    fn drop(&mut self) {
        for pid in children(Pid::this()) {
            let _ = kill(pid, Signal::SIGKILL);
        }
        let _ = settle(&[]);
        for top in self.cgroups() {
            let _ = fs::remove_dir(top.join(ID));
            let _ = fs::remove_dir(top);
        }
    }
}
