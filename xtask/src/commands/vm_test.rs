//! `cargo xtask vm-test`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::support;
use crate::cli::{Cgroup, Suite, VmTest};
use crate::image;
use crate::kernels::catalogue::Catalogue;
use crate::kernels::{self, Cache, Kernel, KernelPath, KernelSpec, KernelTree, Wanted};
use crate::lab::build::{self, GuestPrograms};
use crate::lab::cancel::Cancel;
use crate::lab::collect::Collector;
use crate::lab::criu;
use crate::lab::guest::{self, Host};
use crate::lab::limits::Limits;
use crate::lab::plan::{Plan, plan};
use crate::lab::progress::Progress;
use crate::lab::report;
use crate::lab::results::Results;
use crate::lab::run::Run;
use crate::lab::runtime::Runtime;
use crate::lab::schedule::default_jobs;
use crate::lab::select::{Selection, listing, select};
use crate::lab::single;
use crate::protocol::TestInfo;
use crate::qemu::Qemu;
use crate::tools::{self, Tool};
use crate::workspace::Workspace;
use crate::{fail, output};

/// Boots kernels and runs tests in them; see [`Results::exit`] for the status.
///
/// # Errors
/// Wrong input, or a lab that cannot start.
pub(super) fn run(workspace: &Workspace, args: &VmTest) -> Result<u8> {
    let wanted = wanted(args)?;
    let foreign = args.runtime.as_deref().map(Runtime::foreign).transpose()?;
    tools::ensure(&[Tool::Cc, Tool::StaticLibc])?;
    let programs = build::guest(workspace)?;
    let tests = select(
        &build::tests(&programs)?,
        &Selection { suite: args.suite, filter: args.filter.as_deref(), foreign_runtime: foreign.is_some() },
    );
    if tests.is_empty() {
        let filter = args.filter.as_deref().unwrap_or_default();
        return Err(fail::usage(format!("no test fits `{filter}`: `cargo xtask vm-test --list` shows them")));
    }
    if args.list {
        output::print(listing(&tests))?;
        return Ok(0);
    }
    let mut runtime = match foreign {
        Some(runtime) => runtime,
        // The release program takes its time to build: only for tests that start containers with it.
        None if tests.iter().all(|test| !test.oci) => Runtime::none(),
        None => Runtime::own(&build::dist(workspace)?),
    };
    let missing = match args.suite {
        Suite::Checkpoint => criu::pack(&mut runtime)?,
        _ => None,
    };
    let lab = Lab { programs: &programs, runtime: &runtime, missing: missing.as_deref() };
    let results = boot_and_run(workspace, args, &wanted, &tests, &lab)?;
    let summary = report::matrix::text(&results);
    if args.json {
        eprintln!("{summary}\n{}", results.totals());
        output::json(&results)?;
    } else {
        output::print(format!("{summary}\n{}", results.totals()))?;
    }
    Ok(results.exit())
}

/// What is placed in guests, and what is missing for any test to run.
struct Lab<'a> {
    programs: &'a GuestPrograms,
    runtime: &'a Runtime,
    missing: Option<&'a str>,
}

