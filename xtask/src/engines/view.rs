//! Inside the box: mounts, so that an engine finds a machine of its own and the host's files stay as they are.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, SFlag, mknod};

use super::cgroups::Hierarchy;
use super::process::success;

const CGROUP: &str = "/sys/fs/cgroup";
/// Folders that engines write to. What they write is kept in memory.
const WRITTEN: [&str; 4] = ["/etc", "/var", "/opt", "/root"];

/// Makes the view; called by the first process of new mount, network and cgroup namespaces.
///
/// # Errors
/// A mount fails: the kernel lacks a file system, or the caller is not root.
pub(super) fn make(dir: &Path, hierarchies: &[Hierarchy]) -> Result<()> {
    // Before `/run` is covered: what the box needs may be below it.
    cgroups(hierarchies)?;
    tmpfs("/run", "mode=755")?;
    // Runtimes and monitors have it built in.
    tmpfs("/tmp", "mode=1777")?;
    // podman's locks are here, one file for all podmans of a machine.
    tmpfs("/dev/shm", "mode=1777")?;
    tun().context("give ordinary users /dev/net/tun")?;
    fs::create_dir_all(dir.join("tmp")).with_context(|| format!("make {}", dir.display()))?;
    for folder in WRITTEN.iter().filter(|folder| Path::new(folder).is_dir()) {
        overlay(folder, dir).with_context(|| format!("cover {folder}"))?;
    }
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).context("make / read-only")?;
    // As an init system leaves them; engines look for that. It is a copy: the host hears nothing.
    let flags = MsFlags::MS_SHARED | MsFlags::MS_REC;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).context("make all mounts shared")
}

/// Brings the loopback device up, by a busybox that the view does not cover.
///
/// # Errors
/// `ip` fails, or the kernel lets nobody set the route.
pub(super) fn loopback(busybox: &Path) -> Result<()> {
    success(Command::new(busybox).args(["ip", "link", "set", "lo", "up"]))?;
    // Published ports are reached through the loopback device.
    let route = Path::new("/proc/sys/net/ipv4/conf/all/route_localnet");
    fs::write(route, "1").with_context(|| format!("set {}", route.display()))
}

/// As udev has it, where everybody may make interfaces in network namespaces of their own.
fn tun() -> Result<()> {
    let net = Path::new("/dev/net");
    let Ok(meta) = net.join("tun").metadata() else { return Ok(()) };
    let device = std::os::unix::fs::MetadataExt::rdev(&meta);
    mount(Some("tmpfs"), net, Some("tmpfs"), MsFlags::MS_NOSUID, Some("mode=755"))
        .context("mount a tmpfs")?;
    let mode = Mode::from_bits_truncate(0o666);
    mknod(&net.join("tun"), SFlag::S_IFCHR, mode, device).context("make the device")?;
    // The mask has taken part of it.
    fs::set_permissions(net.join("tun"), std::os::unix::fs::PermissionsExt::from_mode(0o666))
        .context("open it")
}

fn tmpfs(target: &str, options: &str) -> Result<()> {
    mount(Some("tmpfs"), target, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some(options))
        .with_context(|| format!("mount a tmpfs on {target}"))
}

/// The folder as it is, with changes kept in memory.
fn overlay(folder: &str, dir: &Path) -> Result<()> {
    let upper = dir.join("upper").join(folder.trim_start_matches('/'));
    let work = dir.join("work").join(folder.trim_start_matches('/'));
    for path in [&upper, &work] {
        fs::create_dir_all(path).with_context(|| format!("make {}", path.display()))?;
    }
    let options = format!("lowerdir={folder},upperdir={},workdir={}", upper.display(), work.display());
    mount(Some("overlay"), folder, Some("overlay"), MsFlags::empty(), Some(options.as_str()))
        .context("mount an overlay")
}

/// The same hierarchies in the same places, with the box's own cgroup as the root of each.
fn cgroups(hierarchies: &[Hierarchy]) -> Result<()> {
    let mut links = Vec::new();
    if hierarchies.iter().any(|hierarchy| hierarchy.legacy.is_some()) {
        for entry in fs::read_dir(CGROUP).context("list the hierarchies")? {
            let path = entry.context("list the hierarchies")?.path();
            links.extend(fs::read_link(&path).ok().map(|target| (path, target)));
        }
    }
    umount2(CGROUP, MntFlags::MNT_DETACH).with_context(|| format!("unmount {CGROUP}"))?;
    // A v2 hierarchy alone has the usual place, wherever the host has it.
    if let [Hierarchy { legacy: None, .. }] = hierarchies {
        return hierarchy(Path::new(CGROUP), None);
    }
    tmpfs(CGROUP, "mode=755")?;
    for Hierarchy { path, legacy } in hierarchies {
        fs::create_dir_all(path).with_context(|| format!("make {}", path.display()))?;
        hierarchy(path, legacy.as_deref())?;
    }
    for (path, target) in links {
        std::os::unix::fs::symlink(&target, &path)
            .with_context(|| format!("link {} to {}", path.display(), target.display()))?;
    }
    Ok(())
}

fn hierarchy(path: &Path, legacy: Option<&str>) -> Result<()> {
    let kind = if legacy.is_some() { "cgroup" } else { "cgroup2" };
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some(kind), path, Some(kind), flags, legacy)
        .with_context(|| format!("mount {kind} on {}", path.display()))
}
