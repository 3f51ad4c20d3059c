//! Each kind of file system and of device.

use super::{MOUNTINFO, add, ask, contained, light, line, plain, proc, seen, two_ways};
use crate::registry::{Context, OrFail, Result, Test};
use cofferdam_mountfs::{Device, DeviceKind, ErrorKind};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::PathBuf;

pub(in super::super) const TESTS: &[Test] = &[
    Test::integration("mountfs::tmpfs", "A tmpfs has its size and its permissions", tmpfs),
    Test::integration(
        "mountfs::tmpfs-copy-up",
        "A tmpfs with tmpcopyup begins as what it covers, which stays as it is",
        copy_up,
    ),
    Test::integration(
        "mountfs::tmpfs-copy-up-too-big",
        "What does not fit into the tmpfs fails the start",
        copy_up_too_big,
    ),
    Test::integration("mountfs::proc-subset", "A procfs with subset=pid has processes only", proc_subset),
    Test::integration("mountfs::proc-hidepid", "A procfs has the hidepid that was asked for", proc_hidepid),
    Test::integration("mountfs::sysfs", "A sysfs is there, read-only as asked", sysfs),
    Test::integration("mountfs::devpts", "Each container has terminals of its own, and /dev/ptmx", devpts),
    Test::integration("mountfs::mqueue", "A message queue file system takes queues", mqueue),
    Test::integration("mountfs::cgroup-v2", "The type cgroup is the container's own v2 tree", cgroup_v2)
        .cgroup("v2"),
    Test::integration(
        "mountfs::cgroup-v1",
        "The type cgroup is a directory with each hierarchy of a v1 host",
        cgroup_v1,
    )
    .cgroup("v1"),
    Test::integration(
        "mountfs::cgroup-hybrid",
        "The type cgroup has the named, the v1 and the v2 hierarchies of a hybrid host",
        cgroup_hybrid,
    )
    .cgroup("hybrid"),
    Test::integration(
        "mountfs::unknown-file-system",
        "A file system that the kernel lacks is named in the error",
        unknown_file_system,
    ),
    Test::integration(
        "mountfs::devices-are-made",
        "A device has its numbers, its owner and its permissions whatever the umask",
        devices_are_made,
    ),
    Test::integration(
        "mountfs::devices-are-bound",
        "In a user namespace a device is the host's node, which it cannot change",
        devices_are_bound,
    ),
    Test::integration(
        "mountfs::a-wrong-node-is-refused",
        "A node of the image with other numbers fails the start",
        wrong_node,
    ),
    Test::integration(
        "mountfs::default-links",
        "The links of /dev are there, and the image's own stay",
        links,
    ),
];

fn tmpfs(ctx: &mut Context) -> Result {
    let mut root = light(ctx)?;
    add(&mut root, "tmpfs", "tmpfs", "/tmp", &["size=4k", "mode=1755", "nosuid"])?;
    let big = format!("write:/tmp/big={}", "x".repeat(8192));
    for way in two_ways()? {
        let facts = ask(&way, &root, &["stat:/tmp", "write:/tmp/small=x", &big])?;
        ensure_eq!(facts.get("stat:/tmp")?, "0:0 41755", "owner and mode, {}", way.name);
        ensure_eq!(facts.get("write:/tmp/small=x")?, "", "what fits, {}", way.name);
        ensure_eq!(facts.get(&big)?, "!ENOSPC", "what does not, {}", way.name);
    }
    Ok(())
}

