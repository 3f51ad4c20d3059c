//! Fields of the config, seen from outside on the process that has them.

use std::fs;

use cofferdam_sys::sched;
use serde_json::{Value, json};

use super::bundle::Bundle;

/// A container that sleeps.
fn sleeping(change: impl Fn(&mut Value)) -> Option<(Bundle, i32)> {
    let mut bundle = Bundle::new()?;
    change(&mut bundle.config);
    bundle.config["process"]["args"] = json!(["sleep", "1000"]);
    bundle.start();
    let pid = bundle.state()["pid"].as_i64().unwrap().try_into().unwrap();
    Some((bundle, pid))
}

/// Runs a process that sleeps in a container, and gives its number.
fn joins(bundle: &Bundle, process: &Value) -> i32 {
    let mut whole = json!({ "args": ["sleep", "1000"], "cwd": "/", "user": { "uid": 0, "gid": 0 },
        "env": ["PATH=/bin"] });
    whole.as_object_mut().unwrap().extend(process.as_object().unwrap().clone());
    fs::write(bundle.path("process.json"), whole.to_string()).unwrap();
    let words = ["exec", "--detach", "--process", "process.json", "--pid-file", "pid", bundle.id()];
    let log = fs::File::create(bundle.path("exec.log")).unwrap();
    let status = bundle.command(&words).stdout(log.try_clone().unwrap()).stderr(log).status().unwrap();
    assert!(status.success(), "{}", fs::read_to_string(bundle.path("exec.log")).unwrap());
    fs::read_to_string(bundle.path("pid")).unwrap().parse().unwrap()
}

#[test]
fn a_process_is_scheduled() {
    let batch = json!({ "policy": "SCHED_BATCH", "nice": 7 });
    let idle = json!({ "class": "IOPRIO_CLASS_IDLE", "priority": 0 });
    let started = sleeping(|c| {
        c["process"]["scheduler"] = batch.clone();
        c["process"]["ioPriority"] = idle.clone();
    });
    let Some((bundle, pid)) = started else { return };
    let found = sched::get(pid).unwrap();
    assert_eq!((found.policy, found.nice), (3, 7));
    assert_eq!(sched::io_priority(pid).unwrap(), (3, 0));

    let joined = joins(
        &bundle,
        &json!({ "scheduler": { "policy": "SCHED_IDLE", "flags": ["SCHED_FLAG_RESET_ON_FORK"] },
            "ioPriority": { "class": "IOPRIO_CLASS_BE", "priority": 6 },
            "execCPUAffinity": { "initial": "1", "final": "0" } }),
    );
    let found = sched::get(joined).unwrap();
    assert_eq!((found.policy, found.flags), (5, 1));
    assert_eq!(sched::io_priority(joined).unwrap(), (2, 6));
    assert_eq!(sched::affinity(joined).unwrap().first(), Some(&1));
}

#[test]
fn a_processor_that_is_not_there_is_named() {
    let Some((bundle, _)) = sleeping(|_| {}) else { return };
    for name in ["initial", "final"] {
        let process = json!({ "args": ["true"], "cwd": "/", "user": { "uid": 0, "gid": 0 },
            "execCPUAffinity": { name: "8000" } });
        fs::write(bundle.path("process.json"), process.to_string()).unwrap();
        let line = bundle.order(&["exec", "--process", "process.json", bundle.id()]).bad(255);
        assert!(
            line.contains(&format!("process.execCPUAffinity.{name}")) && line.contains("EINVAL"),
            "{line}"
        );
    }
}

#[test]
fn processes_have_a_domain_and_a_memory_policy() {
    let Some(mut bundle) = Bundle::new() else { return };
    std::os::unix::fs::symlink("busybox", bundle.path("rootfs/bin/uname")).unwrap();
    bundle.config["linux"]["personality"] = json!({ "domain": "LINUX32" });
    let numa = cofferdam_sys::numa::get().is_ok();
    if numa {
        bundle.config["linux"]["memoryPolicy"] = json!({ "mode": "MPOL_BIND", "nodes": "0" });
    }
    bundle.script("uname -m; cat /proc/self/numa_maps");
    let text = bundle.run().good();
    if cfg!(target_arch = "x86_64") {
        assert_eq!(text.lines().next(), Some("i686"));
    }
    assert_eq!(text.contains("bind:0"), numa, "{text}");
    // A node that is not there.
    bundle.config["linux"]["memoryPolicy"] = json!({ "mode": "MPOL_BIND", "nodes": "900" });
    let line = bundle.run().bad(1);
    assert!(line.contains("linux.memoryPolicy: set the policy"), "{line}");
}

#[test]
fn clocks_have_an_offset() {
    let Some(mut bundle) = Bundle::new() else { return };
    bundle.config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "time" }));
    bundle.config["linux"]["timeOffsets"] = json!({ "boottime": { "secs": 50_000_000 } });
    bundle.script("cat /proc/uptime");
    let text = bundle.run().good();
    let seconds: f64 = text.split_whitespace().next().unwrap().parse().unwrap();
    assert!(seconds > 50_000_000.0, "{text}");
}

