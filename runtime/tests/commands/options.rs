//! Options of the commands as callers of the common runtimes use them.

use std::fs;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use cofferdam_sys::send::receive_descriptor;
use serde_json::{Value, json};

use super::bundle::{Bundle, Ended, RUNTIME};

#[test]
fn another_config_for_the_bundle() {
    let Some(mut bundle) = Bundle::new() else { return };
    bundle.script("echo from the other");
    fs::write(bundle.path("other.json"), bundle.config.to_string()).unwrap();
    for words in [&["run", "--config", "other.json"][..], &["run", "-f", "other.json"]] {
        let words = [words, &[bundle.id()]].concat();
        assert_eq!(bundle.order(&words).good(), "from the other\n");
    }
    let line = bundle.order(&["run", "--config", "none.json", bundle.id()]).bad(1);
    assert!(line.contains("read none.json") && line.contains("No such file"), "{line}");
}

#[test]
fn options_stand_before_and_behind_the_name() {
    let Some(mut bundle) = Bundle::new() else { return };
    bundle.script("echo here");
    bundle.write();
    let dir = bundle.path("").to_str().unwrap().to_owned();
    let mut command =
        bundle.command(&["run", bundle.id(), "--bundle", &dir, "--pid-file", "/dev/../tmp/../proc/none"]);
    let line = Ended::of(&command.current_dir("/").output().unwrap()).bad(1);
    assert!(line.contains("--pid-file"), "{line}");
    let pid_file = bundle.path("pid");
    let mut command =
        bundle.command(&["run", bundle.id(), "--bundle", &dir, "--pid-file", pid_file.to_str().unwrap()]);
    assert_eq!(Ended::of(&command.current_dir("/").output().unwrap()).good(), "here\n");
    assert!(fs::read_to_string(pid_file).unwrap().parse::<u32>().is_ok());
}

/// The process of the pidfd that comes over a socket while a command runs.
fn pidfd(bundle: &Bundle, words: &[&str]) -> i64 {
    let path = bundle.path("pidfd");
    let _ = fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    let socket = path.to_str().unwrap();
    let (command, rest) = words.split_first().unwrap();
    let words = [&[*command, "--pidfd-socket", socket], rest].concat();
    let log = fs::File::create(bundle.path("pidfd.log")).unwrap();
    let status = bundle.command(&words).stdout(log.try_clone().unwrap()).stderr(log).status().unwrap();
    assert!(status.success(), "{}", fs::read_to_string(bundle.path("pidfd.log")).unwrap());
    let (connection, _) = listener.accept().unwrap();
    let (_, descriptor) = receive_descriptor(connection.as_fd(), &mut [0; 64]).unwrap();
    let descriptor = descriptor.unwrap();
    let number = std::os::fd::AsRawFd::as_raw_fd(&descriptor);
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap();
    text.lines().find_map(|line| line.strip_prefix("Pid:")).unwrap().trim().parse().unwrap()
}

#[test]
fn a_pidfd_is_sent() {
    let Some(mut bundle) = Bundle::new() else { return };
    bundle.config["process"]["args"] = json!(["sleep", "1000"]);
    bundle.write();
    let created = pidfd(&bundle, &["create", bundle.id()]);
    assert_eq!(bundle.state()["pid"], created);
    bundle.order(&["delete", bundle.id()]).good();
    let ran = pidfd(&bundle, &["run", "--detach", bundle.id()]);
    assert_eq!(bundle.state()["pid"], ran);
    let joined = pidfd(&bundle, &["exec", "--detach", "--pid-file", "pid", bundle.id(), "sleep", "1000"]);
    assert_eq!(fs::read_to_string(bundle.path("pid")).unwrap(), joined.to_string());

    let line = bundle.order(&["exec", "--pidfd-socket", "/dev/null", bundle.id(), "true"]).bad(2);
    assert!(line.contains("--pidfd-socket /dev/null"), "{line}");
}

