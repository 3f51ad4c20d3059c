//! `create`: everything up to the program, which waits to be started.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use cofferdam_mountfs::{Host, Prepared, RootSource};
use cofferdam_ns::{Isolation, Namespaces, NsKind};
use cofferdam_sys::plan::{At, Plan};
use cofferdam_sys::process;

use super::{Runtime, Warn, pid_file};
use crate::bundle::Bundle;
use crate::run::{self, Additions, Confined, Control, Handover, Site, Surroundings};
use crate::state::{Locked, Record, State, Status, VERSION, identify, is_root_of_machine, now};
use crate::{Container, ContainerId, Error, ErrorKind, Result, hooks};

/// What `create` and `run` are told beside the bundle.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct CreateOptions {
    /// A socket that is sent the master of the container's terminal.
    pub console_socket: Option<PathBuf>,
    /// A file that gets the process id.
    pub pid_file: Option<PathBuf>,
    /// How many descriptors from number 3 on the container inherits.
    pub preserve_fds: u32,
    /// Leaves the container in the caller's session keyring.
    pub no_new_keyring: bool,
}

/// A container on its way: what has been made so far, so that it can be unmade.
pub(super) struct Attempt<'root> {
    pub(super) container: Container,
    pub(super) isolation: Isolation,
    pub(super) plan: Plan,
    pub(super) control: Control,
    pub(super) confined: Option<Confined>,
    pub(super) handover: Option<Handover>,
    pub(super) directory: Locked<'root>,
    pub(super) record: Record,
    pub(super) state: State,
}

impl Runtime {
    /// Makes a container that waits for [`Runtime::start`].
    ///
    /// # Errors
    /// The step that failed; nothing of the container is left then, or the error says what is.
    pub fn create(
        &self,
        id: &ContainerId,
        bundle: &Path,
        options: &CreateOptions,
        warn: Warn<'_>,
    ) -> Result<()> {
        let mut attempt = self.attempt(id, bundle, options, true, warn)?;
        match create(&mut attempt, options, warn) {
            Ok(()) => Ok(()),
            Err(error) => Err(attempt.undo(error, warn)),
        }
    }

    /// Checks, lowers, and makes the directory and the cgroup.
    pub(super) fn attempt(
        &self,
        id: &ContainerId,
        bundle: &Path,
        options: &CreateOptions,
        gate: bool,
        warn: Warn<'_>,
    ) -> Result<Attempt<'_>> {
        let bundle = Bundle::load(bundle)?;
        let mut container = crate::lower(&bundle, id)?;
        let console = console(container.process.terminal.is_some(), options.console_socket.as_deref())?;
        check_preserved(options.preserve_fds)?;
        let isolation = run::isolation(&container)?;
        let (filter, handover) = run::prepare_filter(container.seccomp.as_ref())?;
        let confined = container.process.label.as_ref().map(Confined::new).transpose()?;
        self.sweep(id)?;
        let directory = self.root.create(id)?;
        let site = Site::find(&container.cgroup)?;
        let record = record(&container, id, site.place().cloned());
        let state = State::new(&record, Status::Creating);
        // From here on nothing is made before its place is written down: were this process killed, `delete`
        // finds it.
        let prepared = directory
            .save(&record)
            .and_then(|()| directory.save_config(&bundle.text))
            .and_then(|()| if gate { directory.listener().map(|fd| Some(At::from(fd))) } else { Ok(None) })
            .and_then(|gate| {
                let control = Control::create(&container.cgroup, site, id, warn);
                control.map(|control| (gate, control))
            })
            .and_then(|(gate, control)| {
                let around = Surroundings {
                    state: state.clone(),
                    gate,
                    console,
                    inherit: options.preserve_fds,
                    keyring: !options.no_new_keyring,
                };
                let additions = Additions { filter: filter.as_ref(), confined: confined.as_ref() };
                let plan = prepare(&mut container, &control)
                    .and_then(|root| run::plan(&container, &isolation, root, &additions, id, &around, warn));
                match plan {
                    Ok(plan) => Ok((plan, control)),
                    Err(error) => Err(match control.remove() {
                        Ok(()) => error,
                        Err(cleanup) => error.with_cleanup(cleanup),
                    }),
                }
            });
        match prepared {
            Ok((plan, control)) => Ok(Attempt {
                container,
                isolation,
                plan,
                control,
                confined,
                handover,
                directory,
                record,
                state,
            }),
            Err(error) => Err(match directory.remove() {
                Ok(()) => error,
                Err(cleanup) => error.with_cleanup(cleanup),
            }),
        }
    }
}