fn boot_and_run(
    workspace: &Workspace,
    args: &VmTest,
    wanted: &[Wanted],
    tests: &[TestInfo],
    lab: &Lab<'_>,
) -> Result<Results> {
    let started = Instant::now();
    let Lab { programs, runtime, missing } = *lab;
    let mut plan = plan(tests, args.cgroup.map(Cgroup::name));
    if let Some(missing) = missing {
        plan.exclude_all(missing);
    }
    let out = args.out.clone().unwrap_or_else(|| workspace.target.join("vm-test/report"));
    let consoles = prepare_out(&out)?;
    let mut needed = vec![Tool::Qemu];
    needed.extend(plan.groups.iter().any(|group| group.config.disk).then_some(Tool::Mke2fs));
    tools::ensure(&needed)?;

    let cancel = Cancel::on_signals().context("listen to signals")?;
    let cache = Cache::open()?;
    let kernels = obtain(args, wanted, &cache)?;
    let systemd = if plan.groups.iter().any(|group| group.config.systemd) {
        tools::ensure(&[Tool::Apt, Tool::Keyring])?;
        image::systemd::files(&single::options(&args.source), &cache)?
    } else {
        Vec::new()
    };
    let qemu = Qemu::find(&cache)?;
    let chosen = support::accel(args.accel, kernels.first(), programs, &qemu, &consoles, &cache)?;
    let limits = Limits::new(chosen.accel, args.limit_ms);
    let jobs = args.jobs.map_or_else(|| default_jobs(guest::MEMORY_MIB.into()), usize::from);
    let progress = Progress::new();
    progress.say(&format!(
        "{} tests in {} groups on {} kernels, {jobs} guests at once, {} ({})",
        tests.len(),
        plan.groups.len(),
        kernels.len(),
        chosen.accel.name(),
        chosen.why
    ));
    let collector = Collector::new(&kernels, tests, chosen.accel.name());
    for excluded in &plan.excluded {
        collector.excluded(&excluded.case, args.cgroup.map_or("", Cgroup::name), &excluded.reason);
    }
    Run {
        host: Host { qemu: &qemu, accel: chosen.accel, limits: &limits, logs: &consoles, cache: &cache },
        kernels: &kernels,
        names: &collector.columns(),
        plan: &plan,
        programs,
        systemd: &systemd,
        runtime,
        broken: args.break_defence.as_deref(),
        progress: &progress,
        collector: &collector,
        cancel: &cancel,
    }
    .run(jobs);
    if cancel.wanted() {
        return Err(fail::lab("cancelled: no report is written"));
    }
    let mut results = collector.finish(&runtime.name);
    if is_full(args, &kernels)? {
        results.fail_skipped_everywhere(&exempt(&plan));
    }
    report::write(&out, &results)?;
    progress.say(&format!("{} s; reports in {}", started.elapsed().as_secs(), out.display()));
    Ok(results)
}

/// What the command line asks for; wrong names and files are found here, before anything is built.
fn wanted(args: &VmTest) -> Result<Vec<Wanted>> {
    let mut wanted = Vec::new();
    let mut specs: Vec<KernelSpec> = Vec::new();
    for text in &args.kernels {
        let spec = text.parse()?;
        if !specs.contains(&spec) {
            specs.push(spec);
        }
    }
    if !specs.is_empty() {
        wanted.push(Wanted::Specs(specs));
    }
    if let Some(vmlinuz) = &args.kernel_path {
        KernelPath::new(vmlinuz, args.modules.as_deref())?;
        wanted.push(Wanted::Path { vmlinuz: vmlinuz.clone(), modules: args.modules.clone() });
    }
    if let Some(tree) = &args.kernel_tree {
        KernelTree::new(tree)?;
        wanted.push(Wanted::Tree(tree.clone()));
    }
    if args.all_kernels {
        wanted.push(Wanted::All);
    } else if wanted.is_empty() {
        wanted.push(Wanted::Default);
    }
    Ok(wanted)
}

fn obtain(args: &VmTest, wanted: &[Wanted], cache: &Cache) -> Result<Vec<Kernel>> {
    let options = single::options(&args.source);
    let mut kernels = Vec::new();
    for wanted in wanted {
        if !matches!(wanted, Wanted::Path { .. } | Wanted::Tree(_)) {
            tools::ensure(&[Tool::Apt, Tool::Keyring])?;
        }
        kernels.extend(kernels::obtain(wanted, &options, cache)?);
    }
    Ok(kernels)
}

