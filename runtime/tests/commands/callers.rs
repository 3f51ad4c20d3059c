//! What callers of the common runtimes have come to rely on beyond the specification, as runc's own suite has it.

use std::fs;
use std::os::unix::fs::symlink;

use cofferdam_sys::sched;
use serde_json::json;

use super::bundle::{Bundle, wait_for};

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nguest:x:2000:2000::/srv/guest:/bin/sh\n";

#[test]
fn home_is_the_users_unless_it_is_given() {
    let Some(mut bundle) = Bundle::new() else { return };
    fs::write(bundle.path("rootfs/etc/passwd"), PASSWD).unwrap();
    bundle.script("echo $HOME");
    for (env, uid, home) in [
        (json!(["PATH=/bin"]), 0, "/root\n"),
        (json!(["PATH=/bin", "HOME="]), 0, "/root\n"),
        (json!(["HOME=/given", "PATH=/bin", "HOME="]), 2000, "/srv/guest\n"),
        (json!(["HOME=/given", "PATH=/bin"]), 2000, "/given\n"),
        (json!(["PATH=/bin"]), 7, "/\n"),
    ] {
        bundle.config["process"]["env"] = env;
        bundle.config["process"]["user"]["uid"] = json!(uid);
        assert_eq!(bundle.run().good(), home, "{uid}");
    }
    // The file that the container will see there.
    fs::write(bundle.path("users"), "x:x:7:7::/seven:\n").unwrap();
    bundle.config["process"]["env"] = json!(["PATH=/bin"]);
    bundle.config["mounts"].as_array_mut().unwrap().push(
        json!({ "destination": "/etc/passwd", "type": "bind", "source": "users", "options": ["bind"] }),
    );
    assert_eq!(bundle.run().good(), "/seven\n");
}

#[test]
fn home_of_a_process_that_joins_is_its_users() {
    let Some(mut bundle) = Bundle::new() else { return };
    fs::write(bundle.path("rootfs/etc/passwd"), PASSWD).unwrap();
    bundle.config["process"]["env"] = json!(["PATH=/bin"]);
    bundle.config["process"]["args"] = json!(["sleep", "1000"]);
    bundle.start();
    for (user, home) in [("0", "/root\n"), ("2000", "/srv/guest\n"), ("7", "/\n")] {
        let words = ["exec", "--user", user, bundle.id(), "sh", "-uc", "echo $HOME"];
        assert_eq!(bundle.order(&words).good(), home, "{user}");
    }
}

#[test]
fn a_variable_is_there_once_with_its_last_value() {
    let Some(mut bundle) = Bundle::new() else { return };
    symlink("busybox", bundle.path("rootfs/bin/env")).unwrap();
    bundle.config["process"]["env"] = json!(["ONE=1", "PATH=/bin", "HOME=/h", "ONE=2", "TWO=", "ONE="]);
    bundle.config["process"]["args"] = json!(["env"]);
    assert_eq!(bundle.run().good(), "PATH=/bin\nHOME=/h\nTWO=\nONE=\n");
}

#[test]
fn capabilities_that_cannot_be_had_are_left_out_and_told() {
    let Some(mut bundle) = Bundle::new() else { return };
    bundle.config["process"]["args"] = json!(["cat", "/proc/self/status"]);
    bundle.config["process"]["capabilities"] = json!({ "bounding": ["CAP_KILL", "CAP_UNKNOWN", "KILL_CAP"],
        "permitted": ["CAP_KILL"], "inheritable": ["CAP_KILL"], "ambient": ["CAP_KILL", "CAP_CHOWN"] });
    bundle.write();
    let ended = bundle.order(&["run", bundle.id()]);
    for words in ["CAP_UNKNOWN", "KILL_CAP", "can't raise ambient capability CAP_CHOWN: "] {
        assert!(ended.stderr.contains(words), "{words}: {ended:?}");
    }
    let status = ended.good();
    for line in ["CapBnd:\t0000000000000020", "CapAmb:\t0000000000000020"] {
        assert!(status.contains(line), "{line}: {status}");
    }
}

