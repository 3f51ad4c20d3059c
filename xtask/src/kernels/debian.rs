//! Kernels of the Debian archive, fetched and verified by apt.

use anyhow::{Context as _, Result, bail};
use std::cell::{Cell, RefCell};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::apt::{self, Apt};
use super::catalogue::Catalogue;
use super::index::{Candidate, Index, Package};
use super::manifest::{self, Manifest};
use super::sources::Archives;
use super::{Cache, Flavour, Kernel, KernelSpec, Options, Provider, Resolved, deb, version};
use crate::fail;

/// Lists older than this are fetched anew.
const OLD: Duration = Duration::from_hours(24);
/// Lists younger than this are not fetched anew for a name that they lack and should have.
const RECENT: Duration = Duration::from_mins(10);
/// Behind the name of a package's folder: the file with the sum of what was extracted.
const SEAL: &str = ".sha256";

/// The Debian archive and what the cache holds of it.
#[derive(Debug)]
pub struct Debian {
    cache: Cache,
    options: Options,
    catalogue: Catalogue,
    index: RefCell<Option<Index>>,
    /// Lists are fetched at most once by a run.
    updated: Cell<bool>,
}

impl Debian {
    /// Opens the provider; nothing is fetched yet.
    ///
    /// # Errors
    ///
    /// When the catalogue is damaged.
    pub fn new(cache: Cache, options: Options) -> Result<Self> {
        let index = Index::read(&cache.path("index.json"));
        Ok(Self {
            cache,
            options,
            catalogue: Catalogue::load()?,
            index: RefCell::new(index),
            updated: Cell::new(false),
        })
    }

    /// The catalogue of series.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// See [`super::fetch_package`].
    ///
    /// # Errors
    ///
    /// When the package is unknown, or cannot be fetched, verified or written.
    pub fn package(&self, name: &str) -> Result<PathBuf> {
        let found = self.look_up(name, RECENT, |index| index.package(name).cloned());
        let package = match found {
            Ok(Some(package)) => package,
            Ok(None) => return Err(fail::lab(format!("the archive has no package {name}{}", self.blame()))),
            // Without the archive any version will do.
            Err(error) => return self.extracted(name).ok_or(error),
        };
        let target = format!("packages/{}", manifest::id(std::slice::from_ref(&package)));
        let _lock = self.cache.lock("packages")?;
        if is_whole(&self.cache.path(&target)) {
            return Ok(self.cache.path(&target));
        }
        if self.options.offline {
            return self.extracted(name).ok_or_else(|| not_cached(name));
        }
        let dir = self.cache.put_dir(&target, |dir| {
            self.download(std::slice::from_ref(&package), &|debs| {
                for deb in debs {
                    deb::extract(deb, dir, |path| Some(path.to_owned()))?;
                }
                Ok(())
            })
        })?;
        let seal = manifest::seal(&dir)?;
        self.cache.put(format!("{target}{SEAL}"), |file| Ok(file.write_all(seal.as_bytes())?))?;
        Ok(dir)
    }

    /// Some version of a package that was extracted before.
    fn extracted(&self, name: &str) -> Option<PathBuf> {
        let entries = fs::read_dir(self.cache.path("packages")).ok()?.flatten();
        let prefix = format!("{name}_");
        let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
        named.map(|entry| entry.path()).filter(|path| path.is_dir() && is_whole(path)).max()
    }

    /// Looks a name up, with fresher lists when those at hand are old, or lack it and are older than `patience`.
    fn look_up<T>(
        &self,
        name: &str,
        patience: Duration,
        find: impl Fn(&Index) -> Option<T>,
    ) -> Result<Option<T>> {
        let (found, age) = match &*self.index.borrow() {
            Some(index) => (find(index), index.age()),
            None => (None, Duration::MAX),
        };
        let fresh = if found.is_some() { OLD } else { patience };
        let current = || age < fresh && self.index.borrow().as_ref().is_some_and(|index| !self.moved(index));
        if self.options.offline || self.updated.get() || current() {
            return match found {
                None if self.index.borrow().is_none() => Err(not_cached(name)),
                found => Ok(found),
            };
        }
        self.updated.set(true);
        if let Err(error) = self.update() {
            if found.is_none() {
                return Err(error);
            }
            eprintln!("note: {error:#}; going on with the lists of the last run");
            return Ok(found);
        }
        Ok(self.index.borrow().as_ref().and_then(find))
    }

