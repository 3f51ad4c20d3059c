//! `--systemd-cgroup` where there is no systemd, or one that does not answer as it should. With a real one: the suite
//! `systemd` of the lab.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use serde_json::json;

use super::bundle::{Bundle, Ended, RUNTIME};

/// A command where `/run` is empty, so that no systemd of this machine is there.
fn alone(bundle: &Bundle, address: &str, words: &[&str]) -> Ended {
    let script = "mount -t tmpfs none /run && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh", RUNTIME, "--root"]).arg(bundle.path("state"));
    command.args(words).current_dir(bundle.path("")).stdin(Stdio::null());
    command.env("DBUS_SYSTEM_BUS_ADDRESS", address);
    Ended::of(&command.output().unwrap())
}

/// `None`, with the reason printed, where no mount namespace can be made.
fn bundle() -> Option<Bundle> {
    let bundle = Bundle::new()?;
    let possible = Command::new("unshare").args(["--mount", "mount", "-t", "tmpfs", "none", "/run"]).status();
    if !possible.is_ok_and(|status| status.success()) {
        eprintln!("skipped: unshare(1) is missing, or may not make a mount namespace");
        return None;
    }
    Some(bundle)
}

/// A bundle for systemd, whose state is in sight.
fn for_systemd() -> Option<Bundle> {
    let mut bundle = bundle()?;
    bundle.config["linux"]["cgroupsPath"] = json!(format!("a-b.slice:x:{}", bundle.id()));
    bundle.write();
    Some(bundle)
}

#[track_caller]
fn nothing_is_left(bundle: &Bundle) {
    let state = fs::read_dir(bundle.path("state")).map_or(0, Iterator::count);
    assert_eq!(state, 0, "something is left in the state directory");
    let name = bundle.path("").to_str().unwrap().to_owned();
    let processes = fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&name)
    });
    assert_eq!(processes.count(), 0, "a process is left");
}

#[test]
fn without_systemd_the_addresses_are_named() {
    let Some(bundle) = for_systemd() else { return };
    for manager in [&["--systemd-cgroup"][..], &["--cgroup-manager", "systemd"]] {
        let ended = alone(&bundle, "", &[manager, &["run", bundle.id()]].concat());
        let line = ended.bad(1);
        for part in [
            &format!(
                "make the scope x-{}.scope: the systemd of the machine cannot be reached: ",
                bundle.id()
            ),
            "unix:path=/run/systemd/private: No such file or directory",
            "unix:path=/run/dbus/system_bus_socket: No such file or directory",
            "--cgroup-manager cgroupfs",
        ] {
            assert!(line.contains(part), "{line}");
        }
        nothing_is_left(&bundle);
    }
}

/// A message of D-Bus: a failure of the first call, with a name and a text.
fn failure(name: &str, text: &str) -> Vec<u8> {
    let field = |code: u8, letter: u8, bytes: &[u8]| [&[code, 1, letter, 0][..], bytes].concat();
    let string =
        |text: &str| [&u32::try_from(text.len()).unwrap().to_le_bytes()[..], text.as_bytes(), b"\0"].concat();
    let mut fields = Vec::new();
    for one in
        [field(5, b'u', &1_u32.to_le_bytes()), field(4, b's', &string(name)), field(8, b'g', b"\x01s\0")]
    {
        fields.resize(usize::next_multiple_of(fields.len(), 8), 0);
        fields.extend(one);
    }
    let body = string(text);
    let mut message = vec![b'l', 3, 1, 1];
    message.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
    message.extend(7_u32.to_le_bytes());
    message.extend(u32::try_from(fields.len()).unwrap().to_le_bytes());
    message.extend(fields);
    message.resize(message.len().next_multiple_of(8), 0);
    message.extend(body);
    message
}

#[test]
fn what_a_bus_answers_is_told() {
    let Some(bundle) = for_systemd() else { return };
    let socket = bundle.path("bus");
    let address = format!("unix:path={},guid=0", socket.display());
    let listener = UnixListener::bind(&socket).unwrap();
    let refused = failure("org.freedesktop.DBus.Error.AccessDenied", "not you\nnor me");
    let cases: [(&[&[u8]], &str); 5] = [
        (&[], "it does not let us in, and gives no reason"),
        (&[b"REJECTED KERBEROS\r\n"], "it does not let us in: `REJECTED KERBEROS`"),
        (&[b"DATA\r\nOK 0123\r\n"], "it closed the connection"),
        (&[b"DATA\r\nOK 0123\r\n", &[b'x'; 64]], "it sent what is no message of D-Bus"),
        (
            &[b"DATA\r\nOK 0123\r\n", &refused],
            "systemd refused Hello: org.freedesktop.DBus.Error.AccessDenied: not you\\nnor me",
        ),
    ];
    for (answers, wanted) in cases {
        let line = std::thread::scope(|scope| {
            scope.spawn(|| {
                let (mut peer, _) = listener.accept().unwrap();
                for answer in answers {
                    let _ = peer.read(&mut [0; 1024]).unwrap();
                    peer.write_all(answer).unwrap();
                }
                // What it says next is read, so that the end is one and no reset.
                let _ = peer.read(&mut [0; 1024]);
            });
            alone(&bundle, &address, &["--systemd-cgroup", "run", bundle.id()]).bad(1)
        });
        assert!(line.contains(wanted), "{wanted}: {line}");
        assert!(line.contains("make the scope x-"), "{line}");
        nothing_is_left(&bundle);
    }
    fs::remove_file(&socket).unwrap();
}

#[test]
fn a_config_is_for_one_manager_or_the_other() {
    let Some(mut bundle) = bundle() else { return };
    let run = |bundle: &Bundle, manager: &str| {
        bundle.write();
        alone(bundle, "", &["--cgroup-manager", manager, "run", bundle.id()]).bad(1)
    };
    bundle.config["linux"]["cgroupsPath"] = json!("a.slice:x:y");
    let line = run(&bundle, "cgroupfs");
    assert!(
        line.contains("linux.cgroupsPath: is in the form of systemd") && line.contains("--systemd-cgroup"),
        "{line}"
    );
    bundle.config["linux"]["cgroupsPath"] = json!("/a/b");
    let line = run(&bundle, "systemd");
    assert!(line.contains("linux.cgroupsPath: `a/b` is a path"), "{line}");
    bundle.config["linux"]["cgroupsPath"] = json!("a.slice:x:");
    assert!(run(&bundle, "systemd").contains("config.json: linux.cgroupsPath: "));
    bundle.config["linux"]["cgroupsPath"] = json!("");
    bundle.config["annotations"] = json!({ "org.systemd.property.MemoryMax": "lots" });
    let line = run(&bundle, "systemd");
    assert!(line.contains("annotations[\"org.systemd.property.MemoryMax\"]: `lots` is no value"), "{line}");
    let line = alone(&bundle, "", &["--cgroup-manager", "x", "run", bundle.id()]).bad(2);
    assert!(line.contains("cgroupfs, systemd or disabled"), "{line}");
    nothing_is_left(&bundle);
}
