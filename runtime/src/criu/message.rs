//! criu's requests and answers, as far as they are used (`images/rpc.proto` of criu).

use std::path::Path;

use std::os::unix::ffi::OsStrExt;

use super::wire::{Garbage, Reader, Value, Writer};

/// What criu is asked for, and what an answer belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Dump = 1,
    Restore = 2,
    PreDump = 4,
    Notify = 6,
    Version = 10,
}

/// How criu treats control groups (`--manage-cgroups-mode`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CgroupsMode {
    /// It leaves them alone: processes stay in the container's own.
    Ignore = 0,
    /// It makes those that are missing below the container's own.
    #[default]
    Soft = 3,
    /// It also writes the limits that it has found, before those of the config are written.
    Full = 4,
    /// As `Full`, and it fails where one is there already.
    Strict = 5,
}

/// The options of a request that grow as they are needed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options(Writer);

/// Numbers of `criu_opts`.
mod field {
    pub(super) const IMAGES_DIR_FD: u32 = 1;
    pub(super) const PID: u32 = 2;
    pub(super) const LEAVE_RUNNING: u32 = 3;
    pub(super) const EXT_UNIX_SK: u32 = 4;
    pub(super) const TCP_ESTABLISHED: u32 = 5;
    pub(super) const EVASIVE_DEVICES: u32 = 6;
    pub(super) const SHELL_JOB: u32 = 7;
    pub(super) const FILE_LOCKS: u32 = 8;
    pub(super) const LOG_LEVEL: u32 = 9;
    pub(super) const LOG_FILE: u32 = 10;
    pub(super) const PAGE_SERVER: u32 = 11;
    pub(super) const NOTIFY_SCRIPTS: u32 = 12;
    pub(super) const ROOT: u32 = 13;
    pub(super) const PARENT_IMG: u32 = 14;
    pub(super) const TRACK_MEM: u32 = 15;
    pub(super) const AUTO_DEDUP: u32 = 16;
    pub(super) const WORK_DIR_FD: u32 = 17;
    pub(super) const LINK_REMAP: u32 = 18;
    pub(super) const EXT_MNT: u32 = 23;
    pub(super) const MANAGE_CGROUPS: u32 = 24;
    pub(super) const CG_ROOT: u32 = 25;
    pub(super) const RST_SIBLING: u32 = 26;
    pub(super) const INHERIT_FD: u32 = 27;
    pub(super) const MANAGE_CGROUPS_MODE: u32 = 34;
    pub(super) const EXTERNAL: u32 = 37;
    pub(super) const EMPTY_NS: u32 = 38;
    pub(super) const JOIN_NS: u32 = 39;
    pub(super) const FREEZE_CGROUP: u32 = 44;
    pub(super) const TCP_SKIP_IN_FLIGHT: u32 = 46;
    pub(super) const LAZY_PAGES: u32 = 48;
    pub(super) const STATUS_FD: u32 = 49;
    pub(super) const ORPHAN_PTS_MASTER: u32 = 50;
    pub(super) const CONFIG_FILE: u32 = 51;
    pub(super) const LSM_PROFILE: u32 = 53;
    pub(super) const LSM_MOUNT_CONTEXT: u32 = 63;
}

/// criu's log with everything in it: it is read when something fails, and then this is what helps.
const LOG_LEVEL: i32 = 4;

/// What is asked of dumps and restores alike.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are criu's own switches, each by its name")]
pub struct Switches {
    /// Also connections that are established (`--tcp-established`).
    pub tcp_established: bool,
    /// Without connections that are being made (`--tcp-skip-in-flight`).
    pub tcp_skip_in_flight: bool,
    /// Also sockets whose other end is outside (`--ext-unix-sk`).
    pub external_unix_sockets: bool,
    /// Also a terminal of the caller's (`--shell-job`).
    pub shell_job: bool,
    /// Also locks of files (`--file-locks`).
    pub file_locks: bool,
    /// Memory is fetched when it is used (`--lazy-pages`).
    pub lazy_pages: bool,
    /// Memory that is in a later image is removed from an earlier one (`--auto-dedup`).
    pub auto_dedup: bool,
    /// Files without a name get one beside them (`--link-remap`).
    pub link_remap: bool,
}

impl Options {
    /// The folders, by descriptors of the caller's, and the name of the log in the second one.
    pub(crate) fn new(images: i32, work: i32, log: &str) -> Self {
        let mut options = Self::default();
        options.0.int(field::IMAGES_DIR_FD, images);
        options.0.int(field::WORK_DIR_FD, work);
        options.0.int(field::LOG_LEVEL, LOG_LEVEL);
        options.0.text(field::LOG_FILE, log.as_bytes());
        options.0.flag(field::NOTIFY_SCRIPTS, true);
        // Files of devices may have another name inside than the one they were opened by.
        options.0.flag(field::EVASIVE_DEVICES, true);
        // The other end of the container's terminal is the engine's.
        options.0.flag(field::ORPHAN_PTS_MASTER, true);
        options
    }

