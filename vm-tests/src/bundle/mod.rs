//! OCI bundles for tests: a hardened `config.json` that can be changed, and a root directory with the probe.
//!
//! A test changes the config and nothing else, so that any runtime can be behind it: [`Bundle::hardened`]
//! holds every defence that this project's runtime has so far, [`Bundle::peel`] takes one [`Layer`] away.

mod commands;
mod config;
mod layer;
mod limits;
mod rootfs;
mod run;
mod seccomp;
mod value;

pub use commands::Created;
pub use config::{HARDENED_CAPABILITIES, HOST_ID, IDS};
pub use layer::Layer;
pub use run::{Ended, Running};
pub use value::{At, place};

use crate::registry::{Context, OrFail, Result};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// Where the probe is in a container.
pub const PROBE: &str = "/probe";

/// A bundle that is being put together.
#[derive(Debug)]
pub struct Bundle {
    id: String,
    dir: PathBuf,
    runtime: PathBuf,
    config: Value,
    entries: Vec<rootfs::Entry>,
    stdin: Option<Vec<u8>>,
}

impl Bundle {
    /// The hardened config for a container of that id, in the scratch directory. It runs the probe.
    ///
    /// A limit whose controller the guest's cgroup layout lacks is left out, and no other: what relies on one
    /// declares that (`cgroup:NAME`, see [`crate::guest::facilities`]).
    ///
    /// Where the guest was booted to leave a defence out (`lab.break=`), it is left out.
    pub fn hardened(ctx: &Context, id: &str) -> Self {
        let mut bundle = Self {
            id: id.to_owned(),
            dir: ctx.scratch().join(id),
            runtime: ctx.runtime().to_owned(),
            config: config::hardened(id),
            entries: rootfs::skeleton(),
            stdin: None,
        };
        // A copy in each root directory would be new code to an emulator, which translates it each time.
        bundle.bind(ctx.probe(), PROBE, &["bind", "ro", "nosuid", "nodev"]);
        limits::fit(bundle.place("/linux/resources"));
        for layer in Layer::ALL.iter().filter(|layer| ctx.broken(layer.name())) {
            bundle.peel(*layer);
        }
        if ctx.broken("bounding") {
            bundle.set("/process/capabilities/bounding", json!(layer::ALL_CAPABILITIES));
        }
        bundle
    }

    /// The container's id, which is also the name of its cgroup below the root.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where the bundle is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The runtime under test.
    pub(crate) fn runtime(&self) -> &Path {
        &self.runtime
    }

    /// Has another file of the runtime under test do the work.
    pub(crate) fn run_by(&mut self, runtime: PathBuf) -> &mut Self {
        self.runtime = runtime;
        self
    }

    /// `config.json`, to be changed.
    pub fn config(&mut self) -> &mut Value {
        &mut self.config
    }

    /// Sets a field of `config.json` by its path, such as `/linux/maskedPaths`; objects on the way are made.
    pub fn set(&mut self, path: &str, value: Value) -> &mut Self {
        *self.place(path) = value;
        self
    }

    /// A list of `config.json` by its path; made when there is none.
    pub fn list(&mut self, path: &str) -> &mut Vec<Value> {
        value::list(&mut self.config, path)
    }

    fn place(&mut self, path: &str) -> &mut Value {
        value::place(&mut self.config, path)
    }

    /// What the probe is to do; see [`crate::probe`].
    pub fn probe<S: AsRef<str>>(&mut self, words: &[S]) -> &mut Self {
        let words = words.iter().map(AsRef::as_ref);
        self.set("/process/args", std::iter::once("/probe").chain(words).collect());
        self
    }

    /// Adds a mount.
    pub fn mount(&mut self, kind: &str, source: &str, destination: &str, options: &[&str]) -> &mut Self {
        self.list("/mounts").push(json!({
            "destination": destination, "type": kind, "source": source, "options": options,
        }));
        self
    }

    /// Adds a bind mount of a path of the host.
    pub fn bind(&mut self, source: &Path, destination: &str, options: &[&str]) -> &mut Self {
        self.mount("bind", &source.to_string_lossy(), destination, options)
    }

    /// Takes the mount at a destination away.
    pub fn unmount(&mut self, destination: &str) -> &mut Self {
        self.list("/mounts").retain(|mount| mount.at("destination") != destination);
        self
    }

