//! `features`: what this build can do on this kernel (runtime-spec, features).

use std::ffi::OsString;

use clap::Parser;
use serde_json::{Value, json};

use super::arguments;
use super::context::Context;
use super::state::print;
use crate::Result;
use crate::spec::{MemoryPolicyFlag, MemoryPolicyMode};

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
            "cgroup": { "v1": true, "v2": true, "systemd": true, "systemdUser": true, "rdma": true },
            "seccomp": seccomp()?,
            "apparmor": { "enabled": true },
            "selinux": { "enabled": true },
            "intelRdt": { "enabled": true, "schemata": true, "monitoring": true },
            "memoryPolicy": { "modes": words(MemoryPolicyMode::WORDS), "flags": words(MemoryPolicyFlag::WORDS) },
            "netDevices": { "enabled": true },
            "mountExtensions": { "idmap": { "enabled": idmap()? } },
        },
        "annotations": {
            "io.github.cofferdam.version": env!("CARGO_PKG_VERSION"),
        },
        "potentiallyUnsafeConfigAnnotations": [crate::lower::KEEP_GROUPS, "org.criu.config"],
    }))
}

fn words<T>(list: &[(&'static str, T)]) -> Vec<&'static str> {
    list.iter().map(|(word, _)| *word).collect()
}

/// Whether mounts can have id maps, which came with `mount_setattr(2)`.
fn idmap() -> Result<bool> {
    cofferdam_sys::facility::has_mount_setattr().map_err(|errno| {
        let what = format!("ask for mount_setattr(2): {}", cofferdam_sys::errno::describe(errno));
        crate::Error::new(crate::ErrorKind::System, what)
    })
}

/// What a profile may use; of the flags, also which ones this kernel has.
fn seccomp() -> Result<Value> {
    use cofferdam_seccomp::{Arch, FilterFlags, Kernel};
    const FLAGS: [(&str, FilterFlags); 4] = [
        ("SECCOMP_FILTER_FLAG_LOG", FilterFlags::LOG),
        ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", FilterFlags::SPEC_ALLOW),
        ("SECCOMP_FILTER_FLAG_TSYNC", FilterFlags::TSYNC),
        ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", FilterFlags::WAIT_KILLABLE_RECV),
    ];
    let kernel =
        Kernel::ask().map_err(|error| crate::Error::new(crate::ErrorKind::System, error.to_string()))?;
    let flags = |there: FilterFlags| -> Vec<&str> {
        FLAGS.into_iter().filter(|(_, flag)| there.contains(*flag)).map(|(name, _)| name).collect()
    };
    let archs = Arch::all().filter(|arch| arch.is_possible()).map(|arch| format!("SCMP_ARCH_{arch}"));
    // The old name of SCMP_ACT_KILL_THREAD.
    let actions = kernel.actions.iter().map(ToString::to_string).chain(["SCMP_ACT_KILL".to_owned()]);
    Ok(json!({
        "enabled": true,
        "actions": actions.collect::<Vec<_>>(),
        "operators": [
            "SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT",
            "SCMP_CMP_MASKED_EQ",
        ],
        "archs": archs.collect::<Vec<_>>(),
        "knownFlags": flags(FilterFlags::all()),
        "supportedFlags": flags(kernel.flags),
    }))
}

/// The kinds that this kernel has, by the names of the config.
pub(super) fn namespaces() -> Vec<&'static str> {
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
    fn seccomp_is_what_a_profile_may_use() {
        let seccomp = seccomp().unwrap();
        assert_eq!(seccomp["enabled"], true);
        for (list, name) in [("actions", "SCMP_ACT_ERRNO"), ("supportedFlags", "SECCOMP_FILTER_FLAG_TSYNC")] {
            assert!(seccomp[list].as_array().unwrap().contains(&json!(name)), "{list}: {seccomp}");
        }
        assert_eq!(seccomp["knownFlags"].as_array().unwrap().len(), 4);
        // What is announced is read.
        for action in seccomp["actions"].as_array().unwrap() {
            let profile = json!({ "defaultAction": action });
            serde_json::from_value::<crate::spec::LinuxSeccomp>(profile).unwrap();
        }
    }

    #[test]
    fn every_field_is_one_of_the_specification() {
        let mut ours = features().unwrap();
        let oracle: oci_spec::runtime::Features = serde_json::from_value(ours.clone()).unwrap();
        let mut theirs = serde_json::to_value(oracle).unwrap();
        for value in [&mut ours, &mut theirs] {
            let linux = value["linux"].as_object_mut().unwrap();
            linux.retain(|_, field| !field.is_null());
            // A set there, without an order.
            linux["capabilities"].as_array_mut().unwrap().sort_by_key(Value::to_string);
        }
        assert_eq!(ours, theirs);
    }

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
