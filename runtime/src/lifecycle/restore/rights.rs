//! Whether restored tasks have no more rights than their config allows: capabilities, ids, `no_new_privs`, system
//! call filter, label.
//!
//! A program may have given up rights since its start, and one that had them may have changed its ids. So what is
//! compared is what the config lets happen, not what it begins with.

use cofferdam_caps::{Cap, CapSet, Status};
use cofferdam_sys::errno;

use super::place::{outside, wider};
use super::tasks::{self, Task};
use crate::run::{self, Confined};
use crate::{Container, Error, ErrorKind, Result};

/// Of `/proc/TID/status`: a filter is in force.
const FILTERED: &str = "2";

/// Compares every task of the tree with the config.
///
/// # Errors
/// [`ErrorKind::Start`] with what the image has more than that.
pub(super) fn compare(
    container: &Container,
    filtered: bool,
    confined: Option<&Confined>,
    (init, criu): (i32, i32),
    warn: &mut dyn FnMut(&str),
) -> Result<()> {
    for Task { pid, tid } in tasks::below(init)? {
        let path = format!("/proc/{pid}/task/{tid}/status");
        let text = std::fs::read(&path).map_err(|error| {
            let why = errno::describe(errno::from_io(&error));
            Error::new(ErrorKind::System, format!("read {path}: {why}"))
        })?;
        let status =
            Status::parse(&text).map_err(|error| Error::new(ErrorKind::System, error.to_string()))?;
        task(container, &status, filtered, mode(&text).as_deref())
            .map_err(|(what, why)| wider(&format!("process {pid}, thread {tid}: {what}"), &why))?;
        outside(container, tid, criu)?;
        run::confirm(confined, tid, warn)?;
    }
    Ok(())
}

/// The word behind `Seccomp:`.
fn mode(status: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(status);
    text.lines().find_map(|line| Some(line.strip_prefix("Seccomp:")?.trim().to_owned()))
}

