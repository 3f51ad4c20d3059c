//! The test that holds a kernel against the page.

use super::page::{Page, differences};
use super::{ask, find, version};
use crate::registry::{Context, OrFail, Result, Test};

/// What probes may ask for as a module: a file system that nobody loaded is no answer about the kernel.
const MODULES: &[&str] = &["overlay", "erofs", "squashfs", "fuse", "loop"];

pub(crate) const TESTS: &[Test] = &[Test::integration(
    "kernel::features",
    "Each facility that a crate asks for is there or absent as docs/kernel-features.md says",
    features,
)
.modules(MODULES)
.cgroup("v2")];

fn features(_: &mut Context) -> Result {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let release = release.trim();
    let running = version(release).or_fail(format_args!("a version in {release}"))?;
    let answers = ask();
    for (key, _) in answers.there.iter().filter(|(_, there)| **there) {
        let since = key.split_once(' ').and_then(|(_, name)| find(name)).map_or("", |probe| probe.since);
        ensure!(version(since) <= Some(running), "{key}: there on {release}, before its release {since}");
    }
    let page = Page::committed().map_err(crate::registry::Failure::failed)?;
    let series = format!("{}.{}", running.0, running.1);
    let Some(column) = page.of(&series) else {
        skip!("docs/kernel-features.md has no column for Linux {series}");
    };
    if !release.contains("-cloud-") {
        skip!(
            "docs/kernel-features.md is about Debian's cloud kernels, and {release} is configured otherwise"
        );
    }
    let found = differences(column, &answers);
    ensure!(found.is_empty(), "run `cargo xtask features` if the kernel is right:\n{}", found.join("\n"));
    Ok(())
}
