//! One criu at the other end of a socket.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cofferdam_sys::clone::Namespaces;
use cofferdam_sys::mount::{MountAttrs, MountFlags, OpenTree};
use cofferdam_sys::open::{Open, Resolve};
use cofferdam_sys::plan::{Absent, At, Exec, PathIn, Plan, Step, TooManySlots};
use cofferdam_sys::poll::{self, Events};
use cofferdam_sys::process::{Exit, ends_within, pidfd_send_signal};
use cofferdam_sys::send::{receive_descriptor, send_message};
use cofferdam_sys::socket::packet_pair;
use cofferdam_sys::spawn::{Child, Request, spawn};
use cofferdam_sys::{Errno, errno};

use super::message::{self, Kind, Options, Response, Version};
use super::{Folder, log};
use crate::run::Control;
use crate::{Error, ErrorKind, Result};

/// The oldest criu that knows everything that it is asked for: labels of a restore (`lsm_profile`) are the newest.
const OLDEST: Version = Version { major: 3, minor: 16, patch: 0 };

/// Where criu is looked for besides `PATH`: engines may not have an administrator's.
const SBIN: &str = ":/usr/local/sbin:/usr/sbin:/sbin";

/// How long criu may take to say its version, which it does at once.
const GREETING: Duration = Duration::from_secs(5);

/// How long criu may take to undo a dump once nobody listens any more. A process that it has changed would not
/// survive its being killed.
const LAST_BREATH: Duration = Duration::from_secs(10);

/// Longer than any message of criu's.
const LONGEST: usize = 64 << 10;

const SIGKILL: i32 = 9;

/// See the module.
pub(crate) struct Service {
    program: PathBuf,
    socket: Option<OwnedFd>,
    child: Option<Child>,
    /// Whether it has been asked for something that it would have to undo.
    busy: bool,
}

/// Where criu's restored processes come to life.
pub(crate) struct Place<'a> {
    /// The container's cgroup: whoever removes it, ends criu and all that it has made.
    pub(crate) cgroup: &'a Control,
    /// The root, opened as a mount of its own, and the directory that it is attached to. In a mount namespace of
    /// criu's own, so that the host never sees it.
    pub(crate) root: (&'a Path, &'a Path),
    /// What is made in the root where it is missing, and whether it is a directory.
    pub(crate) mount_points: Vec<(PathBuf, bool)>,
    /// What is covered by a copy of itself with these attributes, in the same namespace.
    pub(crate) sources: Vec<(PathBuf, MountAttrs)>,
    /// Whether the root cannot be written.
    pub(crate) readonly: bool,
    /// What criu inherits besides the standard descriptors, each under its own number.
    pub(crate) inherit: Vec<At>,
}

/// What criu tells while it works.
pub(crate) struct Notice {
    /// The step.
    pub(crate) script: String,
    /// The first process, where the step has one.
    pub(crate) pid: Option<i32>,
    /// What came along.
    pub(crate) descriptor: Option<OwnedFd>,
}

impl Service {
    /// Starts criu beside this process and makes certain of its version.
    pub(crate) fn start(program: Option<&Path>) -> Result<Self> {
        Self::begin(program, None)
    }

    /// Starts it where processes are to be restored.
    pub(crate) fn start_in(program: Option<&Path>, place: &Place<'_>) -> Result<Self> {
        Self::begin(program, Some(place))
    }

