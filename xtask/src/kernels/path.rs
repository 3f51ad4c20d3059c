//! A kernel of the user's own: `--kernel-path VMLINUZ [--modules DIR]`.

use anyhow::{Context as _, Result};
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::{Flavour, Kernel, KernelSpec, Provider, Resolved, image};
use crate::fail;

/// One image and, if it has any, its modules.
#[derive(Debug)]
pub struct KernelPath {
    kernel: Kernel,
}

impl KernelPath {
    /// Looks at the image and the folder.
    ///
    /// # Errors
    ///
    /// When the image is no kernel, or the folder does not exist (exit 2).
    pub fn new(vmlinuz: &Path, modules: Option<&Path>) -> Result<Self> {
        let release = image::release(vmlinuz)?;
        let modules = modules.map(|dir| folder(dir, &release)).transpose()?;
        let vmlinuz = absolute(vmlinuz)?;
        let id = format!("custom-{release}-{:016x}", fingerprint(&vmlinuz, modules.as_deref())?);
        let kernel = Kernel {
            series: image::series(&release),
            flavour: "custom".to_owned(),
            release,
            vmlinuz,
            modules,
            id,
        };
        Ok(Self { kernel })
    }
}

impl Provider for KernelPath {
    fn list(&self) -> Result<Vec<KernelSpec>> {
        Ok(vec![KernelSpec::new(&self.kernel.series, Flavour::Generic)])
    }

    fn resolve(&self, spec: &KernelSpec) -> Result<Resolved> {
        Ok(Resolved {
            spec: spec.clone(),
            release: self.kernel.release.clone(),
            version: self.kernel.release.clone(),
            id: self.kernel.id.clone(),
            size: 0,
            cached: true,
            packages: Vec::new(),
        })
    }

    fn fetch(&self, _resolved: &Resolved) -> Result<Kernel> {
        Ok(self.kernel.clone())
    }
}

/// The modules folder; that of an installation root (`lib/modules/RELEASE` inside) is found too.
fn folder(dir: &Path, release: &str) -> Result<PathBuf> {
    let inside = dir.join("lib/modules").join(release);
    let chosen = if inside.is_dir() { inside } else { dir.to_owned() };
    if !chosen.is_dir() {
        return Err(fail::usage(format!(
            "--modules {} is no folder: give the one that holds the modules of {release}, such as /lib/modules/{release}",
            dir.display()
        )));
    }
    absolute(&chosen)
}

fn absolute(path: &Path) -> Result<PathBuf> {
    fs::canonicalize(path).with_context(|| format!("resolving {}", path.display()))
}

/// A number that changes with the image or any module: names, sizes and times of the files.
fn fingerprint(vmlinuz: &Path, modules: Option<&Path>) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    hash_file(vmlinuz, &mut hasher)?;
    let mut folders: Vec<PathBuf> = modules.map(Path::to_owned).into_iter().collect();
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
        let mut entries: Vec<_> = entries.collect::<Result<_, _>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if entry.file_type()?.is_dir() {
                // Of a source tree: large, and without modules.
                if !matches!(&*name, ".git" | "Documentation" | "tools" | "include") {
                    folders.push(entry.path());
                }
            } else if name.contains(".ko") {
                hash_file(&entry.path(), &mut hasher)?;
            }
        }
    }
    Ok(hasher.finish())
}

fn hash_file(path: &Path, hasher: &mut DefaultHasher) -> Result<()> {
    let metadata = fs::metadata(path).with_context(|| format!("reading {}", path.display()))?;
    let changed = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    (path, metadata.len(), changed).hash(hasher);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(dir: &Path) -> PathBuf {
        let path = dir.join("vmlinux");
        fs::write(&path, [&b"\x7fELF Linux version 6.9.3-mine (gcc)"[..], &[0; 300]].concat()).unwrap();
        path
    }

    #[test]
    fn own_kernel_with_modules() {
        let dir = tempfile::tempdir().unwrap();
        let path = image(dir.path());
        let modules = dir.path().join("root/lib/modules/6.9.3-mine");
        fs::create_dir_all(modules.join("kernel")).unwrap();
        fs::write(modules.join("kernel/a.ko"), "1").unwrap();
        let get = || {
            let provider = KernelPath::new(&path, Some(&dir.path().join("root"))).unwrap();
            let specs = provider.list().unwrap();
            let resolved = provider.resolve(&specs[0]).unwrap();
            provider.fetch(&resolved).unwrap()
        };
        let kernel = get();
        assert_eq!((kernel.series.as_str(), kernel.flavour.as_str()), ("6.9", "custom"));
        assert!(kernel.modules.as_ref().unwrap().ends_with("lib/modules/6.9.3-mine"));
        assert_eq!(kernel.id, get().id);
        fs::write(modules.join("kernel/a.ko"), "12").unwrap();
        assert_ne!(kernel.id, get().id);
    }

    #[test]
    fn what_is_no_kernel_or_no_folder_is_a_usage_error() {
        let dir = tempfile::tempdir().unwrap();
        let error = KernelPath::new(dir.path(), None).unwrap_err();
        assert_eq!(fail::exit_code(&error), 2);
        let error = KernelPath::new(&image(dir.path()), Some(Path::new("/nowhere"))).unwrap_err();
        assert_eq!(fail::exit_code(&error), 2);
        assert!(error.to_string().contains("--modules /nowhere"));
    }
}
