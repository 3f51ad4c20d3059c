//! Tests of `cofferdam-mountfs`: each root is made on every path that the crate has for this kernel.

pub(super) mod attributes;
pub(super) mod idmaps;
pub(super) mod kinds;
pub(super) mod races;
pub(super) mod readback;
pub(super) mod sources;

use super::child::{self, Facts};
use super::ns;
use crate::guest::mounts::{self, Mounted};
use crate::guest::paths;
use crate::registry::{Context, OrFail, Result, Test};
use cofferdam_mountfs::mountinfo::{self, MountInfo};
use cofferdam_mountfs::{Api, ErrorKind, Host, IdMaps, Mount, RootFs};
use cofferdam_ns::{Isolation, Namespaces};
use cofferdam_sys::plan::Plan;
use nix::mount::MsFlags;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

pub(super) const TESTS: &[Test] = &[
    Test::integration(
        "mountfs::root-is-the-only-one",
        "In the new root nothing of the host's tree is left",
        root_is_the_only_one,
    ),
    Test::integration("mountfs::default-devices", "The default devices are there and work", default_devices),
    Test::integration(
        "mountfs::masks",
        "A masked file reads as empty, a masked directory lists nothing",
        masks,
    ),
    Test::integration("mountfs::read-only", "A read-only root takes no write, a tmpfs in it does", read_only),
    Test::integration(
        "mountfs::read-only-paths",
        "A read-only path of a fresh procfs takes no write",
        read_only_paths,
    ),
    Test::integration(
        "mountfs::recursive-read-only",
        "A recursive read-only bind reaches its submounts, or is refused",
        recursive_read_only,
    ),
    Test::integration(
        "mountfs::links-stay-inside",
        "A target behind a link of the image is mounted inside the root",
        links_stay_inside,
    ),
];

/// A directory that becomes the root of a container, with this program in it.
fn image(ctx: &Context) -> Result<PathBuf> {
    let root = ctx.scratch().join("image");
    fs::create_dir(&root)?;
    for name in ["dev", "proc", "sys", "tmp", "run", "etc", "secret", "data"] {
        fs::create_dir(root.join(name))?;
        // In a user namespace it is the container's root who makes what is missing.
        chown(root.join(name), Some(100_000), Some(100_000))?;
    }
    fs::copy(paths::INIT, root.join("init"))?;
    writable(&root.join("data/file"))?;
    fs::write(root.join("etc/password"), "hidden")?;
    fs::write(root.join("secret/key"), "hidden")?;
    chown(&root, Some(100_000), Some(100_000))?;
    Ok(root)
}

/// A file that whoever reaches it may write.
fn writable(path: &Path) -> Result {
    fs::write(path, "")?;
    Ok(fs::set_permissions(path, Permissions::from_mode(0o666))?)
}

/// One way to make a root.
struct Way {
    name: String,
    host: Host,
    user_namespace: bool,
}

impl Way {
    /// Whether it is without `mount_setattr(2)`.
    fn is_old(&self) -> bool {
        self.host.api() < Api::Setattr
    }
}

/// All ways: with and without a user namespace, with and without what newer kernels have.
fn ways() -> Result<Vec<Way>> {
    let host = Host::probe()?;
    let mut ways = vec![];
    for (user_namespace, name, host) in [
        (false, "as it comes", host),
        (true, "as it comes", host),
        (true, "without mount_setattr, detached trees and statmount", {
            host.at_most(Api::Fsmount).without_detached_trees().without_statmount()
        }),
        (true, "with mount(2) alone", host.at_most(Api::Mount).without_statmount()),
    ] {
        let place = if user_namespace { "in a user namespace" } else { "as the host's root" };
        ways.push(Way { name: format!("{name}, {place}"), host, user_namespace });
    }
    Ok(ways)
}

/// The way of a plain container, and that of an old kernel's.
fn two_ways() -> Result<[Way; 2]> {
    let host = Host::probe()?;
    Ok([
        Way { name: "in a user namespace".to_owned(), host, user_namespace: true },
        Way {
            name: "with mount(2) alone, as the host's root".to_owned(),
            host: host.at_most(Api::Mount).without_statmount(),
            user_namespace: false,
        },
    ])
}

/// As the host's root, with all that the kernel has.
fn plain() -> Result<Way> {
    Ok(Way { name: "as the host's root".to_owned(), host: Host::probe()?, user_namespace: false })
}

/// In a user namespace, with all that the kernel has.
fn contained() -> Result<Way> {
    Ok(Way { name: "in a user namespace".to_owned(), host: Host::probe()?, user_namespace: true })
}

/// Asks a process in a root that was made in this way.
fn ask(way: &Way, root: &RootFs, facts: &[&str]) -> Result<Facts> {
    ask_disturbed(way, root, facts, |_| {})
}

/// The same with a plan that was disturbed.
fn ask_disturbed(way: &Way, root: &RootFs, facts: &[&str], disturb: impl FnOnce(&mut Plan)) -> Result<Facts> {
    let (isolation, mut plan) = lowered(way, root, &[&["facts"], facts].concat())?;
    disturb(&mut plan);
    child::ask_with(&isolation, None, plan)
}

