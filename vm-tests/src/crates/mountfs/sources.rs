//! Roots that are no plain directory.

use super::{MOUNTINFO, add, ask, contained, light, line, plain, proc, seen, two_ways, with_program};
use crate::crates::kernel;
use crate::registry::{Context, OrFail, Result, Test};
use cofferdam_mountfs::{Api, ErrorKind, Host, Overlay, RootFs, RootSource};
use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

/// How they were made is said beside them.
pub(super) const EROFS: &[u8] =
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../mountfs/tests/images/root.erofs"));
const SQUASHFS: &[u8] =
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../mountfs/tests/images/root.squashfs"));

pub(in super::super) const TESTS: &[Test] = &[
    Test::integration("mountfs::overlay-root", "A root can be an overlay, whose changes go to its upper layer", overlay_root)
        .modules(&["overlay"]),
    Test::integration("mountfs::overlay-mount", "An overlay can be mounted in a container", overlay_mount)
        .modules(&["overlay"]),
    Test::integration(
        "mountfs::overlay-options",
        "volatile, metacopy and the others reach the kernel, what it does not know is an error with its words",
        overlay_options,
    )
    .modules(&["overlay"]),
    Test::integration(
        "mountfs::overlay-in-a-user-namespace",
        "Without privilege an overlay is made in the user namespace since Linux 5.11",
        overlay_in_a_user_namespace,
    )
    .modules(&["overlay"]),
    Test::integration(
        "mountfs::overlay-many-layers",
        "An overlay of 20 layers is made where the kernel takes them one by one, and refused elsewhere",
        overlay_many_layers,
    )
    .modules(&["overlay"]),
    Test::integration("mountfs::image-erofs", "A root can be an erofs in a file", image_erofs)
        .modules(&["erofs", "loop"]),
    Test::integration("mountfs::image-squashfs", "A root can be a squashfs in a file", image_squashfs)
        .modules(&["squashfs", "loop"]),
    Test::integration(
        "mountfs::image-leaves-no-loop-device",
        "A loop device goes away with the container, and when the start fails",
        image_leaves_no_loop_device,
    )
    .modules(&["squashfs", "loop"]),
    Test::integration(
        "mountfs::ephemeral-root",
        "Changes of an ephemeral root are seen inside and end with the container",
        ephemeral_root,
    )
    .modules(&["overlay"]),
    Test::integration(
        "mountfs::ephemeral-image",
        "An image with a tmpfs on top takes changes and new mount points",
        ephemeral_image,
    )
    .modules(&["overlay", "erofs", "loop"]),
    Test::integration(
        "mountfs::host-root",
        "The host's own root is seen, and cannot be changed",
        host_root,
    )
    .modules(&["overlay"]),
];

/// Two layers, an upper one and a work directory; all belong to the container's root.
struct Layers {
    dir: PathBuf,
}

