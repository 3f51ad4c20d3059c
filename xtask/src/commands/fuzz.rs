//! `cargo xtask fuzz`: the targets of `fuzz/`, each for a while, from its committed seeds.
//!
//! Built with the stable compiler: coverage is instrumented by flags of LLVM, and libFuzzer is linked by its
//! crate. What is found ends up in `target/fuzz/artifacts`; interesting inputs stay in `target/fuzz/corpus`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::tally::Tally;
use crate::cli::Fuzz;
use crate::fail;
use crate::lab::build::TARGET;
use crate::tools::{self, Tool};
use crate::workspace::Workspace;

/// How long a target runs in `cargo xtask test`.
pub(super) const SHORT: Duration = Duration::from_secs(10);

/// What `cargo fuzz` passes to the compiler, without a sanitizer: the code under test has no unsafe blocks.
const FLAGS: [&str; 7] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg=fuzzing",
    "-Ccodegen-units=8",
];
/// Seconds for one input, MiB for all: beyond them an input is a finding.
const INPUT_SECONDS: u32 = 10;
const MEMORY_MIB: u32 = 2048;

/// Runs the target that is named, or all; exit 1 when something was found.
///
/// # Errors
/// An unknown target; a build that fails.
pub(super) fn run(workspace: &Workspace, args: &Fuzz) -> Result<u8> {
    let known = targets(&workspace.root.join("fuzz/fuzz_targets"))?;
    let chosen = match &args.target {
        Some(name) if known.contains(name) => vec![name.clone()],
        Some(name) => {
            return Err(fail::usage(format!("no fuzz target `{name}`: known are {}", known.join(", "))));
        }
        None => known,
    };
    let tally = each(workspace, &chosen, Duration::from_secs(args.seconds.into()))?;
    Ok(u8::from(tally.failed > 0))
}

/// Runs all targets.
///
/// # Errors
/// A build that fails.
pub(super) fn all(workspace: &Workspace, time: Duration) -> Result<Tally> {
    each(workspace, &targets(&workspace.root.join("fuzz/fuzz_targets"))?, time)
}

fn each(workspace: &Workspace, targets: &[String], time: Duration) -> Result<Tally> {
    tools::ensure(&[Tool::Cc, Tool::Cxx])?;
    build(workspace)?;
    let mut tally = Tally::default();
    for target in targets {
        match fuzz(workspace, target, time)? {
            Ok(said) => {
                eprintln!("fuzz: {target}: {said}");
                tally.passed += 1;
            }
            Err(finding) => {
                eprintln!("fuzz: {target}: {finding}");
                tally.failed += 1;
            }
        }
    }
    Ok(tally)
}

/// The names of the targets: each is a file.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    let mut names: Vec<String> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

fn build(workspace: &Workspace) -> Result<()> {
    let mut command = workspace.cargo();
    command.args(["build", "--release", "--quiet", "--target", TARGET, "--manifest-path", "fuzz/Cargo.toml"]);
    command.env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"));
    command.env("CARGO_TARGET_DIR", workspace.target.join("fuzz"));
    let status = command.stdin(Stdio::null()).status().context("run cargo")?;
    if status.success() {
        Ok(())
    } else {
        Err(fail::failed(format!("the fuzz targets: cargo build: {status}")))
    }
}

/// What a target did, or what it found.
fn fuzz(workspace: &Workspace, target: &str, time: Duration) -> Result<Result<String, String>> {
    let base = workspace.target.join("fuzz");
    let (corpus, found) = (base.join("corpus").join(target), base.join("artifacts").join(target));
    for folder in [&corpus, &found] {
        std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    }
    let seeds = workspace.root.join("fuzz/seeds").join(target);
    let inputs = std::fs::read_dir(&seeds).with_context(|| format!("the seeds {}", seeds.display()))?;
    anyhow::ensure!(inputs.count() > 0, "{} holds no seed", seeds.display());

    let mut command = Command::new(base.join(TARGET).join("release").join(target));
    command.arg(format!("-max_total_time={}", time.as_secs()));
    command.args([format!("-timeout={INPUT_SECONDS}"), format!("-rss_limit_mb={MEMORY_MIB}")]);
    // The trailing slash makes a folder of the prefix.
    command.arg(format!("-artifact_prefix={}/", found.display()));
    command.args(["-print_final_stats=1", "-verbosity=1"]).args([&corpus, &seeds]).current_dir(&found);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("run the target {target}"))?;
    Ok(judge(&output, &found))
}

/// libFuzzer's status and statistics in one line.
fn judge(output: &Output, folder: &Path) -> Result<String, String> {
    let text = String::from_utf8_lossy(&output.stderr);
    let value = |name: &str| {
        let line = text.lines().rev().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse::<u64>().ok()
    };
    let runs = value("stat::number_of_executed_units:");
    if output.status.success() {
        return match runs {
            Some(runs) if runs > 0 => Ok(format!("{runs} inputs, no finding")),
            _ => Err("ended without running an input".to_owned()),
        };
    }
    let input = text.lines().find_map(|line| line.split_once("Test unit written to ").map(|(_, path)| path));
    let input = input.map_or_else(|| folder.to_owned(), PathBuf::from);
    let why = text.lines().find(|line| line.contains("panicked at") || line.contains("ERROR: libFuzzer"));
    let at = text.lines().skip_while(|line| !line.contains("panicked at")).nth(1).unwrap_or_default();
    Err(format!(
        "found after {} inputs: {}\n{} {at}",
        runs.unwrap_or_default(),
        input.display(),
        why.unwrap_or("the target died").trim()
    ))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    use super::*;

    fn judged(status: i32, stderr: &str) -> Result<String, String> {
        let status = ExitStatus::from_raw(status << 8);
        judge(&Output { status, stdout: Vec::new(), stderr: stderr.into() }, Path::new("/found"))
    }

    #[test]
    fn a_run_without_inputs_is_no_pass() {
        let stats = "Done 7 runs\nstat::number_of_executed_units: 7\n";
        assert_eq!(judged(0, stats), Ok("7 inputs, no finding".into()));
        assert!(judged(0, "").is_err() && judged(0, "stat::number_of_executed_units: 0\n").is_err());
    }

    #[test]
    fn a_finding_names_its_input() {
        let text = "thread panicked at src/x.rs:1:2:\nno way\n==1== ERROR: libFuzzer: deadly signal\nartifact_prefix='x'; Test unit written to /found/crash-1\nstat::number_of_executed_units: 3\n";
        let found = judged(77, text).unwrap_err();
        assert!(found.contains("after 3 inputs: /found/crash-1") && found.contains("no way"), "{found}");
        assert!(judged(1, "").unwrap_err().contains("/found"));
    }

    /// Each target is a program of `fuzz/Cargo.toml` and has seeds.
    #[test]
    fn targets_are_whole() {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("fuzz");
        let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
        let targets = targets(&fuzz.join("fuzz_targets")).unwrap();
        assert!(!targets.is_empty());
        for target in targets {
            assert!(manifest.contains(&format!("name = \"{target}\"")), "{target}");
            assert!(std::fs::read_dir(fuzz.join("seeds").join(&target)).unwrap().count() > 0, "{target}");
        }
    }
}