/// The namespaces and the plan of a process in a root.
fn lowered(way: &Way, root: &RootFs, words: &[&str]) -> Result<(Isolation, Plan)> {
    let mut root = root.clone();
    root.user_namespace = way.user_namespace;
    root.id_maps = way.user_namespace.then(|| IdMaps::range(0, 100_000, 65_536));
    let mut isolation = Isolation { new: Namespaces::MOUNT | Namespaces::PID, ..Isolation::default() };
    // What some file systems show belongs to the namespace of their maker.
    isolation.new |= Namespaces::IPC | Namespaces::NET | Namespaces::CGROUP;
    if way.user_namespace {
        isolation.new |= Namespaces::USER;
        isolation.ids = Some(ns::mapped());
    }
    let prepared = root.prepare(&way.host).or_fail(&way.name)?;
    let mut plan = child::plan(words)?;
    isolation.lower(&mut plan);
    prepared.lower(&mut plan).or_fail(&way.name)?;
    Ok((isolation, plan))
}

/// An image with nothing in it but directories and a file to mount this program on, and its root.
fn light(ctx: &Context) -> Result<RootFs> {
    let image = ctx.scratch().join("image");
    fs::create_dir(&image)?;
    for name in ["dev", "proc", "sys", "tmp", "data", "etc"] {
        fs::create_dir(image.join(name))?;
        chown(image.join(name), Some(100_000), Some(100_000))?;
    }
    fs::write(image.join("init"), "")?;
    chown(&image, Some(100_000), Some(100_000))?;
    with_program(RootFs::new(image))
}

/// A root with this program in it and nothing else.
fn with_program(mut root: RootFs) -> Result<RootFs> {
    root.default_devices = false;
    root.mounts = vec![Mount::from_options("bind", paths::INIT, paths::INIT, ["bind", "ro"])?];
    Ok(root)
}

/// Adds a mount.
fn add(root: &mut RootFs, fstype: &str, source: &str, target: &str, options: &[&str]) -> Result {
    root.mounts.push(Mount::from_options(fstype, source, target, options)?);
    Ok(())
}

/// The line of `mountinfo` for a place.
fn line<'a>(mounts: &'a [MountInfo], place: &str) -> Result<&'a MountInfo> {
    mounts
        .iter()
        .rfind(|mount| mount.mount_point.as_os_str() == place)
        .or_fail(format_args!("a mount on {place}"))
}

/// The mounts that a process sees; it must have been asked for them.
fn seen(facts: &Facts) -> Result<Vec<MountInfo>> {
    Ok(mountinfo::parse(facts.get(MOUNTINFO)?.as_bytes())?)
}

const MOUNTINFO: &str = "file:/proc/self/mountinfo";

fn proc() -> Result<Mount> {
    Ok(Mount::from_options("proc", "proc", "/proc", ["nosuid", "nodev", "noexec"])?)
}

fn tmpfs(target: &str) -> Result<Mount> {
    Ok(Mount::from_options("tmpfs", "tmpfs", target, ["nosuid", "nodev", "mode=755"])?)
}

fn root_is_the_only_one(ctx: &mut Context) -> Result {
    let mut root = RootFs::new(image(ctx)?);
    root.mounts = vec![proc()?];
    for way in ways()? {
        let facts = ask(&way, &root, &["list:/", "file:/proc/self/mountinfo", "link:/proc/self/root"])?;
        let names = facts.get("list:/")?.replace('\n', " ");
        ensure_eq!(names, "data dev etc init proc run secret sys tmp", "the root, {}", way.name);
        let mounts = facts.get("file:/proc/self/mountinfo")?;
        let stray: Vec<_> = mounts
            .lines()
            .filter_map(|line| line.split(' ').nth(4))
            .filter(|target| *target != "/" && *target != "/proc" && !target.starts_with("/dev/"))
            .collect();
        ensure!(stray.is_empty(), "mounts that nobody asked for, {}: {stray:?}", way.name);
        ensure!(!mounts.contains(" shared:"), "a mount is shared, {}: {mounts}", way.name);
    }
    Ok(())
}

fn default_devices(ctx: &mut Context) -> Result {
    let mut root = RootFs::new(image(ctx)?);
    let dev = Mount::from_options("tmpfs", "tmpfs", "/dev", ["nosuid", "mode=755"])?;
    root.mounts = vec![proc()?, dev];
    for way in ways()? {
        let facts =
            ask(&way, &root, &["list:/dev", "file:/dev/null", "write:/dev/null=x", "write:/dev/full=x"])?;
        let names = facts.get("list:/dev")?.replace('\n', " ");
        ensure_eq!(names, "fd full null random stderr stdin stdout tty urandom zero", "/dev, {}", way.name);
        ensure_eq!(facts.get("file:/dev/null")?, "", "reading /dev/null, {}", way.name);
        ensure_eq!(facts.get("write:/dev/null=x")?, "", "writing /dev/null, {}", way.name);
        ensure_eq!(facts.get("write:/dev/full=x")?, "!ENOSPC", "writing /dev/full, {}", way.name);
    }
    Ok(())
}