#[test]
fn a_capability_that_is_added_stays_where_it_is_inheritable() {
    let Some(mut bundle) = Bundle::new() else { return };
    bundle.config["process"]["args"] = json!(["sleep", "1000"]);
    bundle.config["process"]["capabilities"] =
        json!({ "bounding": ["CAP_KILL", "CAP_SYSLOG"], "inheritable": ["CAP_SYSLOG"] });
    bundle.start();
    for (cap, ambient) in [("CAP_SYSLOG", "0000000400000000"), ("CAP_KILL", "0000000000000000")] {
        let words = ["exec", "--user", "7", "--cap", cap, bundle.id(), "cat", "/proc/self/status"];
        let status = bundle.order(&words).good();
        assert!(status.contains(&format!("CapAmb:\t{ambient}")), "{cap}: {status}");
    }
}

#[test]
fn signal_0_asks_whether_it_runs() {
    let Some(mut bundle) = Bundle::new() else { return };
    bundle.script("trap 'exit 0' TERM; while :; do sleep 0.01; done");
    bundle.start();
    bundle.order(&["kill", bundle.id(), "0"]).good();
    assert_eq!(bundle.state()["status"], "running");
    bundle.order(&["kill", bundle.id(), "KILL"]).good();
    wait_for("its end", || (bundle.state()["status"] == "stopped").then_some(()));
    let line = bundle.order(&["kill", bundle.id(), "0"]).bad(1);
    assert!(line.contains("container not running"), "{line}");
    bundle.order(&["kill", "--all", bundle.id(), "0"]).good();
}

/// Without a PID namespace of its own the end of the first process is not that of the others.
#[test]
fn kill_ends_every_process_of_a_container_that_shares_pids() {
    for first_ends in [false, true] {
        let Some(mut bundle) = Bundle::new() else { return };
        let namespaces = bundle.config["linux"]["namespaces"].as_array_mut().unwrap();
        namespaces.retain(|namespace| namespace["type"] != "pid");
        bundle.config["process"]["args"] = json!(["sleep", "1000"]);
        bundle.start();
        let words = ["exec", "--detach", "--pid-file", "pid", bundle.id(), "sleep", "1000"];
        let log = fs::File::create(bundle.path("exec.log")).unwrap();
        let status = bundle.command(&words).stdout(log.try_clone().unwrap()).stderr(log).status().unwrap();
        assert!(status.success(), "{}", fs::read_to_string(bundle.path("exec.log")).unwrap());
        let other = fs::read_to_string(bundle.path("pid")).unwrap();
        if first_ends {
            let first = bundle.state()["pid"].to_string();
            assert!(std::process::Command::new("kill").args(["-9", &first]).status().unwrap().success());
            wait_for("its end", || (bundle.state()["status"] == "stopped").then_some(()));
        }
        bundle.order(&["kill", bundle.id(), "KILL"]).good();
        wait_for("the end of the other", || {
            let stat = fs::read_to_string(format!("/proc/{other}/stat")).unwrap_or_default();
            (stat.is_empty() || stat.contains(") Z")).then_some(())
        });
        wait_for("nothing to kill", || {
            let ended = bundle.order(&["kill", bundle.id(), "KILL"]);
            ended.stderr.contains("container not running").then_some(())
        });
    }
}

#[test]
fn an_event_begins_with_its_type_and_the_id() {
    let Some(mut bundle) = Bundle::new() else { return };
    bundle.config["process"]["args"] = json!(["sleep", "1000"]);
    bundle.start();
    let line = bundle.order(&["events", "--stats", bundle.id()]).good();
    let begins = format!("{{\"type\":\"stats\",\"id\":\"{}\",\"data\":{{", bundle.id());
    assert!(line.starts_with(&begins), "{line}");
    assert!(serde_json::from_str::<serde_json::Value>(&line).unwrap()["data"]["cpu"].is_object(), "{line}");
}

#[test]
fn a_hook_inside_has_the_programs_environment_unless_it_has_one() {
    let Some(mut bundle) = Bundle::new() else { return };
    bundle.config["process"]["env"] = json!(["PATH=/bin", "ONE=1"]);
    bundle.config["process"]["args"] = json!(["cat", "/out"]);
    let hook = |env| json!({ "path": "/bin/sh", "args": ["sh", "-c", "echo $ONE-$HOME >>/out"], "env": env });
    bundle.config["hooks"] = json!({ "startContainer": [hook(json!([])), hook(json!(["ONE=2"]))] });
    assert_eq!(bundle.run().good(), "1-/\n2-\n");
}

