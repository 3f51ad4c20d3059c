//! `restore`: a container made of an image that `checkpoint` has written.
//!
//! ```text
//! restore                                         criu, in the container's cgroup
//! -------                                         -------------------------------
//! record, cgroup without limits, start criu ────▶ makes namespaces
//! prestart, createRuntime hooks   ◀── setup-namespaces
//! limits; place as in the config? ◀── post-restore    all processes are there, none runs
//! rights as in the config?        ◀── pre-resume      they have their rights, none runs
//!                                                 lets them go on, ends
//! ```
//! An image is not believed: what it brings back must not be more than the config allows, or it is killed before its
//! first instruction. Everything is in the container's cgroup from the beginning, so that whoever removes that ends
//! it, whatever has become of this command and of criu.

mod mend;
mod place;
mod rights;
mod tasks;

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use cofferdam_mountfs::RootSource;
use cofferdam_ns::Isolation;
use cofferdam_sys::plan::At;
use cofferdam_sys::process::{Exit, pidfd_send_signal};
use cofferdam_sys::send::send_descriptor;
use cofferdam_sys::signal::Signals;
use cofferdam_sys::spawn::Child;

use super::checkpoint::{Folders, ImageOptions, require_root};
use super::console::Console;
use super::create::record;
use super::{Runtime, Warn, delete, pid_file};
use crate::bundle::Bundle;
use crate::criu::{Descriptors, Kind, Notice, Outside, Place, Service};
use crate::run::{self, Confined, Control, Relay, Site};
use crate::state::{Locked, Record, State, Status, identify};
use crate::{Container, ContainerId, Error, ErrorKind, Result, hooks};

/// The log in the work folder.
const LOG: &str = "restore.log";

/// What comes beside the master on the console socket, as at a start.
const BESIDE: &[u8] = b"/dev/ptmx";

const SIGKILL: i32 = 9;

/// What `restore` is told.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RestoreOptions {
    /// The image and what of it.
    pub image: ImageOptions,
    /// A socket that is sent the master of the container's terminal.
    pub console_socket: Option<PathBuf>,
    /// A file that gets the process id.
    pub pid_file: Option<PathBuf>,
    /// Returns once the container runs.
    pub detach: bool,
    /// Makes a new network namespace as the config has it, without what the image has in it.
    pub empty_network: bool,
    /// The label of the processes, as `selinux:CONTEXT` or `apparmor:NAME`; it must be the config's where that has
    /// one.
    pub label: Option<String>,
    /// The SELinux label of the file systems.
    pub mount_label: Option<String>,
}

/// A container on its way back.
struct Attempt<'root> {
    container: Container,
    isolation: Isolation,
    confined: Option<Confined>,
    filtered: bool,
    control: Control,
    directory: Locked<'root>,
    record: Record,
    console: Option<At>,
    /// Whether everything that must be compared has been.
    compared: bool,
    /// criu's own namespaces are the host's, or copies of them.
    criu: i32,
}

