//! `create`: everything up to the program, which waits to be started.

use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use cofferdam_cgroup::Limits;
use cofferdam_mountfs::{Host, Prepared, RootSource};
use cofferdam_ns::Isolation;
use cofferdam_sys::plan::{At, Plan};
use cofferdam_sys::process;
use cofferdam_sys::spawn::Spawning;

use super::console::Console;
use super::{Runtime, Warn, pid_file, pidfd_socket, preserved};
use crate::bundle::Bundle;
use crate::run::{self, Additions, Confined, Control, Outside, Site, Surroundings};
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
    /// How many descriptors from number 3 on are passed on as those of `sd_listen_fds(3)`, before those of
    /// `preserve_fds`.
    pub listen_fds: u32,
    /// Leaves the container in the caller's session keyring.
    pub no_new_keyring: bool,
    /// A config in place of the bundle's `config.json`.
    pub config: Option<PathBuf>,
    /// A socket that is sent a pidfd of the container's first process.
    pub pidfd_socket: Option<PathBuf>,
    /// Who makes the control group.
    pub cgroup_manager: CgroupManager,
}

/// Who makes the control group of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CgroupManager {
    /// The runtime itself, at the path that the config names.
    #[default]
    Cgroupfs,
    /// systemd, as a scope: that of the machine for its root, else the user's own.
    Systemd,
    /// Nobody: what the config says of one is not enforced, and a warning says so.
    Disabled,
}

/// Which command makes a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// `create`: it waits to be started.
    Create,
    /// `run --detach`.
    Detached,
    /// `run`, which stays until its end.
    Foreground,
}

/// A container on its way: what has been made so far, so that it can be unmade.
pub(super) struct Attempt<'root> {
    pub(super) bundle: Bundle,
    pub(super) container: Container,
    pub(super) isolation: Isolation,
    pub(super) plan: Plan,
    pub(super) control: Control,
    pub(super) confined: Option<Confined>,
    pub(super) outside: Outside,
    /// Where the master of its terminal comes, for who passes it on.
    pub(super) terminal: Option<UnixStream>,
    /// Who is sent a pidfd.
    pub(super) pidfd_socket: Option<UnixStream>,
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
        let mut attempt = self.attempt(id, bundle, options, Way::Create, warn)?;
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
        way: Way,
        warn: Warn<'_>,
    ) -> Result<Attempt<'_>> {
        // Before anything of ours is opened, whose number it might be taken for.
        let inherit = preserved::find(options.listen_fds, options.preserve_fds, warn)?;
        let bundle = Bundle::load(bundle, options.config.as_deref())?;
        let mut container = crate::lower(&bundle, id)?;
        let terminal = container.process.terminal.as_mut();
        let console = Console::of(terminal, options.console_socket.as_deref(), way == Way::Foreground)?;
        container.process.listen_fds = options.listen_fds;
        let pidfd_socket = options.pidfd_socket.as_deref().map(pidfd_socket::connect).transpose()?;
        let disabled = options.cgroup_manager == CgroupManager::Disabled;
        if disabled && container.cgroup.limits != Limits::default() {
            warn("linux.resources: not enforced, as no cgroup is to be made");
        }
        let isolation = run::isolation(&container)?;
        let (filter, handover) = run::prepare_filter(container.seccomp.as_ref())?;
        let confined = container.process.label.as_ref().map(Confined::new).transpose()?;
        run::require_selinux(container.mount_label.as_ref())?;
        let outside = Outside::prepare(&container, id, handover)?;
        self.sweep(id)?;
        // What was left half made is gone with the parents that were made for it; nothing of this one is there yet.
        let site = match options.cgroup_manager {
            CgroupManager::Disabled => Site::none()?,
            CgroupManager::Cgroupfs => Site::find(&container.cgroup)?,
            CgroupManager::Systemd => Site::systemd(&container, id)?,
        };
        let directory = self.root.create(id)?;
        let mut record = Record { rdt: outside.rdt(), ..record(&container, id, &site) };
        let state = State::new(&record, Status::Creating);
        // From here on nothing is made before its place is written down: were this process killed, `delete`
        // finds it.
        let prepared = directory
            .save(&record)
            .and_then(|()| {
                if way == Way::Create { directory.listener().map(|fd| Some(At::from(fd))) } else { Ok(None) }
            })
            .and_then(|gate| {
                let place = |place: &run::Place| {
                    record.cgroup = Some(place.clone());
                    directory.save(&record)
                };
                let control = Control::create(&container.cgroup, site, id, place, warn);
                control.map(|control| (gate, control))
            })
            .and_then(|(gate, control)| {
                let around = Surroundings {
                    state: state.clone(),
                    lock: directory.holder(),
                    gate,
                    console: console.child,
                    inherit,
                    keyring: !options.no_new_keyring,
                };
                let plan = prepare(&mut container, &control).and_then(|root| {
                    let additions = Additions {
                        filter: filter.as_ref(),
                        confined: confined.as_ref(),
                        domain: &container.domain,
                    };
                    run::plan(&container, &isolation, root, &additions, id, &around, warn)
                });
                match plan {
                    Ok(plan) => Ok((plan, control)),
                    Err(error) => Err(match control.remove() {
                        Ok(()) => error,
                        Err(cleanup) => error.with_cleanup(cleanup),
                    }),
                }
            });
        match prepared {
            Ok((plan, control)) => {
                if control.is_none() {
                    // What has the name, if something has, is another's.
                    record.cgroup = None;
                    if record.shares_pids {
                        warn(
                            "creating a container with no cgroup and no private pid namespace. \
                             Such configuration is strongly discouraged: \
                             its processes cannot be told from others",
                        );
                    }
                }
                Ok(Attempt {
                    bundle,
                    container,
                    isolation,
                    plan,
                    control,
                    confined,
                    outside,
                    terminal: console.own,
                    pidfd_socket,
                    directory,
                    record,
                    state,
                })
            }
            Err(error) => Err(match directory.remove() {
                Ok(()) => error,
                Err(cleanup) => error.with_cleanup(cleanup),
            }),
        }
    }
}