#[test]
fn what_a_failed_hook_wrote_is_told_as_it_is() {
    let Some(mut bundle) = Bundle::new() else { return };
    for kind in ["createRuntime", "startContainer"] {
        bundle.config["hooks"] = json!({ kind: [{ "path": "/bin/sh",
            "args": ["sh", "-c", "echo \"can't open '/none'\"; echo \"a\tb\"; exit 3"] }] });
        bundle.write();
        let line = bundle.order(&["run", bundle.id()]).bad(1);
        assert!(line.contains("exit status 3, it wrote: can't open '/none'\\na\\tb"), "{line}");
    }
    bundle.config["hooks"] = json!({ "startContainer": [{ "path": "/bin/sh",
        "args": ["sh", "-c", "kill -SYS $$"] }] });
    bundle.write();
    let line = bundle.order(&["run", bundle.id()]).bad(1);
    assert!(line.contains("bad system call"), "{line}");
}

#[test]
fn a_host_name_is_set_in_a_namespace_that_is_joined() {
    let (Some(mut bundle), Some(mut other)) = (Bundle::new(), Bundle::new()) else { return };
    bundle.config["process"]["args"] = json!(["sleep", "1000"]);
    bundle.config["linux"]["namespaces"].as_array_mut().unwrap().retain(|one| one["type"] != "uts");
    bundle.config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "uts" }));
    bundle.start();
    let path = format!("/proc/{}/ns/uts", bundle.state()["pid"]);
    other.config["linux"]["namespaces"].as_array_mut().unwrap().retain(|one| one["type"] != "uts");
    other.config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "uts", "path": path }));
    other.config["hostname"] = json!("joined");
    other.config["process"]["args"] = json!(["cat", "/proc/sys/kernel/hostname"]);
    assert_eq!(other.run().good(), "joined\n");
    let seen = bundle.order(&["exec", bundle.id(), "cat", "/proc/sys/kernel/hostname"]).good();
    assert_eq!(seen, "joined\n");
    other.config["linux"]["namespaces"].as_array_mut().unwrap().retain(|one| one["type"] != "uts");
    other.write();
    let line = other.order(&["run", other.id()]).bad(1);
    assert!(line.contains("hostname") && line.contains("uts"), "{line}");
}

/// Who is bound to some processors does not mean its containers.
#[test]
fn processors_of_the_caller_are_not_the_containers() {
    let all = sched::affinity(0).unwrap();
    if all.iter().map(|word| word.count_ones()).sum::<u32>() < 2 {
        return eprintln!("skipped: this process may use one processor only");
    }
    let list = fs::read_to_string("/proc/self/status").unwrap();
    let list = list.lines().find(|line| line.starts_with("Cpus_allowed_list:")).unwrap().to_owned();
    let bound = std::thread::spawn(move || {
        let word = all.iter().position(|word| *word != 0).unwrap();
        let mut first = vec![0; all.len()];
        first[word] = 1 << all[word].trailing_zeros();
        sched::set_affinity(0, &first).unwrap();
        let mut bundle = Bundle::new()?;
        symlink("busybox", bundle.path("rootfs/bin/grep")).unwrap();
        bundle.config["process"]["args"] = json!(["grep", "Cpus_allowed_list:", "/proc/self/status"]);
        let started = bundle.run().good();
        bundle.config["process"]["args"] = json!(["sleep", "1000"]);
        bundle.start();
        let words = ["exec", bundle.id(), "grep", "Cpus_allowed_list:", "/proc/self/status"];
        Some((started, bundle.order(&words).good()))
    });
    let Some((started, joined)) = bound.join().unwrap() else { return };
    assert_eq!((started.trim_end(), joined.trim_end()), (list.as_str(), list.as_str()));
}