impl Layers {
    fn new(ctx: &Context) -> Result<Self> {
        let dir = ctx.scratch().join("layers");
        for name in ["low/etc", "high/etc", "high/data", "upper", "work", "low/proc"] {
            fs::create_dir_all(dir.join(name))?;
        }
        fs::write(dir.join("low/init"), "")?;
        fs::write(dir.join("low/etc/word"), "low")?;
        fs::write(dir.join("low/etc/other"), "low")?;
        fs::write(dir.join("high/etc/word"), "high")?;
        let layers = Self { dir };
        for name in ["upper", "work", "low", "high", "low/etc", "high/etc", "high/data", "low/proc"] {
            chown(layers.at(name), Some(100_000), Some(100_000))?;
        }
        Ok(layers)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn overlay(&self) -> Overlay {
        Overlay::new([self.at("high"), self.at("low")]).writable(self.at("upper"), self.at("work"))
    }

    fn clear(&self) -> Result {
        for name in ["upper", "work"] {
            fs::remove_dir_all(self.at(name))?;
            fs::create_dir(self.at(name))?;
            chown(self.at(name), Some(100_000), Some(100_000))?;
        }
        Ok(())
    }
}

const WORDS: [&str; 2] = ["file:/etc/word", "file:/etc/other"];

fn overlay_root(ctx: &mut Context) -> Result {
    let layers = Layers::new(ctx)?;
    let root = with_program(RootFs::new(layers.overlay()))?;
    for way in [plain()?, contained()?] {
        let facts = ask(&way, &root, &["file:/etc/word", "file:/etc/other", "write:/data/new=x"])?;
        ensure_eq!(facts.get(WORDS[0])?, "high", "the upper one of two files, {}", way.name);
        ensure_eq!(facts.get(WORDS[1])?, "low", "a file of the lower layer, {}", way.name);
        ensure_eq!(facts.get("write:/data/new=x")?, "", "writing, {}", way.name);
        ensure_eq!(fs::read_to_string(layers.at("upper/data/new"))?, "x", "where it went, {}", way.name);
        ensure!(!layers.at("high/data/new").exists(), "a lower layer was written to, {}", way.name);
        layers.clear()?;
    }
    Ok(())
}

fn overlay_mount(ctx: &mut Context) -> Result {
    let layers = Layers::new(ctx)?;
    let mut root = light(ctx)?;
    let [high, low] = ["high", "low"].map(|name| layers.at(name).display().to_string());
    add(&mut root, "overlay", "overlay", "/data", &[&format!("lowerdir={high}:{low}"), "nosuid", "nodev"])?;
    root.mounts.push(proc()?);
    for way in [plain()?, contained()?] {
        let facts = ask(&way, &root, &["file:/data/etc/word", "write:/data/new=x", MOUNTINFO])?;
        ensure_eq!(facts.get("file:/data/etc/word")?, "high", "{}", way.name);
        ensure_eq!(facts.get("write:/data/new=x")?, "!EROFS", "without an upper layer, {}", way.name);
        let mounts = seen(&facts)?;
        let mount = line(&mounts, "/data")?;
        ensure_eq!(mount.fstype, "overlay", "its type, {}", way.name);
        ensure!(mount.options.iter().any(|word| word == "nosuid"), "{:?}, {}", mount.options, way.name);
    }
    Ok(())
}

fn overlay_options(ctx: &mut Context) -> Result {
    let layers = Layers::new(ctx)?;
    let overlay = layers.overlay().option("volatile", None).option("metacopy", Some("on"));
    let mut root = with_program(RootFs::new(overlay))?;
    root.mounts.push(proc()?);
    let mounts = seen(&ask(&plain()?, &root, &[MOUNTINFO])?)?;
    let options = &line(&mounts, "/")?.super_options;
    // Newer kernels show it as a way to synchronize.
    for words in [["volatile", "fsync=volatile"], ["metacopy=on"; 2]] {
        ensure!(
            options.iter().any(|found| words.iter().any(|word| found == word)),
            "{words:?} are not in {options:?}"
        );
    }
    root.source = layers.overlay().option("nonsense", None).into();
    let error = root.prepare(&Host::probe()?).err().or_fail("a refusal")?;
    // Before Linux 6.5 the kernel looks at the options when all are given, and does not say which it was.
    let word = if kernel::since(6, 5)? { "nonsense" } else { "EINVAL" };
    ensure!(error.to_string().contains(word), "the error says {error}");
    Ok(())
}

fn overlay_in_a_user_namespace(ctx: &mut Context) -> Result {
    let layers = Layers::new(ctx)?;
    let mut way = contained()?;
    let since = kernel::since(5, 11)?;
    ensure_eq!(ctx.has("overlay_in_user_namespace")?, since, "what the probe says");
    let overlay = if since { layers.overlay().option("userxattr", None) } else { layers.overlay() };
    let root = with_program(RootFs::new(overlay))?;
    for api in [Api::Setattr, Api::Mount] {
        way.host = way.host.at_most(api).without_detached_trees();
        match ask(&way, &root, &["file:/etc/word", "write:/data/new=x"]) {
            Ok(facts) => {
                ensure!(since, "it was made on a kernel that should not");
                ensure_eq!(facts.get(WORDS[0])?, "high", "{api:?}");
                ensure_eq!(facts.get("write:/data/new=x")?, "", "{api:?}");
            }
            Err(error) => {
                let error = error.to_string();
                ensure!(!since && error.contains("EPERM"), "{api:?}: {error}");
            }
        }
        layers.clear()?;
    }
    Ok(())
}

fn overlay_many_layers(ctx: &mut Context) -> Result {
    let layers = Layers::new(ctx)?;
    let mut lower = vec![layers.at("low")];
    for number in 0..19 {
        let layer = layers.at(&format!("layer-{number}"));
        fs::create_dir_all(&layer)?;
        fs::write(layer.join(format!("of-{number}")), "")?;
        lower.insert(0, layer);
    }
    let root = with_program(RootFs::new(Overlay::new(lower)))?;
    let way = plain()?;
    let since = kernel::since(6, 7)?;
    ensure_eq!(ctx.has("overlay_layers_one_by_one")?, since, "what the probe says");
    if since {
        let facts = ask(&way, &root, &["list:/"])?;
        let names = facts.get("list:/")?.lines().filter(|name| name.starts_with("of-")).count();
        ensure_eq!(names, 19, "layers that are seen");
    } else {
        let error = root.prepare(&way.host).err().or_fail("a refusal")?;
        ensure_eq!(error.kind(), ErrorKind::UnsupportedKernel, "{error}");
        ensure!(error.hint().is_some_and(|hint| hint.contains("6.7")), "the hint of {error}");
    }
    Ok(())
}

fn image(ctx: &Context, bytes: &[u8]) -> Result<PathBuf> {
    let path = ctx.scratch().join("image.file");
    fs::write(&path, bytes)?;
    Ok(path)
}

fn image_root(ctx: &Context, bytes: &[u8], kind: &str) -> Result {
    let mut root = with_program(RootFs::new(RootSource::Image(image(ctx, bytes)?)))?;
    root.mounts.push(proc()?);
    let mut ways = vec![plain()?, contained()?];
    ways.extend(two_ways()?.into_iter().filter(|way| !way.user_namespace));
    for way in ways {
        let facts = ask(&way, &root, &["file:/etc/hello", "write:/data/x=x", MOUNTINFO])?;
        ensure_eq!(facts.get("file:/etc/hello")?, "hello", "{}", way.name);
        ensure_eq!(facts.get("write:/data/x=x")?, "!EROFS", "writing, {}", way.name);
        ensure_eq!(line(&seen(&facts)?, "/")?.fstype, kind, "its type, {}", way.name);
    }
    Ok(())
}

fn image_erofs(ctx: &mut Context) -> Result {
    image_root(ctx, EROFS, "erofs")
}

fn image_squashfs(ctx: &mut Context) -> Result {
    image_root(ctx, SQUASHFS, "squashfs")
}

/// The loop devices that have a file.
fn loop_devices() -> Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir("/sys/block")? {
        count += usize::from(entry?.path().join("loop/backing_file").exists());
    }
    Ok(count)
}