#[test]
fn namespaces_of_another_container_are_joined() {
    let kinds = ["user", "time", "network"];
    let started = sleeping(|c| {
        for kind in kinds {
            c["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": kind }));
        }
        for map in ["uidMappings", "gidMappings"] {
            c["linux"][map] = json!([{ "containerID": 0, "hostID": 700_000, "size": 1000 }]);
        }
    });
    let Some((first, pid)) = started else { return };
    let second = sleeping(|c| {
        for (kind, file) in kinds.iter().zip(["user", "time", "net"]) {
            let path = format!("/proc/{pid}/ns/{file}");
            c["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": kind, "path": path }));
        }
        c["process"]["user"] = json!({ "uid": 5, "gid": 6 });
    });
    let (second, other) = second.unwrap();
    for file in ["user", "time", "net"] {
        let of = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/{file}")).unwrap();
        assert_eq!(of(pid), of(other), "{file}");
        assert_ne!(of(pid), fs::read_link(format!("/proc/self/ns/{file}")).unwrap(), "{file}");
    }
    let status = fs::read_to_string(format!("/proc/{other}/status")).unwrap();
    assert!(status.contains("Uid:\t700005\t700005\t700005\t700005"), "{status}");
    assert_eq!(second.order(&["exec", second.id(), "id", "-u"]).good(), "5\n");
    drop(first);
}

#[test]
fn labels_of_selinux_need_selinux() {
    let Some(mut bundle) = Bundle::new() else { return };
    let active = fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
    if active.contains("selinux") {
        eprintln!("skipped: SELinux is active here; the labels themselves are tested in guests");
        return;
    }
    for place in ["/process/selinuxLabel", "/linux/mountLabel"] {
        let (parent, name) = place.rsplit_once('/').unwrap();
        bundle.config.pointer_mut(parent).unwrap()[name] = json!("system_u:system_r:container_t:s0");
        let line = bundle.run().bad(1);
        let field = place.trim_start_matches('/').replace('/', ".");
        assert!(line.contains(&field), "`{line}` does not name {field}");
        bundle.config.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
    }
}

#[test]
fn what_only_the_other_cgroup_has_is_refused() {
    let Some(mut bundle) = Bundle::new() else { return };
    let v1 = fs::read_to_string("/proc/self/mounts").unwrap().contains(" cgroup rw");
    let place = if v1 { "unified" } else { "network" };
    bundle.config["linux"]["resources"] = match place {
        "unified" => json!({ "unified": { "memory.high": "1000000" } }),
        _ => json!({ "network": { "classID": 7 } }),
    };
    let line = bundle.run().bad(1);
    assert!(line.contains(if v1 { "memory.high" } else { "net_cls.classid" }), "{line}");
}

/// What a program finds as `HOME`, with a user database in the image.
#[test]
fn the_home_is_that_of_the_user() {
    let Some(mut bundle) = Bundle::new() else { return };
    let users = "root:x:0:0:root:/root:/bin/sh\nsomebody:x:1000:1000::/srv/somebody:/bin/sh\n";
    let home = |bundle: &mut Bundle, uid: u32, env: &[&str]| {
        bundle.config["process"]["user"] = json!({ "uid": uid, "gid": 0 });
        bundle.config["process"]["env"] = [&["PATH=/bin"], env].concat().into();
        bundle.script("echo \"$HOME\"");
        bundle.run().good()
    };
    assert_eq!(home(&mut bundle, 0, &[]), "/\n", "no database");
    // A link within the image, as some have it.
    fs::create_dir(bundle.path("rootfs/share")).unwrap();
    fs::write(bundle.path("rootfs/share/passwd"), users).unwrap();
    std::os::unix::fs::symlink("/share/passwd", bundle.path("rootfs/etc/passwd")).unwrap();
    assert_eq!(home(&mut bundle, 0, &[]), "/root\n");
    assert_eq!(home(&mut bundle, 1000, &[]), "/srv/somebody\n");
    assert_eq!(home(&mut bundle, 1001, &[]), "/\n");
    assert_eq!(home(&mut bundle, 0, &["HOME=/said"]), "/said\n");
    assert_eq!(home(&mut bundle, 0, &["HOME="]), "/root\n");
    // What would never be read to its end is not begun.
    fs::remove_file(bundle.path("rootfs/etc/passwd")).unwrap();
    bundle.script("mkfifo /etc/passwd");
    bundle.run().good();
    assert_eq!(home(&mut bundle, 0, &[]), "/\n");
}

#[test]
fn a_process_that_joins_has_the_home_of_its_own_user() {
    let Some((bundle, _)) = sleeping(|_| {}) else { return };
    fs::write(bundle.path("rootfs/etc/passwd"), "root:x:0:0::/root:\nb:x:7:7::/b:\n").unwrap();
    let home = |words: &[&str]| bundle.order(&[words, &["sh", "-c", "echo $HOME"]].concat()).good();
    assert_eq!(home(&["exec", bundle.id()]), "/root\n");
    assert_eq!(home(&["exec", "--user", "7:7", bundle.id()]), "/b\n");
    assert_eq!(home(&["exec", "--env", "HOME=/c", bundle.id()]), "/c\n");
}