    /// Whether the lists are from another archive than the one to use now.
    fn moved(&self, index: &Index) -> bool {
        let archives = Archives::find(self.options.mirror.as_deref());
        archives.is_ok_and(|archives| archives.to_string() != index.sources)
    }

    fn apt(&self) -> Result<Apt> {
        let archives = Archives::find(self.options.mirror.as_deref())?;
        Apt::new(&self.cache, &archives, &self.catalogue)
    }

    fn update(&self) -> Result<()> {
        let _lock = self.cache.lock("apt")?;
        // Another run may have fetched them while this one waited.
        if let Some(index) = Index::read(&self.cache.path("index.json"))
            && index.age() < Duration::from_mins(1)
            && !self.moved(&index)
        {
            *self.index.borrow_mut() = Some(index);
            return Ok(());
        }
        let index = self.apt()?.update(&self.cache, OLD)?;
        *self.index.borrow_mut() = Some(index);
        Ok(())
    }

    /// Downloads packages and hands them over; what does not extract is fetched once more, with fresh lists.
    fn download(&self, packages: &[Package], extract: &dyn Fn(&[PathBuf]) -> Result<()>) -> Result<()> {
        let _lock = self.cache.lock("apt")?;
        let apt = self.apt()?;
        let attempt = || {
            let folder = self.cache.temp_dir()?;
            let debs = apt.download(packages, folder.path(), &self.cache)?;
            extract(&debs)
        };
        let Err(first) = attempt() else { return Ok(()) };
        let text = format!("{first:#}");
        if text.contains("No space left on device") || text.contains("the disk is full") {
            return Err(self.cache.full());
        }
        // Lists that are behind the archive are the usual cause.
        if !self.updated.replace(true) {
            *self.index.borrow_mut() = Some(apt.update(&self.cache, OLD)?);
        }
        eprintln!("note: {text}; trying once more");
        attempt()
    }

    /// The newest whole kernel of the series in the cache.
    fn newest_cached(&self, spec: &KernelSpec) -> Option<Resolved> {
        let folders = fs::read_dir(self.cache.path("kernels")).ok()?.flatten();
        let noted = folders.filter_map(|folder| Some((folder.file_name(), Manifest::read(&folder.path())?)));
        let fitting =
            noted.filter(|(_, note)| note.series == spec.series && note.flavour == spec.flavour.name());
        let (name, note) =
            fitting.max_by(|(_, left), (_, right)| version::compare(&left.version, &right.version))?;
        Some(Resolved {
            spec: spec.clone(),
            release: note.release.clone(),
            version: note.version.clone(),
            id: name.into_string().ok()?,
            size: note.size(),
            cached: true,
            packages: Vec::new(),
        })
    }

    fn cached(&self, id: &str) -> Option<Kernel> {
        let dir = self.cache.path("kernels").join(id);
        let manifest = Manifest::read(&dir)?;
        if !manifest.holds(&dir) {
            eprintln!("note: {} is damaged: it is no longer what was extracted", dir.display());
            return None;
        }
        Some(manifest.kernel(&dir))
    }

    fn candidate(&self, spec: &KernelSpec, candidate: Candidate) -> Resolved {
        let id = manifest::id(&candidate.packages);
        let cached = Manifest::read(&self.cache.path("kernels").join(&id)).is_some();
        Resolved {
            spec: spec.clone(),
            release: candidate.release,
            version: candidate.version,
            id,
            size: candidate.packages.iter().map(|package| package.size).sum(),
            cached,
            packages: candidate.packages,
        }
    }

    fn lists_are_whole(&self) -> bool {
        self.index.borrow().as_ref().is_some_and(|index| index.problems.is_empty())
    }

    /// What apt complained about when the lists were fetched: the likely cause of a missing name.
    fn blame(&self) -> String {
        let index = self.index.borrow();
        let problems = index.as_ref().map_or(&[][..], |index| &index.problems);
        if problems.is_empty() {
            return String::new();
        }
        format!(" (apt said: {})", apt::summary(problems))
    }
}

