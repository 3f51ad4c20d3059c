//! Configs as an engine writes them, and what is wrong with others.

use serde_json::{Value, json};

use super::*;
use crate::ErrorKind;
use cofferdam_mountfs::{IdMaps, IdmapSource};
use cofferdam_ns::{IdMap, Namespaces};

mod net_devices;
mod rdt;
mod scheduling;
mod seccomp;

/// A config that is enough to run.
fn config() -> Value {
    json!({
        "ociVersion": "1.0.2",
        "process": { "args": ["sh"], "cwd": "/", "user": { "uid": 0, "gid": 0 }, "env": ["PATH=/a:/b"] },
        "root": { "path": "rootfs" },
        "hostname": "box",
        "linux": {
            "namespaces": [{ "type": "mount" }, { "type": "pid" }, { "type": "uts" }, { "type": "user" }],
            "uidMappings": [{ "containerID": 0, "hostID": 100_000, "size": 65536 }],
            "gidMappings": [{ "containerID": 0, "hostID": 100_000, "size": 65536 }],
        },
    })
}

fn lowered(config: &Value) -> Result<Container> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("rootfs")).unwrap();
    std::os::unix::fs::symlink("rootfs", dir.path().join("link")).unwrap();
    std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    lower(&Bundle::load(dir.path(), None)?, &"id".parse().unwrap())
}

/// What an error says, and a change of a good config that brings it.
type Fault = (&'static str, fn(&mut Value));

/// The error after `change` was made to a config that is right otherwise.
fn refused(change: impl Fn(&mut Value)) -> (ErrorKind, String) {
    let mut config = config();
    change(&mut config);
    let error = lowered(&config).unwrap_err();
    (error.kind(), error.to_string())
}

#[test]
fn a_plain_config_is_lowered() {
    let container = lowered(&config()).unwrap();
    assert_eq!(
        container.new_namespaces,
        Namespaces::MOUNT | Namespaces::PID | Namespaces::UTS | Namespaces::USER
    );
    assert_eq!(container.ids.unwrap().uid, [IdMap::new(0, 100_000, 65536)]);
    assert_eq!(container.process.path, b"/a:/b");
    assert_eq!(container.cgroup.path, "cofferdam/id");
    assert!(container.rootfs.user_namespace);
}

#[test]
fn a_profile_is_a_label_and_an_empty_one_is_none() {
    let label = |profile: &str| {
        let mut config = config();
        config["process"]["apparmorProfile"] = json!(profile);
        lowered(&config).unwrap().process.label.map(|label| label.value().to_owned())
    };
    assert_eq!(label("docker-default").as_deref(), Some("exec docker-default"));
    assert_eq!(label(""), None);
}

#[test]
fn each_fault_names_its_field() {
    let faults: [Fault; 19] = [
        ("process: is missing", |c| drop(c.as_object_mut().unwrap().remove("process"))),
        ("process.args: names no program", |c| c["process"]["args"] = json!([])),
        ("process.args[1]: holds a NUL", |c| c["process"]["args"] = json!(["a", "b\0"])),
        ("process.cwd: must be an absolute", |c| c["process"]["cwd"] = json!("tmp")),
        ("process.apparmorProfile: AppArmor profile `a\\nb`: the name has a control", |c| {
            c["process"]["apparmorProfile"] = json!("a\nb");
        }),
        ("process.user.uid: 4294967295", |c| c["process"]["user"]["uid"] = json!(u32::MAX)),
        ("process.oomScoreAdj: 1001", |c| c["process"]["oomScoreAdj"] = json!(1001)),
        ("process.rlimits[0]: the soft limit", |c| {
            c["process"]["rlimits"] = json!([{ "type": "RLIMIT_NOFILE", "soft": 2, "hard": 1 }]);
        }),
        ("root: is missing", |c| drop(c.as_object_mut().unwrap().remove("root"))),
        ("root.path: ", |c| c["root"]["path"] = json!("none")),
        ("is a symbolic link", |c| c["root"]["path"] = json!("link")),
        ("is a symbolic link", |c| c["root"]["path"] = json!("./link/")),
        ("linux.namespaces[4]: a second pid", |c| {
            c["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "pid" }));
        }),
        ("linux.namespaces: a new mount", |c| c["linux"]["namespaces"] = json!([{ "type": "pid" }])),
        ("linux.namespaces[0].path: the container's root would", |c| {
            c["linux"]["namespaces"][0]["path"] = json!("/proc/1/ns/mnt");
        }),
        ("uidMappings or gidMappings: uid map", |c| c["linux"]["uidMappings"][0]["size"] = json!(0)),
        ("hostname: has more than 64", |c| c["hostname"] = json!("x".repeat(65))),
        ("linux.cgroupsPath: must not hold `..`", |c| c["linux"]["cgroupsPath"] = json!("/a/../b")),
        ("linux.maskedPaths[0]: must be an absolute", |c| c["linux"]["maskedPaths"] = json!(["proc"])),
    ];
    for (words, change) in faults {
        let (kind, message) = refused(change);
        assert_eq!(kind, ErrorKind::Config, "{message}");
        assert!(message.contains(words), "`{message}` does not say `{words}`");
    }
}

#[test]
fn what_is_not_enforced_is_refused() {
    let (kind, message) = refused(|c| c["vm"] = json!({ "kernel": { "path": "/vmlinuz" } }));
    assert_eq!(kind, ErrorKind::Unsupported, "{message}");
    assert!(message.contains("vm"), "{message}");
}

#[test]
fn mounts_have_maps() {
    let mount = |options: Value| {
        let mut config = config();
        let ids = json!([{ "containerID": 0, "hostID": 7, "size": 1 }]);
        config["mounts"] = json!([{ "destination": "/x", "source": "/", "options": options,
            "uidMappings": ids, "gidMappings": ids }]);
        lowered(&config).unwrap().rootfs.mounts[0].idmap.clone().unwrap()
    };
    assert_eq!(mount(json!(["bind"])).maps, IdmapSource::Maps(IdMaps::range(0, 7, 1)));
    assert!(!mount(json!(["rbind", "idmap"])).recursive);
    assert!(mount(json!(["rbind", "ridmap"])).recursive);

    let mut config = config();
    config["mounts"] = json!([{ "destination": "/x", "source": "/", "options": ["bind", "idmap"] }]);
    let rootfs = lowered(&config).unwrap().rootfs;
    assert_eq!(rootfs.mounts[0].idmap.as_ref().unwrap().maps, IdmapSource::Container);
    assert_eq!(rootfs.id_maps, Some(IdMaps::range(0, 100_000, 65536)));

    let (kind, message) = refused(|c| {
        c["mounts"] = json!([{ "destination": "/x", "source": "/", "options": ["bind"],
            "uidMappings": [{ "containerID": 0, "hostID": 0, "size": 1 }] }]);
    });
    assert_eq!(kind, ErrorKind::Config, "{message}");
    assert!(message.contains("mounts[0]"), "{message}");
}

#[test]
fn sysctls_of_the_host_are_refused() {
    let message = |name: &str| refused(|c| c["linux"]["sysctl"] = json!({ name: "1" })).1;
    assert!(message("vm.dirty_ratio").contains("belongs to no namespace"));
    assert!(message("kernel.core_pattern").contains("runs as root"));
    assert!(message("net.ipv4.ip_forward").contains("needs a net namespace"));
    let hostname = |c: &mut Value| c["linux"]["sysctl"] = json!({ "kernel.hostname": "x" });
    assert!(refused(hostname).1.contains("is the field `hostname`"));
    for bad in ["net...x", "net./x", "net.x/../y", "", "kernel.sem/../core_pattern"] {
        let message = message(bad);
        assert!(message.contains("linux.sysctl"), "{bad}: {message}");
    }
    let mut config = config();
    config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "network" }));
    config["linux"]["sysctl"] = json!({ "net.ipv4.conf.eth0/1.forwarding": "1" });
    let expected = ("net/ipv4/conf/eth0.1/forwarding".to_owned(), "1".to_owned());
    assert_eq!(lowered(&config).unwrap().sysctl, [expected]);
}

