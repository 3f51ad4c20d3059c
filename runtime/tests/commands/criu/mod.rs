//! `checkpoint` and `restore` against a criu that misbehaves, or is not there; and against folders that others write.
//! What a real one does is shown in the lab.

mod fake;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use serde_json::json;

use super::bundle::{Bundle, Ended, hides, wait_for};

/// A container that waits to be ended.
fn running() -> Option<Bundle> {
    let mut bundle = Bundle::new()?;
    bundle.script("sleep 1000");
    bundle.start();
    Some(bundle)
}

fn checkpoint(bundle: &Bundle, criu: &Path) -> Ended {
    bundle.order(&["--criu", criu.to_str().unwrap(), "checkpoint", bundle.id()])
}

fn restore(bundle: &Bundle, criu: &Path) -> Ended {
    fs::create_dir_all(bundle.path("checkpoint")).unwrap();
    bundle.order(&["--criu", criu.to_str().unwrap(), "restore", "--detach", bundle.id()])
}

fn fake(bundle: &Bundle, role: &str) -> std::path::PathBuf {
    fake::program(&bundle.path(""), role)
}

#[test]
fn a_dump_that_fails_leaves_the_container_running() {
    let Some(bundle) = running() else { return };
    for (role, words) in [
        ("old", "is version 3.15.0; version 3.16.0 or newer is needed"),
        ("garbage", "speaks another language"),
        ("ends", "has ended with status 3 before it was done"),
        ("refuses", "dump failed: EINVAL"),
        ("lies", "criu says that it has dumped process"),
        ("other", "answered a request of kind 3"),
        ("dies", "has ended with status 4 before it was done"),
        ("babbles", "speaks another language"),
    ] {
        let error = checkpoint(&bundle, &fake(&bundle, role)).bad(1);
        assert!(error.contains(words), "{role}: {error}");
        assert_eq!(bundle.state()["status"], "running", "{role}");
    }
}

#[test]
fn without_criu_the_error_says_how_to_get_it() {
    let Some(bundle) = running() else { return };
    let error = checkpoint(&bundle, Path::new("/no/such/criu")).bad(1);
    assert!(error.contains("No such file") && error.contains("install it (Debian: criu)"), "{error}");
    assert_eq!(bundle.state()["status"], "running");
}

#[test]
fn the_last_words_of_the_log_are_in_the_error() {
    let Some(bundle) = running() else { return };
    fs::create_dir(bundle.path("work")).unwrap();
    let log = bundle.path("work").join("dump.log");
    fs::write(&log, "(00.01) fine\n(00.02) Error (criu/x.c:7): no such luck\n").unwrap();
    let criu = fake(&bundle, "refuses");
    let words = ["--criu", criu.to_str().unwrap(), "checkpoint", "--work-path", "work", bundle.id()];
    let error = bundle.order(&words).bad(1);
    let place = log.canonicalize().unwrap();
    assert!(
        error.ends_with(&format!("Error (criu/x.c:7): no such luck (log: {})", place.display())),
        "{error}"
    );
}

#[test]
fn a_container_that_does_not_run_is_not_dumped() {
    let Some(mut bundle) = Bundle::new() else { return };
    bundle.script("sleep 1000");
    bundle.write();
    // No descriptor of this process may be the container's.
    let status = bundle.command(&["create", bundle.id()]).stdout(std::process::Stdio::null()).status();
    assert!(status.unwrap().success());
    let error = checkpoint(&bundle, &fake(&bundle, "lies")).bad(1);
    assert!(error.contains("cannot checkpoint a created container"), "{error}");
    let error = bundle.order(&["checkpoint", "none"]).bad(1);
    assert!(error.contains("container does not exist: none"), "{error}");
}

#[test]
fn a_folder_that_others_write_gets_no_image() {
    let Some(bundle) = running() else { return };
    let criu = fake(&bundle, "lies");
    let folder = bundle.path("checkpoint");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    let error = checkpoint(&bundle, &criu).bad(2);
    assert!(error.contains("can be written by others (mode 0777)"), "{error}");
    fs::remove_dir(&folder).unwrap();
    symlink("/tmp", &folder).unwrap();
    let error = checkpoint(&bundle, &criu).bad(2);
    assert!(error.contains("is a symbolic link"), "{error}");
    fs::remove_file(&folder).unwrap();
    assert_eq!(bundle.state()["status"], "running");
    // And nobody's but the caller's is made.
    checkpoint(&bundle, &fake(&bundle, "refuses")).bad(1);
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o7777, 0o700);
}

