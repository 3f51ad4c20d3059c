//! Giving a process in a new user namespace its maps: by our own hand, or by `newuidmap(1)`.

use std::fmt::Write as _;
use std::process::{Command, Output, Stdio};

use cofferdam_sys::{cred, ids};

use super::{IdMap, IdMaps};
use crate::{Error, ErrorKind, Process};

/// How the maps of a new user namespace are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mapping {
    /// Whether `setgroups(2)` works inside.
    pub setgroups: Setgroups,
    /// Who writes the maps.
    pub writer: Writer,
}

/// Whether `setgroups(2)` works inside a new user namespace.
///
/// Who can drop a group can go around a file mode that gives that group less than others, so the kernel wants it
/// denied before an unprivileged process maps its group (Linux 3.19).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Setgroups {
    /// Denied where the kernel demands it.
    #[default]
    Auto,
    /// Denied, for good and for every namespace below.
    Deny,
    /// Allowed, or it is an error.
    Allow,
}

/// Who writes the maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Writer {
    /// The caller where the kernel lets it, otherwise the helpers.
    #[default]
    Auto,
    /// The caller: with `CAP_SETUID` and `CAP_SETGID`, or its own ids only.
    Direct,
    /// `newuidmap(1)` and `newgidmap(1)`, which know `/etc/subuid` and `/etc/subgid`.
    Helpers,
}

const CAP_SETGID: u64 = 1 << 6;
const CAP_SETUID: u64 = 1 << 7;

/// Which of the two maps.
#[derive(Debug, Clone, Copy)]
struct Side {
    file: &'static std::ffi::CStr,
    helper: &'static str,
}

const UID: Side = Side { file: c"uid_map", helper: "newuidmap" };
const GID: Side = Side { file: c"gid_map", helper: "newgidmap" };

impl IdMaps {
    /// Writes the maps of a process that waits in a new user namespace.
    ///
    /// An empty map is not written: its ids stay unmapped.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] as [`IdMaps::validate`], or for [`Setgroups::Allow`] where the kernel demands the
    /// opposite; [`ErrorKind::Os`] with `EPERM` for ids that the caller may not map; [`ErrorKind::Helper`] with
    /// the words of `newuidmap(1)`.
    pub fn write(&self, process: &Process, how: Mapping) -> Result<(), Error> {
        self.validate()?;
        let plan = self.plan(how)?;
        if plan.deny_setgroups {
            process.write(c"setgroups", "deny")?;
        }
        give(process, UID, &self.uid, plan.uid_helper)?;
        give(process, GID, &self.gid, plan.gid_helper)
    }

    /// Whether `setgroups(2)` will be denied where the caller writes these maps.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for [`Setgroups::Allow`] where the kernel demands the opposite.
    pub fn denies_setgroups(&self, how: Mapping) -> Result<bool, Error> {
        Ok(self.plan(how)?.deny_setgroups)
    }

    fn plan(&self, how: Mapping) -> Result<Plan, Error> {
        let caps =
            cred::capget(0).map_err(|number| Error::os(number, "read the caller's capabilities"))?.effective;
        Plan::new(self, how, caps, (ids::effective_uid(), ids::effective_gid()))
    }
}

/// What follows from the maps and the caller's rights.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    deny_setgroups: bool,
    uid_helper: bool,
    gid_helper: bool,
}

impl Plan {
    fn new(maps: &IdMaps, how: Mapping, caps: u64, (uid, gid): (u32, u32)) -> Result<Self, Error> {
        let own =
            |map: &[IdMap], id| map.is_empty() || matches!(map, [one] if one.count == 1 && one.outside == id);
        let helper = |map: &[IdMap], cap, id| match how.writer {
            Writer::Direct => false,
            Writer::Helpers => !map.is_empty(),
            Writer::Auto => caps & cap == 0 && !own(map, id),
        };
        let uid_helper = helper(&maps.uid, CAP_SETUID, uid);
        let gid_helper = helper(&maps.gid, CAP_SETGID, gid);
        // The helper is set-user-ID root and decides by /etc/subgid itself.
        let demanded = caps & CAP_SETGID == 0 && !gid_helper;
        if how.setgroups == Setgroups::Allow && demanded {
            return Err(Error::invalid(
                "setgroups cannot stay allowed: the group map is written without CAP_SETGID",
            )
            .with_hint("map a range of /etc/subgid by newgidmap(1), or let setgroups be denied"));
        }
        Ok(Self { deny_setgroups: demanded || how.setgroups == Setgroups::Deny, uid_helper, gid_helper })
    }
}

