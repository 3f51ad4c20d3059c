//! What a process in a container can see of itself and of its surroundings.

use super::{Tried, io, number};
use cofferdam_sys::{Errno, rlimit};
use serde_json::{Map, Value, json};
use std::fs;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

/// Looks at one thing.
pub(super) fn show(what: &str, arguments: &[&str]) -> Tried {
    match (what, arguments) {
        ("args", rest) => Ok(json!(rest)),
        ("env", []) => Ok(json!(std::env::vars().collect::<std::collections::BTreeMap<_, _>>())),
        ("cwd", []) => Ok(json!(io(std::env::current_dir())?)),
        ("status", []) => status(),
        ("ns", []) => namespaces(),
        ("limit", [name]) => limit(name),
        ("uname", []) => Ok(uname()),
        ("read", [path]) => Ok(json!(String::from_utf8_lossy(&io(fs::read(path))?))),
        ("write", [path, text]) => io(fs::write(path, text)).map(|()| Value::Null),
        ("append", [path, text]) => append(path, text),
        ("list", [path]) => list(path),
        ("link", [path]) => Ok(json!(io(fs::read_link(path))?)),
        ("stat", [path]) => stat(path),
        ("mounts", []) => mounts(),
        ("fds", []) => descriptors(),
        ("stdin", []) => stdin(),
        ("umask", []) => umask(),
        ("call", [call]) => Ok(json!(io(crate::calls::call(call))?)),
        ("terminal", []) => terminal(),
        ("nice", []) => Ok(json!(rustix::process::getpriority_process(None).map_err(errno)?)),
        _ => Err(Errno::EINVAL),
    }
}

fn errno(error: rustix::io::Errno) -> Errno {
    Errno::from_raw(error.raw_os_error())
}

/// The terminal on standard input.
fn terminal() -> Tried {
    let size = rustix::termios::tcgetwinsize(std::io::stdin()).map_err(errno)?;
    let owner = io(fs::metadata("/proc/self/fd/0"))?.uid();
    Ok(json!({
        "link": io(fs::read_link("/proc/self/fd/0"))?,
        "size": [size.ws_row, size.ws_col],
        "controlling": fs::File::open("/dev/tty").is_ok(),
        "uid": owner,
    }))
}

/// `/proc/self/status`, field by field.
fn status() -> Tried {
    let text = io(fs::read_to_string("/proc/self/status"))?;
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(Value::Object(fields.map(|(name, value)| (name.to_owned(), json!(words(value)))).collect()))
}

/// The namespaces, as `/proc/self/ns` names them.
fn namespaces() -> Tried {
    let mut found = Map::new();
    for entry in io(fs::read_dir("/proc/self/ns"))? {
        let entry = io(entry)?;
        found.insert(
            entry.file_name().to_string_lossy().into_owned(),
            json!(io(fs::read_link(entry.path()))?),
        );
    }
    Ok(Value::Object(found))
}

fn limit(name: &str) -> Tried {
    let limit = rlimit::get(0, rlimit::by_name(name).ok_or(Errno::EINVAL)?)?;
    Ok(json!([limit.soft, limit.hard]))
}

fn uname() -> Value {
    let uname = rustix::system::uname();
    json!({
        "nodename": uname.nodename().to_string_lossy(),
        "domainname": uname.domainname().to_string_lossy(),
    })
}

fn append(path: &str, text: &str) -> Tried {
    use std::io::Write;
    let mut file = io(fs::OpenOptions::new().append(true).open(path))?;
    io(file.write_all(text.as_bytes())).map(|()| Value::Null)
}

fn list(path: &str) -> Tried {
    let mut names = Vec::new();
    for entry in io(fs::read_dir(path))? {
        names.push(io(entry)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(json!(names))
}

fn stat(path: &str) -> Tried {
    let found = io(fs::symlink_metadata(path))?;
    let kind = found.file_type();
    let kind = match () {
        () if kind.is_dir() => "dir",
        () if kind.is_file() => "file",
        () if kind.is_symlink() => "link",
        () if kind.is_char_device() => "char",
        () if kind.is_block_device() => "block",
        () => "other",
    };
    let (major, minor) = (rustix::fs::major(found.rdev()), rustix::fs::minor(found.rdev()));
    Ok(json!({
        "kind": kind, "mode": found.mode() & 0o7777, "uid": found.uid(), "gid": found.gid(),
        "dev": found.dev(), "ino": found.ino(), "major": major, "minor": minor,
    }))
}

/// `/proc/self/mountinfo`, line by line.
fn mounts() -> Tried {
    let text = io(fs::read_to_string("/proc/self/mountinfo"))?;
    let parse = |line: &str| {
        let (left, right) = line.split_once(" - ")?;
        let left: Vec<&str> = left.split(' ').collect();
        let [_, _, _, root, target, options, propagation @ ..] = left.as_slice() else { return None };
        let mut right = right.splitn(3, ' ');
        let (kind, source, data) = (right.next()?, right.next()?, right.next()?);
        Some(json!({
            "root": root, "target": target, "options": options, "propagation": propagation.join(" "),
            "kind": kind, "source": source, "data": data,
        }))
    };
    Ok(text.lines().filter_map(parse).collect())
}

/// The numbers of the open descriptors.
fn descriptors() -> Tried {
    let names = list("/proc/self/fd")?;
    let numbers =
        names.as_array().into_iter().flatten().filter_map(Value::as_str).filter_map(|n| n.parse().ok());
    let mut open: Vec<i32> = numbers.collect();
    // The listing's own descriptor is closed by now.
    open.retain(|number| fs::symlink_metadata(format!("/proc/self/fd/{number}")).is_ok());
    open.sort_unstable();
    Ok(json!(open))
}

fn stdin() -> Tried {
    let mut text = String::new();
    io(std::io::stdin().lock().read_to_string(&mut text))?;
    Ok(json!(text))
}

/// The mask, by the only means that a process has: setting it.
fn umask() -> Tried {
    let mask = rustix::process::umask(rustix::fs::Mode::empty());
    rustix::process::umask(mask);
    number(&mask.bits().to_string()).map(|mask: u32| json!(mask))
}