/// What one command does not name stays, and what the container was made without can be limited all the same.
#[test]
fn limits_are_changed_one_by_one() {
    let Some(mut bundle) = Bundle::new() else { return };
    bundle.config["process"]["args"] = json!(["sleep", "1000"]);
    bundle.start();
    let pid = bundle.state()["pid"].as_i64().unwrap();
    let read = |file: &str| {
        let found = cgroup_file(&bundle, file);
        found.map(|path| fs::read_to_string(path).unwrap().trim_end().to_owned())
    };
    let update = |words: &[&str]| bundle.order(&[&["update", bundle.id()], words].concat()).good();
    if read("cpu.max").or_else(|| read("cpu.cfs_quota_us")).is_some() {
        update(&["--cpu-quota", "50000", "--cpu-period", "200000"]);
        update(&["--cpu-period", "100000"]);
        update(&["--cpu-quota", "40000"]);
        update(&["--cpu-period", "300000"]);
        let v1 = || Some(format!("{} {}", read("cpu.cfs_quota_us")?, read("cpu.cfs_period_us")?));
        assert_eq!(read("cpu.max").or_else(v1).unwrap(), "40000 300000");
    } else {
        eprintln!("skipped: no controller cpu");
    }
    let swap = |read: &dyn Fn(&str) -> Option<String>| {
        read("memory.swap.max").or_else(|| read("memory.memsw.limit_in_bytes"))
    };
    if let Some(before) = swap(&read) {
        update(&["--memory", "33554432"]);
        update(&["--memory-swap", "50331648"]);
        let set = swap(&read).unwrap();
        assert!(set == "16777216" || set == "50331648", "{set}");
        update(&["--memory", "-1"]);
        assert_eq!(swap(&read).unwrap(), before);
    } else {
        eprintln!("skipped: no limit of swap");
    }
    if read("cpuset.cpus").is_some() || fs::metadata("/sys/fs/cgroup/cpuset").is_ok() {
        update(&["--cpuset-cpus", "0"]);
        assert_eq!(read("cpuset.cpus").unwrap(), "0");
        let list = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        assert!(list.contains("Cpus_allowed_list:\t0\n"), "{list}");
    } else {
        eprintln!("skipped: no controller cpuset");
    }
}

/// A file of the container's cgroup, in whichever hierarchy has it.
fn cgroup_file(bundle: &Bundle, file: &str) -> Option<std::path::PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let paths = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (point, kind) = (words.next()?, words.next()?);
        kind.starts_with("cgroup")
            .then(|| std::path::Path::new(point).join("cofferdam").join(bundle.id()).join(file))
    });
    paths.into_iter().find(|path| path.exists())
}

#[test]
fn a_process_that_joins_need_not_name_a_user() {
    let Some(mut bundle) = Bundle::new() else { return };
    bundle.config["process"]["args"] = json!(["sleep", "1000"]);
    bundle.start();
    let process = json!({ "args": ["/bin/id", "-u"], "cwd": "/" });
    fs::write(bundle.path("process.json"), process.to_string()).unwrap();
    assert_eq!(bundle.order(&["exec", "--process", "process.json", bundle.id()]).good(), "0\n");
}

