//! What is wrong in what the program is given: one line that names it, the right exit status, nothing left.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::json;

use super::bundle::Bundle;

/// Both ways to make the container must fail with this status and words in the line.
#[track_caller]
fn refused(bundle: &Bundle, status: i32, words: &[&str]) {
    for command in ["run", "create"] {
        let line = bundle.order(&[command, bundle.id()]).bad(status);
        for word in words {
            assert!(line.contains(word), "{command}: `{line}` does not say `{word}`");
        }
        assert_eq!(bundle.order(&["list", "--quiet"]).good(), "", "{command} left something");
        let kept = fs::read_dir(bundle.path("state")).unwrap().count();
        assert_eq!(kept, 0, "{command} left something in the state directory");
    }
}

#[test]
fn a_bundle_that_is_none() {
    let Some(bundle) = Bundle::new() else { return };
    refused(&bundle, 1, &["config.json: No such file"]);
    let line = bundle.order(&["run", "--bundle", "/nowhere", bundle.id()]).bad(1);
    assert!(line.contains("bundle /nowhere: No such file"), "{line}");
    fs::create_dir(bundle.path("config.json")).unwrap();
    refused(&bundle, 1, &["config.json: not a regular file"]);
}

#[test]
fn a_config_that_is_none() {
    let Some(bundle) = Bundle::new() else { return };
    let file = bundle.path("config.json");
    for (text, words) in [
        ("", "config.json: syntax"),
        ("{", "config.json: syntax"),
        ("{} x", "config.json: syntax"),
        ("[]", "config.json: "),
        ("\u{0}", "config.json: syntax"),
        (r#"{"ociVersion":"2.0.0"}"#, "config.json: ociVersion: `2.0.0` is not 1.x.y"),
        (r#"{"ociVersion":7}"#, "config.json: ociVersion"),
        (r#"{"ociVersion":"1.0.0","process":{"cwd":"/","user":{"uid":-1,"gid":0}}}"#, "process.user.uid"),
        (r#"{"ociVersion":"1.0.0"}"#, "config.json: linux: is missing"),
    ] {
        fs::write(&file, text).unwrap();
        refused(&bundle, 1, &[words]);
    }
}

#[test]
fn a_root_that_is_none() {
    let Some(mut bundle) = Bundle::new() else { return };
    symlink("rootfs", bundle.path("link")).unwrap();
    fs::write(bundle.path("file"), "").unwrap();
    for (path, words) in [
        ("link", "is a symbolic link"),
        ("file", "is not a directory"),
        ("none", "No such file"),
        ("", "is empty"),
    ] {
        bundle.config["root"]["path"] = json!(path);
        bundle.write();
        refused(&bundle, 1, &["config.json: root.path: ", words]);
    }
}

#[test]
fn a_program_that_is_none() {
    let Some(mut bundle) = Bundle::new() else { return };
    let plain = bundle.path("rootfs/bin/plain");
    fs::write(&plain, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o644)).unwrap();
    for (program, status, words) in [
        ("none", 127, "executable file not found in $PATH"),
        ("/bin/none", 127, "/bin/none"),
        ("/bin/plain", 126, "/bin/plain"),
        ("/bin", 126, "/bin"),
        ("plain", 126, "plain"),
    ] {
        bundle.config["process"]["args"] = json!([program]);
        bundle.write();
        refused(&bundle, status, &[words]);
    }
    // What is no program is found out by the kernel alone, when it is executed.
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(&plain, "\u{7f}ELF of no machine").unwrap();
    bundle.config["process"]["args"] = json!(["/bin/plain"]);
    bundle.write();
    let line = bundle.order(&["run", bundle.id()]).bad(126);
    assert!(line.contains("/bin/plain") && line.contains("ENOEXEC"), "{line}");
    assert_eq!(bundle.order(&["list", "--quiet"]).good(), "");
}

#[test]
fn a_program_that_is_none_for_a_process_that_joins() {
    let Some(mut bundle) = Bundle::new() else { return };
    bundle.config["process"]["args"] = json!(["sleep", "1000"]);
    bundle.start();
    let line = bundle.order(&["exec", bundle.id(), "none"]).bad(127);
    assert!(line.contains("executable file not found in $PATH"), "{line}");
    let line = bundle.order(&["exec", bundle.id(), "/etc"]).bad(126);
    assert!(line.contains("/etc"), "{line}");
    let line = bundle.order(&["exec", bundle.id()]).bad(2);
    assert!(line.contains("no program is named"), "{line}");
    let line = bundle.order(&["exec", "--cwd", "/none", bundle.id(), "true"]).bad(255);
    assert!(line.contains("process.cwd") && line.contains("ENOENT"), "{line}");
    let line = bundle.order(&["exec", "--user", "root", bundle.id(), "true"]).bad(2);
    assert!(line.contains("--user: `root` is no id"), "{line}");
}

#[test]
fn a_name_that_is_none() {
    let Some(bundle) = Bundle::new() else { return };
    bundle.write();
    let long = "x".repeat(300);
    let names = ["", ".", "..", "a/b", "../a", "/a", "a\nb", "-", "ü", &long];
    for name in names {
        for command in [&["run"][..], &["create"], &["state"], &["start"], &["kill"], &["delete", "--force"]]
        {
            // A name that looks like an option is behind `--`.
            let line = bundle.order(&[command, &["--", name]].concat()).bad(2);
            assert!(line.contains("container id `"), "{command:?} {name:?}: {line}");
        }
    }
    let kept = fs::read_dir(bundle.path("state")).map_or(0, Iterator::count);
    assert_eq!(kept, 0);
}

#[test]
fn a_name_in_use() {
    let Some(mut bundle) = Bundle::new() else { return };
    bundle.config["process"]["args"] = json!(["sleep", "1000"]);
    bundle.start();
    let before = bundle.state();
    for command in ["run", "create"] {
        let line = bundle.order(&[command, bundle.id()]).bad(1);
        assert!(line.contains("container with given ID already exists"), "{line}");
    }
    let line = bundle.order(&["start", bundle.id()]).bad(1);
    assert!(line.contains("cannot start an already running container"), "{line}");
    assert_eq!(bundle.state(), before);
}

#[test]
fn a_container_that_has_ended() {
    let Some(bundle) = Bundle::new() else { return };
    bundle.write();
    assert_eq!(bundle.order(&["run", "--keep", bundle.id()]).status, Some(0));
    assert_eq!(bundle.state()["status"], "stopped");
    for (words, said) in [
        (&["start"][..], "cannot start a container that has stopped"),
        (&["kill"], "container not running"),
        (&["pause"], "container not running"),
        (&["resume"], "container not paused"),
        (&["update", "--pids-limit", "5"], "container not running"),
        (&["events", "--stats"], "container not running"),
    ] {
        let line = bundle.order(&[words, &[bundle.id()]].concat()).bad(1);
        assert!(line.contains(said), "{words:?}: {line}");
    }
    let line = bundle.order(&["exec", bundle.id(), "true"]).bad(255);
    assert!(line.contains("container not running"), "{line}");
}

#[test]
fn a_console_socket_that_is_none() {
    let Some(mut bundle) = Bundle::new() else { return };
    bundle.config["process"]["terminal"] = json!(true);
    bundle.write();
    fs::write(bundle.path("file"), "").unwrap();
    for path in ["file", "none", "/"] {
        let line = bundle.order(&["create", "--console-socket", path, bundle.id()]).bad(2);
        assert!(line.contains(&format!("--console-socket {path}: ")), "{line}");
    }
    bundle.config["process"]["terminal"] = json!(false);
    bundle.write();
    let line = bundle.order(&["create", "--console-socket", "file", bundle.id()]).bad(2);
    assert!(line.contains("--console-socket needs process.terminal"), "{line}");
    assert_eq!(bundle.order(&["list", "--quiet"]).good(), "");
}

#[test]
fn errors_are_in_the_log_too() {
    let Some(bundle) = Bundle::new() else { return };
    fs::write(bundle.path("config.json"), "{").unwrap();
    let log = bundle.path("log");
    let words = ["--log", log.to_str().unwrap(), "--log-format"];
    let line = bundle.order(&[&words[..], &["json", "run", bundle.id()]].concat()).bad(1);
    let entry: serde_json::Value = serde_json::from_str(&fs::read_to_string(&log).unwrap()).unwrap();
    assert_eq!(entry["level"], "error");
    assert_eq!(format!("cofferdam: {}", entry["msg"].as_str().unwrap()), line);
    fs::remove_file(&log).unwrap();
    bundle.order(&[&words[..], &["text", "run", bundle.id()]].concat()).bad(1);
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.starts_with("time=\"") && text.contains(" level=error msg=\"config.json: syntax"), "{text}");
    assert_eq!(text.lines().count(), 1);
    let output = bundle.command(&["--log-format", "xml", "list"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