impl Provider for Debian {
    fn list(&self) -> Result<Vec<KernelSpec>> {
        let mut specs = Vec::new();
        for entry in &self.catalogue.series {
            let spec = KernelSpec::new(&entry.name, Flavour::Cloud);
            // An optional series that cannot be had is not offered. A required one is left out only when
            // the lists are known to be whole; else it is an error later on.
            match self.resolve(&spec) {
                Err(_) if entry.optional => {}
                Err(error) if self.lists_are_whole() => eprintln!("note: left out: {error:#}"),
                Ok(_) | Err(_) => specs.push(spec),
            }
        }
        Ok(specs)
    }

    fn resolve(&self, spec: &KernelSpec) -> Result<Resolved> {
        let entry = self.catalogue.find(&spec.series)?;
        let suites = &entry.suites;
        let patience = if entry.optional { OLD } else { RECENT };
        let name = format!("kernel {spec}");
        let found = self.look_up(&name, patience, |index| index.newest(&spec.series, spec.flavour, suites));
        let resolved = match found {
            Ok(Some(candidate)) => self.candidate(spec, candidate),
            Ok(None) => {
                let gone = || {
                    fail::lab(format!(
                        "{name}: no complete set of packages in {}{}; try another series, or --mirror URI",
                        suites.join(", "),
                        self.blame()
                    ))
                };
                return self.newest_cached(spec).ok_or_else(gone);
            }
            Err(error) => {
                let cached = self.newest_cached(spec);
                if cached.is_some() && !self.options.offline {
                    eprintln!("note: {error:#}; going on with the cached {name}");
                }
                return cached.ok_or(error);
            }
        };
        if self.options.offline && !resolved.cached {
            return self.newest_cached(spec).ok_or_else(|| not_cached(&name));
        }
        Ok(resolved)
    }

    fn fetch(&self, resolved: &Resolved) -> Result<Kernel> {
        let name = format!("kernel {}", resolved.spec);
        let _lock = self.cache.lock(&format!("kernel-{}", resolved.id))?;
        if let Some(kernel) = self.cached(&resolved.id) {
            return Ok(kernel);
        }
        if self.options.offline {
            return Err(not_cached(&name));
        }
        if resolved.packages.is_empty() {
            bail!(
                "{name}: its copy in the cache is damaged, and the archive has it no longer: run again with a network"
            );
        }
        let series = &resolved.spec.series;
        let flavour = resolved.spec.flavour.name();
        let target = format!("kernels/{}", resolved.id);
        let stored = self.cache.put_dir(&target, |dir| {
            self.download(&resolved.packages, &|debs| {
                // A second attempt starts from nothing, too.
                fs::remove_dir_all(dir)?;
                fs::create_dir(dir)?;
                for deb in debs {
                    deb::extract(deb, dir, deb::kernel_file)?;
                }
                Manifest::write(dir, series, flavour, &resolved.release, &resolved.packages)
            })
        });
        match stored {
            Ok(dir) => Manifest::read(&dir)
                .map(|manifest| manifest.kernel(&dir))
                .with_context(|| format!("{name}: {} has no manifest", dir.display())),
            Err(error) => {
                let older = self.newest_cached(&resolved.spec).and_then(|older| self.cached(&older.id));
                let kernel = older.ok_or(error.context(name.clone()));
                if let Ok(kernel) = &kernel {
                    eprintln!(
                        "note: {name}: the newest version cannot be fetched; going on with {}",
                        kernel.release
                    );
                }
                kernel
            }
        }
    }
}

/// Whether the folder of an extracted package is what was extracted; those of older checkouts have no seal.
fn is_whole(dir: &Path) -> bool {
    let mut seal = dir.as_os_str().to_owned();
    seal.push(SEAL);
    let whole = dir.is_dir()
        && match fs::read_to_string(&seal) {
            Ok(noted) => manifest::seal(dir).is_ok_and(|sum| sum == noted),
            Err(_) => true,
        };
    if !whole && dir.is_dir() {
        eprintln!("note: {} is damaged: it is no longer what was extracted", dir.display());
    }
    whole
}

