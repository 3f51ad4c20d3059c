//! Attributes and propagation of mounts, as the container sees them.

use super::{MOUNTINFO, add, ask, contained, light, line, plain, proc, seen, two_ways, ways, writable};
use crate::crates::kernel;
use crate::guest::mounts::{Mount as Entry, Mounted};
use crate::registry::{Context, OrFail, Result, Test};
use cofferdam_mountfs::mountinfo::Optional;
use cofferdam_mountfs::{Api, ErrorKind, Host};
use nix::mount::MsFlags;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

pub(in super::super) const TESTS: &[Test] = &[
    Test::integration("mountfs::back-end", "The kernel's newest mount calls are found by asking", back_end),
    Test::integration(
        "mountfs::bind-attributes",
        "A bind has the attributes that were asked for",
        bind_attributes,
    ),
    Test::integration(
        "mountfs::access-times",
        "Each word for access times is what the mount has",
        access_times,
    ),
    Test::integration(
        "mountfs::no-symlinks-followed",
        "Below a mount with nosymfollow no link is followed",
        no_symlinks_followed,
    ),
    Test::integration(
        "mountfs::recursive-attributes",
        "Recursive attributes reach the submounts, or are refused by name",
        recursive_attributes,
    ),
    Test::integration(
        "mountfs::recursive-nosymfollow",
        "rnosymfollow works since Linux 5.14 and is refused before",
        recursive_nosymfollow,
    ),
    Test::integration(
        "mountfs::bind-leaves-submounts",
        "A bind that is not recursive leaves the submounts out",
        bind_leaves_submounts,
    ),
    Test::integration(
        "mountfs::propagation",
        "A bind is private unless it asks to be slave, shared or unbindable",
        propagation,
    ),
    Test::integration(
        "mountfs::root-propagation",
        "A shared root is a peer group of its own, a slave root listens to the host",
        root_propagation,
    ),
];

/// A directory of the scratch place that is a mount of its own, shared as on a usual host.
pub(super) struct Volume {
    pub(super) path: PathBuf,
    _mount: Mounted,
}

impl Volume {
    pub(super) fn new(ctx: &Context, name: &str) -> Result<Self> {
        let path = ctx.scratch().join(name);
        fs::create_dir_all(&path)?;
        let volume = Self { _mount: tmpfs(&path)?, path };
        nix::mount::mount(None::<&str>, &volume.path, None::<&str>, MsFlags::MS_SHARED, None::<&str>)?;
        Ok(volume)
    }

    pub(super) fn text(&self) -> Result<&str> {
        self.path.to_str().or_fail("a path in UTF-8")
    }
}

fn tmpfs(path: &Path) -> Result<Mounted> {
    let target = path.to_str().or_fail("a path in UTF-8")?;
    Ok(Mounted::new(&Entry { source: "volume", target, kind: "tmpfs", flags: MsFlags::empty(), data: "" })?)
}

fn back_end(_: &mut Context) -> Result {
    let host = Host::probe()?;
    let wanted = if kernel::since(5, 12)? { Api::Setattr } else { Api::Fsmount };
    ensure_eq!(host.api(), wanted, "what this kernel has");
    ensure_eq!(host.at_most(Api::Mount).api(), Api::Mount, "what can be asked for");
    Ok(())
}

/// A volume mounted once for each list of words, on `/data/0` and so on; the words that each mount has then.
fn options(ctx: &mut Context, lists: &[&[&str]]) -> Result<Vec<(String, Vec<Vec<String>>)>> {
    let volume = Volume::new(ctx, "volume")?;
    let mut root = light(ctx)?;
    root.mounts.push(proc()?);
    for (number, words) in lists.iter().enumerate() {
        add(&mut root, "bind", volume.text()?, &format!("/data/{number}"), words)?;
    }
    let mut found = vec![];
    for way in two_ways()? {
        let mounts = seen(&ask(&way, &root, &[MOUNTINFO])?)?;
        let words = |number: usize| -> Result<Vec<String>> {
            let options = line(&mounts, &format!("/data/{number}"))?.options.iter();
            Ok(options.map(|word| word.to_string_lossy().into_owned()).collect())
        };
        found.push((way.name, (0..lists.len()).map(words).collect::<Result<_>>()?));
    }
    Ok(found)
}