/// Runs the program by a shell that leaves descriptors 3 and 4 open, as a service manager does.
fn with_descriptors(bundle: &Bundle, before: &str, words: &[&str]) -> Ended {
    fs::write(bundle.path("three"), "three\n").unwrap();
    fs::write(bundle.path("four"), "four\n").unwrap();
    let mut command = Command::new("sh");
    let state = bundle.path("state");
    command.args([
        "-c",
        &format!("exec 3<three 4<four; {before} exec \"$0\" --root {} \"$@\"", state.display()),
    ]);
    command.arg(RUNTIME).args(words).current_dir(bundle.path(""));
    Ended::of(&command.output().unwrap())
}

#[test]
fn descriptors_of_a_service_manager_are_passed_on() {
    const SHOW: &str = "echo $LISTEN_FDS; [ \"$LISTEN_PID\" = $$ ] && echo mine; cat <&3; cat <&4; true";
    let Some(mut bundle) = Bundle::new() else { return };
    for own in [true, false] {
        let list = bundle.config["linux"]["namespaces"].as_array_mut().unwrap();
        if !own {
            list.retain(|namespace| namespace["type"] != "pid");
        }
        bundle.script(SHOW);
        bundle.write();
        let words = ["run", "--preserve-fds", "1", bundle.id()];
        let all = with_descriptors(&bundle, "export LISTEN_FDS=1 LISTEN_PID=$$;", &words).good();
        assert_eq!(all, "1\nmine\nthree\nfour\n", "own PID namespace: {own}");
    }
    bundle.config["process"]["args"] = json!(["sleep", "1000"]);
    bundle.start();
    let words = ["exec", bundle.id(), "sh", "-c", SHOW];
    let two = with_descriptors(&bundle, "export LISTEN_FDS=2;", &words).good();
    assert_eq!(two, "2\nmine\nthree\nfour\n");
    let other = with_descriptors(&bundle, "export LISTEN_FDS=2 LISTEN_PID=1;", &words);
    assert!(other.stdout.starts_with('\n') && !other.stdout.contains("three"), "{other:?}");
    let line = with_descriptors(&bundle, "export LISTEN_FDS=x;", &words).bad(2);
    assert!(line.contains("LISTEN_FDS: `x` is no number"), "{line}");
    let ended = with_descriptors(&bundle, "export LISTEN_FDS=9;", &words);
    assert!(ended.stderr.contains("LISTEN_FDS: descriptor 5 is not open"), "{ended:?}");
    assert!(ended.good().starts_with("9\nmine\n"));
}

/// What is not open is nobody's, a number of the runtime's own neither.
#[test]
fn only_open_descriptors_are_preserved() {
    const OPEN: &str = "exec 9<four;";
    const SHOW: [&str; 2] = ["ls", "/proc/self/fd"];
    // Whoever runs the test may have left others open.
    let numbers = |path: &str| -> Vec<u32> {
        let entries = fs::read_dir(path).unwrap().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
    };
    let ours = numbers("/proc/self/fd");
    let check = |seen: &str| {
        let seen: Vec<u32> = seen.lines().map(|line| line.parse().unwrap()).collect();
        assert!([3, 4, 9].iter().all(|number| seen.contains(number)), "{seen:?}");
        // `ls` has one of its own, which is the first that is free.
        assert!(seen.iter().all(|number| *number <= 5 || *number == 9 || ours.contains(number)), "{seen:?}");
    };
    let Some(mut bundle) = Bundle::new() else { return };
    bundle.config["process"]["args"] = json!(SHOW);
    bundle.write();
    let words = ["run", "--preserve-fds", "90", bundle.id()];
    check(&with_descriptors(&bundle, OPEN, &words).good());
    bundle.config["process"]["args"] = json!(["sleep", "1000"]);
    bundle.write();
    let words = ["create", "--preserve-fds", "90", bundle.id()];
    with_descriptors(&bundle, &format!("{OPEN} exec >log 2>&1;"), &words).good();
    // While it waits nothing of the runtime's has one of the other numbers.
    for descriptor in fs::read_dir(format!("/proc/{}/fd", bundle.state()["pid"])).unwrap().flatten() {
        let target = fs::read_link(descriptor.path()).unwrap();
        assert!(!target.is_dir() && !target.starts_with(bundle.path("state")), "{target:?}");
    }
    bundle.order(&["start", bundle.id()]).good();
    let words = [&["exec", "--preserve-fds", "90", bundle.id()][..], &SHOW].concat();
    check(&with_descriptors(&bundle, OPEN, &words).good());
    let words = [&["exec", "--preserve-fds", "4000000000", bundle.id()][..], &SHOW].concat();
    check(&with_descriptors(&bundle, OPEN, &words).good());
}

