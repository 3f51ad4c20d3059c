//! File capabilities as an attribute of a file.

use super::{ask, copy, host, on_a_thread, root, shown};
use crate::guest::paths;
use crate::registry::{Context, OrFail, Result};
use cofferdam_caps::{Cap, CapSet, ErrorKind, FileCaps, Sets};
use cofferdam_ns::{Isolation, Namespaces};
use cofferdam_sys::open::{Dir, Open, Resolve, openat2};
use cofferdam_sys::{Errno, xattr};
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::path::Path;

fn empty_file(ctx: &Context) -> Result<std::path::PathBuf> {
    let path = ctx.scratch().join("file");
    fs::write(&path, "")?;
    Ok(path)
}

pub(super) fn written_and_read(ctx: &mut Context) -> Result {
    empty_file(ctx)?;
    symlink("file", ctx.scratch().join("link"))?;
    let directory = File::open(ctx.scratch())?;
    let dir = Dir::Fd(directory.as_fd());
    let open = |flags| openat2(dir, c"file", flags, 0, Resolve::empty());
    for text in ["cap_net_raw=ep", "cap_kill=eip cap_net_raw=ep", "cap_chown,cap_bpf=p", "="] {
        let caps: FileCaps = text.parse()?;
        for way in ["by name", "by descriptor", "by O_PATH"] {
            match way {
                "by name" => caps.write_at(dir, c"file")?,
                "by descriptor" => caps.write(open(Open::empty())?)?,
                _ => caps.write(open(Open::PATH)?)?,
            }
            let read = [
                FileCaps::read_at(dir, c"file")?,
                FileCaps::read(open(Open::empty())?)?,
                FileCaps::read(open(Open::PATH)?)?,
            ];
            ensure_eq!(read, [Some(caps); 3], "{text}, written {way}");
            ensure_eq!(FileCaps::read_at(dir, c"link")?, None, "those of a link to it");
            let removed = match way {
                "by name" => FileCaps::remove_at(dir, c"file")?,
                "by descriptor" => FileCaps::remove(open(Open::empty())?)?,
                _ => FileCaps::remove(open(Open::PATH)?)?,
            };
            ensure!(removed, "removed {way}");
            ensure_eq!(FileCaps::read_at(dir, c"file")?, None, "after removing them {way}");
        }
    }
    // Without the right to it nothing is written, and the error names what is missing.
    on_a_thread(|| {
        Sets { bounding: Sets::current()?.bounding, ..Sets::default() }.apply()?;
        let error = FileCaps::effective(Cap::KILL.into()).write_at(dir, c"file").err().or_fail("an error")?;
        ensure_eq!(error.kind(), ErrorKind::Os(Errno::EPERM), "{error}");
        ensure!(error.to_string().contains("CAP_SETFCAP"), "{error}");
        Ok(())
    })
}

/// The user namespace of the tests: its root is [`root_outside`] outside.
fn inside() -> Isolation {
    Isolation { new: Namespaces::USER, ids: Some(super::super::ns::mapped()), ..Isolation::default() }
}

/// The id outside of the root of [`inside`].
fn root_outside() -> Result<u32> {
    super::super::ns::mapped().outside_uid(0).or_fail("the id of its root outside")
}

pub(super) fn of_a_namespace(ctx: &mut Context) -> Result {
    let program = copy(ctx)?;
    let path = program.to_str().or_fail("a path in UTF-8")?;
    let getcap = format!("getcap:{path}");
    let sets = Sets { permitted: CapSet::EMPTY, effective: CapSet::EMPTY, ..Sets::rooted(CapSet::HARDENED) };
    let user = super::user();
    let outside = root_outside()?;
    let wanted = FileCaps::effective(Cap::KILL.into());

    // Of another namespace's root: visible as such, and without effect here.
    let caps = FileCaps { rootid: Some(outside), ..wanted };
    caps.write(File::open(&program)?)?;
    ensure_eq!(FileCaps::read(File::open(&program)?)?, Some(caps), "as read outside");
    let here = super::ask_with(&host(), &sets, &user, false, path, &[])?;
    ensure!(shown(&here)?.permitted.is_empty(), "gained outside: {:?}", shown(&here)?);
    let there = super::ask_with(&inside(), &sets, &user, false, path, &[&getcap])?;
    ensure_eq!(shown(&there)?.effective, wanted.permitted, "gained inside");
    ensure_eq!(there.get(&getcap)?, "cap_kill=ep", "as read inside");

    // Of the initial namespace's root: the kernel shows it as version 2, and it counts below too.
    FileCaps { rootid: Some(0), ..wanted }.write(File::open(&program)?)?;
    ensure_eq!(FileCaps::read(File::open(&program)?)?, Some(wanted), "root id 0, as read outside");
    let here = super::ask_with(&host(), &sets, &user, false, path, &[])?;
    ensure_eq!(shown(&here)?.effective, wanted.permitted, "gained outside by root id 0");
    let there = super::ask_with(&inside(), &sets, &user, false, path, &[])?;
    ensure_eq!(shown(&there)?.effective, wanted.permitted, "gained inside by root id 0");
    Ok(())
}