impl Runtime {
    /// Makes a container of an image and gives its end, passing signals on to it; 0 at once when detached.
    ///
    /// # Errors
    /// As [`Runtime::create`] and [`Runtime::checkpoint`]; [`ErrorKind::Start`] where the image holds more than the
    /// config allows. Nothing of the container is left then, or the error says what is.
    pub fn restore(
        &self,
        id: &ContainerId,
        bundle: &Path,
        options: &RestoreOptions,
        warn: Warn<'_>,
    ) -> Result<Exit> {
        require_root("restore")?;
        let bundle = Bundle::load(bundle, None)?;
        let mut container = crate::lower(&bundle, id)?;
        label(&container, options)?;
        let folders = Folders::open(&options.image)?;
        let console = Console::of(
            container.process.terminal.as_mut(),
            options.console_socket.as_deref(),
            !options.detach,
        )?;
        let isolation = run::isolation(&container)?;
        let (filter, _) = run::prepare_filter(container.seccomp.as_ref())?;
        let confined = container.process.label.as_ref().map(Confined::new).transpose()?;
        Outside::of(&container)?;
        let signals = (!options.detach).then(Signals::take).transpose();
        let signals = signals.map_err(|number| run::os("take over signals", number))?;

        self.sweep(id)?;
        let site = Site::find(&container.cgroup)?;
        let directory = self.root.create(id)?;
        let record = record(&container, id, &site);
        // From here on nothing is made before its place is written down.
        let saved = directory
            .save(&record)
            .and_then(|()| directory.save_config(&bundle.text))
            .and_then(|()| Control::make(&container.cgroup, site, id, warn));
        let control = match saved {
            Ok(control) => control,
            Err(error) => {
                return Err(match directory.remove() {
                    Ok(()) => error,
                    Err(cleanup) => error.with_cleanup(cleanup),
                });
            }
        };
        let mut attempt = Attempt {
            container,
            isolation,
            confined,
            filtered: filter.is_some(),
            control,
            directory,
            record,
            console: console.child,
            compared: false,
            criu: 0,
        };
        let restored = attempt
            .bring_back(self.root.path(), &bundle, &folders, options, warn)
            .and_then(|child| Ok((child, own_terminal(&mut attempt.console, console.own.as_ref())?)));
        match restored {
            Err(error) => Err(attempt.undo(error, warn)),
            Ok(_) if options.detach => Ok(Exit::Code(0)),
            Ok((child, relay)) => attempt.wait(&child, signals, relay, warn),
        }
    }
}

/// Takes the terminal, when this command passes it on.
fn own_terminal(console: &mut Option<At>, own: Option<&UnixStream>) -> Result<Option<Relay>> {
    // Where no terminal has come, none will.
    *console = None;
    own.map(Relay::begin).transpose()
}

/// The label that criu gives all processes, whatever the image says: the config's.
fn label(container: &Container, options: &RestoreOptions) -> Result<Option<String>> {
    let own = container.process.label.as_ref();
    let own = own.map(|label| format!("{}:{}", label.module().name(), label.value()));
    match (own, &options.label) {
        (Some(own), Some(asked)) if own != *asked => {
            let what = format!("--lsm-profile {asked}: the config has {own}");
            Err(Error::new(ErrorKind::Usage, what)
                .with_hint("a restore does not change what the config asks"))
        }
        (own, asked) => Ok(own.or_else(|| asked.clone())),
    }
}