/// Opens the root and the sources of its mounts. The cgroup is one of them where no namespace shows it.
fn prepare(container: &mut Container, control: &Control) -> Result<Prepared> {
    let own = container.new_namespaces.contains(Namespaces::CGROUP);
    let joined = container.join_namespaces.iter().any(|(kind, _)| *kind == NsKind::Cgroup);
    if !own && !joined {
        container.rootfs.cgroups = Some(control.directories());
    }
    // An engine without rights starts the runtime in a user namespace, and the config asks for no other.
    container.rootfs.user_namespace |= !is_root_of_machine();
    container.rootfs.prepare(&Host::probe().map_err(start)?).map_err(start)
}

impl Attempt<'_> {
    /// Removes what was made for a container that did not come to be. Its `poststop` hooks run, for those of
    /// the hooks before them that did.
    pub(super) fn undo(self, error: Error, warn: Warn<'_>) -> Error {
        let removed = self.control.remove().map_err(|cleanup| cleanup.to_string());
        let removed = removed.and_then(|()| self.directory.remove().map_err(|cleanup| cleanup.to_string()));
        hooks::poststop(&self.record.poststop, &State::new(&self.record, Status::Stopped), warn);
        match removed {
            Ok(()) => error,
            Err(cleanup) => error.with_cleanup(cleanup),
        }
    }
}

fn create(attempt: &mut Attempt<'_>, options: &CreateOptions, warn: Warn<'_>) -> Result<()> {
    let Attempt { container, isolation, plan, control, handover, directory, record, state, .. } = attempt;
    let mut spawning = run::launch(container, isolation, plan, control, handover.as_mut(), state, warn)?;
    spawning.reached().map_err(|failure| run::child_failure(&container.process, &failure))?;
    let pid = spawning.pid();
    directory.save(&Record { init: Some(identify(pid)?), ..record.clone() })?;
    if let Some(path) = &options.pid_file {
        pid_file::write(path, pid)?;
    }
    // The container outlives this command from here on.
    spawning.keep();
    Ok(())
}

fn record(container: &Container, id: &ContainerId, cgroup: Option<run::Place>) -> Record {
    Record {
        version: VERSION,
        id: id.to_string(),
        oci_version: container.oci_version.clone(),
        bundle: container.bundle.clone(),
        rootfs: root_path(&container.rootfs.source),
        annotations: container.annotations.clone(),
        created: now(),
        owner: process::effective_uid(),
        init: None,
        cgroup,
        config_at_start: !container.hooks.poststart.is_empty() || container.process.label.is_some(),
        poststop: container.hooks.poststop.clone(),
    }
}

/// Where the image is, for who asks; a config names a directory.
fn root_path(source: &RootSource) -> PathBuf {
    match source {
        RootSource::Directory(path) | RootSource::Image(path) => path.clone(),
        _ => PathBuf::new(),
    }
}

/// Connects to the console socket.
pub(super) fn console(terminal: bool, socket: Option<&Path>) -> Result<Option<At>> {
    match (terminal, socket) {
        (false, None) => Ok(None),
        (true, None) => Err(Error::new(ErrorKind::Usage, "process.terminal needs --console-socket")
            .with_hint("a process that this command does not wait for can have no terminal of the caller's")),
        (false, Some(_)) => Err(Error::new(ErrorKind::Usage, "--console-socket needs process.terminal")
            .with_hint("set process.terminal (exec: --tty), or leave the socket out")),
        (true, Some(path)) => match UnixStream::connect(path) {
            Ok(stream) => Ok(Some(At::from(OwnedFd::from(stream)))),
            Err(error) => {
                let what = format!("--console-socket {}: {error}", path.display());
                Err(Error::new(ErrorKind::Usage, what)
                    .with_hint("it names a unix stream socket that somebody listens on"))
            }
        },
    }
}

/// What is not open cannot be passed on, and its number would go to a descriptor of ours.
pub(super) fn check_preserved(count: u32) -> Result<()> {
    for number in (3..).take(usize::try_from(count).unwrap_or(usize::MAX)) {
        if !Path::new(&format!("/proc/self/fd/{number}")).exists() {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("--preserve-fds: descriptor {number} is not open"),
            )
            .with_hint("the caller leaves descriptors 3 and up open for the container"));
        }
    }
    Ok(())
}

fn start(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Start, error.to_string())
}
