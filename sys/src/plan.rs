//! What a child does between `clone3(2)` and `execve(2)`, as plain data.
//!
//! A [`Plan`] is a list of [`Step`]s, each with a word on what it is for. The crates above make steps
//! (mounts, capabilities, namespaces), the runtime strings them together, and [`crate::spawn::spawn`]
//! has a child walk them. Descriptors that a step makes live in numbered [`Slot`]s, so that a later step
//! can name them before they exist.

use std::ffi::{CStr, CString};
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use crate::clone::Namespaces;
use crate::cred::CapSets;
use crate::keyring::Permissions;
use crate::mount::{MountAttrs, MountFlags, OpenTree, Unmount};
use crate::open::{Open, Resolve};
use crate::readback::{IdKind, Wanted};
use crate::rlimit::Rlimit;
use crate::sched::{Attributes, IoClass};
use crate::seccomp::{FilterFlags, Program};

/// How many slots a plan has.
pub const SLOTS: usize = 256;

/// How many mounts a plan can take note of.
pub const NOTES: usize = 512;

/// A place for the id of a mount, which a later step compares with what it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Note(pub(crate) u16);

/// A place for a descriptor that a step opens in the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot(pub(crate) u8);

/// A descriptor that a step works on.
#[derive(Debug, Clone)]
pub enum At {
    /// The working directory (`AT_FDCWD`).
    Cwd,
    /// A descriptor that was open before the clone.
    Fd(Arc<OwnedFd>),
    /// One that an earlier step put into a slot.
    Slot(Slot),
}

impl From<Slot> for At {
    fn from(slot: Slot) -> Self {
        At::Slot(slot)
    }
}

impl From<OwnedFd> for At {
    fn from(fd: OwnedFd) -> Self {
        At::Fd(Arc::new(fd))
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use std::os::fd::AsRawFd;
        match self {
            At::Cwd => f.write_str("AT_FDCWD"),
            At::Fd(fd) => write!(f, "fd {}", fd.as_raw_fd()),
            At::Slot(Slot(number)) => write!(f, "slot {number}"),
        }
    }
}

/// What to do when the file of a [`Step::OpenIn`] is not there (`ENOENT`, `ENOTDIR`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// Fail the plan.
    Fail,
    /// Leave out this many of the steps that follow.
    Skip(u16),
}

/// A path below a root, cut into what making it component by component needs.
///
/// Look-ups in the child always start at the root, so that a link in the middle is resolved inside it.
#[derive(Clone, PartialEq, Eq)]
pub struct PathIn {
    /// Shared, as several steps of a mount have the same path.
    parts: Arc<Parts>,
}

#[derive(PartialEq, Eq, Default)]
struct Parts {
    /// `a`, `a/b`, `a/b/c` for `a/b/c`.
    prefixes: Vec<CString>,
    /// `a`, `b`, `c`.
    names: Vec<CString>,
}

impl fmt::Debug for PathIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { prefixes, names } = &*self.parts;
        f.debug_struct("PathIn").field("prefixes", prefixes).field("names", names).finish()
    }
}

impl PathIn {
    /// Cuts a path; empty components and `.` are dropped, a leading `/` means the root.
    ///
    /// `None` for a path with `..` or a NUL byte.
    pub fn new(path: &[u8]) -> Option<Self> {
        let mut parts = Parts::default();
        let mut whole: Vec<u8> = Vec::new();
        for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".") {
            if name == b".." {
                return None;
            }
            if !whole.is_empty() {
                whole.push(b'/');
            }
            whole.extend_from_slice(name);
            parts.prefixes.push(CString::new(whole.as_slice()).ok()?);
            parts.names.push(CString::new(name).ok()?);
        }
        Some(Self { parts: Arc::new(parts) })
    }

    /// The whole path relative to the root; `.` for the root itself.
    pub fn whole(&self) -> &CStr {
        self.parts.prefixes.last().map_or(c".", |path| path.as_c_str())
    }

    /// Whether it is the root itself.
    pub fn is_root(&self) -> bool {
        self.parts.names.is_empty()
    }

    /// Each prefix with its last component, from the root down.
    pub(crate) fn walk(&self) -> impl Iterator<Item = (&CStr, &CStr)> {
        self.parts
            .prefixes
            .iter()
            .zip(&self.parts.names)
            .map(|(prefix, name)| (prefix.as_c_str(), name.as_c_str()))
    }

    /// How many components there are.
    pub(crate) fn len(&self) -> usize {
        self.parts.names.len()
    }
}

