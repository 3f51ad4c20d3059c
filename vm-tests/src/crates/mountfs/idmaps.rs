//! Id maps of mounts, on kernels and file systems that have them and on those that do not.

use super::attributes::Volume;
use super::{MOUNTINFO, add, ask, contained, light, line, plain, proc, seen, sources, with_program};
use crate::crates::child::Sleeper;
use crate::crates::{kernel, ns};
use crate::registry::{Context, OrFail, Result, Test};
use cofferdam_mountfs::{Api, ErrorKind, IdMaps, Idmap, IdmapSource, Overlay, RootFs, RootSource};
use cofferdam_ns::{Isolation, Namespaces};
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};

pub(in super::super) const TESTS: &[Test] = &[
    Test::integration(
        "mountfs::idmap-image",
        "What root owns in an image the container's root owns inside, where erofs has id maps",
        idmap_image,
    )
    .modules(&["erofs", "loop"]),
    Test::integration(
        "mountfs::idmap-bind",
        "Owners of a bind are the container's both ways, where tmpfs has id maps",
        idmap_bind,
    ),
    Test::integration(
        "mountfs::idmap-recursive",
        "ridmap reaches the submounts, idmap does not",
        idmap_recursive,
    )
    .facilities(&["tmpfs_idmap"]),
    Test::integration("mountfs::idmap-tmpfs", "A new tmpfs has the map that was asked for", idmap_tmpfs),
    Test::integration(
        "mountfs::idmap-overlay",
        "An overlay has an id map where the kernel can, and is refused elsewhere",
        idmap_overlay,
    )
    .modules(&["overlay"]),
    Test::integration(
        "mountfs::idmap-by-namespace",
        "A map can be that of a user namespace by path",
        idmap_by_namespace,
    )
    .facilities(&["tmpfs_idmap"]),
    Test::integration(
        "mountfs::idmap-again",
        "A source with a map gets another one since Linux 6.15, and is refused before",
        idmap_again,
    )
    .facilities(&["tmpfs_idmap"]),
    Test::integration(
        "mountfs::idmap-needs-new-calls",
        "Without mount_setattr an id map is refused with the version that brings it",
        idmap_needs_new_calls,
    ),
];

fn container(recursive: bool) -> Idmap {
    Idmap { maps: IdmapSource::Container, recursive }
}

fn idmap_image(ctx: &mut Context) -> Result {
    let path = ctx.scratch().join("image.erofs");
    fs::write(&path, sources::EROFS)?;
    let mut root = with_program(RootFs::new(RootSource::Image(path)))?;
    let way = contained()?;
    let facts = ask(&way, &root, &["stat:/etc/hello"])?;
    ensure!(facts.get("stat:/etc/hello")?.starts_with("65534:65534 "), "without: {facts:?}");
    root.idmap = Some(container(false));
    root.mounts.push(proc()?);
    if kernel::since(5, 19)? {
        let facts = ask(&way, &root, &["stat:/etc/hello", MOUNTINFO])?;
        ensure!(facts.get("stat:/etc/hello")?.starts_with("0:0 "), "with it: {facts:?}");
        let options = &line(&seen(&facts)?, "/")?.options.clone();
        ensure!(options.iter().any(|word| word == "idmapped"), "its options: {options:?}");
    } else {
        root.id_maps = Some(IdMaps::range(0, 100_000, 65_536));
        let error = root.prepare(&way.host).err().or_fail("a refusal")?;
        ensure_eq!(error.kind(), ErrorKind::UnsupportedKernel, "{error}");
        ensure!(error.hint().is_some_and(|hint| hint.contains("5.1")), "the hint of {error}");
    }
    Ok(())
}

