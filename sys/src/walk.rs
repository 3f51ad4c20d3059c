//! The child's walk over its plan.
//!
//! Everything here runs between `clone3(2)` and `execve(2)` in a process that may have lost the threads
//! which held the allocator's lock. So: no allocation, no lock, no panic, and a slot or string that is
//! missing is an error number like any other.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};

use crate::call::{Dir, check_int};
use crate::clone::Namespaces;
use crate::fork::{self, Call, Fork, Side};
use crate::mount::OpenTree;
use crate::open::{self, Open, Resolve};
use crate::plan::{Absent, At, Entry, NOTES, Plan, SLOTS, Slot, Step};
use crate::record::{Detail, EXECVE, Record};
use crate::spawn::{Arrays, Home, announce, make_ready, reset_signals};
use crate::{
    Errno, Result, clone, copy, cred, errno, file, keyring, landlock, lsm, mount, net, numa, passwd,
    personality, process, rlimit, sched, seccomp, send, socket, stage, tty,
};

mod lifecycle;
mod place;
mod program;
mod readback;
mod terminal;

/// Resolution of everything below a container's root.
const INSIDE: Resolve = Resolve::IN_ROOT.union(Resolve::NO_MAGICLINKS);

/// The child's state: the descriptors that its steps made, and its ends to the parent.
pub(crate) struct Walk<'plan> {
    slots: [RawFd; SLOTS],
    /// The ids of the mounts that its steps took note of; 0 is none.
    notes: [u64; NOTES],
    /// The slots whose mount was taken by a [`Step::TakeOrCopy`].
    taken: [bool; SLOTS],
    /// Where the parent's word to go on arrives.
    go: RawFd,
    /// Where failures and news are reported.
    report: RawFd,
    /// The call that makes processes here.
    call: Call,
    /// The plan that is walked.
    plan: &'plan Plan,
    /// This process's number as its parent sees it, once that was told.
    pid: i32,
    /// The pointers for each [`Step::Run`], in order.
    arrays: &'plan [Arrays],
    /// How many of them have been used.
    ran: usize,
    /// The entry of the environment that a [`Step::FindHome`] completes.
    home: Option<&'plan Home>,
    /// Whether this process is to become a program of a [`Step::Run`].
    inside_program: bool,
    /// Whether a [`Step::CloseOthers`] has left nothing open but what the plan knows.
    closed: bool,
    /// How the program of a failed [`Step::Run`] ended, and what it wrote.
    detail: Detail,
    output: [u8; 256],
}

/// How many of the following steps to leave out.
type Skip = u16;

impl<'plan> Walk<'plan> {
    pub(crate) fn new(
        go: RawFd,
        report: RawFd,
        call: Call,
        plan: &'plan Plan,
        arrays: &'plan [Arrays],
        home: Option<&'plan Home>,
    ) -> Self {
        Self {
            slots: [-1; SLOTS],
            notes: [0; NOTES],
            taken: [false; SLOTS],
            go,
            report,
            call,
            plan,
            pid: 0,
            arrays,
            home,
            ran: 0,
            inside_program: false,
            closed: false,
            detail: Detail::None,
            output: [0; 256],
        }
    }

    /// Walks all steps but the last ones; on failure gives the step's number too.
    pub(crate) fn run(&mut self, entries: &[Entry]) -> std::result::Result<(), (u32, Errno)> {
        self.walk(0, entries)
    }

    /// Walks the last steps.
    pub(crate) fn run_last(&mut self, plan: &Plan) -> std::result::Result<(), (u32, Errno)> {
        self.walk(u32::try_from(plan.entries().len()).unwrap_or(EXECVE), plan.last())
    }

    /// Leaves nothing open but 0, 1, 2, what is inherited, the report and what the last steps use, and resets signals.
    ///
    /// A filter of the container's that is in force already may hide `close_range(2)`. What the steps opened behind
    /// a [`Step::CloseOthers`] is closed when the program is executed anyway.
    pub(crate) fn make_ready(&self, inherited: &[u32]) -> Result<()> {
        match make_ready(self.plan, self.report, inherited) {
            Err(Errno::ENOSYS | Errno::EPERM | Errno::EACCES) if self.closed => reset_signals(),
            other => other,
        }
    }

    /// Reports a failure; the text is for who does not have the plan.
    pub(crate) fn fail(&self, number: u32, errno: Errno, about: &[u8]) {
        let mut record = Record::new(number, errno as i32, self.detail.encode(), about);
        if self.detail != Detail::None {
            record.append(b"\n");
            record.append(&self.output);
        }
        // Where nobody listens there is nobody to tell.
        let _ = record.send(self.report());
    }