/// One thing that a child does. Each is one system call, or a fixed short sequence of them.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are the arguments of the call that a variant's text names")]
pub enum Step {
    /// Wait until the parent releases the child; end silently when the parent is gone.
    WaitForParent,
    /// Tell the parent that the walk has come this far; see [`crate::spawn::Spawning::reached`].
    TellParent,
    /// [`crate::socket::listen`], which makes the child the peer that who connects sees.
    Listen { socket: At },
    /// Wait for a connection with one byte on it, and report there from now on; see [`crate::spawn::start`].
    AcceptStart { listener: At },
    /// Close every descriptor but 0, 1, 2, those that the program inherits, and those that later steps use.
    ///
    /// Steps of mounting are not looked at: none comes behind the pivot.
    CloseOthers,
    /// `close(2)` of the child's copy of a descriptor that no later step uses.
    ///
    /// What hangs on an open file and not on its number, as a lock (`flock(2)`) does, ends with its last copy.
    CloseCopy(Arc<std::fs::File>),
    /// Run a program and wait for its end; one that does not end well fails the plan.
    Run(Box<Errand>),
    /// Fail as `execve(2)` would when none of the candidates of [`Exec`] can be executed.
    RequireProgram,
    /// Open a new pseudo-terminal of the devpts whose `ptmx` the path names (`TIOCGPTPEER`, Linux 4.13).
    OpenTerminal { dir: At, path: CString, master: Slot, slave: Slot },
    /// [`crate::tty::set_size`].
    TerminalSize { fd: At, rows: u16, columns: u16 },
    /// [`crate::tty::keep_newlines`].
    TerminalNewlines { fd: At },
    /// [`crate::tty::set_owner`].
    TerminalOwner { fd: At, uid: u32 },
    /// [`crate::clone::unshare`].
    Unshare(Namespaces),
    /// [`crate::clone::setns`].
    JoinNamespace { fd: At, kinds: Namespaces },
    /// Go on in a new process with these new namespaces, a child of the parent too; this one ends.
    ///
    /// The way into a PID namespace that was joined, and into a time namespace whose clocks were set. Must not
    /// be left out by a `skip`: the parent waits for the news of it.
    Fork(Namespaces),
    /// Write the clocks of the time namespace that the next child will be in (`/proc/self/timens_offsets`).
    TimeOffsets(String),
    /// [`crate::process::set_child_subreaper`].
    ChildSubreaper,
    /// [`crate::process::setsid`].
    NewSession,
    /// [`crate::tty::set_controlling`] on a descriptor number.
    ControllingTerminal { fd: At },
    /// [`crate::process::set_parent_death_signal`].
    ParentDeathSignal(i32),
    /// [`crate::process::set_dumpable`].
    Dumpable(bool),
    /// [`crate::process::sethostname`].
    HostName(Vec<u8>),
    /// [`crate::process::setdomainname`].
    DomainName(Vec<u8>),
    /// [`crate::net::interface_up`].
    InterfaceUp(Vec<u8>),
    /// [`crate::process::join_session_keyring`].
    SessionKeyring(CString),
    /// [`crate::rlimit::set`] on the child itself.
    ResourceLimit { resource: u32, limit: Rlimit },
    /// [`crate::sched::set`] on the child itself.
    Scheduler(Attributes),
    /// [`crate::sched::set_affinity`] on the child itself.
    Processors(Vec<u64>),
    /// [`crate::sched::set_io_priority`] on the child itself.
    IoPriority { class: IoClass, level: u8 },
    /// [`crate::sched::own_core`].
    OwnCore,
    /// [`crate::numa::set`].
    MemoryPolicy { mode: i32, nodes: Vec<u64> },
    /// [`crate::personality::set`].
    Personality(u32),
    /// [`crate::keyring::set_permissions`].
    KeyPermissions { key: i32, permissions: Permissions },
    /// Open for writing below a directory without following links, write once, close.
    Write { dir: At, path: CString, data: Vec<u8> },
    /// Add `HOME` to the program's environment: the directory that `/etc/passwd` below the working directory,
    /// which is the root, has for this user, or `/`.
    FindHome { uid: u32 },
    /// [`crate::process::chdir`].
    ChangeDirectory(CString),
    /// [`crate::process::fchdir`].
    ChangeDirectoryTo(At),
    /// [`crate::process::umask`].
    FileModeMask(u32),
    /// `dup2(2)` onto a number such as 0, 1, 2.
    Duplicate { from: At, to: i32 },
    /// Lets the program inherit a descriptor of the caller's under the number that it has there. One of the last
    /// steps: see [`Plan::push_last`].
    LeaveOpen(At),