fn copy_up(ctx: &mut Context) -> Result {
    let mut root = light(ctx)?;
    let data = ctx.scratch().join("image/data");
    fs::create_dir(data.join("dir"))?;
    fs::write(data.join("dir/file"), "text")?;
    symlink("dir/file", data.join("link"))?;
    for path in ["dir", "dir/file"] {
        chown(data.join(path), Some(100_007), Some(100_007))?;
    }
    fs::set_permissions(data.join("dir/file"), Permissions::from_mode(0o4711))?;
    fs::set_permissions(&data, Permissions::from_mode(0o1711))?;
    add(&mut root, "tmpfs", "tmpfs", "/data", &["tmpcopyup"])?;
    add(&mut root, "tmpfs", "tmpfs", "/etc", &["tmpcopyup", "ro", "mode=700"])?;
    for way in two_ways()? {
        let asked = [
            "file:/data/link",
            "stat:/data/dir/file",
            "stat:/data",
            "write:/data/dir/file=new",
            "stat:/etc",
            "write:/etc/new=x",
        ];
        let facts = ask(&way, &root, &asked)?;
        let (owner, top) =
            if way.user_namespace { ("7:7", "0:0") } else { ("100007:100007", "100000:100000") };
        let wanted = ["text", &format!("{owner} 104711"), &format!("{top} 41711"), "", "0:0 40700", "!EROFS"];
        for (fact, wanted) in asked.iter().zip(wanted) {
            ensure_eq!(facts.get(fact)?, wanted, "{fact}, {}", way.name);
        }
        ensure_eq!(fs::read_to_string(data.join("dir/file"))?, "text", "the image's own file, {}", way.name);
    }
    Ok(())
}

fn copy_up_too_big(ctx: &mut Context) -> Result {
    let mut root = light(ctx)?;
    fs::write(ctx.scratch().join("image/data/big"), [1; 8192])?;
    add(&mut root, "tmpfs", "tmpfs", "/data", &["tmpcopyup", "size=4k"])?;
    let error = ask(&contained()?, &root, &[]).err().or_fail("a refusal")?.to_string();
    ensure!(error.contains("copy up what it covers: ENOSPC"), "the error says {error}");
    Ok(())
}

fn proc_subset(ctx: &mut Context) -> Result {
    let mut root = light(ctx)?;
    add(&mut root, "proc", "proc", "/proc", &["subset=pid", "nosuid", "nodev", "noexec"])?;
    let way = plain()?;
    let facts = ask(&way, &root, &["file:/proc/meminfo", "list:/proc"])?;
    ensure_eq!(facts.get("file:/proc/meminfo")?, "!ENOENT", "a file of the machine's");
    ensure_eq!(facts.get("list:/proc")?.replace('\n', " "), "1 self thread-self", "what is in it");
    Ok(())
}

fn proc_hidepid(ctx: &mut Context) -> Result {
    let mut root = light(ctx)?;
    add(&mut root, "proc", "proc", "/proc", &["hidepid=2"])?;
    for way in two_ways()? {
        let mounts = seen(&ask(&way, &root, &[MOUNTINFO])?)?;
        let options = &line(&mounts, "/proc")?.super_options;
        let hidden = options.iter().any(|word| word == "hidepid=invisible" || word == "hidepid=2");
        ensure!(hidden, "its options are {options:?}, {}", way.name);
    }
    Ok(())
}

fn sysfs(ctx: &mut Context) -> Result {
    let mut root = light(ctx)?;
    add(&mut root, "sysfs", "sysfs", "/sys", &["nosuid", "noexec", "nodev", "ro"])?;
    for way in two_ways()? {
        let facts = ask(&way, &root, &["list:/sys", "write:/sys/kernel/uevent_helper=x"])?;
        ensure!(facts.get("list:/sys")?.lines().any(|name| name == "kernel"), "{}", way.name);
        let written = facts.get("write:/sys/kernel/uevent_helper=x")?;
        ensure!(matches!(written, "!EROFS" | "!ENOENT"), "writing gives {written:?}, {}", way.name);
    }
    Ok(())
}

