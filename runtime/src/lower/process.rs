//! `process`: program, credentials, limits.

use std::collections::BTreeSet;
use std::ffi::CString;

use cofferdam_caps::{Cap, CapSet, Sets};
use cofferdam_lsm::Label;
use cofferdam_lsm::apparmor::{self as lsm_apparmor, ProfileName};
use cofferdam_lsm::selinux as lsm_selinux;
use cofferdam_sys::rlimit::{self, Rlimit};

use crate::container::{Process, Terminal};
use crate::spec::{PosixRlimit, Process as SpecProcess, Spec};
use crate::{Error, Result};

/// Where programs are searched for when the container's environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(super) fn lower(spec: &Spec) -> Result<Process> {
    let process = spec.process.as_ref().ok_or_else(|| Error::config("process", "is missing"))?;
    let keep_groups = spec.annotations.get(KEEP_GROUPS).is_some_and(|value| value != "0" && value != "false");
    Ok(Process { keep_groups, ..lower_process(process)? })
}

/// crun's, which podman writes for `--group-add keep-groups`.
pub(crate) const KEEP_GROUPS: &str = "run.oci.keep_original_groups";

pub(super) fn lower_process(process: &SpecProcess) -> Result<Process> {
    let args = strings("process.args", &process.args)?;
    if args.first().is_none_or(|program| program.is_empty()) {
        return Err(Error::config("process.args", "names no program"));
    }
    let env = environment(strings("process.env", &process.env)?);
    let cwd = process.cwd.as_os_str().as_encoded_bytes();
    if !cwd.starts_with(b"/") {
        return Err(Error::config("process.cwd", "must be an absolute path"));
    }
    let user = &process.user;
    for (field, number) in [("uid", user.uid), ("gid", user.gid)] {
        if number == u32::MAX {
            return Err(Error::config(&format!("process.user.{field}"), "4294967295 is no id"));
        }
    }
    let mut remarks = Vec::new();
    let caps = capabilities(process, &mut remarks)?;
    Ok(Process {
        path: search_path(&env),
        args,
        env,
        cwd: CString::new(cwd).map_err(|_| Error::config("process.cwd", "holds a NUL byte"))?,
        uid: user.uid,
        gid: user.gid,
        groups: user.additional_gids.clone(),
        keep_groups: false,
        umask: user.umask,
        terminal: terminal(process),
        caps,
        unknown_caps: unknown_capabilities(process),
        remarks,
        no_new_privs: process.no_new_privileges.unwrap_or(false),
        rlimits: rlimits(&process.rlimits)?,
        oom_score_adj: oom_score_adj(process.oom_score_adj)?,
        label: label(process)?,
        scheduling: super::scheduling::lower(process)?,
        listen_fds: 0,
    })
}

/// An empty name is none, as engines write it. A machine has one of the two modules.
fn label(process: &SpecProcess) -> Result<Option<Label>> {
    let (apparmor, selinux) = ("process.apparmorProfile", "process.selinuxLabel");
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    match (text(&process.apparmor_profile), text(&process.selinux_label)) {
        (None, None) => Ok(None),
        (Some(name), None) => {
            let name = ProfileName::new(&name).map_err(|error| Error::config(apparmor, error))?;
            Ok(Some(lsm_apparmor::exec(&name)))
        }
        (None, Some(context)) => {
            let context = context.parse::<lsm_selinux::Context>();
            Ok(Some(lsm_selinux::exec(&context.map_err(|error| Error::config(selinux, error))?)))
        }
        (Some(_), Some(_)) => Err(Error::config(selinux, format!("{apparmor} is set too: one of them"))),
    }
}

/// A size of 0 is no size: the terminal keeps the one it is made with.
fn terminal(process: &SpecProcess) -> Option<Terminal> {
    let number = |value: u64| u16::try_from(value).unwrap_or(u16::MAX);
    let size = process.console_size.map(|size| (number(size.height), number(size.width)));
    let size = size.filter(|(rows, columns)| *rows > 0 && *columns > 0);
    (process.terminal == Some(true)).then_some(Terminal { size, plain_newlines: false })
}