fn give(process: &Process, side: Side, maps: &[IdMap], helper: bool) -> Result<(), Error> {
    if maps.is_empty() {
        return Ok(());
    }
    if helper {
        return ask_helper(process, side, maps);
    }
    process.write(side.file, &lines(maps)).map_err(|error| match error.kind() {
        ErrorKind::Os(cofferdam_sys::Errno::EPERM) => error.with_hint(
            "without CAP_SETUID and CAP_SETGID only one's own id can be mapped, other ids need newuidmap(1); \
             host id 0 needs CAP_SETFCAP too (Linux 5.12)",
        ),
        _ => error,
    })
}

/// The kernel's format.
pub(super) fn lines(maps: &[IdMap]) -> String {
    maps.iter().fold(String::new(), |mut text, map| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{} {} {}", map.inside, map.outside, map.count);
        text
    })
}

/// Has the helper write the map, and reads back that it did, to this process.
fn ask_helper(process: &Process, side: Side, maps: &[IdMap]) -> Result<(), Error> {
    let step = || format!("{} for process {}", side.helper, process.pid());
    // Its standard input is the process's directory: by descriptor it cannot be mistaken (shadow 4.13).
    let by_fd = run(process, side, "fd:0", maps)?;
    if !by_fd.status.success() {
        let by_pid = run(process, side, &process.pid().to_string(), maps)?;
        if !by_pid.status.success() {
            let words = String::from_utf8_lossy(&by_pid.stderr).trim().replace('\n', ", ");
            return Err(Error::new(ErrorKind::Helper, format!("{}: {words}", step())).with_hint(
                "the ranges must be the caller's in /etc/subuid and /etc/subgid, and the helper set-user-ID root",
            ));
        }
    }
    if IdMap::parse_kernel(&process.read(side.file)?)? == maps {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Helper, format!("{}: it succeeded, but the map is not there", step())))
}

fn run(process: &Process, side: Side, target: &str, maps: &[IdMap]) -> Result<Output, Error> {
    let numbers = maps.iter().flat_map(|map| [map.inside, map.outside, map.count]);
    Command::new(side.helper)
        .arg(target)
        .args(numbers.map(|number| number.to_string()))
        .stdin(Stdio::from(process.dir()?))
        .output()
        .map_err(|error| {
            Error::new(ErrorKind::Helper, format!("run {}: {error}", side.helper))
                .with_hint("install newuidmap and newgidmap (package uidmap or shadow-utils)")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: u64 = CAP_SETUID | CAP_SETGID;
    const USER: (u32, u32) = (1000, 1000);

    fn plan(maps: &IdMaps, writer: Writer, setgroups: Setgroups, caps: u64) -> Result<Plan, Error> {
        Plan::new(maps, Mapping { setgroups, writer }, caps, USER)
    }

    #[test]
    fn the_writer_follows_from_the_rights() {
        let plan = |maps: &IdMaps, caps| plan(maps, Writer::Auto, Setgroups::Auto, caps).unwrap();
        let range = IdMaps::shifted(100_000, 65_536);
        let own = IdMaps { uid: vec![IdMap::new(0, 1000, 1)], gid: vec![IdMap::new(0, 1000, 1)] };
        let direct = |deny_setgroups| Plan { deny_setgroups, uid_helper: false, gid_helper: false };
        assert_eq!(plan(&range, ROOT), direct(false));
        assert_eq!(plan(&own, ROOT), direct(false));
        assert_eq!(plan(&own, 0), direct(true));
        assert_eq!(plan(&IdMaps::default(), 0), direct(true));
        let helped = Plan { deny_setgroups: false, uid_helper: true, gid_helper: true };
        assert_eq!(plan(&range, 0), helped);
        let other = IdMaps { uid: vec![IdMap::new(0, 1001, 1)], gid: own.gid.clone() };
        let uid_only = Plan { deny_setgroups: true, uid_helper: true, gid_helper: false };
        assert_eq!(plan(&other, 0), uid_only);
    }

    #[test]
    fn setgroups_is_denied_where_it_must_be() {
        let own = IdMaps { uid: vec![IdMap::new(0, 1000, 1)], gid: vec![IdMap::new(0, 1000, 1)] };
        let deny =
            |setgroups, writer, caps| plan(&own, writer, setgroups, caps).map(|plan| plan.deny_setgroups);
        assert_eq!(deny(Setgroups::Deny, Writer::Auto, ROOT), Ok(true));
        assert_eq!(deny(Setgroups::Allow, Writer::Auto, ROOT), Ok(false));
        assert_eq!(deny(Setgroups::Allow, Writer::Helpers, 0), Ok(false));
        let error = deny(Setgroups::Allow, Writer::Direct, 0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.hint().unwrap().contains("newgidmap"));
    }

    #[test]
    fn the_kernels_format() {
        assert_eq!(lines(&[IdMap::new(0, 7, 1), IdMap::new(1, 100, 9)]), "0 7 1\n1 100 9\n");
    }
}