#[test]
fn debugging_tells_of_every_command() {
    let Some(mut bundle) = Bundle::new() else { return };
    bundle.script("echo out");
    bundle.write();
    let ended = bundle.order(&["--debug", "run", bundle.id()]);
    assert!(ended.stderr.contains("level=debug msg=\"run: begins\""), "{ended:?}");
    assert_eq!(ended.good(), "out\n");
    let ended = bundle.order(&["--debug", "--log", "log", "--log-format", "json", "run", bundle.id()]);
    assert_eq!((ended.stderr.as_str(), ended.status), ("", Some(0)));
    let log = fs::read_to_string(bundle.path("log")).unwrap();
    assert!(log.contains(r#"{"level":"debug","msg":"run: ends with status 0","#), "{log}");
}

/// What hooks of other programs do: they enter the container's mount namespace and mount below the root that the
/// state names.
#[test]
fn hooks_find_the_root_by_its_path_until_the_pivot() {
    for user in [false, true] {
        let Some(mut bundle) = Bundle::new() else { return };
        if super::bundle::hides("open_tree", "a root beside the host's") {
            return;
        }
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(bundle.path(""), open).unwrap();
        if user {
            let map = json!([{ "containerID": 0, "hostID": 0, "size": 1 }]);
            bundle.config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "user" }));
            bundle.config["linux"]["uidMappings"] = map.clone();
            bundle.config["linux"]["gidMappings"] = map;
        }
        let rootfs = bundle.path("rootfs").canonicalize().unwrap();
        fs::write(rootfs.join("etc/one"), "").unwrap();
        fs::write(rootfs.join("etc/two"), "").unwrap();
        fs::write(bundle.path("of-the-host"), "mounted\n").unwrap();
        let (from, to) = (bundle.path("of-the-host"), rootfs.join("etc/one"));
        let outside = format!(
            "pid=$(tr -d ' ' | grep -o '\"pid\":[0-9]*'); nsenter -m -t ${{pid#*:}} mount --bind {} {}",
            from.display(),
            to.display()
        );
        let inside = format!("pwd >/proc/self/fd/2; mount --bind {} etc/two", from.display());
        let hook = |script: &str| {
            json!([{ "path": "/bin/sh", "args": ["sh", "-c", script],
                "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"] }])
        };
        bundle.config["hooks"] = json!({ "createRuntime": hook(&outside), "createContainer": hook(&inside) });
        bundle.config["linux"]["maskedPaths"] = json!(["/volume"]);
        bundle.script("cat /etc/one /etc/two; ls /volume");
        assert_eq!(bundle.run().good(), "mounted\nmounted\n", "with a user namespace: {user}");
        assert_eq!(fs::read_to_string(rootfs.join("etc/one")).unwrap(), "", "the host sees it");
    }
}

#[test]
fn a_container_that_waits_is_ended_by_signals() {
    for signal in ["TERM", "INT"] {
        let Some(bundle) = Bundle::new() else { return };
        bundle.write();
        let log = fs::File::create(bundle.path("create.log")).unwrap();
        let mut command = bundle.command(&["create", bundle.id()]);
        assert!(command.stdout(log.try_clone().unwrap()).stderr(log).status().unwrap().success());
        bundle.order(&["kill", bundle.id(), signal]).good();
        wait_for("its end", || (bundle.state()["status"] == "stopped").then_some(()));
    }
    // And the program does with them what it does without a runtime.
    let Some(mut bundle) = Bundle::new() else { return };
    bundle.config["process"]["args"] = json!(["cat", "/proc/self/status"]);
    bundle.write();
    let out = fs::File::create(bundle.path("out")).unwrap();
    let mut command = bundle.command(&["create", bundle.id()]);
    assert!(command.stdout(out.try_clone().unwrap()).stderr(out).status().unwrap().success());
    bundle.order(&["start", bundle.id()]).good();
    let status = wait_for("its output", || {
        let text = fs::read_to_string(bundle.path("out")).unwrap();
        text.contains("SigCgt").then_some(text)
    });
    for line in ["SigBlk:\t0000000000000000", "SigCgt:\t0000000000000000", "SigIgn:\t0000000000000000"] {
        assert!(status.contains(line), "{line}: {status}");
    }
}

#[test]
fn a_tmpfs_has_the_permissions_of_what_it_covers() {
    let Some(mut bundle) = Bundle::new() else { return };
    if super::bundle::hides("fsopen", "parameters that are worked out in the child") {
        return;
    }
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o710);
    fs::set_permissions(bundle.path("rootfs/volume"), mode).unwrap();
    for (destination, options, found) in [
        ("/volume", json!([]), "710\n"),
        ("/volume", json!(["mode=1500"]), "1500\n"),
        ("/new/place", json!([]), "1777\n"),
    ] {
        let mount = json!({ "destination": destination, "type": "tmpfs", "options": options });
        bundle.config["mounts"].as_array_mut().unwrap().push(mount);
        bundle.config["process"]["args"] = json!(["stat", "-c", "%a", destination]);
        assert_eq!(bundle.run().good(), found, "{destination} {options}");
        bundle.config["mounts"].as_array_mut().unwrap().pop();
        let _ = fs::remove_dir_all(bundle.path("rootfs/new"));
    }
}

#[test]
fn a_read_only_dev_is_filled_first() {
    let Some(mut bundle) = Bundle::new() else { return };
    bundle.config["mounts"][1]["options"] = json!(["nosuid", "mode=755", "ro"]);
    bundle.script(
        "test -c /dev/null -a -d /dev/pts -a -L /dev/stdin && ! echo 2>/tmp/why >/dev/x; cat /tmp/why",
    );
    let said = bundle.run().good();
    assert!(said.contains("Read-only file system"), "{said}");
}

