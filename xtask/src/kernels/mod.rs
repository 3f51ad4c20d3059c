//! Kernels to boot: where they come from, and how they get into the cache.

pub mod apt;
pub mod cache;
pub mod catalogue;
pub mod command;
pub mod deb;
pub mod debian;
pub mod image;
pub mod index;
pub mod manifest;
pub mod path;
pub mod progress;
pub mod sources;
pub mod tree;
pub mod version;

use anyhow::Result;
use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

pub use cache::Cache;
pub use debian::Debian;
pub use path::KernelPath;
pub use tree::KernelTree;

use crate::fail::{Exit, Fail};
use catalogue::Catalogue;

/// A build of a series with a configuration of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flavour {
    /// For virtual machines: small, few drivers.
    Cloud,
    /// For any machine.
    Generic,
    /// With real-time preemption.
    Rt,
}

impl Flavour {
    /// All flavours, the one used by default first.
    pub const ALL: [Self; 3] = [Self::Cloud, Self::Generic, Self::Rt];

    /// Its name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cloud => "cloud",
            Self::Generic => "generic",
            Self::Rt => "rt",
        }
    }
}

/// A kernel by name: a series of the catalogue and a flavour, written `6.12` or `6.12:rt`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KernelSpec {
    /// The first two numbers of the version.
    pub series: String,
    /// The flavour.
    pub flavour: Flavour,
}

impl KernelSpec {
    /// Names a kernel without looking into the catalogue.
    pub fn new(series: impl Into<String>, flavour: Flavour) -> Self {
        Self { series: series.into(), flavour }
    }
}

impl fmt::Display for KernelSpec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.series)?;
        match self.flavour {
            Flavour::Cloud => Ok(()),
            other => write!(formatter, ":{}", other.name()),
        }
    }
}

impl FromStr for KernelSpec {
    type Err = Fail;

    fn from_str(text: &str) -> Result<Self, Fail> {
        let usage = |message| Fail { exit: Exit::Usage, message };
        let (series, flavour) = text.split_once(':').unwrap_or((text, "cloud"));
        let known = Flavour::ALL.into_iter().find(|known| known.name() == flavour);
        let flavour = known.ok_or_else(|| {
            let names = Flavour::ALL.map(Flavour::name).join(", ");
            usage(format!("unknown kernel flavour `{flavour}` in `{text}`: known are {names}"))
        })?;
        let catalogue = Catalogue::load().map_err(|error| usage(format!("{error:#}")))?;
        catalogue.find(series).map_err(|error| usage(error.to_string()))?;
        Ok(Self::new(series, flavour))
    }
}

/// A kernel that can be booted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// The first two numbers of its version.
    pub series: String,
    /// Name of the flavour; `custom` for kernels that are not of the catalogue.
    pub flavour: String,
    /// What `uname -r` says in it.
    pub release: String,
    /// The image: a bzImage or an uncompressed vmlinux.
    pub vmlinuz: PathBuf,
    /// The folder below which its `.ko` files are (for a build tree, the tree).
    pub modules: Option<PathBuf>,
    /// What caches of things made from it are keyed by: it changes when the kernel or its modules do.
    pub id: String,
}

/// A kernel that was found and may have to be fetched.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The series and flavour that was asked for.
    pub spec: KernelSpec,
    /// What `uname -r` will say.
    pub release: String,
    /// The package's version, or the release again where there is no package.
    pub version: String,
    /// See [`Kernel::id`].
    pub id: String,
    /// What has to be fetched, in bytes.
    pub size: u64,
    /// Whether it is there already.
    pub cached: bool,
    /// The packages it is made of.
    packages: Vec<index::Package>,
}

/// A place that kernels come from.
pub trait Provider {
    /// The kernels it has.
    ///
    /// # Errors
    ///
    /// When that cannot be found out.
    fn list(&self) -> Result<Vec<KernelSpec>>;

    /// Finds the newest version of a kernel; nothing is fetched but lists.
    ///
    /// # Errors
    ///
    /// When there is none.
    fn resolve(&self, spec: &KernelSpec) -> Result<Resolved>;