fn not_cached(name: &str) -> anyhow::Error {
    fail::lab(format!(
        "{name} is not in the cache and may not be fetched (--offline): with a network, run the same once without --offline, or `cargo xtask kernels --fetch`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(version: &str) -> Package {
        Package {
            suite: "trixie".into(),
            name: format!("linux-image-{version}+deb13-cloud-amd64"),
            version: format!("{version}-1"),
            size: 34 << 20,
            sha256: "0".repeat(64),
        }
    }

    /// A cache with 6.12.9 and 6.12.10 extracted, and an index that knows of 6.12.11.
    fn filled() -> (tempfile::TempDir, Cache) {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path()).unwrap();
        for version in ["6.12.9", "6.12.10"] {
            let package = image(version);
            let target = format!("kernels/{}", manifest::id(std::slice::from_ref(&package)));
            let fill = |dir: &std::path::Path| {
                fs::create_dir_all(dir.join("modules/kernel"))?;
                fs::write(dir.join("vmlinuz"), version)?;
                Manifest::write(dir, "6.12", "cloud", version, std::slice::from_ref(&package))
            };
            cache.put_dir(target, fill).unwrap();
        }
        let list = root.path().join("list");
        let newest = image("6.12.11");
        let text =
            format!("Package: {}\nVersion: {}\nSize: {}\n\n", newest.name, newest.version, newest.size);
        fs::write(&list, text).unwrap();
        let mut index = Index::new("", Vec::new());
        index.add_list("trixie", &list).unwrap();
        fs::write(cache.path("index.json"), serde_json::to_string(&index).unwrap()).unwrap();
        (root, cache)
    }

    fn offline(cache: &Cache) -> Debian {
        let options = Options { mirror: None, offline: true };
        Debian::new(cache.clone(), options).unwrap()
    }

    fn get(debian: &Debian) -> Result<Kernel> {
        debian.fetch(&debian.resolve(&KernelSpec::new("6.12", Flavour::Cloud))?)
    }

    #[test]
    fn offline_takes_the_newest_that_is_cached() {
        let (_root, cache) = filled();
        let kernel = get(&offline(&cache)).unwrap();
        assert_eq!((kernel.release.as_str(), kernel.flavour.as_str()), ("6.12.10", "cloud"));
        assert!(kernel.vmlinuz.is_file());
        // Without an index, too.
        fs::remove_file(cache.path("index.json")).unwrap();
        assert_eq!(get(&offline(&cache)).unwrap(), kernel);
    }

    #[test]
    fn offline_without_a_cached_one_says_what_to_do() {
        let (_root, cache) = filled();
        let error = offline(&cache).resolve(&KernelSpec::new("6.12", Flavour::Rt)).map(|_| ()).unwrap_err();
        assert_eq!(fail::exit_code(&error), 3);
        fs::remove_dir_all(cache.path("kernels")).unwrap();
        let error = get(&offline(&cache)).unwrap_err();
        assert_eq!(fail::exit_code(&error), 3);
        assert!(error.to_string().contains("cargo xtask kernels --fetch"), "{error}");
    }

    #[test]
    fn damaged_copy_is_not_used() {
        let (_root, cache) = filled();
        let vmlinuz = get(&offline(&cache)).unwrap().vmlinuz;
        fs::write(vmlinuz, "6.12.66").unwrap();
        let error = get(&offline(&cache)).unwrap_err();
        assert_eq!(fail::exit_code(&error), 3);
    }

    #[test]
    fn damaged_package_is_not_used() {
        let (_root, cache) = filled();
        let dir = cache.put_dir("packages/tool_1", |dir| Ok(fs::write(dir.join("tool"), "good")?)).unwrap();
        let seal = manifest::seal(&dir).unwrap();
        cache.put("packages/tool_1.sha256", |file| Ok(file.write_all(seal.as_bytes())?)).unwrap();
        assert_eq!(offline(&cache).extracted("tool"), Some(dir.clone()));
        fs::write(dir.join("tool"), "evil").unwrap();
        assert_eq!(offline(&cache).extracted("tool"), None);
    }

    #[test]
    fn unknown_series_is_a_usage_error() {
        let (_root, cache) = filled();
        let error =
            offline(&cache).resolve(&KernelSpec::new("6.13", Flavour::Cloud)).map(|_| ()).unwrap_err();
        assert_eq!(fail::exit_code(&error), 2);
    }

    #[test]
    fn index_decides_what_is_cached() {
        let (_root, cache) = filled();
        let resolved = offline(&cache);
        let index = resolved.index.borrow().clone().unwrap();
        let suites = ["trixie".to_owned()];
        let candidate = index.newest("6.12", Flavour::Cloud, &suites).unwrap();
        let newest = resolved.candidate(&KernelSpec::new("6.12", Flavour::Cloud), candidate);
        assert_eq!((newest.version.as_str(), newest.cached), ("6.12.11-1", false));
    }
}
