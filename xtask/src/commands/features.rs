//! `cargo xtask features`: asks every crate's probes on every kernel, and writes `docs/kernel-features.md`.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command as Process, Stdio};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::cli::Features;
use crate::kernels::catalogue::Catalogue;
use crate::kernels::{Cache, Kernel, Wanted};
use crate::lab::build::{self, GuestPrograms};
use crate::lab::progress::Progress;
use crate::lab::single::{self, Request};
use crate::protocol::Command;
use crate::tools::{self, Tool};
use crate::workspace::Workspace;
use crate::{fail, kernels, output};

const PAGE: &str = "docs/kernel-features.md";
/// The test that asks the same probes in every run, which says what modules they are to find.
const TEST: &str = "kernel::features";

/// Writes the page, or with `--check` says whether it would change.
///
/// # Errors
/// A kernel that cannot be had or booted, or a probe that finds no answer: the page is left as it was.
pub(super) fn run(workspace: &Workspace, args: &Features) -> Result<u8> {
    tools::ensure(&[Tool::Qemu, Tool::Cc, Tool::StaticLibc, Tool::Apt, Tool::Keyring])?;
    let programs = build::guest(workspace)?;
    let tests = build::tests(&programs)?;
    let modules = tests.iter().find(|test| test.name == TEST).map(|test| test.needs.modules.clone());
    let modules = modules.with_context(|| format!("the guest has no test {TEST}"))?;
    let kernels = kernels::obtain(&Wanted::All, &single::options(&args.source), &Cache::open()?)?;
    require_all(&kernels)?;

    let progress = Progress::new();
    let mut columns = Vec::new();
    for kernel in &kernels {
        progress.say(&format!("asking Linux {}", kernel.release));
        let request = Request {
            kernel: &kernel.series,
            cgroup: "v2",
            modules: &modules,
            accel: args.accel,
            source: &args.source,
        };
        let answers = ask(workspace, &request).with_context(|| format!("Linux {}", kernel.series))?;
        columns.push((kernel.series.clone(), answers));
    }
    let page = page(&programs, &columns)?;
    let path = workspace.root.join(PAGE);
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    if old == page {
        output::print(format!("{PAGE} is what {} kernels say", columns.len()))?;
    } else if args.check {
        output::print(format!("{PAGE} is behind: run `cargo xtask features`"))?;
        return Ok(1);
    } else {
        replace(&path, &page).with_context(|| format!("write {PAGE}"))?;
        output::print(format!("{PAGE} is written anew from {} kernels", columns.len()))?;
    }
    Ok(0)
}

/// A page with a column less would be a page of another lab.
fn require_all(kernels: &[Kernel]) -> Result<()> {
    let catalogue = Catalogue::load()?;
    let lacks = |name: &str| kernels.iter().all(|kernel| kernel.series != name);
    let missing: Vec<&str> =
        catalogue.series.iter().filter(|s| !s.optional && lacks(&s.name)).map(|s| s.name.as_str()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(fail::lab(format!("the page needs every kernel, and the archive lacks {}", missing.join(", "))))
}

/// Boots a guest that asks all probes.
fn ask(workspace: &Workspace, request: &Request<'_>) -> Result<Value> {
    let mut guest = single::boot(workspace, request, &[])?;
    let argv = ["/init", "features"].map(str::to_owned).to_vec();
    let mut printed = Vec::new();
    let code = guest.finish(&Command::Exec { argv, env: Vec::new() }, &mut printed)?;
    let text = String::from_utf8_lossy(&printed);
    let answers: Value = serde_json::from_str(&text)
        .with_context(|| format!("the guest's answers (exit {code}): {}", text.trim()))?;
    match answers.get("failed").and_then(Value::as_object) {
        Some(failed) if failed.is_empty() => Ok(answers),
        Some(failed) => {
            let all: Vec<String> = failed.iter().map(|(probe, why)| format!("{probe}: {why}")).collect();
            Err(fail::failed(format!("probes without an answer: {}", all.join(", "))))
        }
        None => Err(fail::lab("the guest's answers have no list of failures")),
    }
}

/// The guest's program knows the tables, so it writes the page; it runs here.
fn page(programs: &GuestPrograms, columns: &[(String, Value)]) -> Result<String> {
    let mut child = Process::new(&programs.guest)
        .arg("features-page")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("run the guest's program")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(&serde_json::to_vec(columns)?).context("pass the answers on")?;
    }
    let output = child.wait_with_output().context("wait for the guest's program")?;
    if !output.status.success() {
        return Err(fail::failed(format!("the page cannot be written: {}", output.status)));
    }
    String::from_utf8(output.stdout).context("read the page")
}

fn replace(path: &Path, text: &str) -> Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(path.parent().context("no folder")?)?;
    file.write_all(text.as_bytes())?;
    // Temporary files are private; a page is not.
    std::fs::set_permissions(file.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_needs_every_required_kernel() {
        let kernel = |series: &str| Kernel {
            series: series.into(),
            flavour: "cloud".into(),
            release: String::new(),
            vmlinuz: "k".into(),
            modules: None,
            id: String::new(),
        };
        let catalogue = Catalogue::load().unwrap();
        let all: Vec<Kernel> =
            catalogue.series.iter().filter(|s| !s.optional).map(|s| kernel(&s.name)).collect();
        require_all(&all).unwrap();
        let error = require_all(&all[1..]).unwrap_err();
        assert!(error.to_string().ends_with("lacks 5.10") && fail::exit_code(&error) == 3, "{error}");
    }
}
