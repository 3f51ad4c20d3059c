//! The container's filesystem: root, mounts, masks, devices.

use crate::bundle::{At, Bundle, HOST_ID, Layer};
use crate::registry::{Context, OrFail, Result, Test};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::MetadataExt;

pub(super) const TESTS: &[Test] = &[
    Test::oci("oci::root-readonly", "A read-only root cannot be written", root_readonly),
    Test::oci(
        "oci::root-writable",
        "A writable root can, and its files are the mapped root's",
        root_writable,
    ),
    Test::oci("oci::root-alone", "Nothing of the host's mounts is left inside", alone),
    Test::oci("oci::tmpfs", "A tmpfs has the size, mode and flags of the config", tmpfs),
    Test::oci("oci::bind-readonly", "A read-only bind mount can be read and not written", bind_readonly),
    Test::oci("oci::bind-file", "A file can be bound, and its place is made", bind_file),
    Test::oci("oci::bind-recursive", "rbind brings the mounts below, bind does not", bind_recursive),
    Test::oci("oci::mount-order", "Mounts are made in the order of the config", order),
    Test::oci("oci::proc-mount", "procfs has the flags of the config", proc_mount),
    Test::oci("oci::masked-paths", "Masked files read as empty, masked directories are", masked),
    Test::oci("oci::readonly-paths", "Read-only paths can be read and not written", readonly),
    Test::oci("oci::devices", "The default devices and links are in /dev", devices),
    Test::oci("oci::propagation", "rootfsPropagation is the config's", propagation),
];

fn step_failed(ended: &crate::bundle::Ended, step: &str, errno: &str) -> Result {
    let line = ended.lines().into_iter().find(|line| line.step == step);
    let line = line.or_fail(format_args!("no step {step}; {ended}"))?;
    ensure_eq!(line.errno.as_deref(), Some(errno), "the step {step}; {ended}");
    Ok(())
}

fn root_readonly(ctx: &mut Context) -> Result {
    let ended =
        Bundle::hardened(ctx, "readonly").probe(&["show", "write", "/new", "text"]).run()?.success()?;
    step_failed(&ended, "write", "EROFS")
}

fn root_writable(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "writable");
    bundle.set("/root/readonly", json!(false));
    bundle.probe(&["show", "write", "/new", "text"]).run()?.success()?.value("write")?;
    let file = bundle.dir().join("rootfs/new");
    ensure_eq!(fs::read_to_string(&file)?, "text", "what the container wrote");
    ensure_eq!(fs::metadata(&file)?.uid(), HOST_ID, "the owner as the host sees it");
    Ok(())
}

fn mounts(bundle: &mut Bundle) -> Result<Vec<Value>> {
    let found = bundle.probe(&["show", "mounts"]).run()?.success()?.value("mounts")?;
    Ok(found.as_array().or_fail("the list of mounts")?.clone())
}

/// The mount on a place; the last one is on top.
fn mounted<'a>(mounts: &'a [Value], target: &str) -> Result<&'a Value> {
    mounts
        .iter()
        .rev()
        .find(|mount| mount.at("target") == target)
        .or_fail(format_args!("no mount on {target}"))
}

fn has_options(mount: &Value, wanted: &[&str]) -> Result {
    let options = mount.at("options");
    let found: Vec<&str> = options.as_str().or_fail("the options")?.split(',').collect();
    for option in wanted {
        ensure!(found.contains(option), "{option} is missing: {mount}");
    }
    Ok(())
}

fn alone(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "alone");
    let config = bundle.config().at("mounts").as_array().or_fail("the mounts")?.clone();
    let masks: Vec<Value> = ["maskedPaths", "readonlyPaths"]
        .iter()
        .flat_map(|field| bundle.config().at("linux").at(field).as_array().cloned().unwrap_or_default())
        .collect();
    let found = mounts(&mut bundle)?;
    // Without a device of its own the container gets the host's nodes, each a bind mount.
    let devices = ["null", "zero", "full", "random", "urandom", "tty", "console", "ptmx"];
    for mount in &found {
        let target = mount.at("target");
        let known = target == "/"
            || config.iter().any(|line| line.at("destination") == target)
            || masks.contains(&target)
            // With cgroup v1, one for each controller.
            || target.as_str().is_some_and(|target| target.starts_with("/sys/fs/cgroup/"))
            || devices.iter().any(|name| target == format!("/dev/{name}"));
        ensure!(known, "a mount that the config does not have: {mount}");
    }
    let roots = found.iter().filter(|mount| mount.at("target") == "/").count();
    ensure_eq!(roots, 1, "mounts on the root");
    Ok(())
}

