//! The note beside each extracted kernel: which packages it is from, and by what it is known to be whole.

use anyhow::{Context as _, Result, anyhow};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::Kernel;
use super::index::Package;

const NAME: &str = "manifest.json";
const SCHEMA: u32 = 1;

/// What was extracted into a folder of the cache.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Manifest {
    schema: u32,
    /// The series.
    pub series: String,
    /// Name of the flavour.
    pub flavour: String,
    /// What `uname -r` says.
    pub release: String,
    /// Debian version.
    pub version: String,
    packages: Vec<Package>,
    vmlinuz_sha256: String,
    modules: Totals,
    /// The sum of all modules, see [`seal`]; notes of older checkouts have none.
    #[serde(default)]
    modules_seal: Option<String>,
}

/// Number and size of all files below a folder.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
struct Totals {
    files: u64,
    bytes: u64,
}

impl Manifest {
    /// Describes the files of a freshly extracted kernel and writes the note beside them.
    ///
    /// # Errors
    ///
    /// When the image or the modules are missing, or a file cannot be read or written.
    pub fn write(dir: &Path, series: &str, flavour: &str, release: &str, packages: &[Package]) -> Result<()> {
        let modules = totals(&dir.join("modules/kernel"))?;
        let manifest = Self {
            schema: SCHEMA,
            series: series.to_owned(),
            flavour: flavour.to_owned(),
            release: release.to_owned(),
            version: packages.first().map(|package| package.version.clone()).unwrap_or_default(),
            packages: packages.to_vec(),
            vmlinuz_sha256: sha256(&dir.join("vmlinuz"))?,
            modules,
            modules_seal: Some(seal(&dir.join("modules/kernel"))?),
        };
        fs::write(dir.join(NAME), serde_json::to_vec_pretty(&manifest)?)?;
        Ok(())
    }

    /// Reads the note; a missing or damaged one counts as none.
    pub fn read(dir: &Path) -> Option<Self> {
        let file = File::open(dir.join(NAME)).ok()?;
        let manifest: Self = serde_json::from_reader(BufReader::new(file)).ok()?;
        (manifest.schema == SCHEMA).then_some(manifest)
    }

    /// Whether the files are those that were extracted.
    pub fn holds(&self, dir: &Path) -> bool {
        let modules = dir.join("modules/kernel");
        let same = |noted: &String| seal(&modules).is_ok_and(|sum| sum == *noted);
        sha256(&dir.join("vmlinuz")).is_ok_and(|sum| sum == self.vmlinuz_sha256)
            && totals(&modules).is_ok_and(|totals| totals == self.modules)
            && self.modules_seal.as_ref().is_none_or(same)
    }

    /// The size of the packages it came from.
    pub fn size(&self) -> u64 {
        self.packages.iter().map(|package| package.size).sum()
    }

    /// The kernel in `dir`.
    pub fn kernel(&self, dir: &Path) -> Kernel {
        Kernel {
            series: self.series.clone(),
            flavour: self.flavour.clone(),
            release: self.release.clone(),
            vmlinuz: dir.join("vmlinuz"),
            modules: Some(dir.join("modules")),
            id: id(&self.packages),
        }
    }
}

/// The name of a kernel's folder: its first package and version, without what file names or QEMU trip over.
pub fn id(packages: &[Package]) -> String {
    let name = packages.first().map(|first| format!("{}_{}", first.name, first.version));
    name.unwrap_or_default().replace(':', "%3a")
}

/// The sum as coreutils computes it: every Debian system has the program.
///
/// # Errors
///
/// When the file cannot be read or the program cannot be run.
pub fn sha256(path: &Path) -> Result<String> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let output =
        Command::new("sha256sum").stdin(file).output().context("running sha256sum (package coreutils)")?;
    sum_of(&output).ok_or_else(|| anyhow!("sha256sum failed on {}", path.display()))
}

/// One sum for a whole tree: it changes with the name or content of any file.
///
/// # Errors
///
/// When a file cannot be read or a program of coreutils or findutils cannot be run.
pub fn seal(dir: &Path) -> Result<String> {
    // One process for all files of a kernel (more than a thousand) instead of one for each.
    let script = "set -o pipefail; find . -type f -print0 | sort -z | xargs -0 -r sha256sum | sha256sum";
    let mut command = Command::new("bash");
    command.args(["-c", script]).current_dir(dir).env("LC_ALL", "C");
    let output = command.output().with_context(|| format!("summing up {}", dir.display()))?;
    sum_of(&output).ok_or_else(|| anyhow!("sha256sum failed in {}", dir.display()))
}

fn sum_of(output: &Output) -> Option<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    let sum = text.split_whitespace().next().filter(|sum| sum.len() == 64 && output.status.success());
    sum.map(str::to_owned)
}

fn totals(dir: &Path) -> Result<Totals> {
    let mut totals = Totals::default();
    let mut folders: Vec<PathBuf> = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                folders.push(entry.path());
            } else {
                totals.files += 1;
                totals.bytes += metadata.len();
            }
        }
    }
    Ok(totals)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extracted() -> (tempfile::TempDir, Manifest) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("modules/kernel/net")).unwrap();
        fs::write(dir.path().join("modules/kernel/net/a.ko"), "module").unwrap();
        fs::write(dir.path().join("vmlinuz"), "image").unwrap();
        let package =
            Package { name: "linux-image-6.12.1".into(), version: "1:6.12.1-1".into(), ..Package::default() };
        Manifest::write(dir.path(), "6.12", "cloud", "6.12.1", &[package]).unwrap();
        let manifest = Manifest::read(dir.path()).unwrap();
        (dir, manifest)
    }

    #[test]
    fn whole_kernel_holds() {
        let (dir, manifest) = extracted();
        assert!(manifest.holds(dir.path()));
        let kernel = manifest.kernel(dir.path());
        assert_eq!((kernel.series.as_str(), kernel.release.as_str()), ("6.12", "6.12.1"));
        assert_eq!(kernel.id, "linux-image-6.12.1_1%3a6.12.1-1");
    }

    #[test]
    fn changed_image_or_missing_module_is_noticed() {
        let (dir, manifest) = extracted();
        fs::write(dir.path().join("vmlinuz"), "imagf").unwrap();
        assert!(!manifest.holds(dir.path()));
        let (dir, manifest) = extracted();
        fs::remove_file(dir.path().join("modules/kernel/net/a.ko")).unwrap();
        assert!(!manifest.holds(dir.path()));
        for changed in ["mod", "modulo"] {
            let (dir, manifest) = extracted();
            fs::write(dir.path().join("modules/kernel/net/a.ko"), changed).unwrap();
            assert!(!manifest.holds(dir.path()), "{changed}");
        }
        let (dir, manifest) = extracted();
        fs::rename(dir.path().join("modules/kernel/net/a.ko"), dir.path().join("modules/kernel/net/b.ko"))
            .unwrap();
        assert!(!manifest.holds(dir.path()), "another name");
    }

    #[test]
    fn a_package_without_image_or_modules_is_no_kernel() {
        let dir = tempfile::tempdir().unwrap();
        let write = || Manifest::write(dir.path(), "6.12", "cloud", "6.12.1", &[]);
        fs::write(dir.path().join("vmlinuz"), "image").unwrap();
        assert!(write().is_err());
        fs::create_dir_all(dir.path().join("modules/kernel")).unwrap();
        assert!(write().is_ok());
        fs::remove_file(dir.path().join("vmlinuz")).unwrap();
        assert!(write().is_err());
    }
}