fn strings(field: &str, list: &[String]) -> Result<Vec<CString>> {
    let convert = |(number, text): (usize, &String)| {
        CString::new(text.as_bytes())
            .map_err(|_| Error::config(&format!("{field}[{number}]"), "holds a NUL byte"))
    };
    list.iter().enumerate().map(convert).collect()
}

/// Each name once, with the value that it has last, and no empty `HOME`, which is as good as none.
fn environment(mut env: Vec<CString>) -> Vec<CString> {
    fn name(entry: &CString) -> &[u8] {
        entry.as_bytes().split(|byte| *byte == b'=').next().unwrap_or_default()
    }
    let mut kept: Vec<CString> = Vec::with_capacity(env.len());
    // From the end, where the value that counts is.
    while let Some(entry) = env.pop() {
        if !kept.iter().any(|later| name(later) == name(&entry)) {
            kept.push(entry);
        }
    }
    kept.reverse();
    kept.retain(|entry| entry.as_bytes() != b"HOME=");
    kept
}

fn search_path(env: &[CString]) -> Vec<u8> {
    let value = env.iter().rev().find_map(|entry| entry.as_bytes().strip_prefix(b"PATH="));
    value.unwrap_or(DEFAULT_PATH.as_bytes()).to_vec()
}

/// The five sets; a config without `capabilities` gives none.
///
/// What the kernel does not know or cannot give is left out, and the caller told (runtime-spec, config,
/// "Linux Process": it must be logged, and the runtime should not fail).
fn capabilities(process: &SpecProcess, remarks: &mut Vec<String>) -> Result<Sets> {
    let Some(caps) = &process.capabilities else {
        return Ok(Sets::default());
    };
    let mut sets = Sets {
        bounding: known(&caps.bounding),
        effective: known(&caps.effective),
        inheritable: known(&caps.inheritable),
        permitted: known(&caps.permitted),
        ambient: known(&caps.ambient),
    };
    // The conventional default config of older runtimes names ambient capabilities that are not inheritable; the
    // kernel has no such state (capabilities(7)), and every runtime runs it without them.
    let possible = sets.ambient & sets.inheritable & sets.permitted;
    for cap in (sets.ambient - possible).iter() {
        remarks.push(format!(
            "process.capabilities: can't raise ambient capability {cap}: it is not inheritable and permitted too"
        ));
    }
    sets.ambient = possible;
    sets.validate().map_err(|error| Error::config("process.capabilities", error))?;
    Ok(sets)
}

fn known(list: &[String]) -> CapSet {
    list.iter().filter_map(|name| name.parse::<Cap>().ok()).collect()
}

/// The names that are none of Linux's, each once. The specification has a runtime warn and go on: what is asked
/// for may be of a newer kernel, and the container gets less than that, never more.
fn unknown_capabilities(process: &SpecProcess) -> Vec<String> {
    let Some(caps) = &process.capabilities else { return Vec::new() };
    let sets = [&caps.bounding, &caps.effective, &caps.inheritable, &caps.permitted, &caps.ambient];
    let unknown = sets.into_iter().flatten().filter(|name| name.parse::<Cap>().is_err());
    unknown.cloned().collect::<BTreeSet<_>>().into_iter().collect()
}

fn rlimits(list: &[PosixRlimit]) -> Result<Vec<(u32, Rlimit)>> {
    let mut limits: Vec<(u32, Rlimit)> = Vec::new();
    for (number, limit) in list.iter().enumerate() {
        let field = format!("process.rlimits[{number}]");
        let name = &limit.typ;
        let resource = rlimit::by_name(name).ok_or_else(|| {
            Error::config(&format!("{field}.type"), format!("`{name}` is no resource of getrlimit(2)"))
        })?;
        if limits.iter().any(|(other, _)| *other == resource) {
            return Err(Error::config(&field, format!("a second {name}")));
        }
        if limit.soft > limit.hard {
            return Err(Error::config(&field, "the soft limit is above the hard limit"));
        }
        limits.push((resource, Rlimit { soft: limit.soft, hard: limit.hard }));
    }
    Ok(limits)
}

fn oom_score_adj(value: Option<i32>) -> Result<Option<i32>> {
    match value {
        Some(value) if !(-1000..=1000).contains(&value) => {
            Err(Error::config("process.oomScoreAdj", format!("{value} is not within -1000 and 1000")))
        }
        value => Ok(value),
    }
}