impl Attempt<'_> {
    /// Has criu make the processes.
    fn bring_back(
        &mut self,
        root: &Path,
        bundle: &Bundle,
        folders: &Folders,
        options: &RestoreOptions,
        warn: Warn<'_>,
    ) -> Result<Child> {
        let RootSource::Directory(source) = &self.container.rootfs.source else {
            return Err(Error::new(ErrorKind::Unsupported, "restore: the root must be a directory"));
        };
        // What covers it is in a mount namespace of criu's: the record stays in sight for everybody else.
        let place = root.join(&self.record.id).canonicalize().map_err(|error| {
            Error::new(ErrorKind::State, format!("container {}: {error}", self.record.id))
        })?;
        let source = source.clone();
        if self.container.shares_cgroups() {
            self.container.rootfs.cgroups = Some(self.control.directories());
        }
        let outside = Outside::of(&self.container)?;
        let joined = outside.joined()?;
        let around = Place {
            cgroup: &self.control,
            root: (&source, &place),
            mount_points: outside.mount_points(),
            sources: outside.sources(),
            readonly: self.container.rootfs.readonly,
            inherit: joined.descriptors(),
        };
        let mut service = Service::start_in(options.image.criu.as_deref(), &around)?;
        self.criu = service.pid();
        let folders = folders.seen_by(self.criu)?;

        let mut request = options.image.lower(&folders, LOG, bundle);
        request.root(&place);
        request.as_sibling();
        for (controller, path) in self.control.roots() {
            request.cgroup_root(Some(&controller), &path);
        }
        outside.stand_for(&joined, &mut request);
        Descriptors::load(&folders.images)?.inherit(&mut request);
        if let Some(label) = label(&self.container, options)? {
            request.label(&label);
        }
        if let Some(label) = &options.mount_label {
            request.mount_label(label);
        }
        if options.empty_network {
            request.empty_namespaces(i32::try_from(cofferdam_ns::Namespaces::NET.bits()).unwrap_or(0));
        }
        let hear = &mut |notice| self.hear(notice, warn);
        let answer = service.ask(Kind::Restore, &request, (folders.work(), LOG), hear)?;
        drop(service);
        let init = self.record.init.as_ref().map(|init| init.pid);
        let pid = answer.pid.filter(|pid| Some(*pid) == init && self.compared).ok_or_else(|| {
            Error::new(
                ErrorKind::Start,
                "criu restored processes without telling of each step, so that they could not be looked at",
            )
        })?;
        if let Some(path) = &options.pid_file {
            pid_file::write(path, pid)?;
        }
        Child::adopt(pid).map_err(|number| run::os("open the restored process", number))
    }

    /// One step of criu's, which waits for the answer.
    fn hear(&mut self, notice: Notice, warn: Warn<'_>) -> Result<()> {
        let Notice { script, pid, descriptor } = notice;
        let missing = || Error::new(ErrorKind::Start, format!("criu tells of {script} without a process"));
        match script.as_str() {
            "setup-namespaces" => {
                let mut state = State::new(&self.record, Status::Creating);
                state.pid = pid.ok_or_else(missing)?;
                place::in_cgroup(&self.control, state.pid)?;
                let hooks = &self.container.hooks;
                hooks::run("prestart", &hooks.prestart, &state)?;
                hooks::run("createRuntime", &hooks.create_runtime, &state)
            }
            "post-restore" => {
                let pid = pid.ok_or_else(missing)?;
                let init = identify(pid)?;
                // Before anything is done to it: criu might name any process of the host.
                place::compare(&self.container, &self.isolation, &self.control, pid, self.criu)?;
                self.record.init = Some(init);
                self.directory.save(&self.record)?;
                self.control.limit(&self.container.cgroup)?;
                run::prepare_child(&self.container.process, pid, warn)
            }
            "pre-resume" => {
                let pid = self.record.init.as_ref().map(|init| init.pid).ok_or_else(missing)?;
                let compared = rights::compare(
                    &self.container,
                    self.filtered,
                    self.confined.as_ref(),
                    (pid, self.criu),
                    warn,
                );
                if compared.is_err() {
                    // criu goes on whatever it is answered here.
                    self.kill();
                }
                self.compared = compared.is_ok();
                compared
            }
            "orphan-pts-master" => match (&self.console, &descriptor) {
                (Some(At::Fd(socket)), Some(master)) => pass_on(socket, master),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Ends the processes, and criu with them.
    fn kill(&self) {
        let init = self.record.init.as_ref().map_or(Ok(None), crate::state::Init::open);
        if let Ok(Some(pidfd)) = init {
            // Gone already is as good.
            let _ = pidfd_send_signal(pidfd.as_fd(), SIGKILL);
        }
        // What is left is told by who removes the cgroup.
        let _ = self.control.signal_all(SIGKILL);
    }

    /// Removes what was made for a container that did not come back.
    fn undo(self, error: Error, warn: Warn<'_>) -> Error {
        self.kill();
        match delete::remove(self.directory, &self.record, self.control, warn) {
            Ok(()) => error,
            Err(cleanup) => error.with_cleanup(cleanup),
        }
    }

    /// Waits for its end and removes it.
    fn wait(
        self,
        child: &Child,
        signals: Option<Signals>,
        relay: Option<Relay>,
        warn: Warn<'_>,
    ) -> Result<Exit> {
        let Self { directory, record, control, .. } = self;
        let directory = directory.unlock()?;
        let Some(signals) = signals else { return Ok(Exit::Code(0)) };
        let exit =
            run::wait(child, &signals, relay).map_err(|number| run::os("wait for the container", number))?;
        // Unless another command removed it meanwhile.
        match directory.lock_again()? {
            Some(directory) => delete::remove(directory, &record, control, warn).map(|()| exit),
            None => Ok(exit),
        }
    }
}

/// Gives the other end of the container's terminal to whoever waits for it.
fn pass_on(socket: &OwnedFd, master: &OwnedFd) -> Result<()> {
    send_descriptor(socket.as_fd(), master.as_fd(), BESIDE)
        .map_err(|number| run::os("process.terminal: send its other end to the console socket", number))
}