#[test]
fn containers_are_deleted_by_an_expression() {
    let Some(mut bundle) = Bundle::new() else { return };
    // A cgroup for each.
    bundle.config["linux"].as_object_mut().unwrap().remove("cgroupsPath");
    bundle.write();
    let names = ["one", "two", "other"].map(|name| format!("{}-{name}", bundle.id()));
    for name in &names {
        let log = fs::File::create(bundle.path("log")).unwrap();
        let mut command = bundle.command(&["create", name]);
        assert!(command.stdout(log.try_clone().unwrap()).stderr(log).status().unwrap().success());
    }
    let ids = || bundle.order(&["list", "--quiet"]).good();
    assert!(bundle.order(&["delete", "--regex", "nobody"]).good().is_empty());
    assert_eq!(ids().lines().count(), 3);
    let line = bundle.order(&["delete", "--regex", "("]).bad(2);
    assert!(line.contains("--regex `(`"), "{line}");
    bundle.order(&["delete", "-r", "^.*-(one|two)$"]).good();
    assert_eq!(ids(), format!("{}\n", names[2]));
    bundle.order(&["delete", "--force", "--regex", bundle.id()]).good();
    assert_eq!(ids(), "");
}

/// The cgroups of a container in all hierarchies of the machine.
fn cgroups(bundle: &Bundle) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let points = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (point, kind) = (words.next()?, words.next()?);
        kind.starts_with("cgroup").then(|| Path::new(point).join("cofferdam").join(bundle.id()))
    });
    points.filter(|path| path.exists()).collect()
}

#[test]
fn a_process_joins_a_cgroup_below() {
    let Some(mut bundle) = Bundle::new() else { return };
    bundle.config["process"]["args"] = json!(["sleep", "1000"]);
    bundle.start();
    let line = bundle.order(&["exec", "--cgroup", "none", bundle.id(), "true"]).bad(2);
    assert!(line.contains("--cgroup none: there is no such cgroup"), "{line}");
    let line = bundle.order(&["exec", "--cgroup", "../x", bundle.id(), "true"]).bad(2);
    assert!(line.contains("is not a sub cgroup path"), "{line}");
    let made = cgroups(&bundle);
    assert!(!made.is_empty());
    for path in &made {
        fs::create_dir(path.join("below")).unwrap();
    }
    let text = bundle.order(&["exec", "--cgroup", "/below", bundle.id(), "cat", "/proc/self/cgroup"]).good();
    let own = format!("{}/below", bundle.id());
    assert_eq!(text.lines().filter(|line| line.ends_with(&own)).count(), made.len(), "{text}");
}

#[test]
fn no_cgroup_is_made_where_none_is_wanted() {
    let Some(mut bundle) = Bundle::new() else { return };
    bundle.config["linux"]["resources"] = json!({ "pids": { "limit": 10 } });
    bundle.script("cat /proc/self/cgroup");
    bundle.write();
    let ended = bundle.order(&["--cgroup-manager", "disabled", "run", bundle.id()]);
    assert!(ended.stderr.contains("warning: linux.resources: not enforced"), "{ended:?}");
    assert!(!ended.good().contains(bundle.id()));
    assert!(cgroups(&bundle).is_empty());
}