fn image_leaves_no_loop_device(ctx: &mut Context) -> Result {
    let before = loop_devices()?;
    let path = image(ctx, SQUASHFS)?;
    let root = with_program(RootFs::new(RootSource::Image(path.clone())))?;
    let way = plain()?;
    let prepared = root.prepare(&way.host)?;
    ensure_eq!(loop_devices()?, before + 1, "devices while it is prepared");
    drop(prepared);
    ensure_eq!(settled(before)?, before, "devices after it was dropped");
    drop(ask(&way, &root, &["file:/etc/hello"])?);
    ensure_eq!(settled(before)?, before, "devices after a container");

    let mut broken = SQUASHFS.to_vec();
    broken.truncate(512);
    fs::write(&path, broken)?;
    let error = root.prepare(&way.host).err().or_fail("a refusal")?;
    ensure!(error.to_string().contains("create it"), "the error says {error}");
    ensure_eq!(settled(before)?, before, "devices after a broken image");
    fs::write(&path, "text")?;
    let error = root.prepare(&way.host).err().or_fail("a refusal")?;
    ensure_eq!(error.kind(), ErrorKind::WrongSource, "{error}");
    Ok(())
}

/// A device is taken down when its last user is gone, which a kernel may do a moment later.
fn settled(wanted: usize) -> Result<usize> {
    for _ in 0..200 {
        if loop_devices()? == wanted {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    loop_devices()
}

fn ephemeral_root(ctx: &mut Context) -> Result {
    let mut root = light(ctx)?;
    let image = ctx.scratch().join("image");
    fs::write(image.join("etc/word"), "image")?;
    root.source = RootSource::from(image.clone()).ephemeral();
    root.mounts.push(super::tmpfs("/not/there/before")?);
    root.masked = vec!["/etc/word".into()];
    let asked = ["list:/not/there", "file:/etc/word", "write:/data/new=x", "list:/data"];
    for way in two_ways()? {
        let result = ask(&way, &root, &asked);
        if way.user_namespace && !kernel::since(5, 11)? {
            let error = result.err().or_fail("a refusal")?.to_string();
            ensure!(error.contains("root overlay") && error.contains("EPERM"), "{error}, {}", way.name);
            continue;
        }
        let facts = result?;
        ensure_eq!(facts.get("list:/not/there")?, "before", "a mount point, {}", way.name);
        ensure_eq!(facts.get("file:/etc/word")?, "", "a masked file, {}", way.name);
        ensure_eq!(facts.get("write:/data/new=x")?, "", "writing, {}", way.name);
        for path in ["not", "data/new"] {
            ensure!(!image.join(path).exists(), "the image has {path}, {}", way.name);
        }
    }
    Ok(())
}

fn ephemeral_image(ctx: &mut Context) -> Result {
    let source = RootSource::Image(image(ctx, EROFS)?).ephemeral();
    let root = with_program(RootFs::new(source))?;
    let facts = ask(&plain()?, &root, &["file:/etc/hello", "write:/etc/hello=x"])?;
    ensure_eq!(facts.get("file:/etc/hello")?, "hello", "what is in the image");
    ensure_eq!(facts.get("write:/etc/hello=x")?, "", "changing it");
    Ok(())
}

fn host_root(ctx: &mut Context) -> Result {
    let canary = Path::new("/mountfs-canary");
    fs::write(canary, "host")?;
    let mut root = with_program(RootFs::new(RootSource::host()))?;
    // The program is the host's own.
    root.mounts.clear();
    let outcome = seen_from(ctx, &root);
    let after = fs::read_to_string(canary)?;
    fs::remove_file(canary)?;
    outcome?;
    ensure_eq!(after, "host", "the host's file");
    Ok(())
}

fn seen_from(_: &Context, root: &RootFs) -> Result {
    for way in two_ways()?.into_iter().filter(|way| !way.user_namespace).chain([plain()?]) {
        let facts = ask(&way, root, &["file:/mountfs-canary", "list:/proc", "write:/mountfs-canary=x"])?;
        ensure_eq!(facts.get("file:/mountfs-canary")?, "host", "{}", way.name);
        ensure_eq!(facts.get("list:/proc")?, "", "mounts of the host, {}", way.name);
        ensure_eq!(facts.get("write:/mountfs-canary=x")?, "", "changing it, {}", way.name);
    }
    Ok(())
}
