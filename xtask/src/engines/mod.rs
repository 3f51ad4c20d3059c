//! `cargo xtask engine-test`: real engines, with the runtime under test below them.
//!
//! Each engine gets a box: mount, network, process and cgroup namespaces in which it finds a machine of its own.
//! What it writes is in memory, `/` is read-only, and when the box's first process ends all of it is gone; so it
//! does not matter how a run ends. A scenario that fails is run again with another runtime: when that fails too,
//! it is the host that cannot.

mod boxed;
mod buildah;
mod cgroups;
mod cli;
mod containerd;
mod cri;
mod docker;
mod engine;
mod image;
mod inside;
mod place;
mod podman;
mod process;
mod report;
mod results;
mod scenarios;
mod view;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::cli::{Cgroup, EngineChoice, EngineTest, Source};
use crate::lab::cancel::Cancel;
use crate::lab::{build, single};
use crate::tools::{self, Tool};
use crate::workspace::Workspace;
use crate::{fail, output};

use boxed::Lab;
use engine::Engine;
use results::Results;
use scenarios::Scenario;

pub use inside::intercept;

/// An engine in the way that it is used.
pub(super) type Kind = EngineChoice;

/// What a box says, one line each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Event {
    /// The engine is up.
    Up {
        /// What it says about itself.
        version: String,
    },
    /// The engine cannot run here.
    Cannot {
        /// Why.
        why: String,
    },
    /// A scenario passed.
    Passed {
        /// Its name.
        scenario: String,
        /// Milliseconds.
        ms: u64,
    },
    /// A scenario failed.
    Failed {
        /// Its name.
        scenario: String,
        /// What was wrong.
        why: String,
        /// Milliseconds.
        ms: u64,
    },
    /// The engine has no such thing.
    Skipped {
        /// Its name.
        scenario: String,
        /// What it lacks.
        why: String,
    },
}

impl Kind {
    /// What has to be installed for it.
    fn tools(self) -> &'static [Tool] {
        match self {
            Self::Podman => &[Tool::Podman, Tool::Conmon, Tool::Netavark, Tool::Iptables, Tool::Catatonit],
            Self::PodmanRootless => {
                &[Tool::Podman, Tool::Conmon, Tool::NewUidMap, Tool::Slirp, Tool::Catatonit]
            }
            Self::Buildah => &[Tool::Buildah],
            Self::Containerd => &[Tool::Containerd],
            Self::Cri => &[Tool::Containerd, Tool::Cni, Tool::Iptables, Tool::Curl],
            Self::Docker => &[Tool::Dockerd, Tool::Docker, Tool::Containerd, Tool::Iptables],
        }
    }

    /// Starts it, inside its box.
    fn start(self, place: &place::Place, image: &image::Image) -> Result<Box<dyn Engine>> {
        Ok(match self {
            Self::Podman => Box::new(podman::rootful(place, image)?),
            Self::PodmanRootless => Box::new(podman::rootless(place, image)?),
            Self::Buildah => Box::new(buildah::Buildah::start(place, image)?),
            Self::Containerd => Box::new(containerd::Containerd::start(place, image)?),
            Self::Cri => Box::new(cri::Cri::start(place, image)?),
            Self::Docker => Box::new(docker::start(place, image)?),
        })
    }
}