fn devpts(ctx: &mut Context) -> Result {
    let mut root = light(ctx)?;
    root.default_devices = true;
    add(&mut root, "tmpfs", "tmpfs", "/dev", &["nosuid", "mode=755"])?;
    add(&mut root, "devpts", "devpts", "/dev/pts", &["newinstance", "ptmxmode=0666", "mode=0620"])?;
    for way in two_ways()? {
        let facts = ask(&way, &root, &["list:/dev/pts", "link:/dev/ptmx", "stat:/dev/pts/ptmx"])?;
        ensure_eq!(facts.get("list:/dev/pts")?, "ptmx", "terminals, {}", way.name);
        ensure_eq!(facts.get("link:/dev/ptmx")?, "pts/ptmx", "the link, {}", way.name);
        ensure_eq!(facts.get("stat:/dev/pts/ptmx")?, "0:0 20666", "the multiplexer, {}", way.name);
    }
    Ok(())
}

fn mqueue(ctx: &mut Context) -> Result {
    let mut root = light(ctx)?;
    add(&mut root, "mqueue", "mqueue", "/dev/mqueue", &["nosuid", "noexec", "nodev"])?;
    for way in two_ways()? {
        let facts = ask(&way, &root, &["list:/dev/mqueue", "write:/dev/mqueue/queue="])?;
        ensure_eq!(facts.get("list:/dev/mqueue")?, "", "queues, {}", way.name);
        ensure_eq!(facts.get("write:/dev/mqueue/queue=")?, "", "making one, {}", way.name);
    }
    Ok(())
}

fn cgroup_v2(ctx: &mut Context) -> Result {
    let mut root = light(ctx)?;
    add(&mut root, "cgroup", "cgroup", "/sys/fs/cgroup", &["nosuid", "noexec", "nodev", "ro"])?;
    root.mounts.push(proc()?);
    for way in two_ways()? {
        let facts =
            ask(&way, &root, &["list:/sys/fs/cgroup", MOUNTINFO, "write:/sys/fs/cgroup/cgroup.procs=0"])?;
        let names = facts.get("list:/sys/fs/cgroup")?;
        ensure!(names.lines().any(|name| name == "cgroup.procs"), "{names}, {}", way.name);
        ensure_eq!(line(&seen(&facts)?, "/sys/fs/cgroup")?.fstype, "cgroup2", "its type, {}", way.name);
        ensure_eq!(facts.get("write:/sys/fs/cgroup/cgroup.procs=0")?, "!EROFS", "writing, {}", way.name);
    }
    Ok(())
}

fn cgroup_v1(ctx: &mut Context) -> Result {
    each_hierarchy(ctx, &["pids", "systemd"])
}

fn cgroup_hybrid(ctx: &mut Context) -> Result {
    each_hierarchy(ctx, &["pids", "unified"])
}

fn each_hierarchy(ctx: &mut Context, wanted: &[&str]) -> Result {
    let mut root = light(ctx)?;
    add(&mut root, "cgroup", "cgroup", "/sys/fs/cgroup", &["nosuid", "noexec", "nodev", "ro"])?;
    root.mounts.push(proc()?);
    let host: Vec<PathBuf> = fs::read_dir("/sys/fs/cgroup")?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<_>>()?;
    for way in two_ways()? {
        let facts = ask(&way, &root, &["list:/sys/fs/cgroup", MOUNTINFO, "write:/sys/fs/cgroup/new=x"])?;
        let names: Vec<&str> = facts.get("list:/sys/fs/cgroup")?.lines().collect();
        for name in wanted {
            ensure!(names.contains(name), "{name} is not in {names:?}, {}", way.name);
        }
        for path in &host {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            ensure!(names.contains(&&*name), "the host's {name} is not in {names:?}, {}", way.name);
        }
        for mount in seen(&facts)?.iter().filter(|mount| mount.mount_point.starts_with("/sys/fs/cgroup")) {
            ensure!(mount.options.iter().any(|word| word == "ro"), "{mount:?}, {}", way.name);
        }
        ensure_eq!(facts.get("write:/sys/fs/cgroup/new=x")?, "!EROFS", "writing beside them, {}", way.name);
    }
    Ok(())
}