    /// Walks the steps, of which the first has this number.
    fn walk(&mut self, first: u32, entries: &[Entry]) -> std::result::Result<(), (u32, Errno)> {
        let mut skip: Skip = 0;
        let mut left = entries;
        let mut number = first;
        while let [entry, rest @ ..] = left {
            left = rest;
            if skip > 0 {
                skip = skip.saturating_sub(1);
            } else if self.inside_program && is_of_the_child(&entry.step) {
                // The program that runs ahead is not the child whom these steps mean.
            } else if let Step::Run(program) = &entry.step {
                self.run_program(number, program, rest).map_err(|errno| (number, errno))?;
            } else if let Step::CloseOthers = &entry.step {
                self.close_others(rest).map_err(|errno| (number, errno))?;
                self.closed = true;
            } else if let Step::RequireProgram = &entry.step {
                // The same failure as at the end, only earlier.
                self.require_program().map_err(|errno| (EXECVE, errno))?;
            } else {
                skip = self.step(&entry.step).map_err(|errno| (number, errno))?;
            }
            number = number.saturating_add(1);
        }
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<Skip> {
        match step {
            Step::OpenIn { dir, path, flags, resolve, absent, out } => {
                return self.open_in(dir, path, *flags, *resolve, *absent, *out);
            }
            Step::SkipIfDirectory { fd, skip } => {
                return Ok(if file::fstat(self.fd(fd)?)?.is_dir() { *skip } else { 0 });
            }
            Step::Skip(count) => return Ok(*count),
            _ => {}
        }
        match step {
            Step::WaitForParent => self.wait_for_parent(),
            Step::Unshare(namespaces) => clone::unshare(*namespaces),
            Step::JoinNamespace { fd, kinds } => clone::setns(self.fd(fd)?, *kinds),
            Step::Fork(namespaces) => self.fork(*namespaces),
            Step::TimeOffsets(text) => time_offsets(text.as_bytes()),
            Step::ChildSubreaper => process::set_child_subreaper(),
            Step::NewSession => process::setsid(),
            Step::ControllingTerminal { fd } => tty::set_controlling(self.fd(fd)?),
            Step::ParentDeathSignal(signal) => process::set_parent_death_signal(*signal),
            Step::Dumpable(dumpable) => process::set_dumpable(*dumpable),
            Step::HostName(name) => process::sethostname(name),
            Step::DomainName(name) => process::setdomainname(name),
            Step::InterfaceUp(name) => net::interface_up(name),
            Step::SessionKeyring(name) => process::join_session_keyring(name),
            Step::Write { dir, path, data } => self.write(dir, path, data),
            Step::FindHome { uid } => self.find_home(*uid),
            Step::ChangeDirectory(path) => process::chdir(path),
            Step::ChangeDirectoryTo(fd) => process::fchdir(self.fd(fd)?),
            Step::FileModeMask(mask) => {
                process::umask(*mask);
                Ok(())
            }
            Step::Duplicate { from, to } => process::dup_to(self.fd(from)?, *to),
            Step::LeaveOpen(fd) => process::keep_across_execve(self.fd(fd)?),
            Step::ChangeRootHere => change_root_here(),
            Step::Close(slot) => self.close(*slot),
            Step::CloseCopy(fd) => {
                lifecycle::close(fd.as_raw_fd());
                Ok(())
            }
            _ => self.lifecycle_step(step),
        }
        .map(|()| 0)
    }

    fn lifecycle_step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::TellParent => self.tell_parent(),
            Step::Listen { socket } => socket::listen(self.fd(socket)?, 128),
            Step::AcceptStart { listener } => self.accept_start(listener),
            Step::OpenTerminal { dir, path, master, slave } => self.open_terminal(dir, path, *master, *slave),
            Step::TerminalNewlines { fd } => tty::keep_newlines(self.fd(fd)?),
            Step::TerminalSize { fd, rows, columns } => tty::set_size(self.fd(fd)?, *rows, *columns),
            Step::TerminalOwner { fd, uid } => tty::set_owner(self.fd(fd)?, *uid),
            _ => self.resource_step(step),
        }
    }

    fn resource_step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::ResourceLimit { resource, limit } => rlimit::set(0, *resource, *limit),
            Step::Scheduler(attributes) => sched::set(0, attributes),
            Step::Processors(mask) => sched::set_affinity(0, mask),
            Step::IoPriority { class, level } => sched::set_io_priority(0, *class, *level),
            Step::OwnCore => sched::own_core(),
            Step::MemoryPolicy { mode, nodes } => numa::set(*mode, nodes),
            Step::Personality(persona) => personality::set(*persona),
            Step::KeyPermissions { key, permissions } => keyring::set_permissions(*key, *permissions),
            _ => self.credential_step(step),
        }
    }

    fn credential_step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Groups(groups) => cred::setgroups(groups),
            Step::Gid(gid) => cred::setgid(*gid),
            Step::Uid(uid) => cred::setuid(*uid),
            Step::KeepCapabilities(keep) => cred::set_keepcaps(*keep),
            Step::DropBounding(cap) => cred::bounding_drop(*cap),
            Step::Capabilities(sets) => cred::capset(*sets),
            Step::ClearAmbient => cred::ambient_clear(),
            Step::RaiseAmbient(cap) => cred::ambient_raise(*cap),
            Step::SecureBits(bits) => cred::set_securebits(*bits),
            Step::NoNewPrivileges => process::set_no_new_privs(),
            Step::SelfAttribute { attribute, context } => lsm::set_self_attribute(*attribute, context),
            Step::WriteOwn { proc, path, data } => lsm::write_own(self.fd(proc)?, path, data),
            Step::LandlockAllow { ruleset, file, directory, other } => {
                landlock::allow_path(self.fd(ruleset)?, self.fd(file)?, *directory, *other)
            }
            Step::LandlockRestrict { ruleset, flags } => landlock::restrict_self(self.fd(ruleset)?, *flags),
            Step::SystemCallFilter { program, flags, listener } => match listener {
                None => seccomp::set_filter(program, *flags),
                Some(slot) => {
                    let listener = seccomp::set_filter_with_listener(program, *flags)?;
                    self.put(*slot, listener)
                }
            },
            Step::SendDescriptor { socket, descriptor, payload } => {
                send::send_descriptor(self.fd(socket)?, self.fd(descriptor)?, payload)
            }
            _ => self.mount_step(step),
        }
    }

    fn mount_step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Propagation { path, flags } => mount::mount(None, path, None, *flags, None),
            Step::OpenTree { dir, path, flags, out } => {
                let tree = mount::open_tree(self.dir(dir)?, path, *flags)?;
                self.put(*out, tree)
            }
            Step::TakeOrCopy { mount, out } => self.take_or_copy(*mount, *out),
            Step::FsOpen { fstype, out } => self.put(*out, mount::fsopen(fstype)?),
            Step::FsString { context, key, value } => {
                mount::fsconfig_string(self.slot(*context)?, key, value)
            }
            Step::FsModeOf { context, of } => {
                let mut digits = [0; 5];
                let mode = octal(file::fstat(self.fd(of)?)?.mode & 0o7777, &mut digits);
                mount::fsconfig_string(self.slot(*context)?, c"mode", mode)
            }
            Step::FsFlag { context, key } => mount::fsconfig_flag(self.slot(*context)?, key),
            Step::FsMount { context, attrs, out } => {
                let context = self.slot(*context)?;
                mount::fsconfig_create(context)?;
                let mount = mount::fsmount(context, *attrs)?;
                self.put(*out, mount)
            }
            Step::SetAttributes { mount, recursive, set, clear, propagation } => {
                mount::mount_setattr(self.fd(mount)?, *recursive, *set, *clear, *propagation)
            }
            Step::RemountBind { mount, flags, clear } => mount::remount_bind(self.fd(mount)?, *flags, *clear),
            Step::PropagationOf { mount, flags } => mount::change_propagation(self.fd(mount)?, *flags),
            Step::MoveMount { from, to } => mount::move_mount(self.fd(from)?, self.dir(to)?),
            Step::PivotRoot => mount::pivot_root_here(),
            Step::Unmount { path, flags } => mount::umount2(path, *flags),
            _ => self.tree_step(step),
        }
    }

    fn tree_step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::EnsureDir { root, path, out } => {
                let dir = self.ensure_dirs(root, path, path.len())?;
                self.put(*out, dir)
            }
            Step::EnsureFile { root, path, out } => self.ensure_file(root, path, *out),
            Step::RequireDevice { fd, major, minor } => {
                let stat = file::fstat(self.fd(fd)?)?;
                if stat.is_char_device(*major, *minor) { Ok(()) } else { Err(Errno::ENODEV) }
            }
            Step::RequireDirectory { fd } => {
                if file::fstat(self.fd(fd)?)?.is_dir() {
                    Ok(())
                } else {
                    Err(Errno::ENOTDIR)
                }
            }
            Step::RequireFilesystem { fd, magic } => {
                if file::filesystem_magic(self.fd(fd)?)? == *magic {
                    Ok(())
                } else {
                    Err(Errno::ESTALE)
                }
            }
            Step::RefuseFilesystem { fd, magic } => {
                if file::filesystem_magic(self.fd(fd)?)? == *magic {
                    Err(Errno::EXDEV)
                } else {
                    Ok(())
                }
            }
            Step::Symlink { dir, name, target } => match open::symlinkat(target, self.dir(dir)?, name) {
                Err(Errno::EEXIST) => Ok(()),
                other => other,
            },
            Step::Device { dir, name, mode, major, minor, uid, gid } => {
                self.device(dir, name, *mode, (*major, *minor), (*uid, *gid))
            }
            _ => self.stage_step(step),
        }
    }

    fn stage_step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::CopyContent { from, to, top } => copy::copy_content(self.fd(from)?, self.fd(to)?, *top),
            Step::Stage { out } => self.put(*out, stage::make()?),
            Step::StageFilesystem { stage, fstype, source, flags, data, out } => {
                let mount = stage::new_filesystem(self.slot(*stage)?, fstype, source, *flags, data)?;
                self.put(*out, mount)
            }
            Step::StageCopy { stage, from, recursive, out } => {
                let mount = stage::copy(self.slot(*stage)?, self.fd(from)?, *recursive)?;
                self.put(*out, mount)
            }
            Step::StageAttach { from, to } => stage::attach(self.fd(from)?, self.fd(to)?),
            _ => self.readback_step(step),
        }
    }

    /// Goes on in a new process, which announces itself; returns in that one only.
    pub(crate) fn fork(&mut self, namespaces: Namespaces) -> Result<()> {
        let mut rest = namespaces;
        if self.call == Call::Clone && namespaces.contains(Namespaces::TIME) {
            // All at once, so that a new user namespace owns the others. PID alone would be left to the next
            // child too, but then that one's number would be asked for in the wrong namespace.
            rest = namespaces.intersection(Namespaces::PID);
            clone::unshare(namespaces.difference(Namespaces::PID))?;
        }
        let sibling = Fork { namespaces: rest, sibling: true, ..Fork::default() };
        // SAFETY: both sides go on in this walk or end; nothing is freed twice, as nothing is freed.
        match unsafe { fork::fork(self.call, &sibling)? } {
            // SAFETY: the descriptor was opened by the parent for this child and is closed by nobody else.
            Side::Child => announce(unsafe { BorrowedFd::borrow_raw(self.report) }),
            // SAFETY: takes no pointer, runs no handler, does not return.
            Side::Maker { .. } => unsafe { libc::_exit(0) },
        }
    }

    fn open_in(
        &mut self,
        dir: &At,
        path: &CStr,
        flags: Open,
        resolve: Resolve,
        absent: Absent,
        out: Slot,
    ) -> Result<Skip> {
        match (open::openat2(self.dir(dir)?, path, flags, 0o644, resolve), absent) {
            (Ok(fd), _) => self.put(out, fd).map(|()| 0),
            (Err(Errno::ENOENT | Errno::ENOTDIR), Absent::Skip(count)) => Ok(count),
            (Err(errno), _) => Err(errno),
        }
    }

    /// What cannot be read names nobody's home.
    fn find_home(&self, uid: u32) -> Result<()> {
        use std::os::fd::AsFd;
        // An image may have a FIFO there, whose opening must not wait.
        let flags = Open::NONBLOCK;
        let Ok(file) = open::openat2(Dir::Cwd, c"/etc/passwd", flags, 0, INSIDE) else { return Ok(()) };
        if !file::fstat(file.as_fd())?.is_file() {
            return Ok(());
        }
        if let Some(home) = self.home {
            passwd::find_home(file.as_fd(), uid, &mut |directory| home.set(directory));
        }
        Ok(())
    }

    fn write(&self, dir: &At, path: &CStr, data: &[u8]) -> Result<()> {
        use std::os::fd::AsFd;
        let resolve = Resolve::NO_SYMLINKS | Resolve::NO_MAGICLINKS;
        let file = open::openat2(self.dir(dir)?, path, Open::WRONLY, 0, resolve)?;
        file::write_once(file.as_fd(), data)
    }

    fn device(
        &self,
        dir: &At,
        name: &CStr,
        mode: u32,
        (major, minor): (u32, u32),
        owner: (u32, u32),
    ) -> Result<()> {
        use std::os::fd::AsFd;
        let dir = self.dir(dir)?;
        match open::mknodat(dir, name, mode, major, minor) {
            Ok(()) => {
                // mknod(2) applies the umask, and the owner is the caller's. chown(2) takes set-id bits away.
                open::chownat(dir, name, owner.0, owner.1)?;
                open::chmodat(dir, name, mode & 0o7777)
            }
            Err(Errno::EEXIST) => {
                let there = open::openat2(dir, name, Open::PATH | Open::NOFOLLOW, 0, Resolve::NO_SYMLINKS)?;
                let stat = file::fstat(there.as_fd())?;
                let same =
                    (stat.major, stat.minor) == (major, minor) && (stat.mode ^ mode) & libc::S_IFMT == 0;
                if same { Ok(()) } else { Err(Errno::EEXIST) }
            }
            Err(errno) => Err(errno),
        }
    }

    fn take_or_copy(&mut self, slot: Slot, out: Slot) -> Result<()> {
        let mount = self.slot(slot)?;
        let taken = self.taken.get_mut(usize::from(slot.0)).ok_or(Errno::EBADF)?;
        let fd = if std::mem::replace(taken, true) {
            mount::open_tree(mount.into(), c"", OpenTree::CLONE | OpenTree::EMPTY_PATH)?
        } else {
            mount.try_clone_to_owned().map_err(|error| errno::from_io(&error))?
        };
        self.put(out, fd)
    }

    fn put(&mut self, slot: Slot, fd: OwnedFd) -> Result<()> {
        let place = self.slots.get_mut(usize::from(slot.0)).ok_or(Errno::EBADF)?;
        *place = fd.into_raw_fd();
        Ok(())
    }

    fn close(&mut self, slot: Slot) -> Result<()> {
        use std::os::fd::FromRawFd;
        let place = self.slots.get_mut(usize::from(slot.0)).ok_or(Errno::EBADF)?;
        if *place < 0 {
            return Err(Errno::EBADF);
        }
        // SAFETY: the slot owned the descriptor and is emptied in the same breath.
        drop(unsafe { OwnedFd::from_raw_fd(*place) });
        *place = -1;
        Ok(())
    }

    fn slot(&self, slot: Slot) -> Result<BorrowedFd<'static>> {
        let raw = self.slots.get(usize::from(slot.0)).copied().filter(|raw| *raw >= 0).ok_or(Errno::EBADF)?;
        // SAFETY: a slot holds an open descriptor until `close`, which no step interleaves with a use; the
        // child never returns, so 'static is the time until execve.
        Ok(unsafe { BorrowedFd::borrow_raw(raw) })
    }

    fn fd(&self, at: &At) -> Result<BorrowedFd<'static>> {
        match at {
            At::Cwd => Err(Errno::EBADF),
            // SAFETY: the plan owns the descriptor and outlives the walk, which ends in execve or _exit.
            At::Fd(fd) => Ok(unsafe { BorrowedFd::borrow_raw(fd.as_raw_fd()) }),
            At::Slot(slot) => self.slot(*slot),
        }
    }

    fn dir(&self, at: &At) -> Result<Dir<'static>> {
        match at {
            At::Cwd => Ok(Dir::Cwd),
            _ => self.fd(at).map(Dir::Fd),
        }
    }
}