/// Runs the scenarios; see [`Results::exit`] for the status.
///
/// # Errors
/// Wrong input, not root, engines that cannot be installed, a box that cannot be made.
pub fn run(workspace: &Workspace, args: &EngineTest) -> Result<u8> {
    let scenarios = chosen(args)?;
    let foreign = args.runtime.as_deref().map(program).transpose()?;
    if args.list {
        output::print(report::listing(&scenarios))?;
        return Ok(0);
    }
    if !nix::unistd::geteuid().is_root() {
        return Err(fail::usage(
            "engine-test: engines are started as root: type `sudo cargo xtask engine-test`",
        ));
    }
    let kinds = if args.engines.is_empty() { EngineChoice::ALL.to_vec() } else { args.engines.clone() };
    let mut needed: Vec<Tool> = kinds.iter().flat_map(|kind| kind.tools()).copied().collect();
    needed.dedup();
    tools::ensure(&needed)?;
    let (_, busybox, _) = single::busybox(&Source { mirror: None, offline: args.offline })?;
    let runtime = match foreign {
        Some(path) => path,
        None => build::dist(workspace)?,
    };
    let out = workspace.target.join("engine-test");
    std::fs::create_dir_all(out.join("logs")).with_context(|| format!("make {}", out.display()))?;
    let cancel = Cancel::on_signals().context("listen to signals")?;
    let lab = Lab { busybox, hierarchies: cgroups::hierarchies()?, logs: out.join("logs"), cancel };
    cgroups::sweep(&lab.hierarchies);
    let layout = args.cgroup.unwrap_or(Cgroup::Hybrid);
    let mut results = Results::new(&runtime, &scenarios);
    for kind in kinds {
        results.add(kind, lab.run(kind, &runtime, layout, &scenarios)?);
        control(&lab, kind, &runtime, layout, &scenarios, &mut results)?;
    }
    results.settle();
    report::write(&out, &results)?;
    eprintln!("reports and logs in {}", out.display());
    let summary = report::text(&results);
    if args.json {
        eprintln!("{summary}");
        output::json(&results)?;
    } else {
        output::print(summary)?;
    }
    Ok(results.exit(!args.engines.is_empty()))
}

/// Runs what failed with the distribution's runtimes: what fails there too is the host's.
fn control(
    lab: &Lab,
    kind: Kind,
    tested: &Path,
    layout: Cgroup,
    scenarios: &[&'static Scenario],
    results: &mut Results,
) -> Result<()> {
    for tool in [Tool::Runc, Tool::Crun] {
        let open = results.open(kind, scenarios);
        let path = tools::path(tool).filter(|path| path != tested);
        let Some(path) = path.filter(|_| !open.is_empty()) else { continue };
        eprintln!("{}: {} failed; now the same with {}", kind.name(), open.len(), tool.name());
        // crun refuses a hybrid layout: it sees the part with the controllers.
        let hybrid = cgroups::is_hybrid(&cgroups::of_layout(&lab.hierarchies, layout));
        let (layout, on) = match tool {
            Tool::Crun if hybrid => (Cgroup::V1, " on v1 alone"),
            _ => (layout, ""),
        };
        let control = lab.run(kind, &path, layout, &open)?;
        results.control(kind, &format!("{}{on}", tool.name()), &control);
    }
    Ok(())
}

/// The absolute path of a program that can be executed.
fn program(path: &Path) -> Result<PathBuf> {
    let wrong = |why: &str| fail::usage(format!("--runtime {}: {why}", path.display()));
    let meta = std::fs::metadata(path).map_err(|error| wrong(&error.to_string()))?;
    let mode = std::os::unix::fs::PermissionsExt::mode(&meta.permissions());
    if !meta.is_file() || mode & 0o111 == 0 {
        return Err(wrong("not a program that can be executed"));
    }
    std::path::absolute(path).context("find the runtime")
}

/// The scenarios that the filter leaves, in the order of the table.
fn chosen(args: &EngineTest) -> Result<Vec<&'static Scenario>> {
    let fits =
        |name: &str| args.filters.is_empty() || args.filters.iter().any(|text| name.contains(text.as_str()));
    let chosen: Vec<&Scenario> = scenarios::ALL
        .iter()
        .filter(|scenario| fits(scenario.name) && (scenario.fast || !args.fast))
        .collect();
    if chosen.is_empty() {
        return Err(fail::usage(format!(
            "no scenario fits `{}`: `cargo xtask engine-test --list` shows them",
            args.filters.join("`, `")
        )));
    }
    Ok(chosen)
}