#[test]
fn limits_are_translated_to_v2() {
    let mut config = config();
    config["linux"]["resources"] = json!({
        "pids": { "limit": 7 },
        "memory": { "limit": 1000, "swap": 1500, "reservation": 10 },
        "cpu": { "shares": 1024, "quota": 5000, "period": 10000 },
        "unified": { "memory.high": "900" },
    });
    let limits = lowered(&config).unwrap().cgroup.limits;
    assert_eq!((limits.pids_max, limits.memory_max, limits.swap_max), (Some(7), Some(1000), Some(500)));
    assert_eq!(limits.memory_low, Some(10));
    assert_eq!(limits.cpu_weight, Some(100));
    assert_eq!(limits.unified, [("memory.high".to_owned(), "900".to_owned())]);

    let wrong = |resources: Value| refused(|c| c["linux"]["resources"] = resources.clone()).1;
    assert!(wrong(json!({ "memory": { "limit": 10, "swap": 5 } })).contains("is below memory.limit"));
    assert!(wrong(json!({ "unified": { "cgroup.procs": "1" } })).contains("no interface file"));
    assert!(wrong(json!({ "unified": { "../x": "1" } })).contains("no interface file"));
}

#[test]
fn faults_of_hooks_name_the_hook() {
    let wrong = |hooks: Value| refused(|c| c["hooks"] = hooks.clone());
    let (kind, message) = wrong(json!({ "poststop": [{ "path": "/x" }, { "path": "x" }] }));
    assert_eq!(kind, ErrorKind::Config);
    assert!(message.contains("hooks.poststop[1].path: must be absolute"), "{message}");
    for timeout in [0, -1] {
        let (_, message) = wrong(json!({ "prestart": [{ "path": "/x", "timeout": timeout }] }));
        assert!(message.contains("hooks.prestart[0].timeout"), "{message}");
    }
}
