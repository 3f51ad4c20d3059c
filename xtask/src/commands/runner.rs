//! `cargo xtask runner`: a program of this machine, run in a guest.
//!
//! With `CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="cargo xtask runner --"` in the environment,
//! `cargo test --target x86_64-unknown-linux-gnu -p cofferdam-ns` runs its tests in one.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::cli::Runner;
use crate::fail;
use crate::image::libs;
use crate::lab::single::{self, Request};
use crate::workspace::Workspace;

/// Variables that the program gets from here; its `PATH` and `HOME` are the guest's.
const PASSED: [&str; 3] = ["RUST_", "CARGO_PKG_", "COFFERDAM_TEST_"];

/// Where `sys/examples/enosys` is in the guest.
const FILTER: &str = "/lab/bin/enosys";

/// Runs the program; its exit status is ours.
///
/// # Errors
/// The program is none, or the lab fails.
pub(super) fn run(workspace: &Workspace, args: &Runner) -> Result<u8> {
    let (program, arguments) = args.argv.split_first().context("no program")?;
    let path = std::path::absolute(program).with_context(|| program.clone())?;
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| fail::usage(format!("{program}: not a program")))?;
    let guest_path = format!("/lab/bin/{name}");
    let mut files = vec![(guest_path.clone(), path.clone(), 0o755)];
    files.extend(libs::closure(Path::new(&path))?);
    let mut words = vec![guest_path];
    if let Some(calls) = &args.enosys {
        super::enosys::check(workspace, calls)?;
        let filter = super::enosys::build(workspace)?;
        files.extend(
            libs::closure(&filter)?.into_iter().filter(|lib| !files.contains(lib)).collect::<Vec<_>>(),
        );
        files.push((FILTER.to_owned(), filter, 0o755));
        words.splice(0..0, [FILTER.to_owned(), calls.clone()]);
    }
    words.extend_from_slice(arguments);
    // Tests start what is on every system: sh, cat, grep …
    files.push(single::busybox(&args.source)?);

    let request = Request {
        kernel: &args.kernel,
        cgroup: "v2",
        modules: &args.modules,
        accel: args.accel,
        source: &args.source,
    };
    let mut guest = single::boot(workspace, &request, &files)?;
    guest.finish(&single::with_applets(words, passed(std::env::vars())), std::io::stdout())
}

fn passed(vars: impl Iterator<Item = (String, String)>) -> impl Iterator<Item = String> {
    vars.filter(|(name, _)| PASSED.iter().any(|prefix| name.starts_with(prefix)))
        .map(|(name, value)| format!("{name}={value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_test_can_use_is_passed() {
        let vars = [("RUST_BACKTRACE", "1"), ("HOME", "/x"), ("LD_PRELOAD", "y")];
        let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(passed(vars.into_iter()).collect::<Vec<_>>(), ["RUST_BACKTRACE=1"]);
    }
}