fn idmap_bind(ctx: &mut Context) -> Result {
    let volume = Volume::new(ctx, "volume")?;
    fs::write(volume.path.join("file"), "")?;
    chown(volume.path.join("file"), Some(7), Some(8))?;
    let mut root = light(ctx)?;
    add(&mut root, "bind", volume.text()?, "/data", &["bind", "idmap"])?;
    let way = contained()?;
    if kernel::since(6, 3)? {
        ensure!(ctx.has("tmpfs_idmap")?, "the probe says that tmpfs has no id maps");
        let facts = ask(&way, &root, &["stat:/data/file", "write:/data/new=x"])?;
        ensure!(facts.get("stat:/data/file")?.starts_with("7:8 "), "the owner inside: {facts:?}");
        ensure_eq!(facts.get("write:/data/new=x")?, "", "making a file inside");
        ensure_eq!(fs::metadata(volume.path.join("new"))?.uid(), 0, "its owner outside");
    } else {
        ensure!(!ctx.has("tmpfs_idmap")?, "the probe says that tmpfs has id maps");
        root.id_maps = Some(IdMaps::range(0, 100_000, 65_536));
        let error = root.prepare(&way.host).err().or_fail("a refusal")?;
        ensure_eq!(error.kind(), ErrorKind::UnsupportedKernel, "{error}");
    }
    Ok(())
}

fn idmap_recursive(ctx: &mut Context) -> Result {
    let outer = Volume::new(ctx, "outer")?;
    let inner = Volume::new(ctx, "outer/inner")?;
    fs::write(inner.path.join("file"), "")?;
    for (option, owner) in [("idmap", "65534:65534 "), ("ridmap", "0:0 ")] {
        let mut root = light(ctx)?;
        add(&mut root, "bind", outer.text()?, "/data", &["rbind", option])?;
        let facts = ask(&contained()?, &root, &["stat:/data/inner/file"])?;
        ensure!(facts.get("stat:/data/inner/file")?.starts_with(owner), "{option}: {facts:?}");
        fs::remove_dir_all(ctx.scratch().join("image"))?;
    }
    Ok(())
}

fn idmap_tmpfs(ctx: &mut Context) -> Result {
    let mut root = light(ctx)?;
    let mut mount = super::tmpfs("/data")?;
    mount.idmap = Some(Idmap { maps: IdmapSource::Maps(IdMaps::range(0, 100_005, 10)), recursive: false });
    root.mounts.push(mount);
    for (way, owner) in [(plain()?, "100005:100005 "), (contained()?, "5:5 ")] {
        if kernel::since(6, 3)? {
            let facts = ask(&way, &root, &["stat:/data"])?;
            ensure!(facts.get("stat:/data")?.starts_with(owner), "{facts:?}, {}", way.name);
        } else {
            let error = root.prepare(&way.host).err().or_fail("a refusal")?;
            ensure_eq!(error.kind(), ErrorKind::UnsupportedKernel, "{error}, {}", way.name);
        }
    }
    Ok(())
}

fn idmap_overlay(ctx: &mut Context) -> Result {
    for name in ["low", "high"] {
        fs::create_dir(ctx.scratch().join(name))?;
    }
    fs::write(ctx.scratch().join("low/init"), "")?;
    fs::write(ctx.scratch().join("high/file"), "")?;
    let layers = ["high", "low"].map(|name| ctx.scratch().join(name));
    let mut root = with_program(RootFs::new(Overlay::new(layers)))?;
    root.idmap = Some(container(false));
    let way = contained()?;
    if kernel::since(7, 3)? {
        let facts = ask(&way, &root, &["stat:/file"])?;
        ensure!(facts.get("stat:/file")?.starts_with("0:0 "), "{facts:?}");
    } else {
        root.id_maps = Some(IdMaps::range(0, 100_000, 65_536));
        let error = root.prepare(&way.host).err().or_fail("a refusal")?;
        ensure_eq!(error.kind(), ErrorKind::UnsupportedKernel, "{error}");
    }
    Ok(())
}

fn idmap_by_namespace(ctx: &mut Context) -> Result {
    let volume = Volume::new(ctx, "volume")?;
    let isolation = Isolation { new: Namespaces::USER, ids: Some(ns::mapped()), ..Isolation::default() };
    let sleeper = Sleeper::start(&isolation, None, vec![])?;
    let mut root = light(ctx)?;
    let option = format!("idmap=/proc/{}/ns/user", sleeper.pid());
    add(&mut root, "bind", volume.text()?, "/data", &["bind", &option])?;
    let facts = ask(&plain()?, &root, &["stat:/data"])?;
    ensure!(facts.get("stat:/data")?.starts_with("100000:100000 "), "{facts:?}");
    let mut wrong = light_again(ctx)?;
    add(&mut wrong, "bind", volume.text()?, "/data", &["bind", "idmap=/no/such/namespace"])?;
    let error = wrong.prepare(&plain()?.host).err().or_fail("a refusal")?;
    ensure!(error.to_string().contains("/no/such/namespace"), "the error says {error}");
    Ok(())
}

