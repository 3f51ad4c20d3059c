//! `spec --hardened`: the conventional config with every defence that a config can ask for.

use std::path::Path;

use cofferdam_caps::CapSet;
use cofferdam_ns::{IdRange, subid};
use cofferdam_seccomp::{Answer, Compare, Condition, Profile, Rule};
use serde_json::{Value, json};

use crate::{Error, ErrorKind, Result};

/// How many ids a container has unless the caller says another number.
const IDS: u32 = 65_536;

/// Where the ids of the container begin outside, for users and for groups, and how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ids {
    uid: u32,
    gid: u32,
    count: u32,
}

impl Ids {
    /// `FIRST` or `FIRST:COUNT`.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let (first, count) = text.split_once(':').map_or((text, None), |(first, count)| (first, Some(count)));
        let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number > 0);
        let count = count.map_or(Some(IDS), number);
        let range = number(first).zip(count).and_then(|(first, count)| IdRange::new(first, count));
        let range = range.ok_or_else(|| {
            Error::new(ErrorKind::Usage, format!("--ids: `{}` is no range of ids", text.escape_debug()))
                .with_hint("give the first id of the host and how many, as 100000:65536; not the host's root")
        })?;
        Ok(Self { uid: range.first, gid: range.first, count: range.count })
    }

    /// The first range of the caller's in `/etc/subuid` and `/etc/subgid` that is large enough.
    pub(super) fn of_caller() -> Result<Self> {
        let uid = cofferdam_sys::process::effective_uid();
        let first = |file: &str| {
            let ranges = subid::of_user(Path::new(file), uid)
                .map_err(|error| Error::new(ErrorKind::System, error.to_string()))?;
            let found = ranges.into_iter().find(|range| range.count >= IDS);
            found.map(|range| range.first).ok_or_else(|| {
                let what = format!("{file}: user {uid} has no range of {IDS} ids");
                Error::new(ErrorKind::Usage, what)
                    .with_hint("a hardened container has ids of its own: name them by --ids FIRST:COUNT")
            })
        };
        Ok(Self { uid: first("/etc/subuid")?, gid: first("/etc/subgid")?, count: IDS })
    }
}

/// Changes the conventional config.
///
/// # Errors
/// When the specification has no words for the profile of system calls.
pub(super) fn harden(config: &mut Value, ids: Ids) -> Result<()> {
    let map = |first: u32| json!([{ "containerID": 0, "hostID": first, "size": ids.count }]);
    let caps = names(CapSet::HARDENED);
    let mut set = |place: &str, value: Value| {
        let Some((parent, name)) = place.rsplit_once('/') else { return };
        if let Some(object) = config.pointer_mut(parent).and_then(Value::as_object_mut) {
            object.insert(name.to_owned(), value);
        }
    };
    set("/process/capabilities", json!({ "bounding": caps, "effective": caps, "permitted": caps }));
    set("/linux/uidMappings", map(ids.uid));
    set("/linux/gidMappings", map(ids.gid));
    set("/linux/namespaces", namespaces());
    // No new user namespaces inside, by the limit of the container's own and by the filter.
    set("/linux/sysctl", json!({ "user.max_user_namespaces": "0" }));
    set("/linux/seccomp", filter(&Profile::hardened())?);
    set("/linux/resources", resources());
    for mount in config.pointer_mut("/mounts").and_then(Value::as_array_mut).into_iter().flatten() {
        if mount.get("destination") == Some(&json!("/proc"))
            && let Some(mount) = mount.as_object_mut()
        {
            mount.insert("options".to_owned(), json!(["nosuid", "noexec", "nodev"]));
        }
    }
    if let Some(mounts) = config.pointer_mut("/mounts").and_then(Value::as_array_mut) {
        // The root is read-only.
        mounts.push(json!({ "destination": "/tmp", "type": "tmpfs", "source": "tmpfs",
            "options": ["nosuid", "nodev", "noexec", "mode=1777", "size=64m"] }));
    }
    Ok(())
}

fn names(caps: CapSet) -> Vec<String> {
    caps.iter().map(|cap| cap.to_string()).collect()
}

/// All kinds that this kernel has.
fn namespaces() -> Value {
    super::features::namespaces().into_iter().map(|kind| json!({ "type": kind })).collect()
}

/// Limits that no program which is not hostile meets.
fn resources() -> Value {
    const MEMORY: u64 = 1 << 30;
    let mut resources = json!({
        "devices": [{ "allow": false, "access": "rwm" }],
        "pids": { "limit": 512 },
        // The same for both: no swap.
        "memory": { "limit": MEMORY, "swap": MEMORY },
    });
    // Only cgroup v2 can end all processes of a container that has no memory left.
    if Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
        && let Some(object) = resources.as_object_mut()
    {
        object.insert("unified".to_owned(), json!({ "memory.oom.group": "1" }));
    }
    resources
}

/// A profile in the specification's words. Where several rules hold it leaves open which one decides, so what is not
/// allowed by its arguments fails as the default does.
fn filter(profile: &Profile) -> Result<Value> {
    let rules = profile.masked_rules().map_err(|error| Error::new(ErrorKind::System, error.to_string()))?;
    let syscalls: Vec<Value> = rules.iter().map(rule).collect();
    Ok(json!({ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": syscalls }))
}

fn rule(rule: &Rule) -> Value {
    let mut value = json!({ "names": rule.names, "action": rule.answer.action().to_string() });
    let mut set =
        |name: &str, field: Value| value.as_object_mut().and_then(|rule| rule.insert(name.to_owned(), field));
    if let Answer::Errno(number) = rule.answer {
        set("errnoRet", json!(number));
    }
    let args: Vec<Value> = rule.conditions.iter().filter_map(condition).collect();
    if !args.is_empty() {
        set("args", json!(args));
    }
    value
}

fn condition(condition: &Condition) -> Option<Value> {
    let Compare::MaskedEq { mask, value } = condition.compare else { return None };
    Some(json!({ "index": condition.argument, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        assert_eq!(Ids::parse("100000").unwrap(), Ids { uid: 100_000, gid: 100_000, count: 65_536 });
        assert_eq!(Ids::parse("7:8").unwrap(), Ids { uid: 7, gid: 7, count: 8 });
        for bad in ["", "0", "0:5", "5:0", "x", "1:x", "4294967295:2", "-1"] {
            assert_eq!(Ids::parse(bad).unwrap_err().kind(), ErrorKind::Usage, "{bad}");
        }
    }

    #[test]
    fn the_profile_can_be_said() {
        let said = filter(&Profile::hardened()).unwrap();
        let text = said.to_string();
        for name in ["read", "clone3", "ioctl", "socket", "io_uring_setup"] {
            assert!(text.contains(&format!("\"{name}\"")), "{name}");
        }
        assert!(text.contains(r#""op":"SCMP_CMP_MASKED_EQ","value":2114060288,"valueTwo":0"#), "{text}");
        // No request gets past the ones that are refused.
        let ioctl =
            said["syscalls"].as_array().unwrap().iter().filter(|rule| rule["names"] == json!(["ioctl"]));
        assert!(ioctl.clone().count() > 1 && ioctl.clone().all(|rule| rule["args"].is_array()), "{text}");
    }
}