pub(super) fn written_in_a_namespace(ctx: &mut Context) -> Result {
    let file = empty_file(ctx)?;
    let outside = root_outside()?;
    // The namespace's root may change its own file alone.
    std::os::unix::fs::chown(&file, Some(outside), Some(outside))?;
    let setcap = |text: &str| format!("setcap:{}={text}", file.display());
    let (own, unmapped) = (setcap("cap_kill=ep"), setcap("cap_kill=ep [rootid=999999]"));
    let facts = ask(&inside(), &Sets::rooted(CapSet::HARDENED), &root(), paths::INIT, &[&own])?;
    ensure_eq!(facts.get(&own)?, "", "writing version 2 inside");
    let read = FileCaps::read(File::open(&file)?)?;
    let expected = FileCaps { rootid: Some(outside), ..FileCaps::effective(Cap::KILL.into()) };
    ensure_eq!(read, Some(expected), "as read outside");
    let facts = ask(&inside(), &Sets::rooted(CapSet::HARDENED), &root(), paths::INIT, &[&unmapped])?;
    ensure_eq!(facts.get(&unmapped)?, "!EINVAL", "a root id that is not mapped");
    Ok(())
}

pub(super) fn changed(ctx: &mut Context) -> Result {
    let path = empty_file(ctx)?;
    let caps = FileCaps::effective(Cap::KILL.into());
    let with_caps = |change: &dyn Fn(&Path) -> std::io::Result<()>| -> Result<Option<FileCaps>> {
        caps.write(File::open(&path)?)?;
        change(&path)?;
        Ok(FileCaps::read(File::open(&path)?)?)
    };
    ensure_eq!(with_caps(&|_| Ok(()))?, Some(caps), "of a file that nothing happened to");
    let written = with_caps(&|path| File::options().append(true).open(path)?.write_all(b"more"))?;
    ensure_eq!(written, None, "of a file that was written to");
    let given = with_caps(&|path| std::os::unix::fs::chown(path, Some(1000), None))?;
    ensure_eq!(given, None, "of a file that was given away");
    let renamed = with_caps(&|path| {
        let other = path.with_extension("other");
        fs::rename(path, &other)?;
        fs::rename(other, path)
    })?;
    ensure_eq!(renamed, Some(caps), "of a file that was renamed");
    Ok(())
}

pub(super) fn malformed(ctx: &mut Context) -> Result {
    let path = empty_file(ctx)?;
    let file = File::open(&path)?;
    let two = FileCaps::effective(Cap::KILL.into()).to_bytes();
    let three = FileCaps { rootid: Some(1000), ..FileCaps::effective(Cap::KILL.into()) }.to_bytes();
    let changed = |bytes: &[u8], place: usize, value: u8| {
        let mut bytes = bytes.to_vec();
        if let Some(byte) = bytes.get_mut(place) {
            *byte = value;
        }
        bytes
    };
    let tries = [
        two.clone(),
        three.clone(),
        changed(&two, 0, 2),
        changed(&two, 2, 1),
        changed(&two, 3, 0),
        changed(&two, 3, 4),
        changed(&two, 3, 3),
        changed(&three, 3, 2),
        two.get(..19).or_fail("bytes")?.to_vec(),
        [two.clone(), vec![0]].concat(),
        three.get(..23).or_fail("bytes")?.to_vec(),
        [three, vec![0; 4]].concat(),
        vec![0; 64],
        // Not none at all: the kernel stores an empty value unseen, and no program with it is executed.
        vec![1],
    ];
    for bytes in tries {
        let ours = FileCaps::parse(&bytes);
        let kernels = xattr::fsetxattr(file.as_fd(), c"security.capability", &bytes);
        ensure_eq!(ours.is_ok(), kernels.is_ok(), "{bytes:?}: {ours:?}, and the kernel {kernels:?}");
        ensure!(matches!(kernels, Ok(()) | Err(Errno::EINVAL)), "{bytes:?}: the kernel {kernels:?}");
    }
    Ok(())
}