fn bind_attributes(ctx: &mut Context) -> Result {
    let wanted = ["ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime"];
    for (way, found) in options(ctx, &[&[&["bind"], &wanted[..]].concat(), &["bind"]])? {
        let [with, without] = found.as_slice() else { fail!("mounts: {found:?}") };
        for word in wanted {
            ensure!(with.iter().any(|found| found == word), "{word} is not in {with:?}, {way}");
        }
        ensure!(!without.iter().any(|word| wanted[..4].contains(&word.as_str())), "{without:?}, {way}");
    }
    Ok(())
}

fn access_times(ctx: &mut Context) -> Result {
    let lists: [&[&str]; 3] = [&["bind", "noatime"], &["bind", "relatime"], &["bind", "strictatime"]];
    for (way, found) in options(ctx, &lists)? {
        for (found, shown) in found.iter().zip([Some("noatime"), Some("relatime"), None]) {
            let times: Vec<_> =
                found.iter().filter(|word| word.ends_with("atime")).map(String::as_str).collect();
            ensure_eq!(times, Vec::from_iter(shown), "access times, {way}");
        }
    }
    Ok(())
}

fn no_symlinks_followed(ctx: &mut Context) -> Result {
    let volume = Volume::new(ctx, "volume")?;
    fs::write(volume.path.join("file"), "text")?;
    symlink("file", volume.path.join("link"))?;
    for (option, through) in [("symfollow", "text"), ("nosymfollow", "!ELOOP")] {
        let mut root = light(ctx)?;
        add(&mut root, "bind", volume.text()?, "/data", &["bind", option])?;
        for way in two_ways()? {
            let facts = ask(&way, &root, &["file:/data/link", "file:/data/file"])?;
            ensure_eq!(facts.get("file:/data/link")?, through, "through a link, {option}, {}", way.name);
            ensure_eq!(facts.get("file:/data/file")?, "text", "without a link, {}", way.name);
        }
        fs::remove_dir_all(ctx.scratch().join("image"))?;
    }
    Ok(())
}

fn recursive_attributes(ctx: &mut Context) -> Result {
    let outer = Volume::new(ctx, "outer")?;
    let inner = outer.path.join("inner");
    fs::create_dir(&inner)?;
    let _inner = tmpfs(&inner)?;
    let mut root = light(ctx)?;
    root.mounts.push(proc()?);
    add(&mut root, "bind", outer.text()?, "/data", &["rbind", "rnosuid", "rnodev", "rro", "rw"])?;
    for way in ways()? {
        if way.is_old() {
            let error = root.prepare(&way.host).err().or_fail(&way.name)?;
            ensure_eq!(error.kind(), ErrorKind::UnsupportedKernel, "{}: {error}", way.name);
            ensure!(error.hint().is_some_and(|hint| hint.contains("5.12")), "the hint, {}", way.name);
            continue;
        }
        let mounts = seen(&ask(&way, &root, &[MOUNTINFO])?)?;
        for (place, access) in [("/data", "rw"), ("/data/inner", "ro")] {
            let options = &line(&mounts, place)?.options;
            for word in ["nosuid", "nodev", access] {
                ensure!(options.iter().any(|found| found == word), "{place}: {options:?}, {}", way.name);
            }
        }
    }
    Ok(())
}