fn unknown_file_system(ctx: &mut Context) -> Result {
    let mut root = light(ctx)?;
    add(&mut root, "nosuchfs", "", "/data", &[])?;
    for way in two_ways()? {
        let error = ask(&way, &root, &[]).err().or_fail("a refusal")?.to_string();
        ensure!(
            error.contains("mount nosuchfs on /data") && error.contains("ENODEV"),
            "{error}, {}",
            way.name
        );
    }
    Ok(())
}

fn devices_are_made(ctx: &mut Context) -> Result {
    let mut root = light(ctx)?;
    let full = Device { mode: 0o6642, uid: 7, gid: 8, ..Device::char("/dev/sub/full", 1, 7) };
    let fifo = Device { kind: DeviceKind::Fifo, major: 0, minor: 0, ..Device::char("/dev/fifo", 0, 0) };
    root.devices = vec![full, fifo];
    let facts = ask(&plain()?, &root, &["stat:/dev/sub/full", "write:/dev/sub/full=x", "stat:/dev/fifo"])?;
    ensure_eq!(facts.get("stat:/dev/sub/full")?, "7:8 26642", "its owner and mode");
    ensure_eq!(facts.get("write:/dev/sub/full=x")?, "!ENOSPC", "its numbers: those of /dev/full");
    ensure_eq!(facts.get("stat:/dev/fifo")?, "0:0 10666", "the FIFO");
    Ok(())
}

fn devices_are_bound(ctx: &mut Context) -> Result {
    let mut root = light(ctx)?;
    root.devices = vec![Device::char("/dev/zero", 1, 5), Device::char("/dev/null", 1, 3)];
    root.mounts.push(proc()?);
    let facts = ask(&contained()?, &root, &["write:/dev/zero=x", "stat:/dev/zero", MOUNTINFO])?;
    ensure_eq!(facts.get("write:/dev/zero=x")?, "", "using it");
    ensure_eq!(facts.get("stat:/dev/zero")?, "65534:65534 20666", "it belongs to nobody in there");
    let options = &line(&seen(&facts)?, "/dev/zero")?.options.clone();
    for word in ["nosuid", "noexec"] {
        ensure!(options.iter().any(|found| found == word), "its options: {options:?}");
    }
    let wrong = Device::char("/dev/zero", 1, 8);
    root.devices = vec![wrong];
    root.user_namespace = true;
    let error = root.prepare(&contained()?.host).err().or_fail("a refusal")?;
    ensure_eq!(error.kind(), ErrorKind::WrongSource, "{error}");
    Ok(())
}

fn wrong_node(ctx: &mut Context) -> Result {
    let mut root = light(ctx)?;
    let node = ctx.scratch().join("image/dev/null");
    nix::sys::stat::mknod(
        &node,
        nix::sys::stat::SFlag::S_IFCHR,
        nix::sys::stat::Mode::from_bits_truncate(0o666),
        nix::sys::stat::makedev(1, 1),
    )?;
    root.devices = vec![Device::char("/dev/null", 1, 3)];
    let error = ask(&plain()?, &root, &[]).err().or_fail("a refusal")?.to_string();
    ensure!(error.contains("device /dev/null: make it: EEXIST"), "the error says {error}");
    Ok(())
}

fn links(ctx: &mut Context) -> Result {
    for way in two_ways()? {
        let mut root = light(ctx)?;
        symlink("/own", ctx.scratch().join("image/dev/stdin"))?;
        root.default_devices = true;
        let asked = ["link:/dev/fd", "link:/dev/stdin", "link:/dev/stderr", "link:/dev/ptmx"];
        let facts = ask(&way, &root, &asked)?;
        ensure_eq!(facts.get("link:/dev/fd")?, "/proc/self/fd", "{}", way.name);
        ensure_eq!(facts.get("link:/dev/stdin")?, "/own", "the image's own, {}", way.name);
        ensure_eq!(facts.get("link:/dev/stderr")?, "/proc/self/fd/2", "{}", way.name);
        ensure_eq!(facts.get("link:/dev/ptmx")?, "!ENOENT", "without a devpts, {}", way.name);
        fs::remove_dir_all(ctx.scratch().join("image"))?;
    }
    Ok(())
}