#[test]
fn a_hardened_config_runs() {
    let Some(mut bundle) = Bundle::new() else { return };
    bundle.order(&["spec", "--hardened", "--ids", "800000"]).good();
    let text = fs::read_to_string(bundle.path("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    config["process"]["terminal"] = json!(false);
    config["linux"]["cgroupsPath"] = json!(format!("/cofferdam/{}", bundle.id()));
    bundle.config = config;
    bundle.script(
        "cat /proc/self/uid_map; id -u; touch /x; unshare -U true; mknod /tmp/n c 1 3; cat /proc/self/status",
    );
    for applet in ["touch", "unshare", "mknod"] {
        std::os::unix::fs::symlink("busybox", bundle.path("rootfs/bin").join(applet)).unwrap();
    }
    let ended = bundle.run();
    let text = &ended.stdout;
    let words: Vec<&str> = text.split_whitespace().take(4).collect();
    assert_eq!(words, ["0", "800000", "65536", "0"], "{ended:?}");
    assert!(text.contains("NoNewPrivs:\t1") && text.contains("Seccomp:\t2"), "{ended:?}");
    let bounding = text.lines().find_map(|line| line.strip_prefix("CapBnd:")).unwrap();
    let bounding = u64::from_str_radix(bounding.trim(), 16).unwrap();
    // MKNOD, NET_RAW, AUDIT_WRITE, SYS_ADMIN.
    for missing in [27, 13, 29, 21] {
        assert_eq!(bounding & (1 << missing), 0, "capability {missing}");
    }
    for refused in ["touch: /x: Read-only file system", "unshare: ", "mknod: /tmp/n: Operation not permitted"]
    {
        assert!(ended.stderr.contains(refused), "`{refused}` is missing: {ended:?}");
    }
    assert!(ended.stderr.lines().count() == 3, "{ended:?}");
}

#[test]
fn a_hardened_config_needs_ids_of_its_own() {
    let Some(bundle) = Bundle::new() else { return };
    let line = bundle.order(&["spec", "--hardened", "--ids", "0"]).bad(2);
    assert!(line.contains("--ids: `0` is no range"), "{line}");
    assert!(!bundle.path("config.json").exists());
    bundle.order(&["spec", "--hardened", "--rootless"]).bad(2);
    bundle.order(&["spec", "--ids", "7"]).bad(2);
}

#[test]
fn lists_are_as_engines_read_them() {
    let Some(mut bundle) = Bundle::new() else { return };
    assert_eq!(bundle.order(&["list", "--format", "json"]).good(), "[]\n");
    bundle.config["process"]["args"] = json!(["sleep", "1000"]);
    bundle.config["annotations"] = json!({ "a": "b" });
    bundle.start();
    let table = bundle.order(&["list"]).good();
    let header: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(header, ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
    let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!((row[0], row[2], row[5]), (bundle.id(), "running", "root"));
    let list: Value = serde_json::from_str(&bundle.order(&["list", "-f", "json"]).good()).unwrap();
    assert_eq!((&list[0]["id"], &list[0]["annotations"]["a"]), (&json!(bundle.id()), &json!("b")));
    assert_eq!(bundle.order(&["list", "-q"]).good(), format!("{}\n", bundle.id()));
    let pids: Vec<i64> =
        serde_json::from_str(&bundle.order(&["ps", "--format", "json", bundle.id()]).good()).unwrap();
    assert_eq!(json!(pids[0]), bundle.state()["pid"]);
    let table = bundle.order(&["ps", bundle.id()]).good();
    assert!(table.starts_with("UID") && table.contains("sleep 1000"), "{table}");
    let line = bundle.order(&["list", "--format", "xml"]).bad(2);
    assert!(line.contains("xml"), "{line}");
}

#[test]
fn the_version_is_in_lines_that_callers_look_for() {
    for option in ["--version", "-v", "-V"] {
        let output = Command::new(RUNTIME).arg(option).output().unwrap();
        let text = Ended::of(&output).good();
        let mut lines = text.lines();
        assert!(lines.next().unwrap().starts_with("cofferdam version "), "{text}");
        assert!(lines.next().unwrap().starts_with("commit: "), "{text}");
        assert_eq!(lines.next(), Some("spec: 1.3.0"));
    }
}

#[test]
fn limits_have_units() {
    let Some(mut bundle) = Bundle::new() else { return };
    bundle.config["process"]["args"] = json!(["sleep", "1000"]);
    bundle.config["linux"]["resources"] = json!({ "memory": { "limit": 33_554_432 } });
    bundle.start();
    bundle.order(&["update", "--memory", "64M", bundle.id()]).good();
    let limit = cgroups(&bundle).into_iter().find_map(|path| {
        let file = ["memory.limit_in_bytes", "memory.max"].map(|name| path.join(name));
        fs::File::open(file.into_iter().find(|file| file.exists())?).ok()
    });
    let mut text = String::new();
    limit.unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text.trim(), "67108864");
    for bad in ["64X", "1.5G", "x"] {
        let line = bundle.order(&["update", "--memory", bad, bundle.id()]).bad(2);
        assert!(line.contains("--memory"), "{line}");
    }
}

#[test]
fn events_tell_what_is_used() {
    let Some(mut bundle) = Bundle::new() else { return };
    bundle.config["process"]["args"] = json!(["sleep", "1000"]);
    bundle.start();
    let line: Value =
        serde_json::from_str(&bundle.order(&["events", "--stats", bundle.id()]).good()).unwrap();
    assert_eq!((&line["type"], &line["id"]), (&json!("stats"), &json!(bundle.id())));
    let data = &line["data"];
    assert_eq!(data["pids"]["current"], 1);
    assert!(data["cpu"]["usage"]["total"].as_u64().unwrap() > 0, "{data}");
    for place in ["/memory/usage/usage", "/memory/raw/anon", "/memory/cache", "/cpu/throttling/periods"] {
        assert!(data.pointer(place).is_some_and(Value::is_u64), "{place} is missing: {data}");
    }
    assert!(data["blkio"]["ioServiceBytesRecursive"].is_array() && data["hugetlb"].is_object(), "{data}");

    let child = bundle.command(&["events", "--interval", "20ms", bundle.id()]);
    let mut child = { child }.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let lines = std::io::BufReader::new(child.stdout.take().unwrap());
    let first: Vec<_> = std::io::BufRead::lines(lines).take(3).map(Result::unwrap).collect();
    assert!(first.iter().all(|line| line.contains("\"type\":\"stats\"")), "{first:?}");
    child.kill().unwrap();
    child.wait().unwrap();
    let line = bundle.order(&["events", "--interval", "0s", bundle.id()]).bad(2);
    assert!(line.contains("--interval"), "{line}");
}

#[test]
fn events_end_with_the_container_and_tell_of_memory_that_ran_out() {
    let Some(mut bundle) = Bundle::new() else { return };
    std::os::unix::fs::symlink("busybox", bundle.path("rootfs/bin/tail")).unwrap();
    bundle.config["linux"]["resources"] = json!({ "memory": { "limit": 16_777_216, "swap": 16_777_216 } });
    // The second process has no memory left; the first lives on for a while.
    bundle.script("while [ ! -e /tmp/go ]; do sleep 0.02; done; tail /dev/zero; sleep 0.3");
    bundle.start();
    let mut command = bundle.command(&["events", "--interval", "20ms", bundle.id()]);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    lines.next().unwrap().unwrap();
    bundle.order(&["exec", bundle.id(), "sh", "-c", "echo > /tmp/go"]).good();
    let rest: Vec<_> = lines.map(Result::unwrap).collect();
    let oom = format!("{{\"type\":\"oom\",\"id\":\"{}\"}}", bundle.id());
    assert!(rest.contains(&oom), "no oom among {} lines", rest.len());
    child.wait().unwrap();
}

/// Where a process is moved to that nobody asked the runtime about, it still dies.
#[test]
fn a_container_whose_process_was_frozen_elsewhere_is_deleted() {
    let Some(mut bundle) = Bundle::new() else { return };
    let elsewhere = format!("/sys/fs/cgroup/freezer/{}-elsewhere", bundle.id());
    if fs::create_dir(&elsewhere).is_err() {
        eprintln!("skipped: no freezer of cgroup v1 in /sys/fs/cgroup/freezer; one of v2 lets a process die");
        return;
    }
    bundle.config["process"]["args"] = json!(["sleep", "1000"]);
    bundle.start();
    fs::write(format!("{elsewhere}/cgroup.procs"), bundle.state()["pid"].to_string()).unwrap();
    fs::write(format!("{elsewhere}/freezer.state"), "FROZEN").unwrap();
    let ended = bundle.order(&["delete", "--force", bundle.id()]);
    fs::write(format!("{elsewhere}/freezer.state"), "THAWED").unwrap();
    ended.good();
    fs::remove_dir(elsewhere).unwrap();
}
