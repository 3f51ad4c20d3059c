//! What callers of the common runtimes have come to rely on beyond the specification, as runc's own suite has it.

use std::fs;
use std::os::unix::fs::symlink;

use cofferdam_sys::sched;
use serde_json::json;

use super::bundle::{Bundle, wait_for};

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nguest:x:2000:2000::/home/guest:/bin/sh\n";

#[test]
fn home_is_the_users_unless_it_is_given() {
    let Some(mut bundle) = Bundle::new() else { return };
    fs::write(bundle.path("rootfs/etc/passwd"), PASSWD).unwrap();
    bundle.script("echo $HOME");
    for (env, uid, home) in [
        (json!(["PATH=/bin"]), 0, "/root\n"),
        (json!(["PATH=/bin", "HOME="]), 0, "/root\n"),
        (json!(["HOME=/given", "PATH=/bin", "HOME="]), 2000, "/home/guest\n"),
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
    for (user, home) in [("0", "/root\n"), ("2000", "/home/guest\n"), ("7", "/\n")] {
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