    /// `setgroups(2)`.
    Groups(Vec<u32>),
    /// `setresgid(2)`, all three.
    Gid(u32),
    /// `setresuid(2)`, all three.
    Uid(u32),
    /// [`crate::cred::set_keepcaps`].
    KeepCapabilities(bool),
    /// [`crate::cred::bounding_drop`].
    DropBounding(u8),
    /// [`crate::cred::capset`].
    Capabilities(CapSets),
    /// [`crate::cred::ambient_clear`].
    ClearAmbient,
    /// [`crate::cred::ambient_raise`].
    RaiseAmbient(u8),
    /// [`crate::cred::set_securebits`].
    SecureBits(u32),
    /// [`crate::process::set_no_new_privs`].
    NoNewPrivileges,
    /// [`crate::lsm::set_self_attribute`].
    SelfAttribute { attribute: u32, context: Vec<u8> },
    /// [`crate::lsm::write_own`].
    WriteOwn { proc: At, path: CString, data: Vec<u8> },
    /// [`crate::landlock::allow_path`].
    LandlockAllow { ruleset: At, file: At, directory: u64, other: u64 },
    /// [`crate::landlock::restrict_self`].
    LandlockRestrict { ruleset: At, flags: u32 },
    /// [`crate::seccomp::set_filter`], or with a slot [`crate::seccomp::set_filter_with_listener`].
    SystemCallFilter { program: Program, flags: FilterFlags, listener: Option<Slot> },
    /// [`crate::send::send_descriptor`].
    SendDescriptor { socket: At, descriptor: At, payload: Vec<u8> },

