//! A kernel build tree: `--kernel-tree DIR`, as for `git bisect run`.

use anyhow::Result;
use std::path::{Path, PathBuf};

use super::path::KernelPath;
use super::{Kernel, KernelSpec, Provider, Resolved};
use crate::fail;

/// The image of a build tree and the modules in it.
#[derive(Debug)]
pub struct KernelTree {
    inner: KernelPath,
}

impl KernelTree {
    /// Finds the image and the modules of a tree that has been built.
    ///
    /// # Errors
    ///
    /// When there is no image in it (exit 2).
    pub fn new(dir: &Path) -> Result<Self> {
        let images = ["arch/x86/boot/bzImage", "vmlinux"];
        let image = images.iter().map(|image| dir.join(image)).find(|image| image.is_file());
        let image = image.ok_or_else(|| {
            fail::usage(format!(
                "--kernel-tree {}: neither {} is there; build the kernel first (make bzImage modules)",
                dir.display(),
                images.join(" nor ")
            ))
        })?;
        let inner = KernelPath::new(&image, modules(dir).as_deref())?;
        Ok(Self { inner })
    }
}

/// Modules that were installed into the tree (`INSTALL_MOD_PATH`), else those that lie beside their sources.
fn modules(dir: &Path) -> Option<PathBuf> {
    if dir.join("lib/modules").is_dir() || dir.join("modules.order").is_file() {
        return Some(dir.to_owned());
    }
    None
}

impl Provider for KernelTree {
    fn list(&self) -> Result<Vec<KernelSpec>> {
        self.inner.list()
    }

    fn resolve(&self, spec: &KernelSpec) -> Result<Resolved> {
        self.inner.resolve(spec)
    }

    fn fetch(&self, resolved: &Resolved) -> Result<Kernel> {
        self.inner.fetch(resolved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn built_tree_is_taken_with_its_modules() {
        let dir = tempfile::tempdir().unwrap();
        let error = KernelTree::new(dir.path()).unwrap_err();
        assert_eq!(fail::exit_code(&error), 2);
        assert!(error.to_string().contains("make bzImage"));

        let elf = [&b"\x7fELF Linux version 7.4.0-rc1 (gcc)"[..], &[0; 300]].concat();
        fs::write(dir.path().join("vmlinux"), elf).unwrap();
        let kernel =
            |tree: &KernelTree| tree.fetch(&tree.resolve(&tree.list().unwrap()[0]).unwrap()).unwrap();
        let found = kernel(&KernelTree::new(dir.path()).unwrap());
        assert_eq!((found.series.as_str(), found.modules), ("7.4", None));

        fs::write(dir.path().join("modules.order"), "").unwrap();
        let found = kernel(&KernelTree::new(dir.path()).unwrap());
        assert_eq!(found.modules, Some(fs::canonicalize(dir.path()).unwrap()));
    }
}