    /// Adds a file to the root directory.
    pub fn file(&mut self, path: &str, mode: u32, text: &str) -> &mut Self {
        self.entries.push(rootfs::Entry::file(path, mode, text));
        self
    }

    /// Adds a directory to the root directory.
    pub fn directory(&mut self, path: &str, mode: u32) -> &mut Self {
        self.entries.push(rootfs::Entry::directory(path, mode));
        self
    }

    /// Adds a copy of a file of the host to the root directory.
    pub fn copy(&mut self, source: &Path, path: &str, mode: u32) -> &mut Self {
        self.entries.push(rootfs::Entry::copy(source, path, mode));
        self
    }

    /// Gives the container this standard input instead of an empty one.
    pub fn stdin(&mut self, data: &[u8]) -> &mut Self {
        self.stdin = Some(data.to_vec());
        self
    }

    /// Adds the system call filter of the hardened profile.
    ///
    /// The other attempts are without, so that what they prove is the layer behind.
    pub fn seccomp(&mut self) -> &mut Self {
        self.set("/linux/seccomp", seccomp::hardened())
    }

    /// Sets these limits in place of the hardened ones, without those whose controller the guest lacks.
    pub fn limits(&mut self, mut resources: Value) -> &mut Self {
        limits::fit(&mut resources);
        self.set("/linux/resources", resources)
    }

    /// What limits the container now, by the name of the file in cgroup v2 and as that file has it.
    ///
    /// Read by the host's eyes, from whichever hierarchy has the controller.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn limit(&self, file: &str) -> Result<String> {
        limits::read(&self.id, file)
    }

    /// Takes a layer of defence away.
    pub fn peel(&mut self, layer: Layer) -> &mut Self {
        layer.peel(self);
        self
    }

    /// Takes every layer of defence away.
    pub fn peel_all(&mut self) -> &mut Self {
        for layer in Layer::ALL {
            layer.peel(self);
        }
        self
    }

    /// Writes the bundle: `config.json` and `rootfs`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self) -> Result {
        let root = self.dir.join("rootfs");
        fs::create_dir_all(&root).or_fail("making the bundle's directory")?;
        rootfs::write(&root, &self.entries, self.owner())?;
        let text = serde_json::to_string_pretty(&self.config)?;
        fs::write(self.dir.join("config.json"), text).or_fail("writing config.json")
    }

    /// The host's id of the container's root.
    fn owner(&self) -> u32 {
        let mapped = self.config.at("linux").at("uidMappings");
        let mut ranges = mapped.as_array().into_iter().flatten();
        let root =
            ranges.find(|range| range.at("containerID") == 0).and_then(|range| range.at("hostID").as_u64());
        root.and_then(|id| u32::try_from(id).ok()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::cgroups::Layout;
    use crate::guest::cmdline::Cmdline;

    fn bundle(cmdline: &str) -> Bundle {
        Bundle::hardened(&Context::new("full", Cmdline::parse(cmdline), Layout::V2), "t")
    }

    #[test]
    fn the_hardened_config_has_every_layer_and_peeling_takes_it_away() {
        for layer in Layer::ALL {
            let mut bundle = bundle("");
            if *layer == Layer::ReadonlyMounts || *layer == Layer::MountPropagation {
                bundle.bind(Path::new("/x"), "/x", &["bind", "ro", "private"]);
            }
            if *layer == Layer::Seccomp {
                bundle.seccomp();
            }
            let before = bundle.config.clone();
            bundle.peel(*layer);
            assert_ne!(bundle.config, before, "{layer:?}");
        }
    }

    #[test]
    fn a_broken_defence_is_left_out() {
        assert_eq!(bundle("lab.break=masks").config["linux"]["maskedPaths"], json!([]));
        let broken = bundle("lab.break=bounding").config["process"]["capabilities"].clone();
        assert!(broken["bounding"].as_array().unwrap().len() > 40);
        assert_eq!(broken["effective"], json!(HARDENED_CAPABILITIES));
    }

    #[test]
    fn peeling_the_user_namespace_gives_the_files_to_root() {
        let mut bundle = bundle("");
        assert_eq!(bundle.owner(), HOST_ID);
        bundle.peel(Layer::UserNamespace);
        assert_eq!(bundle.owner(), 0);
    }
}