#[test]
fn a_restore_believes_no_image_and_no_criu() {
    if hides("open_tree", "a root for criu") {
        return;
    }
    let Some(mut bundle) = Bundle::new() else { return };
    bundle.script("sleep 1000");
    bundle.write();
    for (role, words) in [
        ("old", "version 3.16.0 or newer is needed"),
        ("garbage", "speaks another language"),
        ("ends", "has ended with status 3"),
        ("dies", "has ended with status 4"),
        ("restores-nothing", "without telling of each step"),
        // The first process of the host is no restored one: it is in the host's namespaces, and not in the cgroup.
        ("host", "the image is not what the config asks for"),
        ("nobody", "is gone"),
    ] {
        let error = restore(&bundle, &fake(&bundle, role)).bad(1);
        assert!(error.contains(words), "{role}: {error}");
        let error = bundle.order(&["state", bundle.id()]).bad(1);
        assert!(error.contains("container does not exist"), "{role}: {error}");
    }
    let error = restore(&bundle, Path::new("/no/such/criu")).bad(1);
    assert!(error.contains("install it"), "{error}");
    // Those of criu's options that would change what the config says, and an engine's question for one.
    let error = bundle.order(&["restore", "--lsm-profile"]).bad(2);
    assert!(error.contains("flag needs an argument"), "{error}");
    let error =
        bundle.order(&["restore", "--detach", "--detach", "--image-path", "none", bundle.id()]).bad(2);
    assert!(error.contains("--image-path none: ENOENT"), "{error}");
    let error = bundle.order(&["restore", "--empty-ns", "pid", bundle.id()]).bad(2);
    assert!(error.contains("for network only"), "{error}");
}

#[test]
fn an_image_that_others_write_is_not_restored() {
    let Some(mut bundle) = Bundle::new() else { return };
    bundle.script("true");
    bundle.write();
    let criu = fake(&bundle, "hangs");
    fs::create_dir(bundle.path("checkpoint")).unwrap();
    let image = bundle.path("checkpoint/core-1.img");
    fs::write(&image, "").unwrap();
    fs::set_permissions(&image, fs::Permissions::from_mode(0o602)).unwrap();
    let error = restore(&bundle, &criu).bad(2);
    assert!(error.contains("core-1.img: can be written by others (mode 0602)"), "{error}");
    fs::remove_file(&image).unwrap();
    symlink("/dev/null", &image).unwrap();
    let error = restore(&bundle, &criu).bad(2);
    assert!(error.contains("core-1.img: is a symbolic link"), "{error}");
}

#[test]
fn what_criu_would_not_bring_back_is_refused() {
    let Some(mut bundle) = Bundle::new() else { return };
    bundle.script("true");
    let criu = fake(&bundle, "hangs");
    bundle.config["mounts"].as_array_mut().unwrap().push(json!({
        "destination": "/volume", "type": "bind", "source": "/tmp", "options": ["bind", "idmap"],
        "uidMappings": [{ "containerID": 0, "hostID": 1000, "size": 1 }],
        "gidMappings": [{ "containerID": 0, "hostID": 1000, "size": 1 }],
    }));
    bundle.write();
    let error = restore(&bundle, &criu).bad(1);
    assert!(error.contains("mounts: criu brings mounts back without their id maps"), "{error}");
}

/// A runtime that is killed while criu works leaves what `delete --force` finds: the record, the cgroup, and criu in
/// it.
#[test]
fn a_killed_restore_is_deleted_with_its_criu() {
    if hides("open_tree", "a root for criu") {
        return;
    }
    let Some(mut bundle) = Bundle::new() else { return };
    bundle.script("true");
    bundle.write();
    fs::create_dir(bundle.path("checkpoint")).unwrap();
    let criu = fake(&bundle, "hangs");
    let words = ["--criu", criu.to_str().unwrap(), "restore", bundle.id()];
    let mut runtime = bundle.command(&words).spawn().unwrap();
    let mark = format!("cofferdam/{}", bundle.id());
    let member = || {
        let all = fs::read_dir("/proc").unwrap().flatten();
        let mut pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        pids.find(|pid| {
            let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
            let name = fs::read_to_string(format!("/proc/{pid}/environ")).unwrap_or_default();
            text.contains(&mark) && name.contains("COFFERDAM_TEST_CRIU=hangs")
        })
    };
    let pid = wait_for("criu in the container's cgroup", member);
    runtime.kill().unwrap();
    runtime.wait().unwrap();
    assert!(Path::new(&format!("/proc/{pid}")).exists(), "it has nobody to tell it to end");
    bundle.order(&["delete", "--force", bundle.id()]).good();
    wait_for("the end of criu", || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        (stat.is_empty() || stat.contains(") Z ")).then_some(())
    });
}

/// One that hangs from the beginning is given up.
#[test]
fn a_criu_that_says_nothing_is_given_up() {
    let Some(bundle) = running() else { return };
    let error = checkpoint(&bundle, &fake(&bundle, "mute")).bad(1);
    assert!(error.contains("has not answered within"), "{error}");
    assert_eq!(bundle.state()["status"], "running");
}