/// On a directory of the image, runc 1.1 keeps the mode that the directory had; this one is made.
fn tmpfs(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "tmpfs");
    bundle.set("/root/readonly", json!(false));
    bundle.mount("tmpfs", "tmpfs", "/made", &["nosuid", "nodev", "noexec", "mode=0710", "size=128k"]);
    bundle.probe(&["show", "mounts", "+", "show", "stat", "/made"]);
    let ended = bundle.run()?.success()?;
    let found = ended.value("mounts")?;
    let mount = mounted(found.as_array().or_fail("the mounts")?, "/made")?;
    ensure_eq!(mount.at("kind"), json!("tmpfs"), "the filesystem");
    ensure!(mount.at("data").as_str().is_some_and(|data| data.contains("size=128k")), "the size: {mount}");
    ensure_eq!(ended.value("stat")?.at("mode"), json!(0o710), "the mode");
    has_options(mount, &["rw", "nosuid", "nodev", "noexec"])
}

fn bind_readonly(ctx: &mut Context) -> Result {
    let dir = ctx.scratch().join("source");
    fs::create_dir(&dir)?;
    fs::write(dir.join("file"), "of the host")?;
    let mut bundle = Bundle::hardened(ctx, "bind-readonly");
    // The directory is the container's own, so that nothing but the mount stands in the way.
    std::os::unix::fs::lchown(&dir, Some(HOST_ID), Some(HOST_ID))?;
    bundle.bind(&dir, "/data", &["bind", "ro", "nosuid", "nodev"]);
    let words = ["show", "read", "/data/file", "+", "show", "write", "/data/new", "x", "+", "show", "mounts"];
    let ended = bundle.probe(&words).run()?.success()?;
    ensure_eq!(ended.value("read")?, json!("of the host"), "the file");
    step_failed(&ended, "write", "EROFS")?;
    let found = ended.value("mounts")?;
    has_options(mounted(found.as_array().or_fail("the mounts")?, "/data")?, &["ro", "nosuid", "nodev"])
}

fn bind_file(ctx: &mut Context) -> Result {
    let file = ctx.scratch().join("file");
    fs::write(&file, "of the host")?;
    let mut bundle = Bundle::hardened(ctx, "bind-file");
    bundle.set("/root/readonly", json!(false));
    bundle.bind(&file, "/made/for/it", &["bind", "ro"]);
    let ended = bundle.probe(&["show", "read", "/made/for/it"]).run()?.success()?;
    ensure_eq!(ended.value("read")?, json!("of the host"), "the file");
    Ok(())
}

/// A bind mount into a user namespace brings the mounts below in any case: they might hide something.
fn bind_recursive(ctx: &mut Context) -> Result {
    use nix::mount::{MntFlags, MsFlags, mount, umount2};
    let outer = ctx.scratch().join("outer");
    let inner = outer.join("inner");
    fs::create_dir_all(&inner)?;
    mount(Some("inner"), &inner, Some("tmpfs"), MsFlags::empty(), None::<&str>)?;
    fs::write(inner.join("file"), "below")?;
    let result = [("rbind", true), ("bind", false)].into_iter().try_for_each(|(option, wanted)| {
        let mut bundle = Bundle::hardened(ctx, &format!("recursive-{option}"));
        bundle.peel(Layer::UserNamespace).bind(&outer, "/data", &[option, "ro"]);
        let ended = bundle.probe(&["show", "read", "/data/inner/file"]).run()?.success()?;
        ensure_eq!(ended.value("read").is_ok(), wanted, "whether {option} shows the mount below; {ended}");
        Ok(())
    });
    umount2(&inner, MntFlags::MNT_DETACH)?;
    result
}

fn order(ctx: &mut Context) -> Result {
    let file = ctx.scratch().join("file");
    fs::write(&file, "on top")?;
    let mut bundle = Bundle::hardened(ctx, "order");
    bundle.mount("tmpfs", "tmpfs", "/data", &["mode=755"]).bind(&file, "/data/below/file", &["bind", "ro"]);
    let ended = bundle.probe(&["show", "read", "/data/below/file"]).run()?.success()?;
    ensure_eq!(ended.value("read")?, json!("on top"), "the file in the tmpfs");
    Ok(())
}

