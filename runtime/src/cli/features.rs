//! `features`: what this build can do on this kernel (runtime-spec, features).

use std::ffi::OsString;

use clap::Parser;
use serde_json::{Value, json};

use super::arguments;
use super::context::Context;
use super::state::print;
use crate::Result;

#[derive(Debug, Parser)]
#[command(name = "cofferdam features", about = "Print what this build and this kernel can do, as JSON")]
struct Features {}

pub(super) fn act(_: &Context, words: &[OsString]) -> Result<u8> {
    let Features {} = arguments(words)?;
    print(&features()?).map(|()| 0)
}

/// The options that mean a flag. A test holds them against the crate that reads them.
const MOUNT_OPTIONS: &[&str] = &[
    "async",
    "atime",
    "bind",
    "defaults",
    "dev",
    "diratime",
    "dirsync",
    "exec",
    "lazytime",
    "loud",
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "nolazytime",
    "nomand",
    "norelatime",
    "nostrictatime",
    "nosuid",
    "nosymfollow",
    "private",
    "rbind",
    "rdev",
    "relatime",
    "rexec",
    "rnodev",
    "rnoexec",
    "rnosuid",
    "ro",
    "rprivate",
    "rro",
    "rrw",
    "rshared",
    "rslave",
    "rsuid",
    "runbindable",
    "rw",
    "shared",
    "slave",
    "strictatime",
    "suid",
    "symfollow",
    "sync",
    "unbindable",
    "rnoatime",
    "rrelatime",
];

fn features() -> Result<Value> {
    let last = cofferdam_caps::last_cap()
        .map_err(|error| crate::Error::new(crate::ErrorKind::System, error.to_string()))?;
    let caps: Vec<String> = cofferdam_caps::CapSet::up_to(last).iter().map(|cap| cap.to_string()).collect();
    Ok(json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": super::version::SPEC,
        "hooks": [
            "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop",
        ],
        "mountOptions": MOUNT_OPTIONS,
        "linux": {
            "namespaces": namespaces(),
            "capabilities": caps,
            "cgroup": { "v1": false, "v2": true, "systemd": false, "systemdUser": false, "rdma": false },
            "seccomp": { "enabled": false },
            "apparmor": { "enabled": false },
            "selinux": { "enabled": false },
            "intelRdt": { "enabled": false },
            "mountExtensions": { "idmap": { "enabled": false } },
        },
        "annotations": {
            "io.github.cofferdam.version": env!("CARGO_PKG_VERSION"),
        },
        "potentiallyUnsafeConfigAnnotations": [],
    }))
}

/// The kinds that this kernel has, by the names of the config.
fn namespaces() -> Vec<&'static str> {
    let kinds = [
        ("cgroup", "cgroup"),
        ("ipc", "ipc"),
        ("mnt", "mount"),
        ("net", "network"),
        ("pid", "pid"),
        ("time", "time"),
        ("user", "user"),
        ("uts", "uts"),
    ];
    let there = |(file, _): &(&str, _)| std::path::Path::new(&format!("/proc/self/ns/{file}")).exists();
    kinds.into_iter().filter(there).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mount_option_is_read() {
        for &option in MOUNT_OPTIONS {
            let superblock = ["dirsync", "lazytime", "sync"].contains(&option);
            let (kind, mut options) =
                if superblock { ("tmpfs", vec![]) } else { ("none", vec!["rbind".to_owned()]) };
            options.push(option.to_owned());
            let mount =
                cofferdam_mountfs::Mount::from_options(kind, "/x", std::path::Path::new("/y"), &options);
            mount.unwrap_or_else(|error| panic!("{option}: {error}"));
        }
    }
}
