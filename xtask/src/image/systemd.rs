//! systemd for a guest: its programs out of the distribution's packages, with the libraries that they need and no more.
//!
//! No unit, no user, no configuration of the distribution is taken: a test writes those it needs, so that systemd is up in
//! a moment and does nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::libs::{Packed, parse};
use crate::fail;
use crate::kernels::index::OTHER_PACKAGES;
use crate::kernels::{self, Cache, Options};

/// The programs, by their place in the packages and in the guest.
const PROGRAMS: [&str; 4] = [
    "usr/lib/systemd/systemd",
    "usr/lib/systemd/systemd-executor",
    "usr/bin/systemctl",
    "usr/bin/dbus-daemon",
];

/// Where the packages have libraries, and the guest's loader looks for them.
const FOLDERS: [&str; 2] = ["usr/lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/systemd"];

/// The files of systemd, from the cache when they are there.
///
/// # Errors
///
/// When a package cannot be had, or a program or a library is in none.
pub fn files(options: &Options, cache: &Cache) -> Result<Vec<Packed>> {
    let names: Vec<&str> = OTHER_PACKAGES.into_iter().filter(|name| *name != "busybox-static").collect();
    let packages = kernels::fetch_packages(&names, options, cache)?;
    closure(&packages)
}

fn closure(packages: &[PathBuf]) -> Result<Vec<Packed>> {
    let mut found: BTreeMap<String, Packed> = BTreeMap::new();
    let mut waiting: Vec<String> = PROGRAMS.map(|program| format!("/{program}")).to_vec();
    while let Some(name) = waiting.pop() {
        if found.contains_key(&name) {
            continue;
        }
        let (guest, here) = locate(&name, packages)
            .ok_or_else(|| fail::lab(format!("none of systemd's packages has {name}")))?;
        let data = fs::read(&here)?;
        let dynamic =
            parse(&data).map_err(|why| fail::lab(format!("{} is of no use: {why}", here.display())))?;
        waiting.extend(dynamic.needed);
        waiting.extend(dynamic.interpreter);
        found.insert(name, (guest, here, 0o755));
    }
    Ok(found.into_values().collect())
}

/// A program by its path, the loader by its own, or a library by its name; with its place in the guest.
///
/// Packages have libraries under longer names, to which links lead that are not extracted.
fn locate(name: &str, packages: &[PathBuf]) -> Option<(String, PathBuf)> {
    let below = name.trim_start_matches('/');
    let whole = packages.iter().map(|package| package.join(below)).find(|path| path.is_file());
    if let Some(path) = whole.filter(|_| name.starts_with('/')) {
        return Some((name.to_owned(), path));
    }
    let base = below.rsplit('/').next()?;
    FOLDERS.iter().find_map(|folder| {
        let here = packages.iter().find_map(|package| library(&package.join(folder), base))?;
        let guest = if name.starts_with('/') { name.to_owned() } else { format!("/{folder}/{base}") };
        Some((guest, here))
    })
}

fn library(folder: &Path, name: &str) -> Option<PathBuf> {
    let exact = folder.join(name);
    if exact.is_file() {
        return Some(exact);
    }
    let longer = format!("{name}.");
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .ok()?
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&longer))
        .map(|entry| entry.path())
        .collect();
    entries.sort();
    entries.pop()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_found_under_their_longer_names() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        };
        put("a/usr/bin/systemctl");
        put("b/usr/lib/x86_64-linux-gnu/libmount.so.1.1.0");
        put("b/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2");
        put("c/usr/lib/x86_64-linux-gnu/systemd/libsystemd-core-257.so");
        let packages = ["a", "b", "c"].map(|name| root.path().join(name));
        let guest = |name: &str| locate(name, &packages).map(|(guest, _)| guest);
        assert_eq!(guest("/usr/bin/systemctl").as_deref(), Some("/usr/bin/systemctl"));
        assert_eq!(guest("libmount.so.1").as_deref(), Some("/usr/lib/x86_64-linux-gnu/libmount.so.1"));
        assert_eq!(guest("/lib64/ld-linux-x86-64.so.2").as_deref(), Some("/lib64/ld-linux-x86-64.so.2"));
        let core = "/usr/lib/x86_64-linux-gnu/systemd/libsystemd-core-257.so";
        assert_eq!(guest("libsystemd-core-257.so").as_deref(), Some(core));
        assert_eq!(guest("libgone.so.1"), None);
        let error = closure(&packages).unwrap_err();
        assert_eq!(fail::exit_code(&error), 3);
    }
}