/// Opens the root and the sources of its mounts. The cgroup is one of them where no namespace shows it.
fn prepare(container: &mut Container, control: &Control) -> Result<Prepared> {
    if container.shares_cgroups() {
        container.rootfs.cgroups = Some(control.directories());
    }
    container.rootfs.visible_at = seen_by_hooks(container);
    // An engine without rights starts the runtime in a user namespace, and the config asks for no other.
    container.rootfs.user_namespace |= !is_root_of_machine();
    container.rootfs.prepare(&Host::probe().map_err(start)?).map_err(start)
}

/// Where hooks look for the root while it is not the container's yet: the image's directory, which the state names. A
/// user of a user namespace must be able to get there; where it cannot, the root covers that of the host.
fn seen_by_hooks(container: &Container) -> Option<PathBuf> {
    let hooks = &container.hooks;
    if hooks.prestart.is_empty() && hooks.create_runtime.is_empty() && hooks.create_container.is_empty() {
        return None;
    }
    let RootSource::Directory(path) = &container.rootfs.source else { return None };
    let open = |path: &Path| path.metadata().is_ok_and(|meta| meta.mode() & 0o001 != 0);
    let reached = is_root_of_machine() && !container.rootfs.user_namespace || path.ancestors().all(open);
    reached.then(|| path.clone())
}

impl Attempt<'_> {
    /// Removes what was made for a container that did not come to be. Its `poststop` hooks run, for those of
    /// the hooks before them that did.
    pub(super) fn undo(self, error: Error, warn: Warn<'_>) -> Error {
        let returned = self.outside.undo();
        let removed = self.control.remove().map_err(start).and_then(|()| self.directory.remove());
        hooks::poststop(&self.record.poststop, &State::new(&self.record, Status::Stopped), warn);
        [returned, removed].into_iter().filter_map(Result::err).fold(error, Error::with_cleanup)
    }
}

fn create(attempt: &mut Attempt<'_>, options: &CreateOptions, warn: Warn<'_>) -> Result<()> {
    let mut spawning = run::launch(
        &attempt.container,
        &attempt.isolation,
        &attempt.plan,
        &mut attempt.control,
        &mut attempt.outside,
        &attempt.state,
        warn,
    )?;
    // Beside the child's work.
    attempt.directory.save_config(&attempt.bundle.text)?;
    spawning.reached().map_err(|failure| run::child_failure(&attempt.container.process, &failure))?;
    announce(&spawning, attempt, options)?;
    // The container outlives this command from here on.
    spawning.keep();
    Ok(())
}

/// Writes down which process it is, and tells those who asked for it.
pub(super) fn announce(
    spawning: &Spawning<'_>,
    attempt: &Attempt<'_>,
    options: &CreateOptions,
) -> Result<Record> {
    let record = Record { init: Some(identify(spawning.pid())?), ..attempt.record.clone() };
    attempt.directory.save(&record)?;
    if let Some(path) = &options.pid_file {
        pid_file::write(path, spawning.pid())?;
    }
    if let Some((socket, pidfd)) = attempt.pidfd_socket.as_ref().zip(spawning.pidfd()) {
        pidfd_socket::send(socket, pidfd)?;
    }
    Ok(record)
}

pub(super) fn record(container: &Container, id: &ContainerId, site: &Site) -> Record {
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
        cgroup: site.place().cloned(),
        unit: site.unit().cloned(),
        rdt: None,
        config_at_start: !container.hooks.poststart.is_empty() || container.process.label.is_some(),
        shares_pids: !container.new_namespaces.contains(cofferdam_ns::Namespaces::PID),
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

fn start(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Start, error.to_string())
}