    fn begin(program: Option<&Path>, place: Option<&Place<'_>>) -> Result<Self> {
        let fail = |why: &dyn std::fmt::Display| Error::new(ErrorKind::Start, format!("start criu: {why}"));
        let program = program.unwrap_or(Path::new("criu"));
        let (ours, theirs) = packet_pair().map_err(|number| fail(&errno::describe(number)))?;
        let plan = plan(program, theirs, place).map_err(|why| fail(&why))?;
        let mut request = Request::default();
        if let Some(place) = place {
            request.namespaces = Namespaces::MOUNT;
            request.cgroup = place.cgroup.fd();
        }
        let absent = |failure: &cofferdam_sys::spawn::Failure| {
            matches!(failure.errno(), Some(Errno::ENOENT | Errno::EACCES | Errno::ENOTDIR))
                && matches!(failure, cofferdam_sys::spawn::Failure::Exec { .. })
        };
        let started = spawn(&plan, &request).and_then(|mut spawning| {
            if let Some(place) = place {
                let admitted = place.cgroup.admit(spawning.pid());
                if let Err(error) = admitted {
                    return Ok(Err(error));
                }
                spawning.release()?;
            }
            spawning.finish().map(Ok)
        });
        let child = match started {
            Ok(child) => child?,
            Err(failure) if absent(&failure) => {
                let what = format!("criu ({}): {failure}", program.display());
                return Err(Error::new(ErrorKind::Unsupported, what).with_hint(
                    "checkpoint and restore are done by criu: install it (Debian: criu), or name it with --criu",
                ));
            }
            Err(failure) => return Err(fail(&failure)),
        };
        // Its end of the socket goes with the plan: when criu ends, so does the connection.
        drop(plan);
        let mut service =
            Self { program: program.to_owned(), socket: Some(ours), child: Some(child), busy: false };
        service.check_version()?;
        Ok(service)
    }

    /// criu's own number.
    pub(crate) fn pid(&self) -> i32 {
        self.child.as_ref().map_or(0, Child::pid)
    }

    fn check_version(&mut self) -> Result<()> {
        self.send(&message::request(Kind::Version, None))?;
        let (answer, _) = self.receive(Some(GREETING))?;
        let version = answer.version.filter(|_| answer.kind == Kind::Version as i32 && answer.success);
        let version = version.ok_or_else(|| self.wrong("said no version when it was asked for one"))?;
        if version >= OLDEST {
            return Ok(());
        }
        let what = format!("criu ({}) is version {version}", self.program.display());
        Err(Error::new(ErrorKind::Unsupported, what)
            .with_hint(format!("version {OLDEST} or newer is needed: install one, or name it with --criu")))
    }

    /// Asks for a dump or a restore and waits for its end. Each notification is answered by what `hear` says of it.
    ///
    /// # Errors
    /// What `hear` failed with; criu's own words otherwise, with the path of its log.
    pub(crate) fn ask(
        &mut self,
        kind: Kind,
        options: &Options,
        (work, log): (&Folder, &str),
        hear: &mut dyn FnMut(Notice) -> Result<()>,
    ) -> Result<Response> {
        self.busy = true;
        self.send(&message::request(kind, Some(options)))?;
        let mut refused = None;
        loop {
            let (answer, descriptor) = match self.receive(None) {
                Ok(received) => received,
                // It ends without a word where a notification was answered with no.
                Err(error) => return Err(refused.unwrap_or_else(|| explained(error, "", work, log))),
            };
            if answer.kind == Kind::Notify as i32 {
                let script = answer.script.unwrap_or_default();
                let heard = hear(Notice { script, pid: answer.pid, descriptor });
                self.send(&message::heard(heard.is_ok()))?;
                refused = refused.or(heard.err());
            } else if answer.kind != kind as i32 {
                return Err(self.wrong(&format!("answered a request of kind {}", answer.kind)));
            } else if let Some(error) = refused {
                return Err(error);
            } else if answer.success {
                return Ok(answer);
            } else {
                // criu's message is the first error of its log, which need not be the one that mattered.
                let message = answer.message.as_deref().map_or("", str::trim_end);
                return Err(explained(self.failed(kind, &answer), message, work, log));
            }
        }
    }

    fn failed(&self, kind: Kind, answer: &Response) -> Error {
        let what = match kind {
            Kind::Restore => "restore",
            _ => "dump",
        };
        let number = answer.errno.filter(|number| *number != 0);
        let number = number.map(|number| errno::describe(Errno::from_raw(number)));
        let why = number.map_or_else(String::new, |number| format!(": {number}"));
        Error::new(ErrorKind::Start, format!("criu ({}): {what} failed{why}", self.program.display()))
    }

    fn wrong(&self, why: &str) -> Error {
        let program = self.program.display();
        Error::new(ErrorKind::Start, format!("criu ({program}) {why}"))
            .with_hint("is the program criu? --criu names another")
    }