fn proc_mount(ctx: &mut Context) -> Result {
    let found = mounts(&mut Bundle::hardened(ctx, "proc"))?;
    let proc = mounted(&found, "/proc")?;
    ensure_eq!(proc.at("kind"), json!("proc"), "the filesystem");
    has_options(proc, &["nosuid", "nodev", "noexec"])?;
    let sys = mounted(&found, "/sys")?;
    ensure_eq!(sys.at("kind"), json!("sysfs"), "the filesystem");
    has_options(sys, &["ro", "nosuid", "nodev", "noexec"])
}

fn masked(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "masked");
    bundle.file("/etc/secret", 0o644, "secret").directory("/etc/dir", 0o755).file(
        "/etc/dir/file",
        0o644,
        "x",
    );
    bundle.set("/linux/maskedPaths", json!(["/etc/secret", "/etc/dir", "/etc/absent", "/proc/kcore"]));
    let words = [
        "show",
        "read",
        "/etc/secret",
        "+",
        "show",
        "list",
        "/etc/dir",
        "+",
        "show",
        "write",
        "/etc/dir/new",
        "x",
    ];
    let ended = bundle.probe(&words).run()?.success()?;
    ensure_eq!(ended.value("read")?, json!(""), "a masked file");
    ensure_eq!(ended.value("list")?, json!([]), "a masked directory");
    step_failed(&ended, "write", "EROFS")
}

fn readonly(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "readonly-paths");
    bundle.set("/root/readonly", json!(false));
    bundle.file("/etc/file", 0o644, "text").set("/linux/readonlyPaths", json!(["/etc/file", "/etc/absent"]));
    let words = ["show", "read", "/etc/file", "+", "show", "write", "/etc/file", "x"];
    let ended = bundle.probe(&words).run()?.success()?;
    ensure_eq!(ended.value("read")?, json!("text"), "a read-only file");
    step_failed(&ended, "write", "EROFS")
}

fn devices(ctx: &mut Context) -> Result {
    let nodes =
        [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];
    let links = [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ];
    let mut words: Vec<String> = Vec::new();
    let mut ask = |what: &str, name: &str| {
        words.extend(["show", what, &format!("/dev/{name}"), "+"].map(str::to_owned));
    };
    for (name, _, _) in nodes {
        ask("stat", name);
    }
    for (name, _) in links {
        ask("link", name);
    }
    ask("stat", "ptmx");
    words.extend(["show", "append", "/dev/null", "x"].map(str::to_owned));
    let ended = Bundle::hardened(ctx, "default-devices").probe(&words).run()?.success()?;
    let mut answers = ended.lines().into_iter();
    for (name, major, minor) in nodes {
        let node = answers.next().or_fail(name)?.value;
        ensure_eq!(node.at("kind"), json!("char"), "/dev/{name}: {node}");
        ensure_eq!((node.at("major"), node.at("minor")), (json!(major), json!(minor)), "/dev/{name}");
        ensure_eq!(node.at("mode"), json!(0o666), "the mode of /dev/{name}");
    }
    for (name, target) in links {
        ensure_eq!(answers.next().or_fail(name)?.value, json!(target), "the link /dev/{name}");
    }
    ensure!(answers.next().is_some_and(|line| line.ok), "there is no /dev/ptmx; {ended}");
    ended.value("append").map(drop)
}

/// Without a user namespace, as nothing is shared into one. `private` is left out: what the mount was
/// before shows through in runc 1.1, which sets it for one mount and not for those below.
fn propagation(ctx: &mut Context) -> Result {
    for asked in ["slave", "unbindable", "shared"] {
        let mut bundle = Bundle::hardened(ctx, &format!("propagation-{asked}"));
        bundle.peel(Layer::UserNamespace).set("/linux/rootfsPropagation", json!(asked));
        let found = mounts(&mut bundle)?;
        let root = mounted(&found, "/")?.at("propagation").as_str().or_fail("the propagation")?.to_owned();
        let wanted = if asked == "shared" { "shared:" } else { asked };
        if !ctx.own_runtime() && asked != "slave" && !root.contains(wanted) {
            skip!("this runtime does not give the root its propagation: {asked} gave {root:?}");
        }
        ensure_eq!(
            root.contains("shared:"),
            asked == "shared",
            "rootfsPropagation {asked} gave {root:?}: shared"
        );
        ensure_eq!(root.contains("unbindable"), asked == "unbindable", "{asked} gave {root:?}: unbindable");
    }
    Ok(())
}
