//! A program that stands where criu is expected and misbehaves: what it does wrong is what is tested.
//!
//! It is this test program, called again by a script: `criu swrk N` becomes the ignored test [`stand_in`] with the
//! number and the role in its environment.

use std::fs;
use std::io::IoSlice;
use std::os::fd::RawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::sys::socket::{ControlMessage, MsgFlags, recv, sendmsg};

const ROLE: &str = "COFFERDAM_TEST_CRIU";
const SOCKET: &str = "COFFERDAM_TEST_CRIU_SOCKET";

/// Writes the script into a directory.
pub(super) fn program(dir: &Path, role: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let path = dir.join(format!("criu-{role}"));
    // A test's name as its program prints it, with the path of this module.
    let name = format!("{}::stand_in", module_path!().split_once("::").unwrap().1);
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = swrk ] || exit 9\n{ROLE}={role} {SOCKET}=$2 exec {} --ignored --exact {name} >/dev/null 2>&1\n",
        own.display()
    );
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Messages as criu writes them, by hand, so that they owe nothing to the code under test.
const VERSION: &[u8] = &[0x08, 10, 0x10, 1, 0x52, 6, 0x08, 4, 0x10, 1, 0x20, 1];
const OLD: &[u8] = &[0x08, 10, 0x10, 1, 0x52, 4, 0x08, 3, 0x10, 15];
const REFUSED: &[u8] = &[0x08, 1, 0x10, 0, 0x38, 22];
const DUMPED: &[u8] = &[0x08, 1, 0x10, 1];
const OTHER: &[u8] = &[0x08, 3, 0x10, 1];
/// Process 1 of the host, which nobody restored.
const RESTORED: &[u8] = &[0x08, 2, 0x10, 1, 0x22, 2, 0x08, 1];

/// See the module.
#[test]
#[ignore = "it is the program of the other tests"]
fn stand_in() {
    let (Ok(role), Ok(socket)) = (std::env::var(ROLE), std::env::var(SOCKET)) else { return };
    let socket: RawFd = socket.parse().unwrap();
    let hear = || recv(socket, &mut vec![0; 1 << 16], MsgFlags::empty()).unwrap();
    let say = |message: &[u8]| {
        let none: &[ControlMessage<'_>] = &[];
        sendmsg::<()>(socket, &[IoSlice::new(message)], none, MsgFlags::empty(), None).unwrap();
    };
    let notify = |script: &str, pid: i32| {
        let mut inner = vec![0x0a, u8::try_from(script.len()).unwrap()];
        inner.extend_from_slice(script.as_bytes());
        inner.push(0x10);
        let mut left = pid.cast_unsigned();
        while left >= 0x80 {
            inner.push(u8::try_from(left & 0x7f).unwrap() | 0x80);
            left >>= 7;
        }
        inner.push(u8::try_from(left).unwrap());
        let front = [0x08, 6, 0x10, 1, 0x2a, u8::try_from(inner.len()).unwrap()];
        say(&[&front[..], &inner].concat());
    };
    let forever = || loop {
        std::thread::sleep(std::time::Duration::from_mins(1));
    };
    hear();
    match role.as_str() {
        "old" => return say(OLD),
        "garbage" => return say(b"\xff\xff\xff"),
        "ends" => std::process::exit(3),
        "mute" => forever(),
        _ => say(VERSION),
    }
    hear();
    match role.as_str() {
        "refuses" => say(REFUSED),
        "lies" => say(DUMPED),
        "other" => say(OTHER),
        "dies" => std::process::exit(4),
        "babbles" => say(b"\x08\x01\x10"),
        "restores-nothing" => say(RESTORED),
        // The host's own first process for a restored one.
        "host" => {
            notify("post-restore", 1);
            hear();
        }
        "nobody" => {
            notify("post-restore", i32::MAX);
            hear();
        }
        "hangs" => forever(),
        role => panic!("{role}"),
    }
}