/// Writes `/proc/self/timens_offsets`, of a real procfs.
fn time_offsets(text: &[u8]) -> Result<()> {
    use std::os::fd::AsFd;
    let path = c"/proc/self/timens_offsets";
    let file = open::openat2(Dir::Cwd, path, Open::WRONLY, 0, Resolve::NO_MAGICLINKS)?;
    if file::filesystem_magic(file.as_fd())? != libc::PROC_SUPER_MAGIC {
        return Err(Errno::ESTALE);
    }
    file::write_once(file.as_fd(), text)
}

/// Permissions in octal digits.
fn octal(mode: u32, digits: &mut [u8; 5]) -> &CStr {
    for (place, shift) in digits.iter_mut().zip([9, 6, 3, 0]) {
        *place = b'0' | u8::try_from((mode >> shift) & 7).unwrap_or(0);
    }
    // Four digits and the NUL behind them.
    CStr::from_bytes_until_nul(digits).unwrap_or_default()
}

/// Whether a step is between the child and its parent or starter, or a program of its own.
fn is_of_the_child(step: &Step) -> bool {
    matches!(
        step,
        Step::WaitForParent
            | Step::TellParent
            | Step::Listen { .. }
            | Step::AcceptStart { .. }
            | Step::SendDescriptor { .. }
            | Step::LeaveOpen(_)
            | Step::Fork(_)
            | Step::Run(_)
    )
}

/// `chroot(".")` (`chroot(2)`): a step of a plan only, since alone it confines nothing.
fn change_root_here() -> Result<()> {
    // SAFETY: the path is a valid C string.
    check_int(unsafe { libc::chroot(c".".as_ptr()) }).map(drop)
}