/// Makes the folders of the reports; what an earlier run left there would be taken for this one's.
fn prepare_out(out: &Path) -> Result<PathBuf> {
    let consoles = out.join("consoles");
    let attempt = || -> std::io::Result<()> {
        std::fs::create_dir_all(&consoles)?;
        for name in ["results.json", "junit.xml", "matrix.md", "index.html"] {
            remove(&out.join(name))?;
        }
        for entry in std::fs::read_dir(&consoles)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "log") {
                remove(&path)?;
            }
        }
        // A folder that cannot be written to shows now, not after minutes of tests.
        tempfile::tempfile_in(out).map(drop)
    };
    attempt().map_err(|error| {
        fail::lab(format!(
            "the folder for reports {} cannot be used: {error}; name another with --out",
            out.display()
        ))
    })?;
    Ok(consoles)
}

fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether the run shows everything that a run can: no filter, and at least the default kernels. What another
/// runtime lacks is skipped with a reason everywhere, and says nothing about the tests.
fn is_full(args: &VmTest, kernels: &[Kernel]) -> Result<bool> {
    let defaults = Catalogue::load()?.default_specs();
    let has = |spec: &KernelSpec| kernels.iter().any(|kernel| kernel.series == spec.series);
    Ok(args.filter.is_none()
        && args.runtime.is_none()
        && !matches!(args.suite, Suite::Selftest | Suite::Checkpoint | Suite::Systemd)
        && defaults.iter().all(has))
}

fn exempt(plan: &Plan) -> BTreeSet<(String, String)> {
    plan.excluded.iter().map(|excluded| (excluded.case.test.clone(), excluded.case.mode.clone())).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn args(words: &[&str]) -> VmTest {
        let cli = Cli::parse_from(["xtask", "vm-test"].iter().chain(words));
        let Command::VmTest(args) = cli.command else { panic!("{cli:?}") };
        *args
    }

    #[test]
    fn kernels_are_looked_up_before_anything_is_built() {
        let error = wanted(&args(&["--kernel", "9.99"])).unwrap_err();
        assert_eq!(fail::exit_code(&error), 2);
        assert!(format!("{error:#}").contains("5.10"), "{error:#}");
        let specs = |words: &[&str]| match wanted(&args(words)).unwrap().remove(0) {
            Wanted::Specs(specs) => specs.iter().map(ToString::to_string).collect(),
            other => vec![format!("{other:?}")],
        };
        assert_eq!(specs(&["--kernel", "5.10", "--kernel", "5.10"]), ["5.10"]);
        assert_eq!(specs(&[]), ["Default"]);
        assert_eq!(specs(&["--all-kernels"]), ["All"]);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_one_line_and_the_labs_failure() {
        let error = prepare_out(Path::new("/proc/reports")).unwrap_err();
        assert_eq!(fail::exit_code(&error), 3);
        let text = format!("{error:#}");
        assert!(text.contains("/proc/reports") && text.lines().count() == 1, "{text}");
    }

    #[test]
    fn old_reports_go_and_other_files_stay() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("results.json"), "old").unwrap();
        std::fs::write(dir.path().join("mine.txt"), "mine").unwrap();
        let consoles = prepare_out(dir.path()).unwrap();
        std::fs::write(consoles.join("a.log"), "old").unwrap();
        prepare_out(dir.path()).unwrap();
        assert!(!dir.path().join("results.json").exists() && !consoles.join("a.log").exists());
        assert!(dir.path().join("mine.txt").exists());
    }

    #[test]
    fn a_run_is_full_without_a_filter_and_with_the_default_kernels() {
        let kernel = |series: &str| Kernel {
            series: series.into(),
            flavour: "cloud".into(),
            release: String::new(),
            vmlinuz: "k".into(),
            modules: None,
            id: String::new(),
        };
        let defaults: Vec<Kernel> =
            Catalogue::load().unwrap().default_specs().iter().map(|spec| kernel(&spec.series)).collect();
        assert!(is_full(&args(&[]), &defaults).unwrap());
        assert!(!is_full(&args(&["--filter", "x"]), &defaults).unwrap());
        assert!(!is_full(&args(&["--runtime", "/usr/bin/runc"]), &defaults).unwrap());
        assert!(!is_full(&args(&[]), &defaults[..1]).unwrap());
    }
}