fn recursive_nosymfollow(ctx: &mut Context) -> Result {
    let outer = Volume::new(ctx, "outer")?;
    let inner = outer.path.join("inner");
    fs::create_dir(&inner)?;
    let _inner = tmpfs(&inner)?;
    writable(&inner.join("file"))?;
    symlink("file", inner.join("link"))?;
    let mut root = light(ctx)?;
    add(&mut root, "bind", outer.text()?, "/data", &["rbind", "rnosymfollow"])?;
    let way = contained()?;
    if kernel::since(5, 14)? {
        let facts = ask(&way, &root, &["file:/data/inner/link", "file:/data/inner/file"])?;
        ensure_eq!(facts.get("file:/data/inner/link")?, "!ELOOP", "through a link of a submount");
        ensure_eq!(facts.get("file:/data/inner/file")?, "", "without a link");
    } else {
        let error = root.prepare(&way.host).err().or_fail("a refusal")?;
        ensure_eq!(error.kind(), ErrorKind::UnsupportedKernel, "{error}");
    }
    Ok(())
}

fn bind_leaves_submounts(ctx: &mut Context) -> Result {
    let outer = Volume::new(ctx, "outer")?;
    let inner = outer.path.join("inner");
    fs::create_dir(&inner)?;
    fs::write(inner.join("below"), "")?;
    let _inner = tmpfs(&inner)?;
    fs::write(inner.join("above"), "")?;
    for (option, wanted) in [("bind", "below"), ("rbind", "above")] {
        let mut root = light(ctx)?;
        add(&mut root, "bind", outer.text()?, "/data", &[option])?;
        for way in two_ways()? {
            let facts = ask(&way, &root, &["list:/data/inner"])?;
            ensure_eq!(facts.get("list:/data/inner")?, wanted, "{option}, {}", way.name);
        }
        fs::remove_dir_all(ctx.scratch().join("image"))?;
    }
    Ok(())
}

fn propagation(ctx: &mut Context) -> Result {
    let volume = Volume::new(ctx, "volume")?;
    let mut root = light(ctx)?;
    root.mounts.push(proc()?);
    let words = ["default", "private", "slave", "shared", "unbindable"];
    for word in words {
        let option = if word == "default" { "bind" } else { word };
        add(&mut root, "bind", volume.text()?, &format!("/data/{word}"), &["bind", option])?;
    }
    for way in two_ways()? {
        let mounts = seen(&ask(&way, &root, &[MOUNTINFO])?)?;
        for word in words {
            let found = &line(&mounts, &format!("/data/{word}"))?.optional;
            // A shared one is a peer of the host's volume; in a user namespace also its slave.
            let right = matches!(
                (word, found.as_slice()),
                ("default" | "private", [])
                    | ("unbindable", [Optional::Unbindable])
                    | ("slave", [Optional::Master(_)])
                    | ("shared", [Optional::Shared(_), ..])
            );
            ensure!(right, "{word} is {found:?}, {}", way.name);
        }
    }
    Ok(())
}

fn root_propagation(ctx: &mut Context) -> Result {
    let volume = Volume::new(ctx, "volume")?;
    let mut root = light(ctx)?;
    root.mounts.push(proc()?);
    for way in [contained()?] {
        for (word, wanted) in [("private", "none"), ("rshared", "shared"), ("unbindable", "unbindable")] {
            root.propagation = word.parse()?;
            let mounts = seen(&ask(&way, &root, &[MOUNTINFO])?)?;
            let found = match line(&mounts, "/")?.optional.as_slice() {
                [] => "none",
                [Optional::Shared(_), ..] => "shared",
                [Optional::Unbindable] => "unbindable",
                _ => "another",
            };
            ensure_eq!(found, wanted, "a root that is {word}, {}", way.name);
        }
    }
    // A directory of a shared mount, so that there is somebody to listen to.
    let copy = volume.path.join("image");
    fs::create_dir_all(copy.join("proc"))?;
    fs::write(copy.join("init"), "")?;
    let mut root = super::with_program(cofferdam_mountfs::RootFs::new(copy))?;
    root.mounts.push(proc()?);
    root.propagation = "rslave".parse()?;
    let mounts = seen(&ask(&plain()?, &root, &[MOUNTINFO])?)?;
    let found = &line(&mounts, "/")?.optional;
    ensure!(matches!(found.as_slice(), [Optional::Master(_)]), "a root that is slave: {found:?}");
    Ok(())
}
