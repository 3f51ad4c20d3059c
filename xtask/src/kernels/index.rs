//! What the archive has: the few entries of apt's package lists that the lab needs, kept for runs without a network.

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Flavour, version};

/// Packages other than kernels that the lab takes files from.
pub const OTHER_PACKAGES: [&str; 23] = [
    "busybox-static",
    // systemd, and the libraries without which its programs do not start: see `image::systemd`.
    "dbus-daemon",
    "libacl1",
    "libapparmor1",
    "libaudit1",
    "libblkid1",
    "libc6",
    "libcap-ng0",
    "libcap2",
    "libcrypt1",
    "libdbus-1-3",
    "libexpat1",
    "libmount1",
    "libpam0g",
    "libpcre2-8-0",
    "libseccomp2",
    "libselinux1",
    "libssl3t64",
    "libsystemd-shared",
    "libsystemd0",
    "libzstd1",
    "systemd",
    "zlib1g",
];

const SCHEMA: u32 = 1;
const IMAGE: &str = "linux-image-";
const BINARY: &str = "linux-binary-";
const MODULES: &str = "linux-modules-";
const BASE: &str = "linux-base-";
const ARCHITECTURE: &str = "-amd64";

/// One version of a package in one suite.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub struct Package {
    /// The suite whose list has it.
    pub suite: String,
    /// Name of the package.
    pub name: String,
    /// Debian version.
    pub version: String,
    /// Size of the .deb in bytes.
    pub size: u64,
    /// Checksum of the .deb from the signed list.
    pub sha256: String,
}

/// A kernel of the index: its release and the packages that make it up, the one with the image first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// What `uname -r` will say.
    pub release: String,
    /// Debian version.
    pub version: String,
    /// All packages to fetch.
    pub packages: Vec<Package>,
}

/// The kept entries of all suites.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Index {
    schema: u32,
    /// The archives that the lists are from.
    pub sources: String,
    updated: u64,
    /// What apt complained about.
    pub problems: Vec<String>,
    packages: Vec<Package>,
}

impl Index {
    /// An index that is as old as now.
    pub fn new(sources: &str, problems: Vec<String>) -> Self {
        Self { schema: SCHEMA, sources: sources.to_owned(), updated: now(), problems, packages: Vec::new() }
    }

    /// Makes it count as so old that it is fetched anew after `time`, when lists live for `life`.
    pub fn expire_in(&mut self, time: Duration, life: Duration) {
        self.updated = now().saturating_sub(life.saturating_sub(time).as_secs());
    }

    /// Reads a kept index; a missing, damaged or older-format one counts as none.
    pub fn read(path: &Path) -> Option<Self> {
        let index: Self = serde_json::from_reader(BufReader::new(File::open(path).ok()?)).ok()?;
        (index.schema == SCHEMA).then_some(index)
    }

    /// Time since the lists were fetched; endless when the clock has gone back.
    pub fn age(&self) -> Duration {
        now().checked_sub(self.updated).map_or(Duration::MAX, Duration::from_secs)
    }

    /// Adds what the lab needs from one of apt's lists.
    ///
    /// # Errors
    ///
    /// When the list cannot be read.
    pub fn add_list(&mut self, suite: &str, list: &Path) -> Result<()> {
        let file = File::open(list).with_context(|| format!("package list {}", list.display()))?;
        self.add(suite, BufReader::new(file)).with_context(|| format!("package list {}", list.display()))
    }

    /// Whether nothing the lab needs was in the lists.
    pub fn is_empty(&self) -> bool {
        self.packages.is_empty()
    }

    /// The newest version of a package.
    pub fn package(&self, name: &str) -> Option<&Package> {
        let named = self.packages.iter().filter(|package| package.name == name);
        named.max_by(|left, right| version::compare(&left.version, &right.version))
    }