/// As with the common runtimes: images name one that they do not have.
#[test]
fn a_working_directory_that_is_missing_is_made() {
    let Some(mut bundle) = Bundle::new() else { return };
    bundle.config["process"]["cwd"] = json!("/srv/a/b");
    bundle.config["root"]["readonly"] = json!(true);
    bundle.script("stat -c '%a %u:%g' .; cd .; pwd");
    assert_eq!(bundle.run().good(), "755 0:0\n/srv/a/b\n");
    // What a link names is made in the root, whatever the host has there.
    let outside = bundle.path("outside");
    std::os::unix::fs::symlink(&outside, bundle.path("rootfs/link")).unwrap();
    bundle.config["process"]["cwd"] = json!("/link");
    assert_eq!(bundle.run().good(), format!("755 0:0\n{}\n", outside.display()));
    assert!(bundle.path("rootfs").join(outside.strip_prefix("/").unwrap()).is_dir());
    // Not where a file is, and not by a link of the kernel's.
    for cwd in ["/bin/busybox/x", "/proc/self/fd/9/x"] {
        bundle.config["process"]["cwd"] = json!(cwd);
        let line = bundle.run().bad(1);
        assert!(line.contains("process.cwd"), "{cwd}: {line}");
    }
    assert!(!outside.exists());
}

/// The specification: what cannot be granted is a warning.
#[test]
fn names_that_are_no_capabilities_are_left_out() {
    let Some(mut bundle) = Bundle::new() else { return };
    let caps = json!(["CAP_KILL", "CAP_OF_THE_FUTURE"]);
    bundle.config["process"]["capabilities"] =
        json!({ "bounding": caps, "effective": caps, "permitted": caps });
    bundle.script(
        "while read name value; do test $name = CapEff: && echo $value; done < /proc/self/status; true",
    );
    let ended = bundle.run();
    assert!(ended.stderr.lines().count() == 1 && ended.stderr.contains("CAP_OF_THE_FUTURE"), "{ended:?}");
    assert_eq!(ended.good(), "0000000000000020\n");
    bundle.config["process"]["args"] = json!(["sleep", "1000"]);
    bundle.start();
    let ended = bundle.order(&["exec", "--cap", "CAP_OTHER", bundle.id(), "true"]);
    assert!(ended.stderr.contains("CAP_OTHER"), "{ended:?}");
    ended.good();
}

#[test]
fn a_class_of_caches_needs_a_processor_that_has_them() {
    let Some(mut bundle) = Bundle::new() else { return };
    if fs::read_to_string("/proc/self/mountinfo").unwrap().contains("- resctrl ") {
        eprintln!("skipped: resctrl is mounted here, whose absence is to be told");
        return;
    }
    bundle.config["linux"]["intelRdt"] = json!({ "closID": "gold" });
    let line = bundle.run().bad(1);
    assert!(line.contains("linux.intelRdt: no resctrl file system is mounted; `mount -t resctrl"), "{line}");
}

/// A node of the config is made under a list that does not name it, and is of no use then.
#[test]
fn nodes_are_made_whatever_the_rules_are() {
    let Some(mut bundle) = Bundle::new() else { return };
    bundle.config["linux"]["devices"] = json!([{ "path": "/dev/own", "type": "c", "major": 10, "minor": 666,
        "fileMode": 0o666, "uid": 3, "gid": 4 }]);
    bundle.config["linux"]["resources"] = json!({ "devices": [{ "allow": false, "access": "rwm" }] });
    bundle.script("stat -c '%F %a %u:%g %t:%T' /dev/own; cat /dev/own");
    let ended = bundle.run();
    assert_eq!(ended.stdout, "character special file 666 3:4 a:29a\n", "{ended:?}");
    assert!(ended.stderr.contains("Operation not permitted"), "{ended:?}");
}

/// By the annotation that podman writes for `--group-add keep-groups`.
#[test]
fn groups_of_the_caller_are_kept_when_asked_for() {
    let Some(mut bundle) = Bundle::new() else { return };
    bundle.script(
        "while read name value; do test $name = Groups: && echo $value; done < /proc/self/status; true",
    );
    let groups = |bundle: &Bundle| {
        bundle.write();
        let mut command = std::process::Command::new("setpriv");
        command.args(["--groups", "3,77", super::bundle::RUNTIME, "--root"]).arg(bundle.path("state"));
        let output = command.args(["run", bundle.id()]).current_dir(bundle.path("")).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(groups(&bundle), "\n");
    bundle.config["annotations"] = json!({ "run.oci.keep_original_groups": "1" });
    assert_eq!(groups(&bundle), "3 77\n");
}