/// As `/etc/resolv.conf` of many an image is one.
#[test]
fn a_bind_on_a_link_that_leads_nowhere_makes_what_it_names() {
    let Some(mut bundle) = Bundle::new() else { return };
    symlink("../run/resolve/resolv.conf", bundle.path("rootfs/etc/resolv.conf")).unwrap();
    fs::write(bundle.path("names"), "of the host\n").unwrap();
    bundle.config["mounts"].as_array_mut().unwrap().push(
        json!({ "destination": "/etc/resolv.conf", "type": "bind", "source": "names", "options": ["bind"] }),
    );
    bundle.config["process"]["args"] = json!(["cat", "/etc/resolv.conf", "/run/resolve/resolv.conf"]);
    assert_eq!(bundle.run().good(), "of the host\nof the host\n");
}

#[test]
fn a_device_that_may_not_be_used_is_made_all_the_same() {
    let Some(mut bundle) = Bundle::new() else { return };
    bundle.config["linux"]["devices"] =
        json!([{ "path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11 }]);
    bundle.config["linux"]["resources"] = json!({ "devices": [{ "allow": false, "access": "rwm" },
        { "allow": false, "type": "c", "major": 1, "minor": 12, "access": "rwa" }] });
    bundle.config["process"]["capabilities"] =
        json!({ "bounding": ["CAP_MKNOD"], "permitted": ["CAP_MKNOD"], "effective": ["CAP_MKNOD"] });
    symlink("busybox", bundle.path("rootfs/bin/mknod")).unwrap();
    bundle.script("test -c /dev/kmsg; echo $?; cat /dev/kmsg 2>&1; mknod /dev/other c 1 12 2>&1");
    bundle.write();
    let ended = bundle.order(&["run", bundle.id()]);
    assert_eq!(ended.stdout.lines().next(), Some("0"), "{ended:?}");
    assert_eq!(ended.stdout.matches("not permitted").count(), 2, "{ended:?}");
}

/// A filter for the program must not keep the runtime from its own last steps.
#[test]
fn a_filter_may_hide_what_the_runtime_uses() {
    let Some(mut bundle) = Bundle::new() else { return };
    bundle.config["process"]["capabilities"] = json!({ "effective": ["CAP_SYS_ADMIN"],
        "permitted": ["CAP_SYS_ADMIN"], "bounding": ["CAP_SYS_ADMIN"] });
    bundle.config["linux"]["seccomp"] = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{
        "names": ["close_range", "fsopen", "openat2", "open_tree", "move_mount", "mount_setattr"],
        "action": "SCMP_ACT_ERRNO", "errnoRet": 38 }] });
    bundle.config["process"]["args"] = json!(["ls", "/proc/self/fd"]);
    // 3 is the directory itself.
    assert_eq!(bundle.run().good(), "0\n1\n2\n3\n");
    bundle.config["process"]["args"] = json!(["sleep", "1000"]);
    bundle.start();
    assert_eq!(bundle.order(&["exec", bundle.id(), "ls", "/proc/self/fd"]).good(), "0\n1\n2\n3\n");
}

#[test]
fn a_cgroup_that_others_are_in_is_not_taken() {
    let (Some(mut bundle), Some(mut other)) = (Bundle::new(), Bundle::new()) else { return };
    bundle.config["process"]["args"] = json!(["sleep", "1000"]);
    bundle.start();
    other.config["linux"]["cgroupsPath"] = bundle.config["linux"]["cgroupsPath"].clone();
    other.write();
    let line = other.order(&["run", other.id()]).bad(1);
    assert!(line.contains("container's cgroup is not empty"), "{line}");
    bundle.order(&["pause", bundle.id()]).good();
    let line = other.order(&["run", other.id()]).bad(1);
    assert!(line.contains("container's cgroup unexpectedly frozen"), "{line}");
    bundle.order(&["resume", bundle.id()]).good();
    let line = bundle.order(&["exec", "--cgroup", "..", bundle.id(), "true"]).bad(2);
    assert!(line.contains(" .. is not a sub cgroup path"), "{line}");
}