    /// The newest kernel of a series that the suites have with all of its packages.
    pub fn newest(&self, series: &str, flavour: Flavour, suites: &[String]) -> Option<Candidate> {
        let here = self.packages.iter().filter(|package| suites.contains(&package.suite));
        let mut by_release: BTreeMap<(&str, &str), Vec<&Package>> = BTreeMap::new();
        for package in here {
            let parts = [IMAGE, BINARY, MODULES, BASE];
            let release = parts.iter().find_map(|part| package.name.strip_prefix(part));
            if let Some(release) = release.filter(|release| belongs(release, series, flavour)) {
                by_release.entry((release, &package.version)).or_default().push(package);
            }
        }
        let complete = by_release.into_iter().filter_map(|((release, version), packages)| {
            Some(Candidate {
                release: release.to_owned(),
                version: version.to_owned(),
                packages: choose(&packages)?,
            })
        });
        complete.max_by(|left, right| version::compare(&left.version, &right.version))
    }

    fn add(&mut self, suite: &str, list: impl BufRead) -> Result<()> {
        let mut package = Package::default();
        let mut wanted = false;
        for line in list.split(b'\n') {
            let line = line?;
            if line.is_empty() {
                self.push(suite, std::mem::take(&mut package), wanted);
                wanted = false;
                continue;
            }
            // Most lines belong to packages that are not wanted: they are not even looked at as text.
            if let Some(name) = line.strip_prefix(b"Package: ") {
                package.name = String::from_utf8_lossy(name).into_owned();
                wanted = is_wanted(&package.name);
            } else if wanted && let Some((key, value)) = String::from_utf8_lossy(&line).split_once(": ") {
                match key {
                    "Version" => value.clone_into(&mut package.version),
                    "SHA256" => value.clone_into(&mut package.sha256),
                    "Size" => package.size = value.parse().unwrap_or(0),
                    _ => {}
                }
            }
        }
        self.push(suite, package, wanted);
        Ok(())
    }

    fn push(&mut self, suite: &str, package: Package, wanted: bool) {
        if wanted && !package.version.is_empty() {
            self.packages.push(Package { suite: suite.to_owned(), ..package });
        }
    }
}

/// Up to 6.18 one package has it all; later ones have the image and the modules apart, and small files in a third.
fn choose(packages: &[&Package]) -> Option<Vec<Package>> {
    let part = |prefix: &str| {
        packages.iter().find(|package| package.name.starts_with(prefix)).map(|found| (*found).clone())
    };
    match (part(BINARY), part(MODULES)) {
        (Some(binary), Some(modules)) => {
            Some([Some(binary), Some(modules), part(BASE)].into_iter().flatten().collect())
        }
        (None, None) => {
            // The image package of a split kernel only depends on the others.
            let image = part(IMAGE).filter(|image| image.size > 1 << 20)?;
            Some(vec![image])
        }
        _ => None,
    }
}

fn is_wanted(name: &str) -> bool {
    let kernel = || {
        let release = [IMAGE, BINARY, MODULES, BASE].iter().find_map(|part| name.strip_prefix(part));
        release.is_some_and(|release| {
            release.starts_with(|first: char| first.is_ascii_digit()) && release.ends_with(ARCHITECTURE)
        })
    };
    OTHER_PACKAGES.contains(&name) || kernel()
}