    pub(crate) fn switches(&mut self, switches: Switches) {
        self.0.flag(field::TCP_ESTABLISHED, switches.tcp_established);
        self.0.flag(field::TCP_SKIP_IN_FLIGHT, switches.tcp_skip_in_flight);
        self.0.flag(field::EXT_UNIX_SK, switches.external_unix_sockets);
        self.0.flag(field::SHELL_JOB, switches.shell_job);
        self.0.flag(field::FILE_LOCKS, switches.file_locks);
        self.0.flag(field::LAZY_PAGES, switches.lazy_pages);
        self.0.flag(field::AUTO_DEDUP, switches.auto_dedup);
        self.0.flag(field::LINK_REMAP, switches.link_remap);
    }

    pub(crate) fn cgroups(&mut self, mode: CgroupsMode) {
        self.0.flag(field::MANAGE_CGROUPS, true);
        self.0.int(field::MANAGE_CGROUPS_MODE, mode as i32);
    }

    /// The container's cgroup: of a controller of v1, or `None` for all.
    pub(crate) fn cgroup_root(&mut self, controller: Option<&str>, path: &str) {
        self.0.message(field::CG_ROOT, |root| {
            if let Some(controller) = controller {
                root.text(1, controller.as_bytes());
            }
            root.text(2, path.as_bytes());
        });
    }

    /// The first process of what is dumped.
    pub(crate) fn pid(&mut self, pid: i32) {
        self.0.int(field::PID, pid);
    }

    pub(crate) fn leave_running(&mut self, leave: bool) {
        self.0.flag(field::LEAVE_RUNNING, leave);
    }

    /// Takes note of which memory changes, so that a later dump needs that only.
    pub(crate) fn track_memory(&mut self) {
        self.0.flag(field::TRACK_MEM, true);
    }

    /// An earlier image, by its path from this one.
    pub(crate) fn parent(&mut self, path: &Path) {
        self.0.text(field::PARENT_IMG, path.as_os_str().as_bytes());
    }

    /// Who takes the memory.
    pub(crate) fn page_server(&mut self, address: &str, port: u16) {
        self.0.message(field::PAGE_SERVER, |server| {
            server.text(1, address.as_bytes());
            server.int(2, port.into());
        });
    }

    /// A descriptor of the caller's that is told when memory can be fetched.
    pub(crate) fn status(&mut self, fd: i32) {
        self.0.int(field::STATUS_FD, fd);
    }

    /// The directory of the cgroup whose processes are frozen for the dump.
    pub(crate) fn freeze(&mut self, directory: &Path) {
        self.0.text(field::FREEZE_CGROUP, directory.as_os_str().as_bytes());
    }

    /// The directory that becomes the root; a mount point.
    pub(crate) fn root(&mut self, path: &Path) {
        self.0.text(field::ROOT, path.as_os_str().as_bytes());
    }

    /// A mount from outside. For a dump: its place in the container and the name it gets; for a restore: that name
    /// and the file or directory it is made of.
    pub(crate) fn mount(&mut self, key: &Path, value: &Path) {
        self.0.message(field::EXT_MNT, |mount| {
            mount.text(1, key.as_os_str().as_bytes());
            mount.text(2, value.as_os_str().as_bytes());
        });
    }

    /// Something else from outside, as `criu(8)` writes it: `net[4026531840]:name`.
    pub(crate) fn external(&mut self, text: &str) {
        self.0.text(field::EXTERNAL, text.as_bytes());
    }

    /// What stands for something from outside: a descriptor that criu inherits.
    pub(crate) fn inherit(&mut self, key: &str, fd: i32) {
        self.0.message(field::INHERIT_FD, |inherit| {
            inherit.text(1, key.as_bytes());
            inherit.int(2, fd);
        });
    }

    /// A namespace that is joined in place of the one in the image.
    pub(crate) fn join(&mut self, kind: &str, path: &Path) {
        self.0.message(field::JOIN_NS, |join| {
            join.text(1, kind.as_bytes());
            join.text(2, path.as_os_str().as_bytes());
        });
    }

    /// Namespaces (`CLONE_NEW*`) that are made, and whose content is not restored.
    pub(crate) fn empty_namespaces(&mut self, kinds: i32) {
        self.0.int(field::EMPTY_NS, kinds);
    }

    /// Has the first process be the caller's child rather than criu's.
    pub(crate) fn as_sibling(&mut self) {
        self.0.flag(field::RST_SIBLING, true);
    }

    /// A label in place of the one in the image, as `apparmor:NAME` or `selinux:CONTEXT`.
    pub(crate) fn label(&mut self, label: &str) {
        self.0.text(field::LSM_PROFILE, label.as_bytes());
    }

    /// The SELinux label of file systems that are made.
    pub(crate) fn mount_label(&mut self, label: &str) {
        self.0.text(field::LSM_MOUNT_CONTEXT, label.as_bytes());
    }

    /// A file with more options.
    pub(crate) fn config_file(&mut self, path: &str) {
        self.0.text(field::CONFIG_FILE, path.as_bytes());
    }
}