    fn send(&mut self, text: &[u8]) -> Result<()> {
        let sent =
            self.socket.as_ref().map_or(Err(Errno::EPIPE), |socket| send_message(socket.as_fd(), text));
        match sent {
            // What ended it is told by who waits for its answer.
            Ok(()) | Err(Errno::EPIPE | Errno::ECONNRESET) => Ok(()),
            Err(number) => Err(self.wrong(&format!("cannot be spoken to: {}", errno::describe(number)))),
        }
    }

    /// The next message. Not the process's end is waited for but that of the socket: a restore may leave children
    /// of criu's behind that have the other one open no more.
    fn receive(&mut self, timeout: Option<Duration>) -> Result<(Response, Option<OwnedFd>)> {
        let Some((socket, child)) = self.socket.as_ref().zip(self.child.as_ref()) else {
            return Err(self.wrong("has ended"));
        };
        let system = |number: Errno| os(&errno::describe(number));
        let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let said = loop {
            let wanted = [(Some(socket.as_fd()), Events::IN), (Some(child.pidfd()), Events::IN)];
            let events = match end {
                None => poll::wait(wanted),
                Some(end) => poll::wait_within(wanted, end.saturating_duration_since(Instant::now())),
            };
            match events {
                Err(Errno::EINTR) => {}
                Err(number) => return Err(system(number)),
                Ok([socket, process]) if socket.is_empty() && process.is_empty() => {
                    let seconds = timeout.unwrap_or_default().as_secs();
                    return Err(self.wrong(&format!("has not answered within {seconds} s")));
                }
                Ok([socket, _]) => break socket.contains(Events::IN),
            }
        };
        let mut buffer = vec![0; LONGEST];
        let (length, descriptor) = match said.then(|| receive_descriptor(socket.as_fd(), &mut buffer)) {
            None | Some(Ok((0, _)) | Err(Errno::ECONNRESET)) => return Err(self.ended()),
            Some(Ok(received)) => received,
            Some(Err(number)) => {
                return Err(self.wrong(&format!("speaks oddly: {}", errno::describe(number))));
            }
        };
        match Response::parse(buffer.get(..length).unwrap_or_default()) {
            Ok(response) => Ok((response, descriptor)),
            Err(_) => Err(self.wrong("speaks another language: what it says is no message of criu's")),
        }
    }

    /// It has closed the connection.
    fn ended(&mut self) -> Error {
        self.socket = None;
        let exit = self.child.take().map(|child| end(&child, self.busy));
        self.wrong(&match exit.flatten() {
            Some(Exit::Code(code)) => format!("has ended with status {code} before it was done"),
            Some(Exit::Signal(signal)) => format!("was killed by signal {signal} before it was done"),
            None => "has closed the connection before it was done".to_owned(),
        })
    }
}

impl Drop for Service {
    /// Nobody listens any more, upon which criu undoes what it has begun and ends.
    fn drop(&mut self) {
        self.socket = None;
        if let Some(child) = self.child.take() {
            end(&child, self.busy);
        }
    }
}

/// Waits for its end, and brings it about when that takes too long.
fn end(child: &Child, busy: bool) -> Option<Exit> {
    let patience = if busy { LAST_BREATH } else { Duration::ZERO };
    if !matches!(ends_within(child.pidfd(), Some(patience)), Ok(true)) {
        // Gone already is as good.
        let _ = pidfd_send_signal(child.pidfd(), SIGKILL);
    }
    child.wait().ok()
}

/// Adds what the log says, or else criu's message, and where the log is.
fn explained(error: Error, message: &str, work: &Folder, name: &str) -> Error {
    let errors = log::errors(work, name);
    let why = if errors.is_empty() { message } else { &errors };
    let path = work.path().join(name);
    let place = if work.log(name).is_some() { format!("log: {}", path.display()) } else { String::new() };
    match (why.is_empty(), place.is_empty()) {
        (true, true) => error,
        (false, true) => error.with_detail(why),
        (true, false) => error.with_detail(&place),
        (false, false) => error.with_detail(&format!("{why} ({place})")),
    }
}

fn os(why: &str) -> Error {
    Error::new(ErrorKind::System, format!("wait for criu: {why}"))
}

