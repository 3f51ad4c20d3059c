//! `checkpoint`: a container's processes as an image that `restore` makes them of again.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cofferdam_sys::process::ends_within;

use super::{Runtime, Warn, delete, look, wrong_status};
use crate::bundle::Bundle;
use crate::criu::{self, CgroupsMode, Descriptors, Folder, Kind, Options, Outside, Service, Switches};
use crate::lower;
use crate::run::Control;
use crate::state::{Record, Status, is_root_of_machine};
use crate::{ContainerId, Error, ErrorKind, Result};

/// The log in the work folder.
const LOG: &str = "dump.log";

/// How long processes that criu has killed may take to end.
const LAST_BREATH: Duration = Duration::from_secs(5);

/// The annotation with which a config names a file of more options for criu.
const CONFIG_FILE: &str = "org.criu.config";

/// What `checkpoint` and `restore` are told alike.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ImageOptions {
    /// The program; `criu` of `PATH` when `None`.
    pub criu: Option<PathBuf>,
    /// The folder of the image; `checkpoint` in the working directory when `None`.
    pub images: Option<PathBuf>,
    /// The folder of criu's log; that of the image when `None`.
    pub work: Option<PathBuf>,
    /// What criu is asked for beyond the ordinary.
    pub switches: Switches,
    /// What it does with control groups.
    pub cgroups: CgroupsMode,
}

/// What `checkpoint` is told beside that.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct CheckpointOptions {
    /// The image and what of it.
    pub image: ImageOptions,
    /// An earlier image, by its path from this one: what has not changed since is left out.
    pub parent: Option<PathBuf>,
    /// The container goes on. It is removed otherwise.
    pub leave_running: bool,
    /// Memory only, while the container goes on: a first image for a later one to build upon.
    pub pre_dump: bool,
    /// Who takes the memory, as an address and a port.
    pub page_server: Option<(String, u16)>,
    /// A descriptor that gets a byte once memory can be fetched.
    pub status_fd: Option<i32>,
}

/// The open folders of one command.
pub(super) struct Folders {
    pub(super) images: Folder,
    work: Option<Folder>,
}

impl Folders {
    /// Those of a dump, which are made where they are missing.
    fn make(options: &ImageOptions) -> Result<Self> {
        let work = options.work.as_deref().map(|path| Folder::make(path, "--work-path")).transpose()?;
        Ok(Self { images: Folder::make(options.images(), "--image-path")?, work })
    }

    /// Those of a restore: an image that is there, and none of whose files are another user's.
    pub(super) fn open(options: &ImageOptions) -> Result<Self> {
        let images = Folder::open(options.images(), "--image-path")?;
        images.check_image()?;
        let work = options.work.as_deref().map(|path| Folder::make(path, "--work-path")).transpose()?;
        Ok(Self { images, work })
    }

    /// The same, to be mounted in by a process with a mount namespace of its own.
    pub(super) fn seen_by(&self, pid: i32) -> Result<Self> {
        let work = self.work.as_ref().map(|work| work.seen_by(pid)).transpose()?;
        Ok(Self { images: self.images.seen_by(pid)?, work })
    }

    pub(super) fn work(&self) -> &Folder {
        self.work.as_ref().unwrap_or(&self.images)
    }
}

impl ImageOptions {
    fn images(&self) -> &Path {
        self.images.as_deref().unwrap_or(Path::new("checkpoint"))
    }

    /// The options of both requests.
    pub(super) fn lower(&self, folders: &Folders, log: &str, bundle: &Bundle) -> Options {
        let mut options = Options::new(folders.images.number(), folders.work().number(), log);
        options.switches(self.switches);
        options.cgroups(self.cgroups);
        if let Some(file) = bundle.spec.annotations.get(CONFIG_FILE) {
            options.config_file(file);
        }
        options
    }
}

/// criu changes other processes and their memory, which takes all capabilities of the machine.
pub(super) fn require_root(what: &str) -> Result<()> {
    if is_root_of_machine() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Unsupported, format!("{what}: criu works for the machine's root only"))
        .with_hint("call it as root, outside user namespaces"))
}

impl Runtime {
    /// Writes a container's processes to an image. Unless they go on, the container is removed then.
    ///
    /// # Errors
    /// [`ErrorKind::WrongStatus`] for a container that does not run; [`ErrorKind::Usage`] for a folder that others may
    /// write; [`ErrorKind::Unsupported`] without criu, with one that is too old, or for what it would not bring
    /// back; [`ErrorKind::Start`] with criu's own words: the container goes on then.
    pub fn checkpoint(&self, id: &ContainerId, options: &CheckpointOptions, warn: Warn<'_>) -> Result<()> {
        let directory = self.root.container(id)?.lock()?;
        let (record, status) = look(&directory)?;
        if !matches!(status, Status::Running | Status::Paused) {
            return Err(wrong_status(format!(
                "cannot checkpoint a {status} container: container not running"
            )));
        }
        require_root("checkpoint")?;
        let bundle = Bundle::from_slice(record.bundle.clone(), &directory.config()?)?;
        let control = Control::of(&record)?;
        dump(id, &record, &bundle, &control, options)?;
        if options.leave_running || options.pre_dump {
            return Ok(());
        }
        delete::remove(directory, &record, control, warn)
    }
}

fn dump(
    id: &ContainerId,
    record: &Record,
    bundle: &Bundle,
    control: &Control,
    options: &CheckpointOptions,
) -> Result<()> {
    let stopped = || wrong_status("cannot checkpoint a stopped container: container not running");
    let init = record.init.as_ref().ok_or_else(stopped)?;
    // Keeps the number from being another process's before criu has opened it by the number.
    let pidfd = init.open()?.ok_or_else(stopped)?;
    let mut container = lower::lower(bundle, id)?;
    container.rootfs.cgroups = container.shares_cgroups().then(|| control.directories());
    let outside = Outside::of(&container)?;
    let folders = Folders::make(&options.image)?;

    let mut request = options.image.lower(&folders, LOG, bundle);
    request.pid(init.pid);
    let shown = criu::mounts_of(init.pid)?;
    outside.name(init.pid, &shown, &mut request)?;
    let descriptors = Descriptors::of(init.pid, &shown.iter().map(|mount| mount.id).collect::<Vec<_>>());
    descriptors.leave_out(&mut request);
    if let Some(directory) = control.freezer() {
        request.freeze(&directory);
    }
    request.leave_running(options.leave_running);
    if let Some(parent) = &options.parent {
        request.parent(parent);
    }
    if options.pre_dump || options.parent.is_some() {
        request.track_memory();
    }
    if let Some((address, port)) = &options.page_server {
        request.page_server(address, *port);
    }
    if let Some(fd) = options.status_fd {
        request.status(fd);
    }

    let mut service = Service::start(options.image.criu.as_deref())?;
    descriptors.save(&folders.images)?;
    let kind = if options.pre_dump { Kind::PreDump } else { Kind::Dump };
    service.ask(kind, &request, (folders.work(), LOG), &mut |_| Ok(()))?;
    if options.leave_running || options.pre_dump {
        return Ok(());
    }
    // What is not in the image must not be removed.
    if ends_within(pidfd.as_fd(), Some(LAST_BREATH)) == Ok(true) {
        return Ok(());
    }
    let what = format!("criu says that it has dumped process {}, which goes on", init.pid);
    Err(Error::new(ErrorKind::Start, what))
}