/// What a task has more than it may, and in which words.
fn task(
    container: &Container,
    status: &Status,
    filtered: bool,
    mode: Option<&str>,
) -> std::result::Result<(), (&'static str, String)> {
    let process = &container.process;
    let highest = process.caps.all() | process.caps.bounding;
    let sets = [
        ("effective capabilities", status.sets.effective, highest),
        ("permitted capabilities", status.sets.permitted, highest),
        ("inheritable capabilities", status.sets.inheritable, highest),
        ("ambient capabilities", status.sets.ambient, highest),
        ("bounding capabilities", status.sets.bounding, process.caps.bounding),
    ];
    for (what, found, allowed) in sets {
        let beyond: CapSet = found - allowed;
        if !beyond.is_empty() {
            return Err((what, format!("the config does not allow {beyond}")));
        }
    }
    if process.no_new_privs && !status.no_new_privs {
        return Err(("no_new_privs", "is not set".to_owned()));
    }
    if filtered && mode != Some(FILTERED) {
        return Err(("seccomp", "no filter is in force".to_owned()));
    }
    // Without this, a program whose file has the bit gets the ids of its owner.
    if !process.no_new_privs {
        return Ok(());
    }
    let outside = |id: u32, map: fn(&cofferdam_ns::IdMaps, u32) -> Option<u32>| match &container.ids {
        Some(ids) => map(ids, id),
        None => Some(id),
    };
    let uid = outside(process.uid, cofferdam_ns::IdMaps::outside_uid);
    let gid = |id| outside(id, cofferdam_ns::IdMaps::outside_gid);
    let differs = |found: &[u32], wanted: Option<u32>| found.iter().any(|id| Some(*id) != wanted);
    let quad = |ids: &cofferdam_caps::Quad| [ids.real, ids.effective, ids.saved, ids.filesystem];
    if !highest.contains(Cap::SETUID) && differs(&quad(&status.uids), uid) {
        return Err(("user ids", format!("{:?}, not {}", quad(&status.uids), process.uid)));
    }
    if !highest.contains(Cap::SETGID) {
        if differs(&quad(&status.gids), gid(process.gid)) {
            return Err(("group ids", format!("{:?}, not {}", quad(&status.gids), process.gid)));
        }
        let known = |id: &u32| process.groups.iter().chain([&process.gid]).any(|own| gid(*own) == Some(*id));
        if let Some(more) = status.groups.iter().find(|id| !known(id)) {
            return Err(("groups", format!("the config has no {more}")));
        }
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::bundle::Bundle;

    pub(crate) fn container() -> Container {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("rootfs")).unwrap();
        let config = serde_json::json!({
            "ociVersion": "1.2.0",
            "root": { "path": "rootfs" },
            "process": {
                "args": ["true"], "cwd": "/", "noNewPrivileges": true,
                "user": { "uid": 10, "gid": 20, "additionalGids": [30] },
                "capabilities": { "bounding": ["CAP_KILL", "CAP_CHOWN"], "permitted": ["CAP_KILL"] },
            },
            "linux": { "namespaces": [{ "type": "mount" }] },
        });
        let bundle = Bundle::from_slice(dir.path().to_owned(), config.to_string().as_bytes()).unwrap();
        crate::lower(&bundle, &"box".parse().unwrap()).unwrap()
    }

    /// What the config above gives at most.
    fn status() -> Status {
        let caps = CapSet::EMPTY.with(Cap::KILL).with(Cap::CHOWN);
        let text = format!(
            "Uid:\t10 10 10 10\nGid:\t20 20 20 20\nGroups:\t20 30 \nCapInh:\t0\nCapPrm:\t{0:x}\nCapEff:\t{0:x}\nCapBnd:\t{0:x}\nCapAmb:\t0\nNoNewPrivs:\t1\n",
            caps.bits()
        );
        Status::parse(text.as_bytes()).unwrap()
    }

    fn refused(container: &Container, change: impl FnOnce(&mut Status)) -> &'static str {
        let mut status = status();
        change(&mut status);
        task(container, &status, true, Some("2")).unwrap_err().0
    }

    #[test]
    fn less_than_the_config_is_well() {
        let container = container();
        task(&container, &status(), true, Some("2")).unwrap();
        let mut less = status();
        less.sets = cofferdam_caps::Sets::default();
        less.groups.clear();
        task(&container, &less, false, Some("0")).unwrap();
    }

    #[test]
    fn more_than_the_config_is_told() {
        let container = container();
        let admin = CapSet::EMPTY.with(Cap::SYS_ADMIN);
        assert_eq!(refused(&container, |one| one.sets.effective = admin), "effective capabilities");
        assert_eq!(refused(&container, |one| one.sets.permitted = admin), "permitted capabilities");
        assert_eq!(refused(&container, |one| one.sets.inheritable = admin), "inheritable capabilities");
        assert_eq!(refused(&container, |one| one.sets.ambient = admin), "ambient capabilities");
        assert_eq!(refused(&container, |one| one.sets.bounding = admin), "bounding capabilities");
        assert_eq!(refused(&container, |one| one.no_new_privs = false), "no_new_privs");
        assert_eq!(refused(&container, |one| one.uids.saved = 0), "user ids");
        assert_eq!(refused(&container, |one| one.gids.filesystem = 0), "group ids");
        assert_eq!(refused(&container, |one| one.groups.push(0)), "groups");
        for mode in [None, Some("0"), Some("1")] {
            assert_eq!(task(&container, &status(), true, mode).unwrap_err().0, "seccomp");
        }
    }

    #[test]
    fn ids_may_change_where_the_config_lets_them() {
        let mut container = container();
        let mut other = status();
        (other.uids.effective, other.gids.effective) = (0, 0);
        container.process.no_new_privs = false;
        task(&container, &other, true, Some("2")).unwrap();
        container.process.no_new_privs = true;
        container.process.caps.bounding = container.process.caps.bounding.with(Cap::SETUID).with(Cap::SETGID);
        task(&container, &other, true, Some("2")).unwrap();
    }

    #[test]
    fn ids_are_compared_as_the_host_has_them() {
        let mut container = container();
        let range = |first| vec![cofferdam_ns::IdMap::new(0, first, 100)];
        container.ids = Some(cofferdam_ns::IdMaps { uid: range(1000), gid: range(2000) });
        let mut mapped = status();
        mapped.uids = cofferdam_caps::Quad { real: 1010, effective: 1010, saved: 1010, filesystem: 1010 };
        mapped.gids = cofferdam_caps::Quad { real: 2020, effective: 2020, saved: 2020, filesystem: 2020 };
        mapped.groups = vec![2030];
        task(&container, &mapped, true, Some("2")).unwrap();
        assert_eq!(task(&container, &status(), true, Some("2")).unwrap_err().0, "user ids");
    }
}