/// The program, the socket that it speaks at, and what it finds around it.
fn plan(program: &Path, socket: OwnedFd, place: Option<&Place<'_>>) -> std::result::Result<Plan, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = [path.as_bytes(), SBIN.as_bytes()].concat();
    let candidates = Exec::search(program.as_os_str().as_bytes(), &path);
    let candidates = candidates.ok_or_else(|| "its name holds a NUL byte".to_owned())?;
    let env = std::env::vars_os()
        .filter_map(|(name, value)| CString::new([name.into_vec(), value.into_vec()].join(&b'=')).ok());
    let number = CString::new(socket.as_raw_fd().to_string()).map_err(|error| error.to_string())?;
    let args = vec![c"criu".into(), c"swrk".into(), number];
    let mut plan = Plan::new(Exec { candidates, args, env: env.collect() });
    if let Some(place) = place {
        plan.push("wait for the cgroup", Step::WaitForParent);
        attach(place, &mut plan).map_err(|error| error.to_string())?;
        for fd in &place.inherit {
            plan.push_last("leave a descriptor to criu", Step::LeaveOpen(fd.clone()));
        }
    }
    plan.push_last("leave the socket to criu", Step::LeaveOpen(At::from(socket)));
    Ok(plan)
}

/// criu takes a mount point for the root. It is made in a mount namespace that ends with criu, and so are the sources
/// of mounts that are to have attributes.
fn attach(place: &Place<'_>, plan: &mut Plan) -> std::result::Result<(), TooManySlots> {
    let private = Step::Propagation { path: c"/".into(), flags: MountFlags::REC | MountFlags::PRIVATE };
    plan.push("make all mounts private", private);
    for (source, attrs) in &place.sources {
        cover("a source", source, source, &[], *attrs, plan)?;
    }
    let (from, to) = place.root;
    // criu brings this back for every mount but the root.
    let attrs = if place.readonly { MountAttrs::RDONLY } else { MountAttrs::empty() };
    cover("the root", from, to, &place.mount_points, attrs, plan)
}

/// Attaches a copy of a mount, with the mounts below it, and makes what is missing in it.
fn cover(
    what: &str,
    from: &Path,
    to: &Path,
    mount_points: &[(PathBuf, bool)],
    attrs: MountAttrs,
    plan: &mut Plan,
) -> std::result::Result<(), TooManySlots> {
    let name = |path: &Path| CString::new(path.as_os_str().as_bytes()).unwrap_or_default();
    let about = |text: &str| format!("{what}, {}: {text}", from.display());
    let (tree, target) = (plan.slot()?, plan.slot()?);
    let copy = OpenTree::CLONE | OpenTree::RECURSIVE;
    plan.push(about("copy it"), Step::OpenTree { dir: At::Cwd, path: name(from), flags: copy, out: tree });
    let open = Step::OpenIn {
        dir: At::Cwd,
        path: name(to),
        flags: Open::PATH,
        resolve: Resolve::NO_MAGICLINKS,
        absent: Absent::Fail,
        out: target,
    };
    plan.push(about("open its place"), open);
    plan.push(about("attach the copy"), Step::MoveMount { from: tree.into(), to: target.into() });
    plan.push(about("close its place"), Step::Close(target));
    for (point, directory) in mount_points {
        let Some(path) = PathIn::new(point.as_os_str().as_bytes()) else { continue };
        let root = At::from(tree);
        let make = if *directory {
            Step::EnsureDir { root, path, out: target }
        } else {
            Step::EnsureFile { root, path, out: target }
        };
        plan.push(about(&format!("the mount point {}", point.display())), make);
        plan.push(about("close the mount point"), Step::Close(target));
    }
    let mut flags = MountFlags::empty();
    for (attribute, flag) in [
        (MountAttrs::RDONLY, MountFlags::RDONLY),
        (MountAttrs::NOSUID, MountFlags::NOSUID),
        (MountAttrs::NODEV, MountFlags::NODEV),
        (MountAttrs::NOEXEC, MountFlags::NOEXEC),
    ] {
        flags.set(flag, attrs.contains(attribute));
    }
    if !flags.is_empty() {
        let change = Step::RemountBind { mount: tree.into(), flags, clear: MountFlags::empty() };
        plan.push(about("give it its attributes"), change);
    }
    plan.push(about("close the copy"), Step::Close(tree));
    Ok(())
}
