//! A user without any rights: a user namespace of its own, and no cgroup where none is asked for.

use std::fs;
use std::os::unix::fs::lchown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::bundle::{Bundle, Ended, RUNTIME};

const USER: u32 = 54_321;

/// A command of the user's on the bundle, which is the user's too.
fn command(bundle: &Bundle, words: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    let user = USER.to_string();
    command.args([
        "--reuid",
        &user,
        "--regid",
        &user,
        "--clear-groups",
        "--inh-caps=-all",
        RUNTIME,
        "--root",
    ]);
    command.arg(bundle.path("state")).args(words).current_dir(bundle.path("")).stdin(Stdio::null());
    command
}

fn give(path: &Path) {
    lchown(path, Some(USER), Some(USER)).unwrap();
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path());
        }
    }
}

/// `None`, with the reason printed, where such a user cannot make containers.
fn bundle() -> Option<Bundle> {
    let bundle = Bundle::new()?;
    give(&bundle.path(""));
    let possible = command(&bundle, &["--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !possible.is_ok_and(|status| status.success()) {
        eprintln!("skipped: setpriv(1) is missing, or another user cannot execute {RUNTIME}");
        return None;
    }
    let allowed =
        |name: &str, wanted: &str| fs::read_to_string(name).map_or(true, |text| text.trim() != wanted);
    if !allowed("/proc/sys/user/max_user_namespaces", "0")
        || !allowed("/proc/sys/kernel/unprivileged_userns_clone", "0")
        || !allowed("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1")
    {
        eprintln!("skipped: users without rights can have no user namespaces on this machine");
        return None;
    }
    Some(bundle)
}

#[test]
fn a_user_runs_a_container() {
    let Some(bundle) = bundle() else { return };
    Ended::of(&command(&bundle, &["spec", "--rootless"]).output().unwrap()).good();
    let text = fs::read_to_string(bundle.path("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    config["process"]["terminal"] = json!(false);
    config["process"]["args"] = json!(["sh", "-c", "id -u; cat /proc/self/uid_map; sleep 0.5"]);
    fs::write(bundle.path("config.json"), config.to_string()).unwrap();
    let ended = Ended::of(&command(&bundle, &["run", bundle.id()]).output().unwrap());
    // The container's standard error: that there is no cgroup is told where one is asked for.
    assert_eq!(ended.stderr, "", "{ended:?}");
    let words = ended.good();
    assert_eq!(words.split_whitespace().collect::<Vec<_>>(), ["0", "0", &USER.to_string(), "1"]);

    // Groups would need a map that another has to write.
    config["process"]["user"]["additionalGids"] = json!([5]);
    fs::write(bundle.path("config.json"), config.to_string()).unwrap();
    let line = Ended::of(&command(&bundle, &["run", bundle.id()]).output().unwrap());
    assert_eq!(line.status, Some(1), "{line:?}");
    assert!(line.stderr.contains("groups"), "{line:?}");

    // Limits are not left out for want of a cgroup.
    config["process"]["user"]["additionalGids"] = json!([]);
    config["linux"]["resources"] = json!({ "pids": { "limit": 5 } });
    fs::write(bundle.path("config.json"), config.to_string()).unwrap();
    let ended = Ended::of(&command(&bundle, &["run", bundle.id()]).output().unwrap());
    if ended.status != Some(0) {
        assert!(ended.stderr.contains("cgroup"), "{ended:?}");
    }
    let kept = fs::read_dir(bundle.path("state")).unwrap().count();
    assert_eq!(kept, 0, "something is left in the state directory");
}

/// The config of `spec --rootless` with another program.
fn config(bundle: &Bundle, args: &Value) -> Value {
    Ended::of(&command(bundle, &["spec", "--rootless"]).output().unwrap()).good();
    let text = fs::read_to_string(bundle.path("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    config["process"]["terminal"] = json!(false);
    config["process"]["args"] = args.clone();
    config
}

fn order(bundle: &Bundle, words: &[&str]) -> Ended {
    Ended::of(&command(bundle, words).output().unwrap())
}

#[track_caller]
fn start(bundle: &Bundle, config: &Value, id: &str) {
    fs::write(bundle.path("config.json"), config.to_string()).unwrap();
    let log = fs::File::create(bundle.path("start.log")).unwrap();
    let mut command = command(bundle, &["run", "--detach", id]);
    let status = command.stdout(log.try_clone().unwrap()).stderr(log).status().unwrap();
    assert!(status.success(), "{}", fs::read_to_string(bundle.path("start.log")).unwrap());
}

/// What root has under the same name is not the user's container's.
#[test]
fn a_cgroup_of_another_user_is_left_alone() {
    let (Some(mut other), Some(bundle)) = (Bundle::new(), bundle()) else { return };
    other.config["process"]["args"] = json!(["sleep", "1000"]);
    other.start();
    let id = other.id();
    start(&bundle, &config(&bundle, &json!(["sleep", "1000"])), id);
    assert_eq!(order(&bundle, &["exec", id, "echo", "inside"]).good(), "inside\n");
    order(&bundle, &["kill", "--all", id, "KILL"]).good();
    super::bundle::wait_for("its end", || {
        order(&bundle, &["state", id]).good().contains("\"status\": \"stopped\"").then_some(())
    });
    order(&bundle, &["kill", "--all", id, "0"]).good();
    order(&bundle, &["delete", id]).good();
    assert_eq!(other.state()["status"], "running");
}

#[test]
fn a_user_joins_namespaces_of_a_container() {
    let Some(bundle) = bundle() else { return };
    let mut config = config(&bundle, &json!(["sleep", "1000"]));
    let first = format!("{}-first", bundle.id());
    start(&bundle, &config, &first);
    let state: Value = serde_json::from_str(&order(&bundle, &["state", &first]).good()).unwrap();
    for namespace in config["linux"]["namespaces"].as_array_mut().unwrap() {
        let kind = namespace["type"].as_str().unwrap();
        if ["user", "pid", "ipc"].contains(&kind) {
            *namespace = json!({ "type": kind, "path": format!("/proc/{}/ns/{kind}", state["pid"]) });
        }
    }
    let linux = config["linux"].as_object_mut().unwrap();
    linux.remove("uidMappings");
    linux.remove("gidMappings");
    config["process"]["args"] = json!(["id", "-u"]);
    fs::write(bundle.path("config.json"), config.to_string()).unwrap();
    let second = order(&bundle, &["run", bundle.id()]);
    order(&bundle, &["delete", "--force", &first]).good();
    assert!(second.stderr.contains("no cgroup and no private pid namespace"), "{second:?}");
    assert_eq!(second.good(), "0\n");
}

#[test]
fn hooks_of_a_user_find_the_root() {
    let Some(bundle) = bundle() else { return };
    let mut config = config(&bundle, &json!(["cat", "/etc/made"]));
    fs::remove_dir(bundle.path("rootfs/proc")).unwrap();
    config["hooks"] =
        json!({ "createContainer": [{ "path": "/bin/sh", "args": ["sh", "-c", "echo x >etc/made"] }] });
    fs::write(bundle.path("config.json"), config.to_string()).unwrap();
    assert_eq!(order(&bundle, &["run", bundle.id()]).good(), "x\n");
}

/// Where a part of the v2 hierarchy was delegated, limits are had as the machine's root has them.
#[test]
fn limits_are_enforced_in_a_cgroup_that_was_delegated() {
    let Some(bundle) = bundle() else { return };
    let Some(part) = Part::new(bundle.id()) else { return };
    Ended::of(&command(&bundle, &["spec", "--rootless"]).output().unwrap()).good();
    let text = fs::read_to_string(bundle.path("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    config["process"]["terminal"] = json!(false);
    let file = format!("/sys/fs/cgroup/{}/cofferdam/{}/hugetlb.2MB.max", part.name, bundle.id());
    config["process"]["args"] = json!(["cat", file]);
    config["linux"]["resources"] = json!({ "hugepageLimits": [{ "pageSize": "2MB", "limit": 4_194_304 }] });
    fs::write(bundle.path("config.json"), config.to_string()).unwrap();
    // In a mount namespace that shows v2 alone, from the cgroup `shell` of the part.
    let script = format!(
        "umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup && \
         echo $$ > /sys/fs/cgroup/{}/shell/cgroup.procs && exec \"$0\" \"$@\"",
        part.name
    );
    let inner = command(&bundle, &["run", bundle.id()]);
    let run = |script: &str| {
        let mut outer = Command::new("unshare");
        outer.args(["--mount", "sh", "-c", script]).arg(inner.get_program()).args(inner.get_args());
        Ended::of(&outer.current_dir(bundle.path("")).stdin(Stdio::null()).output().unwrap())
    };
    assert_eq!(run(&script).good(), "4194304\n");
    assert_eq!(part.children(), ["shell"], "the container's is gone, with what was made on the way");
    // Not from where nothing was delegated: refused, and nothing left out.
    let ended =
        run("umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec \"$0\" \"$@\"");
    assert_eq!(ended.status, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("cgroup") && ended.stderr.contains("delegated"), "{ended:?}");
}

/// A cgroup v2 that is the user's, with one for its shell below.
struct Part {
    name: String,
    path: PathBuf,
    /// Where the controller was not passed on before.
    passes: Option<PathBuf>,
}

impl Part {
    fn new(id: &str) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let v2 = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"));
        let point = Path::new(v2.and_then(|line| line.split(' ').nth(1)).unwrap_or("/nowhere"));
        let there = fs::read_to_string(point.join("cgroup.controllers")).unwrap_or_default();
        if !there.split_whitespace().any(|name| name == "hugetlb") {
            eprintln!(
                "skipped: the v2 hierarchy has no hugetlb here; other controllers are tested in guests"
            );
            return None;
        }
        let name = format!("{id}-part");
        let control = point.join("cgroup.subtree_control");
        let passed = fs::read_to_string(&control).unwrap().contains("hugetlb");
        fs::write(&control, "+hugetlb").unwrap();
        let part = Self { path: point.join(&name), name, passes: (!passed).then_some(control) };
        fs::create_dir_all(part.path.join("shell")).unwrap();
        for file in ["", "cgroup.procs", "cgroup.subtree_control", "shell", "shell/cgroup.procs"] {
            lchown(part.path.join(file), Some(USER), Some(USER)).unwrap();
        }
        Some(part)
    }

    fn children(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.path).unwrap().flatten().filter(|entry| entry.path().is_dir());
        entries.map(|entry| entry.file_name().to_str().unwrap().to_owned()).collect()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        fs::remove_dir(self.path.join("shell")).unwrap();
        fs::remove_dir(&self.path).unwrap();
        if let Some(control) = &self.passes {
            fs::write(control, "-hugetlb").unwrap();
        }
    }
}
