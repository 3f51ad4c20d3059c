//! What a guest boots: the kernel as ELF, and an initramfs with modules and programs.

pub mod cpio;
pub mod index;
pub mod libs;
pub mod modinfo;
pub mod modules;
pub mod systemd;
pub mod vmlinux;

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hasher as _};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use anyhow::{Context as _, Result};

use crate::fail;
use crate::kernels::Kernel;
use crate::kernels::cache::Cache;
use crate::qemu::unnamed::Unnamed;
use cpio::Archive;
use index::Index;
use modules::Selection;

/// How many archives of modules are kept for a kernel.
const KEPT: usize = 12;

/// What goes into an image.
#[derive(Debug, Clone, Copy)]
pub struct ImageSpec<'a> {
    /// The kernel.
    pub kernel: &'a Kernel,
    /// Modules by name or alias; what they depend on is added.
    pub modules: &'a [String],
    /// Keep the modules' signatures: lockdown wants them, all else loads four times faster without.
    pub signed: bool,
    /// Programs and other files: path in the guest, file here, mode.
    pub files: &'a [(String, PathBuf, u32)],
}

/// What QEMU boots; keep it while guests boot or resume from it.
#[derive(Debug)]
pub struct Image {
    /// The kernel.
    pub vmlinux: PathBuf,
    /// The initramfs; valid in this process and its children, as long as this value lives.
    pub initrd: PathBuf,
    /// Wanted modules that the kernel has neither as a module nor built in.
    pub absent: Vec<String>,
    _initrd: Unnamed,
}

/// Builds an image; kernel and modules come from the cache when they are there.
///
/// # Errors
///
/// When the kernel, a module or a file cannot be read or is damaged, or the cache cannot be written.
pub fn build(spec: &ImageSpec<'_>, cache: &Cache) -> Result<Image> {
    // Two threads or runs may want the same kernel for the first time; the second finds it made. The lock of the
    // cache is for runs: it says that it waits.
    static BUILDING: Mutex<()> = Mutex::new(());
    let _building = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    let _lock = cache.lock(&format!("image-{}", spec.kernel.id))?;
    let vmlinux = kernel(spec.kernel, cache)?;
    let (modules, absent) = modules_archive(spec, cache)?;

    let mut initrd = Unnamed::new(cache)?;
    pack(initrd.file(), modules.as_deref(), spec.files)
        .map_err(|error| cache.explain(error, &cache.path("tmp")))
        .context("writing the initramfs")?;
    Ok(Image { vmlinux, initrd: initrd.path().to_owned(), absent, _initrd: initrd })
}

/// The names of `wanted` modules that the kernel has neither as a module nor built in, without building anything.
///
/// # Errors
///
/// When a module cannot be read, or the cache cannot be written.
pub fn absent(kernel: &Kernel, wanted: &[String], cache: &Cache) -> Result<Vec<String>> {
    let Some(folder) = &kernel.modules else { return Ok(Vec::new()) };
    let index = Index::load(folder, &kernel.id, cache)?;
    Ok(modules::select(&index, wanted).absent)
}

/// The bootable kernel, made once from each state of the kernel's file.
fn kernel(kernel: &Kernel, cache: &Cache) -> Result<PathBuf> {
    let meta = fs::metadata(&kernel.vmlinuz).map_err(|error| {
        fail::usage(format!("the kernel {} cannot be read: {error}", kernel.vmlinuz.display()))
    })?;
    let changed = meta.modified()?.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos());
    let entry = format!("images/{}/vmlinux-{:016x}", kernel.id, key(&(&kernel.vmlinuz, meta.len(), changed)));
    let path = cache.path(&entry);
    if path.is_file() {
        return Ok(path);
    }
    let elf = vmlinux::vmlinux(&kernel.vmlinuz)?;
    cache.put(&entry, |file| Ok(file.write_all(&elf)?))
}

/// The archive of modules, made once for each selection, and the names that nobody has.
///
/// Without a modules folder everything may be built in: nothing is called absent then, and tests probe.
fn modules_archive(spec: &ImageSpec<'_>, cache: &Cache) -> Result<(Option<PathBuf>, Vec<String>)> {
    let Some(folder) = &spec.kernel.modules else { return Ok((None, Vec::new())) };
    let index = Index::load(folder, &spec.kernel.id, cache)?;
    let Selection { order, absent } = modules::select(&index, spec.modules);
    if order.is_empty() {
        return Ok((None, absent));
    }
    let states: Vec<_> = order
        .iter()
        .filter_map(|(name, _)| index.modules.get(name))
        .map(|m| (&m.path, m.size, m.changed))
        .collect();
    let entry =
        format!("images/{}/modules-{:016x}.cpio", spec.kernel.id, key(&(folder, spec.signed, states)));
    let path = cache.path(&entry);
    if path.is_file() {
        return Ok((Some(path), absent));
    }
    let path = cache.put(&entry, |file| write_modules(file, folder, &order, spec.signed))?;
    prune(&cache.path(format!("images/{}", spec.kernel.id)), KEPT);
    Ok((Some(path), absent))
}