    /// Makes the kernel available on this machine.
    ///
    /// # Errors
    ///
    /// When it cannot be fetched, verified or written.
    fn fetch(&self, resolved: &Resolved) -> Result<Kernel>;
}

/// How the archive is reached.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `--mirror`: the archive to use instead of the system's.
    pub mirror: Option<String>,
    /// `--offline`: nothing is fetched.
    pub offline: bool,
}

/// What a run asked for.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// The kernels of a run that names none.
    Default,
    /// All that the archive serves.
    All,
    /// These.
    Specs(Vec<KernelSpec>),
    /// An image of the user's own.
    Path {
        /// The image.
        vmlinuz: PathBuf,
        /// Its modules.
        modules: Option<PathBuf>,
    },
    /// A kernel build tree.
    Tree(PathBuf),
}

/// Makes all wanted kernels available, in the order they were asked for.
///
/// # Errors
///
/// When one of them is unknown, or cannot be fetched, read or written.
pub fn obtain(wanted: &Wanted, options: &Options, cache: &Cache) -> Result<Vec<Kernel>> {
    let debian = || Debian::new(cache.clone(), options.clone());
    match wanted {
        Wanted::Default => {
            let debian = debian()?;
            let specs = debian.catalogue().default_specs();
            all(&debian, &specs)
        }
        Wanted::All => {
            let debian = debian()?;
            let specs = debian.list()?;
            all(&debian, &specs)
        }
        Wanted::Specs(specs) => all(&debian()?, specs),
        Wanted::Path { vmlinuz, modules } => {
            let provider = KernelPath::new(vmlinuz, modules.as_deref())?;
            all(&provider, &provider.list()?)
        }
        Wanted::Tree(dir) => {
            let provider = KernelTree::new(dir)?;
            all(&provider, &provider.list()?)
        }
    }
}

/// Extracts a package of the archive into the cache and returns the folder that stands for `/`.
///
/// Only packages that the index keeps can be had: see [`index::OTHER_PACKAGES`].
///
/// # Errors
///
/// When the package is unknown, or cannot be fetched, verified or written.
pub fn fetch_package(name: &str, options: &Options, cache: &Cache) -> Result<PathBuf> {
    Debian::new(cache.clone(), options.clone())?.package(name)
}

/// The same for several packages, in their order.
///
/// # Errors
///
/// As [`fetch_package`].
pub fn fetch_packages(names: &[&str], options: &Options, cache: &Cache) -> Result<Vec<PathBuf>> {
    let debian = Debian::new(cache.clone(), options.clone())?;
    names.iter().map(|name| debian.package(name)).collect()
}

fn all(provider: &dyn Provider, specs: &[KernelSpec]) -> Result<Vec<Kernel>> {
    // Everything is looked up before anything is fetched: a wrong name shows at once.
    let mut specs = specs.to_vec();
    let mut seen = HashSet::new();
    specs.retain(|spec| seen.insert(spec.clone()));
    let resolved: Vec<Resolved> = specs.iter().map(|spec| provider.resolve(spec)).collect::<Result<_>>()?;
    resolved.iter().map(|resolved| provider.fetch(resolved)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs_are_read_and_written() {
        let spec: KernelSpec = "6.12:rt".parse().unwrap();
        assert_eq!(spec, KernelSpec::new("6.12", Flavour::Rt));
        assert_eq!(spec.to_string(), "6.12:rt");
        let spec: KernelSpec = "5.10".parse().unwrap();
        assert_eq!((spec.flavour, spec.to_string().as_str()), (Flavour::Cloud, "5.10"));
    }

    #[test]
    fn unknown_names_list_the_known_ones() {
        let error = |text: &str| text.parse::<KernelSpec>().unwrap_err();
        assert!(error("6.12:tiny").message.contains("cloud, generic, rt"));
        assert!(error("3.2").message.contains("5.10, 6.1, 6.12"));
        assert!(error("").exit == Exit::Usage && error("6.12:").exit == Exit::Usage);
    }
}