    /// `mount(NULL, path, NULL, flags)`: propagation of a mount that has no descriptor yet.
    Propagation { path: CString, flags: MountFlags },
    /// [`crate::mount::open_tree`].
    OpenTree { dir: At, path: CString, flags: OpenTree, out: Slot },
    /// Put the detached mount of a slot into another one too, the first time; a copy of it, later.
    ///
    /// By then it is attached: before Linux 6.15 only an attached mount can be copied.
    TakeOrCopy { mount: Slot, out: Slot },
    /// [`crate::mount::fsopen`].
    FsOpen { fstype: CString, out: Slot },
    /// [`crate::mount::fsconfig_string`].
    FsString { context: Slot, key: CString, value: CString },
    /// [`crate::mount::fsconfig_string`] with `mode` and the permissions of this file.
    FsModeOf { context: Slot, of: At },
    /// [`crate::mount::fsconfig_flag`].
    FsFlag { context: Slot, key: CString },
    /// [`crate::mount::fsconfig_create`] and [`crate::mount::fsmount`].
    FsMount { context: Slot, attrs: MountAttrs, out: Slot },
    /// [`crate::mount::mount_setattr`].
    SetAttributes { mount: At, recursive: bool, set: MountAttrs, clear: u64, propagation: MountFlags },
    /// [`crate::mount::remount_bind`].
    RemountBind { mount: At, flags: MountFlags, clear: MountFlags },
    /// [`crate::mount::change_propagation`].
    PropagationOf { mount: At, flags: MountFlags },
    /// [`crate::mount::move_mount`].
    MoveMount { from: At, to: At },
    /// [`crate::open::openat2`], close-on-exec.
    OpenIn { dir: At, path: CString, flags: Open, resolve: Resolve, absent: Absent, out: Slot },
    /// Open a directory below a root, making the components that are missing with mode 0755.
    EnsureDir { root: At, path: PathIn, out: Slot },
    /// Open a file below a root, making it (empty, 0644) and its directories when missing.
    EnsureFile { root: At, path: PathIn, out: Slot },
    /// Leave out `skip` of the following steps when the file is a directory.
    SkipIfDirectory { fd: At, skip: u16 },
    /// Leave out this many of the following steps.
    Skip(u16),
    /// Fail with `ENODEV` unless the file is this character device.
    RequireDevice { fd: At, major: u32, minor: u32 },
    /// Fail with `ENOTDIR` unless the file is a directory.
    RequireDirectory { fd: At },
    /// Fail with `ESTALE` unless the file system has this magic number (`statfs(2)`).
    RequireFilesystem { fd: At, magic: i64 },
    /// Fail with `EXDEV` when the file system has this magic number (`statfs(2)`).
    RefuseFilesystem { fd: At, magic: i64 },
    /// `symlinkat(2)` below a directory; what is there already is left alone.
    Symlink { dir: At, name: CString, target: CString },
    /// `mknodat(2)`, owner and exact permissions; the same device being there already is success.
    Device { dir: At, name: CString, mode: u32, major: u32, minor: u32, uid: u32, gid: u32 },
    /// [`crate::copy::copy_content`], with the owner and the permissions of the directory itself where `top` says so.
    CopyContent { from: At, to: At, top: bool },
    /// [`crate::stage::make`].
    Stage { out: Slot },
    /// [`crate::stage::new_filesystem`].
    StageFilesystem {
        stage: Slot,
        fstype: CString,
        source: CString,
        flags: MountFlags,
        data: CString,
        out: Slot,
    },
    /// [`crate::stage::copy`].
    StageCopy { stage: Slot, from: At, recursive: bool, out: Slot },
    /// [`crate::stage::attach`].
    StageAttach { from: At, to: At },
    /// Take note of the mount behind a descriptor, to be compared later.
    NoteMount { mount: At, kind: IdKind, note: Note },
    /// Fail with `ESTALE` unless the mount that a path leads to is the noted one, and with `EPERM` unless it
    /// has its attributes and (by `statmount(2)` only) its propagation. A note that no step took is success
    /// where the mount is `optional`.
    RequireMount {
        path: CString,
        note: Note,
        kind: IdKind,
        wanted: Wanted,
        propagation: MountFlags,
        optional: bool,
    },
    /// The same attributes and propagation for all mounts below a noted one, by `listmount(2)`.
    RequireBelow { note: Note, wanted: Wanted, propagation: MountFlags },
    /// By `mountinfo` of a procfs: fail with `EPERM` unless the noted mounts have this propagation, and
    /// unless all others are private or slaves where `others` says so.
    RequirePropagation { proc: At, noted: Vec<(Note, MountFlags)>, others: bool },
    /// Say one byte and wait for one: a test holds the child here. Only the lab enables it.
    #[cfg(feature = "attempts")]
    Barrier { say: At, hear: At },
    /// [`crate::mount::pivot_root_here`].
    PivotRoot,
    /// `chroot(".")`.
    ChangeRootHere,
    /// [`crate::mount::umount2`].
    Unmount { path: CString, flags: Unmount },
    /// `close(2)` of a slot.
    Close(Slot),
}

impl Step {
    /// The descriptors that a step uses, of those that can come behind a [`Step::CloseOthers`].
    pub(crate) fn uses(&self) -> [Option<&At>; 2] {
        match self {
            Step::Listen { socket: at }
            | Step::AcceptStart { listener: at }
            | Step::JoinNamespace { fd: at, .. }
            | Step::ControllingTerminal { fd: at }
            | Step::TerminalSize { fd: at, .. }
            | Step::TerminalNewlines { fd: at }
            | Step::TerminalOwner { fd: at, .. }
            | Step::Write { dir: at, .. }
            | Step::ChangeDirectoryTo(at)
            | Step::Duplicate { from: at, .. }
            | Step::WriteOwn { proc: at, .. }
            | Step::LandlockRestrict { ruleset: at, .. }
            | Step::LeaveOpen(at)
            | Step::OpenIn { dir: at, .. }
            | Step::OpenTerminal { dir: at, .. } => [Some(at), None],
            Step::LandlockAllow { ruleset, file, .. } => [Some(ruleset), Some(file)],
            Step::SendDescriptor { socket, descriptor, .. } => [Some(socket), Some(descriptor)],
            _ => [None, None],
        }
    }
}