/// Removes all but the newest archives of modules: each change of what tests want makes one.
fn prune(folder: &Path, kept: usize) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let archives = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("modules-"));
    let mut dated: Vec<_> =
        archives.filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path()))).collect();
    dated.sort();
    let surplus = dated.len().saturating_sub(kept);
    for (_, path) in dated.into_iter().take(surplus) {
        // What cannot be removed only takes room.
        fs::remove_file(path).ok();
    }
}

fn write_modules(file: &mut File, folder: &Path, order: &[(String, String)], signed: bool) -> Result<()> {
    let mut archive = Archive::new(BufWriter::new(file));
    let list: Vec<&str> = order.iter().flat_map(|(name, _)| [name, ".ko\n"]).collect();
    archive.file("/lab/modules/order", list.concat().as_bytes(), 0o644)?;
    for (name, path) in order {
        let module = modinfo::read(&folder.join(path))?;
        let module = if signed { &module } else { modinfo::strip_signature(&module) };
        archive.file(&format!("/lab/modules/{name}.ko"), module, 0o644)?;
    }
    archive.finish()?.flush()?;
    Ok(())
}

/// Writes the modules' archive and, behind it, one of the files.
fn pack(initrd: &mut File, modules: Option<&Path>, files: &[(String, PathBuf, u32)]) -> Result<()> {
    if let Some(modules) = modules {
        std::io::copy(&mut File::open(modules)?, initrd)?;
    }
    let mut archive = Archive::new(BufWriter::new(initrd));
    for (guest, here, mode) in files {
        let content = fs::read(here).map_err(|error| {
            fail::usage(format!("{} cannot be packed for the guest: {error}", here.display()))
        })?;
        archive.file(guest, &content, *mode)?;
    }
    archive.finish()?.flush()?;
    Ok(())
}

/// A key for names in the cache; another compiler's hash costs a rebuild and no more.
fn key(what: &impl std::hash::Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel_in(folder: &Path) -> Kernel {
        Kernel {
            series: "6.1".into(),
            flavour: "custom".into(),
            release: "6.1.0".into(),
            vmlinuz: folder.join("vmlinuz"),
            modules: None,
            id: "test".into(),
        }
    }

    #[test]
    fn the_oldest_archives_go() {
        let folder = tempfile::tempdir().unwrap();
        for (number, name) in
            ["modules-c.cpio", "modules-a.cpio", "modules-b.cpio", "vmlinux-1"].iter().enumerate()
        {
            let file = File::create(folder.path().join(name)).unwrap();
            file.set_modified(UNIX_EPOCH + std::time::Duration::from_secs(number as u64)).unwrap();
        }
        prune(folder.path(), 2);
        let mut left: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["modules-a.cpio", "modules-b.cpio", "vmlinux-1"]);
    }

    #[test]
    fn archives_follow_each_other_in_one_initramfs() {
        let folder = tempfile::tempdir().unwrap();
        let (modules, init) = (folder.path().join("modules.cpio"), folder.path().join("init"));
        fs::write(&modules, b"first archive").unwrap();
        fs::write(&init, "program").unwrap();
        let mut initrd = Unnamed::at(folder.path()).unwrap();
        pack(initrd.file(), Some(&modules), &[("/init".into(), init, 0o755)]).unwrap();
        let bytes = fs::read(initrd.path()).unwrap();
        assert!(
            bytes.starts_with(b"first archive070701")
                && bytes.windows(10).any(|window| window == b"TRAILER!!!")
        );
        let gone = [("/x".to_owned(), folder.path().join("gone"), 0o644)];
        let error = pack(initrd.file(), None, &gone).unwrap_err();
        assert!(error.to_string().contains("gone cannot be packed"), "{error}");
    }

    #[test]
    fn what_is_no_kernel_leaves_nothing_in_the_cache() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path()).unwrap();
        let kernel = kernel_in(root.path());
        let spec = ImageSpec { kernel: &kernel, modules: &[], signed: false, files: &[] };
        assert_eq!(fail::exit_code(&build(&spec, &cache).unwrap_err()), 2);
        fs::write(&kernel.vmlinuz, "MZ but no kernel").unwrap();
        let error = build(&spec, &cache).unwrap_err();
        assert!(error.to_string().contains("vmlinuz cannot be booted"), "{error}");
        assert!(!cache.path("images").exists());
    }
}
