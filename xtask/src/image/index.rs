//! The modules of a kernel by name, remembered in the cache: reading a thousand compressed files takes seconds.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context as _, Result, anyhow};
use serde::{Deserialize, Serialize};

use super::modinfo::{self, Modinfo};
use crate::fail;
use crate::kernels::cache::Cache;

/// All modules below a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// By name.
    pub modules: BTreeMap<String, Module>,
    /// Names and plain aliases of what is built in.
    pub builtin: BTreeSet<String>,
    /// Whether the folder says what is built in.
    pub knows_builtin: bool,
}

/// One module file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// Relative to the modules folder.
    pub path: String,
    /// The file's size, which with `changed` tells whether it is still the same.
    pub size: u64,
    /// When it was written, in nanoseconds.
    pub changed: u128,
    /// What it says of itself.
    pub info: Modinfo,
}

impl Index {
    /// The index of the modules below `folder`; `id` is the kernel's name in the cache.
    ///
    /// # Errors
    ///
    /// When the folder or a module in it cannot be read, or the cache cannot be written.
    pub fn load(folder: &Path, id: &str, cache: &Cache) -> Result<Self> {
        let entry = format!("images/{id}/modules.json");
        // A damaged or missing entry only costs time.
        let old: Self = fs::read(cache.path(&entry))
            .ok()
            .and_then(|json| serde_json::from_slice(&json).ok())
            .unwrap_or_default();
        let new = Self::refresh(folder, &old)?;
        if new != old {
            cache.put(&entry, |file| Ok(file.write_all(&serde_json::to_vec(&new)?)?))?;
        }
        Ok(new)
    }

    /// Plain aliases and the modules that have them.
    pub fn aliases(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut aliases: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, module) in &self.modules {
            for alias in &module.info.aliases {
                aliases.entry(alias).or_default().push(name);
            }
        }
        aliases
    }

    /// Reads the modules that differ from those of `old`.
    fn refresh(folder: &Path, old: &Self) -> Result<Self> {
        let mut files = Vec::new();
        list(folder, &mut files).map_err(|error| {
            fail::usage(format!("the modules folder {} cannot be read: {error:#}", folder.display()))
        })?;
        // The later of two files of one name wins: `updates` sorts behind `kernel`.
        files.sort();
        let mut modules = BTreeMap::new();
        let mut unread = Vec::new();
        for file in files {
            let relative = file.strip_prefix(folder)?;
            let path =
                relative.to_str().ok_or_else(|| anyhow!("{} is not UTF-8", file.display()))?.to_owned();
            let Some(name) = modinfo::name_of(&path) else { continue };
            let meta = fs::metadata(&file).with_context(|| format!("reading {}", file.display()))?;
            let changed = meta.modified()?.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos());
            let known = old
                .modules
                .get(&name)
                .filter(|known| known.path == path && known.size == meta.len() && known.changed == changed);
            let info = known.map(|known| known.info.clone());
            if info.is_none() {
                unread.push((name.clone(), file));
            }
            modules.insert(name, Module { path, size: meta.len(), changed, info: info.unwrap_or_default() });
        }
        for (name, info) in read_all(&unread)? {
            if let Some(module) = modules.get_mut(&name) {
                module.info = info;
            }
        }
        let (builtin, knows_builtin) = builtin(folder)?;
        Ok(Self { modules, builtin, knows_builtin })
    }
}

/// All files below a folder; links are not followed (`build` and `source` lead out).
fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            list(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// Reads modules on all cores.
fn read_all(files: &[(String, PathBuf)]) -> Result<Vec<(String, Modinfo)>> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let share = files.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let readers: Vec<_> = files
            .chunks(share)
            .map(|chunk| scope.spawn(|| chunk.iter().map(read_one).collect::<Result<Vec<_>>>()))
            .collect();
        let mut all = Vec::with_capacity(files.len());
        for reader in readers {
            all.extend(reader.join().map_err(|_| anyhow!("reading modules: a thread panicked"))??);
        }
        Ok(all)
    })
}

fn read_one((name, path): &(String, PathBuf)) -> Result<(String, Modinfo)> {
    let module = modinfo::read(path).and_then(|module| modinfo::parse(&module));
    let info = module
        .map_err(|error| fail::lab(format!("the kernel module {} is damaged: {error:#}", path.display())))?;
    Ok((name.clone(), info))
}

/// Names of what is built in, from `modules.builtin` and `modules.builtin.modinfo`; false when there is neither.
fn builtin(folder: &Path) -> Result<(BTreeSet<String>, bool)> {
    let mut names = BTreeSet::new();
    let mut known = false;
    let read = |name: &str| match fs::read(folder.join(name)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading {}", folder.join(name).display())),
    };
    if let Some(list) = read("modules.builtin")? {
        known = true;
        names.extend(String::from_utf8_lossy(&list).lines().filter_map(modinfo::name_of));
    }
    if let Some(infos) = read("modules.builtin.modinfo")? {
        known = true;
        for entry in infos.split(|byte| *byte == 0).filter_map(|entry| std::str::from_utf8(entry).ok()) {
            let Some((key, value)) = entry.split_once('=') else { continue };
            match key.split_once('.') {
                Some((module, "alias")) if modinfo::plain(value) => {
                    names.extend([modinfo::canonical(module), modinfo::canonical(value)]);
                }
                Some((module, _)) => {
                    names.insert(modinfo::canonical(module));
                }
                None => {}
            }
        }
    }
    Ok((names, known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_names_and_aliases_are_read() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(builtin(folder.path()).unwrap(), (BTreeSet::new(), false));
        fs::write(folder.path().join("modules.builtin"), "kernel/fs/fuse/fuse.ko\nkernel/x-y.ko\n").unwrap();
        fs::write(
            folder.path().join("modules.builtin.modinfo"),
            b"ext4.alias=fs-ext4\0ext4.license=GPL\0pci.alias=pci:v*\0",
        )
        .unwrap();
        let (names, known) = builtin(folder.path()).unwrap();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        assert_eq!((names, known), (vec!["ext4", "fs_ext4", "fuse", "pci", "x_y"], true));
    }

    #[test]
    fn unchanged_files_are_not_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kernel/a.ko");
        fs::create_dir(folder.path().join("kernel")).unwrap();
        fs::write(&file, "no module").unwrap();
        let error = Index::refresh(folder.path(), &Index::default()).unwrap_err();
        assert!(error.to_string().contains("a.ko is damaged"), "{error:#}");
        // With an entry of the same size and time, the (unreadable) content is not looked at.
        let meta = fs::metadata(&file).unwrap();
        let changed = meta.modified().unwrap().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let info = Modinfo { depends: vec!["b".into()], ..Modinfo::default() };
        let known = Module { path: "kernel/a.ko".into(), size: 9, changed, info };
        let mut old = Index { modules: [("a".into(), known)].into(), ..Index::default() };
        assert_eq!(Index::refresh(folder.path(), &old).unwrap(), old);
        old.modules.get_mut("a").unwrap().size = 8;
        assert!(Index::refresh(folder.path(), &old).is_err());
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = Index::refresh(Path::new("/nonexistent/modules"), &Index::default()).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/modules"), "{error:#}");
        assert_eq!(fail::exit_code(&error), 2);
    }
}