/// A step with the reason for it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The step.
    pub step: Step,
    /// What it is for, as an error begins: `mount proc on /proc`.
    pub about: String,
}

/// What is executed at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exec {
    /// The paths to try in turn, as `execvp(3)` does with `PATH`.
    pub candidates: Vec<CString>,
    /// The arguments, the program's own name first.
    pub args: Vec<CString>,
    /// The whole environment as `NAME=value`.
    pub env: Vec<CString>,
}

impl Exec {
    /// The candidates for a program's name: itself when it holds a `/`, otherwise one for each part of `PATH`.
    ///
    /// `path` is the value of `PATH` in the program's own environment. `None` when a name holds NUL.
    pub fn search(program: &[u8], path: &[u8]) -> Option<Vec<CString>> {
        if program.contains(&b'/') {
            return Some(vec![CString::new(program).ok()?]);
        }
        path.split(|byte| *byte == b':')
            .map(|part| {
                let dir: &[u8] = if part.is_empty() { b"." } else { part };
                CString::new([dir, b"/", program].concat()).ok()
            })
            .collect()
    }
}

/// A program that a [`Step::Run`] runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errand {
    /// What is executed.
    pub exec: Exec,
    /// Its standard input. What it writes goes into the report when it fails, and nowhere otherwise.
    pub input: Input,
    /// Its working directory.
    pub directory: CString,
    /// Whether its environment gets the `HOME` that a [`Step::FindHome`] finds for the child's own program.
    pub home: bool,
    /// How long it may take. It is killed then.
    pub timeout: Option<Duration>,
    /// Whether the steps after this one, the last ones too, are walked before it, so that it runs with what
    /// the child's own program will run with. Those that speak with the parent and other programs are left
    /// out of them.
    pub rest: bool,
}

/// A standard input: two parts, and between them the child's process id as its parent sees it, in decimal.
#[derive(Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the parts")]
pub struct Input {
    pub before: Vec<u8>,
    pub after: Vec<u8>,
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.before.len().saturating_add(self.after.len()))
    }
}

/// Everything a child does, in order.
#[derive(Debug, Clone)]
pub struct Plan {
    entries: Vec<Entry>,
    last: Vec<Entry>,
    exec: Exec,
    slots: usize,
    notes: usize,
    kept: Vec<At>,
    inherited: Vec<u32>,
    own_pid: Option<String>,
}

/// The plan asks for more than [`SLOTS`] descriptors or [`NOTES`] notes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManySlots;

impl fmt::Display for TooManySlots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the plan needs more than {SLOTS} descriptors or {NOTES} notes of mounts: use fewer mounts")
    }
}

impl std::error::Error for TooManySlots {}

impl Plan {
    /// A plan that only executes.
    pub fn new(exec: Exec) -> Self {
        Self {
            // A container has some three hundred; growing would copy them again and again.
            entries: Vec::with_capacity(384),
            last: Vec::new(),
            exec,
            slots: 0,
            notes: 0,
            kept: Vec::new(),
            inherited: Vec::new(),
            own_pid: None,
        }
    }

    /// Adds an entry to the program's environment: this name, with the child's own process id as it sees it.
    pub fn tell_own_pid(&mut self, name: &str) {
        self.own_pid = Some(name.to_owned());
    }

    /// The name of that entry.
    pub(crate) fn own_pid(&self) -> Option<&str> {
        self.own_pid.as_deref()
    }

    /// Lets the program inherit these descriptors of the caller's, besides 0, 1 and 2.
    pub fn inherit(&mut self, numbers: Vec<u32>) {
        self.inherited = numbers;
    }

    /// Those descriptors.
    pub(crate) fn inherited(&self) -> &[u32] {
        &self.inherited
    }

    /// A slot that no step has yet.
    ///
    /// # Errors
    /// [`TooManySlots`] when all are taken.
    pub fn slot(&mut self) -> Result<Slot, TooManySlots> {
        let slot = u8::try_from(self.slots).map_err(|_| TooManySlots)?;
        self.slots = self.slots.saturating_add(1);
        Ok(Slot(slot))
    }