fn masks(ctx: &mut Context) -> Result {
    let mut root = RootFs::new(image(ctx)?);
    root.default_devices = false;
    let asked = ["file:/etc/password", "list:/secret", "write:/secret/more=x"];
    let found = |facts: &Facts| -> Result<[String; 2]> {
        Ok([facts.get(asked[0])?.to_owned(), facts.get(asked[1])?.to_owned()])
    };
    let facts = ask(&contained()?, &root, &asked[..2])?;
    ensure_eq!(found(&facts)?, ["hidden", "key"], "without masks");
    root.masked = ["/etc/password", "/secret", "/not/there"].map(PathBuf::from).into();
    for way in ways()? {
        let facts = ask(&way, &root, &asked)?;
        ensure_eq!(found(&facts)?, ["", ""], "with masks, {}", way.name);
        ensure_eq!(facts.get(asked[2])?, "!EROFS", "writing into a mask, {}", way.name);
    }
    Ok(())
}

fn read_only(ctx: &mut Context) -> Result {
    let mut root = RootFs::new(image(ctx)?);
    root.default_devices = false;
    root.mounts = vec![tmpfs("/tmp")?];
    let asked = ["write:/data/file=x", "write:/tmp/file=x"];
    let facts = ask(&contained()?, &root, &asked)?;
    ensure_eq!(facts.get(asked[0])?, "", "writing a root that is not read-only");
    root.readonly = true;
    for way in ways()? {
        let facts = ask(&way, &root, &asked)?;
        ensure_eq!(facts.get(asked[0])?, "!EROFS", "writing the root, {}", way.name);
        ensure_eq!(facts.get(asked[1])?, "", "writing a tmpfs in it, {}", way.name);
    }
    Ok(())
}

fn read_only_paths(ctx: &mut Context) -> Result {
    const KNOB: &str = "/proc/sys/vm/swappiness";
    let before = fs::read_to_string(KNOB)?;
    let attempt = format!("write:{KNOB}={}", before.trim());
    let mut root = RootFs::new(image(ctx)?);
    root.default_devices = false;
    root.mounts = vec![proc()?];
    for (way, control) in [(contained()?, "!EACCES"), (plain()?, "")] {
        ensure_eq!(ask(&way, &root, &[&attempt])?.get(&attempt)?, control, "without, {}", way.name);
    }
    root.readonly_paths = ["/proc/sys", "/not/there"].map(PathBuf::from).into();
    for way in ways()? {
        ensure_eq!(ask(&way, &root, &[&attempt])?.get(&attempt)?, "!EROFS", "with, {}", way.name);
    }
    Ok(())
}

fn recursive_read_only(ctx: &mut Context) -> Result {
    let outer = ctx.scratch().join("outer");
    let inner = outer.join("inner");
    fs::create_dir_all(&inner)?;
    let target = inner.to_str().or_fail("a path in UTF-8")?;
    let entry = mounts::Mount { source: "inner", target, kind: "tmpfs", flags: MsFlags::empty(), data: "" };
    let _inner = Mounted::new(&entry)?;
    writable(&inner.join("file"))?;
    let mut root = RootFs::new(image(ctx)?);
    root.default_devices = false;
    let bind = |options: [&str; 2]| Mount::from_options("bind", &outer, "/data", options);
    let attempt = "write:/data/inner/file=x";
    for way in ways()? {
        root.mounts = vec![bind(["rbind", "rro"])?];
        if way.is_old() {
            let error = root.prepare(&way.host).err().or_fail(&way.name)?;
            ensure_eq!(error.kind(), ErrorKind::UnsupportedKernel, "{}: {error}", way.name);
        } else {
            ensure_eq!(ask(&way, &root, &[attempt])?.get(attempt)?, "!EROFS", "the submount, {}", way.name);
        }
    }
    root.mounts = vec![bind(["rbind", "ro"])?];
    ensure_eq!(ask(&contained()?, &root, &[attempt])?.get(attempt)?, "", "with plain ro");
    Ok(())
}

fn links_stay_inside(ctx: &mut Context) -> Result {
    let image = image(ctx)?;
    symlink("/run", image.join("absolute"))?;
    symlink("../../../../run", image.join("up"))?;
    let mut root = RootFs::new(&image);
    root.default_devices = false;
    root.mounts = vec![tmpfs("/absolute/planted")?, tmpfs("/up/grown")?];
    for way in ways()? {
        let facts = ask(&way, &root, &["list:/run", "write:/run/planted/file=x"])?;
        ensure_eq!(facts.get("list:/run")?, "grown\nplanted", "the directory behind the links, {}", way.name);
        ensure_eq!(facts.get("write:/run/planted/file=x")?, "", "writing the tmpfs, {}", way.name);
        for name in ["planted", "grown"] {
            ensure!(!Path::new("/run").join(name).exists(), "the host has /run/{name}, {}", way.name);
        }
    }
    Ok(())
}