/// A request without options is one for the version.
pub(super) fn request(kind: Kind, options: Option<&Options>) -> Vec<u8> {
    let mut message = Writer::default();
    message.int(1, kind as i32);
    if let Some(options) = options {
        message.text(2, options.0.bytes());
    }
    // There is more to come on this connection.
    message.flag(4, kind == Kind::Version);
    message.bytes().to_vec()
}

/// The answer to a notification.
pub(super) fn heard(well: bool) -> Vec<u8> {
    let mut message = Writer::default();
    message.int(1, Kind::Notify as i32);
    // Said also when it is false: without it criu takes the answer for another message.
    message.int(3, well.into());
    message.bytes().to_vec()
}

/// What criu says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Response {
    /// What it belongs to, by the numbers of [`Kind`].
    pub(crate) kind: i32,
    /// Whether it was done.
    pub(crate) success: bool,
    /// The first process of a restore, and of some notifications.
    pub(crate) pid: Option<i32>,
    /// The step that a notification is about.
    pub(crate) script: Option<String>,
    /// Why it was not done.
    pub(crate) errno: Option<i32>,
    /// The same in criu's words.
    pub(crate) message: Option<String>,
    /// criu's version.
    pub(crate) version: Option<Version>,
}

impl Response {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Garbage> {
        let mut response = Self::default();
        let (mut has_kind, mut has_success) = (false, false);
        for field in Reader::new(bytes) {
            let (number, value) = field?;
            match number {
                1 => {
                    response.kind = value.int().ok_or(Garbage)?;
                    has_kind = true;
                }
                2 => {
                    response.success = value.flag().ok_or(Garbage)?;
                    has_success = true;
                }
                4 => response.pid = Some(within(value, 1)?.ok_or(Garbage)?.int().ok_or(Garbage)?),
                5 => {
                    response.script = within(value, 1)?.map(|text| text.text().ok_or(Garbage)).transpose()?;
                    response.pid = within(value, 2)?.map(|pid| pid.int().ok_or(Garbage)).transpose()?;
                }
                7 => response.errno = Some(value.int().ok_or(Garbage)?),
                9 => response.message = Some(value.text().ok_or(Garbage)?),
                10 => response.version = Some(Version::parse(value)?),
                _ => {}
            }
        }
        if has_kind && has_success { Ok(response) } else { Err(Garbage) }
    }
}

/// A field of a message within a message, the last one where there are several.
fn within(message: Value<'_>, number: u64) -> Result<Option<Value<'_>>, Garbage> {
    let Value::Bytes(bytes) = message else { return Err(Garbage) };
    let mut found = None;
    for field in Reader::new(bytes) {
        let (this, value) = field?;
        if this == number {
            found = Some(value);
        }
    }
    Ok(found)
}

/// A version of criu.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Version {
    pub(crate) major: i32,
    pub(crate) minor: i32,
    pub(crate) patch: i32,
}

impl Version {
    fn parse(message: Value<'_>) -> Result<Self, Garbage> {
        let number = |field| within(message, field).map(|value| value.and_then(Value::int));
        Ok(Self {
            major: number(1)?.ok_or(Garbage)?,
            minor: number(2)?.ok_or(Garbage)?,
            patch: number(4)?.unwrap_or(0),
        })
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { major, minor, patch } = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn answers_are_read() {
        let mut bytes = Writer::default();
        bytes.int(1, Kind::Notify as i32);
        bytes.flag(2, true);
        bytes.message(5, |notify| {
            notify.text(1, b"post-restore");
            notify.int(2, 77);
        });
        bytes.int(7, 95);
        bytes.text(9, b"no");
        bytes.message(10, |version| {
            version.int(1, 4);
            version.int(2, 1);
            version.int(4, 1);
        });
        // One that this reader does not know.
        bytes.text(99, b"later");
        let wanted = Response {
            kind: 6,
            success: true,
            pid: Some(77),
            script: Some("post-restore".to_owned()),
            errno: Some(95),
            message: Some("no".to_owned()),
            version: Some(Version { major: 4, minor: 1, patch: 1 }),
        };
        assert_eq!(Response::parse(bytes.bytes()), Ok(wanted));
        let mut restored = Writer::default();
        restored.int(1, 2);
        restored.int(2, 0);
        restored.message(4, |restore| restore.int(1, 5));
        assert_eq!(Response::parse(restored.bytes()).unwrap().pid, Some(5));
    }

    #[test]
    fn what_must_be_there_is_missed() {
        let mut half = Writer::default();
        half.int(1, 1);
        assert_eq!(Response::parse(half.bytes()), Err(Garbage));
        assert_eq!(Response::parse(b""), Err(Garbage));
        half.flag(2, true);
        assert!(Response::parse(half.bytes()).is_ok());
        half.message(4, |_| {});
        assert_eq!(Response::parse(half.bytes()), Err(Garbage), "a restore without a process");
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_garbage(bytes: Vec<u8>) {
            let _ = Response::parse(&bytes);
        }
    }
}
