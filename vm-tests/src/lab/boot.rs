//! The booted guest: its root, mounts, cgroups, modules and loopback.

use crate::guest::cgroups::{self, Layout};
use crate::guest::modules;
use crate::registry::{Context, OrFail, Result, Test};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

pub(super) const TESTS: &[Test] = &[
    Test::integration("lab::root-pivots", "The guest's root can be pivoted away", root_pivots),
    Test::integration(
        "lab::root-is-shared",
        "The guest's mounts are shared, as under systemd",
        root_is_shared,
    ),
    Test::integration("lab::cgroup-layout", "The cgroup layout is the one that was asked for", cgroup_layout),
    Test::integration("lab::modules-are-loaded", "The modules of the image are loaded", modules_are_loaded)
        .modules(&["overlay", "veth", "bridge"]),
    Test::integration("lab::loopback-is-up", "The host's loopback carries a connection", loopback_is_up),
];

fn root_pivots(ctx: &mut Context) -> Result {
    unshare(CloneFlags::CLONE_NEWNS).or_fail("unshare")?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_PRIVATE | MsFlags::MS_REC, None::<&str>)?;
    let new_root = ctx.scratch().join("root");
    fs::create_dir(&new_root)?;
    mount(Some("root"), &new_root, Some("tmpfs"), MsFlags::empty(), None::<&str>)?;
    fs::write(new_root.join("marker"), "here")?;
    std::env::set_current_dir(&new_root)?;
    nix::unistd::pivot_root(".", ".").or_fail("pivot_root")?;
    umount2(".", MntFlags::MNT_DETACH).or_fail("umount2 of the old root")?;
    std::env::set_current_dir("/")?;
    ensure_eq!(fs::read_to_string("/marker")?, "here", "the new root");
    ensure!(!Path::new("/init").exists(), "the old root is still there");
    Ok(())
}

fn root_is_shared(_: &mut Context) -> Result {
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    for target in ["/", "/proc", "/sys", "/dev", "/run"] {
        let line = table.lines().find(|line| line.split(' ').nth(4) == Some(target)).or_fail(target)?;
        ensure!(line.contains(" shared:"), "{target} is not shared: {line}");
    }
    Ok(())
}

fn cgroup_layout(ctx: &mut Context) -> Result {
    let unified = match ctx.layout() {
        Layout::V2 => Some("/sys/fs/cgroup"),
        Layout::Hybrid => Some("/sys/fs/cgroup/unified"),
        Layout::V1 => None,
    };
    let found = mounted("cgroup2")?;
    ensure_eq!(found, unified.map(str::to_owned).into_iter().collect::<Vec<_>>(), "mounts of cgroup2");
    if ctx.layout() == Layout::V2 {
        ensure!(mounted("cgroup")?.is_empty(), "v1 hierarchies are mounted: {:?}", mounted("cgroup")?);
        let available = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers")?;
        let enabled = fs::read_to_string("/sys/fs/cgroup/cgroup.subtree_control")?;
        ensure_eq!(enabled, available, "controllers for the children of the root");
        for name in ["cpu", "memory", "pids"] {
            ensure!(enabled.split_whitespace().any(|found| found == name), "{name} is not among {enabled}");
        }
    } else {
        for name in ["systemd", "pids", "devices", "freezer", "cpu", "cpuacct"] {
            let file = Path::new("/sys/fs/cgroup").join(name).join("cgroup.procs");
            ensure!(file.exists(), "there is no v1 hierarchy {name}");
        }
        ensure!(cgroups::roots(ctx.layout()).len() >= 5, "{:?}", cgroups::roots(ctx.layout()));
    }
    Ok(())
}

/// Where filesystems of this type are mounted.
fn mounted(kind: &str) -> Result<Vec<String>> {
    let table = fs::read_to_string("/proc/self/mounts")?;
    let lines = table.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let targets = lines.filter_map(|fields| match fields.as_slice() {
        [_, target, found, ..] if *found == kind => Some((*target).to_owned()),
        _ => None,
    });
    Ok(targets.collect())
}

fn modules_are_loaded(ctx: &mut Context) -> Result {
    let order = modules::order()?;
    for file in &order {
        let name = modules::name(file);
        ensure!(Path::new("/sys/module").join(&name).exists(), "{name} is in the image and is not loaded");
    }
    ensure!(ctx.has("fs:overlay")?, "overlay was asked for and is no filesystem here: {order:?}");
    Ok(())
}

fn loopback_is_up(_: &mut Context) -> Result {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    client.write_all(b"over")?;
    drop(client);
    let mut text = String::new();
    listener.accept()?.0.read_to_string(&mut text)?;
    ensure_eq!(text, "over", "what came over the loopback");
    Ok(())
}