    /// A note that no step has yet.
    ///
    /// # Errors
    /// [`TooManySlots`] when all are taken.
    pub fn note(&mut self) -> Result<Note, TooManySlots> {
        let note = u16::try_from(self.notes).map_err(|_| TooManySlots)?;
        if self.notes >= NOTES {
            return Err(TooManySlots);
        }
        self.notes = self.notes.saturating_add(1);
        Ok(Note(note))
    }

    /// Keeps a descriptor open as long as the plan: something that steps name by path ends without it.
    pub fn keep(&mut self, fd: At) {
        self.kept.push(fd);
    }

    /// Adds a step before another one, for a test that disturbs a plan; a number past the end means the end.
    #[cfg(feature = "attempts")]
    pub fn insert(&mut self, before: usize, about: impl Into<String>, step: Step) {
        let entry = Entry { step, about: about.into() };
        self.entries.insert(before.min(self.entries.len()), entry);
    }

    /// Adds a step at the end; `about` says what it is for.
    pub fn push(&mut self, about: impl Into<String>, step: Step) {
        self.entries.push(Entry { step, about: about.into() });
    }

    /// Adds a step after all others: descriptors are closed then, signals are as the program finds them,
    /// and only `execve(2)` follows. The place of a system call filter, which so need not allow all that.
    ///
    /// What is still open are 0, 1, 2, and the descriptors of these last steps.
    pub fn push_last(&mut self, about: impl Into<String>, step: Step) {
        self.last.push(Entry { step, about: about.into() });
    }

    /// The steps in order, without the last ones.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// All steps with the last ones, as a failure counts them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().chain(&self.last)
    }

    /// The last steps, see [`Self::push_last`].
    pub fn last(&self) -> &[Entry] {
        &self.last
    }

    /// What is executed at the end.
    pub fn exec(&self) -> &Exec {
        &self.exec
    }

    /// Whether the child forks.
    pub(crate) fn forks(&self) -> bool {
        self.entries.iter().any(|entry| matches!(entry.step, Step::Fork(_)))
    }

    /// How often it forks before it waits for its parent for the first time.
    pub(crate) fn forks_before_wait(&self) -> usize {
        count_forks(self.entries.iter().take_while(|entry| !matches!(entry.step, Step::WaitForParent)))
    }

    /// How often it forks after that.
    pub(crate) fn forks_after_wait(&self) -> usize {
        count_forks(self.entries.iter().skip_while(|entry| !matches!(entry.step, Step::WaitForParent)))
    }
}

fn count_forks<'a>(entries: impl Iterator<Item = &'a Entry>) -> usize {
    entries.filter(|entry| matches!(entry.step, Step::Fork(_))).count()
}

impl fmt::Display for Plan {
    /// One numbered line a step: what it is for, and the call.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, entry) in self.all().enumerate() {
            writeln!(f, "{number:3} {}: {:?}", entry.about, entry.step)?;
        }
        writeln!(f, "    execute {:?}", self.exec.args)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cut_below_the_root() {
        let path = PathIn::new(b"//a/./b//c/").unwrap();
        assert_eq!(path.whole(), c"a/b/c");
        assert_eq!(path.walk().collect::<Vec<_>>(), [(c"a", c"a"), (c"a/b", c"b"), (c"a/b/c", c"c")]);
        assert!(PathIn::new(b"/").unwrap().is_root());
        assert_eq!(PathIn::new(b"a/../b"), None);
        assert_eq!(PathIn::new(b"a\0b"), None);
    }

    #[test]
    fn programs_are_searched_as_execvp_does() {
        assert_eq!(Exec::search(b"/bin/x", b"/usr/bin").unwrap(), [c"/bin/x".to_owned()]);
        let found = Exec::search(b"x", b"/a::/b").unwrap();
        assert_eq!(found, [c"/a/x", c"./x", c"/b/x"].map(CStr::to_owned));
        assert_eq!(Exec::search(b"a\0", b"/a"), None);
    }

    #[test]
    fn slots_run_out() {
        let mut plan = Plan::new(Exec { candidates: vec![], args: vec![], env: vec![] });
        for _ in 0..SLOTS {
            plan.slot().unwrap();
        }
        assert_eq!(plan.slot().unwrap_err(), TooManySlots);
    }
}