fn light_again(ctx: &Context) -> Result<RootFs> {
    fs::remove_dir_all(ctx.scratch().join("image"))?;
    light(ctx)
}

fn idmap_again(ctx: &mut Context) -> Result {
    use cofferdam_sys::mount::{OpenTree, mount_idmap, move_mount, open_tree};
    use cofferdam_sys::open::{Dir, Open, Resolve, openat2};
    use std::os::fd::AsFd;
    let volume = Volume::new(ctx, "volume")?;
    // The volume as a mount that has a map: root is user 5 there.
    let isolation = Isolation {
        new: Namespaces::USER,
        ids: Some(cofferdam_ns::IdMaps {
            uid: vec![cofferdam_ns::IdMap::new(0, 5, 10)],
            gid: vec![cofferdam_ns::IdMap::new(0, 5, 10)],
        }),
        ..Isolation::default()
    };
    let sleeper = Sleeper::start(&isolation, None, vec![])?;
    let userns = fs::File::open(format!("/proc/{}/ns/user", sleeper.pid()))?;
    let path = std::ffi::CString::new(volume.text()?)?;
    let mapped = ctx.scratch().join("mapped");
    fs::create_dir(&mapped)?;
    let tree = open_tree(Dir::Cwd, &path, OpenTree::CLONE)?;
    mount_idmap(tree.as_fd(), false, userns.as_fd())?;
    let place = std::ffi::CString::new(mapped.to_str().or_fail("a path in UTF-8")?)?;
    let place = openat2(Dir::Cwd, &place, Open::PATH, 0, Resolve::empty())?;
    move_mount(tree.as_fd(), (&place).into())?;
    drop(place);
    let outcome = mapped_again(ctx, mapped.to_str().or_fail("a path in UTF-8")?);
    drop(tree);
    nix::mount::umount2(&mapped, nix::mount::MntFlags::MNT_DETACH)?;
    outcome
}

fn mapped_again(ctx: &Context, source: &str) -> Result {
    ensure_eq!(fs::metadata(source)?.uid(), 5, "the owner in the mount with a map");
    let mut root = light(ctx)?;
    add(&mut root, "bind", source, "/data", &["bind", "idmap"])?;
    let way = contained()?;
    ensure_eq!(ctx.has("open_tree_attr")?, kernel::since(6, 15)?, "what the probe says");
    if kernel::since(6, 15)? {
        let facts = ask(&way, &root, &["stat:/data"])?;
        ensure!(facts.get("stat:/data")?.starts_with("0:0 "), "{facts:?}");
    } else {
        root.id_maps = Some(IdMaps::range(0, 100_000, 65_536));
        let error = root.prepare(&way.host).err().or_fail("a refusal")?;
        ensure_eq!(error.kind(), ErrorKind::UnsupportedKernel, "{error}");
        ensure!(error.hint().is_some_and(|hint| hint.contains("6.15")), "the hint of {error}");
    }
    Ok(())
}

fn idmap_needs_new_calls(ctx: &mut Context) -> Result {
    let mut root = light(ctx)?;
    root.id_maps = Some(IdMaps::range(0, 100_000, 65_536));
    add(&mut root, "bind", "/run", "/data", &["bind", "idmap"])?;
    let error = root.prepare(&plain()?.host.at_most(Api::Fsmount)).err().or_fail("a refusal")?;
    ensure_eq!(error.kind(), ErrorKind::UnsupportedKernel, "{error}");
    ensure!(error.hint().is_some_and(|hint| hint.contains("5.12")), "the hint of {error}");
    root.id_maps = None;
    let error = root.prepare(&plain()?.host).err().or_fail("a refusal")?;
    let kind = if kernel::since(5, 12)? { ErrorKind::InvalidInput } else { ErrorKind::UnsupportedKernel };
    ensure_eq!(error.kind(), kind, "a map of a container without one: {error}");
    Ok(())
}