/// Whether a release is of the series and exactly of the flavour.
fn belongs(release: &str, series: &str, flavour: Flavour) -> bool {
    let number = release.strip_prefix(series).and_then(|rest| rest.strip_prefix('.'));
    let Some(rest) = number.and_then(|rest| rest.strip_suffix(ARCHITECTURE)) else {
        return false;
    };
    match flavour {
        Flavour::Cloud => rest.ends_with("-cloud"),
        Flavour::Rt => rest.ends_with("-rt"),
        Flavour::Generic => !rest.ends_with("-cloud") && !rest.ends_with("-rt"),
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKPORTS: &str = "\
Package: linux-image-6.18.9+deb13-cloud-amd64
Version: 6.18.9-1~bpo13+1
Size: 49000000
SHA256: aa

Package: linux-image-6.18.15+deb13-cloud-amd64
Source: linux-signed-amd64
Version: 6.18.15-1~bpo13+1
Size: 49000001
SHA256: bb
Description: kernel: with a colon

Package: linux-image-6.18.15+deb13-cloud-amd64-dbg
Version: 6.18.15-1~bpo13+1
Size: 349000001

Package: linux-image-6.18.99+deb13-amd64
Version: 6.18.99-1~bpo13+1
Size: 169000001

Package: linux-image-6.18.16+deb13-rt-amd64
Version: 6.18.16-1~bpo13+1
Size: 169000002

Package: linux-image-7.0.13+deb13-cloud-amd64
Version: 7.0.13-1~bpo13+1
Size: 1900

Package: linux-binary-7.0.13+deb13-cloud-amd64
Version: 7.0.13-1~bpo13+1
Size: 13000000

Package: linux-image-7.1.9+deb13-cloud-amd64
Version: 7.1.9-1~bpo13+1
Size: 1900

Package: linux-binary-7.2.9+deb13-cloud-amd64
Version: 7.2.9-1~bpo13+1
Size: 13000000

Package: linux-modules-7.2.9+deb13-cloud-amd64
Version: 7.2.9-1~bpo13+1
Size: 37000000

Package: linux-image-7.2.9+deb13-cloud-amd64
Version: 7.2.9-1~bpo13+1
Size: 1900

Package: linux-base-7.2.9+deb13-cloud-amd64
Version: 7.2.9-1~bpo13+1
Size: 1000000

Package: linux-binary-7.2.12+deb13-cloud-amd64
Version: 7.2.12-1~bpo13+1
Size: 13000000

Package: zsh
Version: 5
Size: 1

Package: busybox-static
Version: 1:1.37.0-6
Size: 955316
";

    fn index() -> Index {
        let mut index = Index::new("", Vec::new());
        index.add("trixie-backports", BACKPORTS.as_bytes()).unwrap();
        index
    }

    fn newest(series: &str, flavour: Flavour) -> Option<Candidate> {
        index().newest(series, flavour, &["trixie-backports".to_owned()])
    }

    #[test]
    fn newest_version_of_a_series_and_flavour() {
        let cloud = newest("6.18", Flavour::Cloud).unwrap();
        assert_eq!(cloud.release, "6.18.15+deb13-cloud-amd64");
        assert_eq!(cloud.packages.len(), 1);
        assert_eq!((cloud.packages[0].size, cloud.packages[0].sha256.as_str()), (49_000_001, "bb"));
        assert_eq!(newest("6.18", Flavour::Rt).unwrap().version, "6.18.16-1~bpo13+1");
        assert_eq!(newest("6.18", Flavour::Generic).unwrap().version, "6.18.99-1~bpo13+1");
        assert_eq!(newest("6.1", Flavour::Cloud), None);
        assert_eq!(newest("7.2", Flavour::Generic), None);
        assert_eq!(index().newest("6.18", Flavour::Cloud, &["trixie".to_owned()]), None);
    }

    #[test]
    fn split_kernels_need_both_halves() {
        let cloud = newest("7.2", Flavour::Cloud).unwrap();
        let names: Vec<&str> = cloud.packages.iter().map(|package| package.name.as_str()).collect();
        let release = "7.2.9+deb13-cloud-amd64";
        let expected =
            ["linux-binary-", "linux-modules-", "linux-base-"].map(|part| format!("{part}{release}"));
        assert_eq!(names, expected);
        assert_eq!(newest("7.0", Flavour::Cloud), None);
        assert_eq!(newest("7.1", Flavour::Cloud), None);
    }

    #[test]
    fn other_packages_are_kept_and_the_rest_is_not() {
        assert_eq!(index().package("busybox-static").unwrap().version, "1:1.37.0-6");
        assert_eq!(index().package("zsh"), None);
    }

    #[test]
    fn damaged_index_counts_as_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index.json");
        assert!(Index::read(&path).is_none());
        let text = serde_json::to_string(&index()).unwrap();
        std::fs::write(&path, &text).unwrap();
        assert!(Index::read(&path).is_some());
        for damaged in [&text[..text.len() / 2], &text.replace("\"schema\":1", "\"schema\":0")] {
            std::fs::write(&path, damaged).unwrap();
            assert!(Index::read(&path).is_none());
        }
    }

    #[test]
    fn clock_that_went_back_makes_it_old() {
        let mut index = index();
        assert!(index.age() < Duration::from_mins(1));
        index.expire_in(Duration::from_hours(1), Duration::from_hours(24));
        assert!(index.age() >= Duration::from_hours(23) && index.age() < Duration::from_hours(24));
        index.updated += 200_000;
        assert_eq!(index.age(), Duration::MAX);
    }
}
