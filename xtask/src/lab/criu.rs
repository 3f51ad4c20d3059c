//! The criu of this machine, for guests in which the runtime's checkpoint and restore are tested.
//!
//! It is a program of the distribution with a dozen libraries, so it is taken from where it is installed, and what it
//! runs itself along with it: tar for file systems in memory, and what tar runs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Result;

use super::runtime::Runtime;
use crate::image::libs;

/// The program, the places it may have here, and its place in the guest.
const PROGRAMS: [(&str, &[&str], &str); 4] = [
    ("criu", &["/usr/sbin/criu", "/usr/local/sbin/criu", "/usr/bin/criu"], "/usr/sbin/criu"),
    ("tar", &["/usr/bin/tar", "/bin/tar"], "/usr/bin/tar"),
    ("gzip", &["/usr/bin/gzip", "/bin/gzip"], "/usr/bin/gzip"),
    ("sh", &["/bin/dash", "/bin/bash"], "/bin/sh"),
];

/// The oldest that brings `no_new_privs` back. What an older one has restored has more rights than its config allows,
/// and is refused by the runtime.
const OLDEST: (u32, u32) = (3, 19);

/// Adds criu to what is packed for a runtime; gives the reason when this machine has none that will do.
///
/// # Errors
/// A library of theirs is missing, or a program is none: exit 2.
pub fn pack(runtime: &mut Runtime) -> Result<Option<String>> {
    let mut files = Vec::new();
    for (name, places, guest) in PROGRAMS {
        let Some(here) = find(places) else {
            return Ok(Some(format!("{name} is not on this machine: apt-get install {name}")));
        };
        if name == "criu"
            && let Some(why) = too_old(&version(&here))
        {
            return Ok(Some(why));
        }
        files.extend(libs::closure(&here)?);
        files.push((guest.to_owned(), here, 0o755));
    }
    for file in files {
        if runtime.files.iter().all(|(known, ..)| *known != file.0) {
            runtime.files.push(file);
        }
    }
    Ok(None)
}

/// What a criu says of its version, beginning with `Version: `.
fn version(program: &Path) -> String {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

/// The reason not to take a criu that says this of its version.
fn too_old(said: &str) -> Option<String> {
    let version =
        said.lines().find_map(|line| line.strip_prefix("Version: ")).unwrap_or("of an unknown version");
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) if (major, minor) >= OLDEST => None,
        _ => Some(format!(
            "criu {version} is on this machine: {}.{} or newer is needed, which restores no_new_privs",
            OLDEST.0, OLDEST.1
        )),
    }
}

fn find(places: &[&str]) -> Option<PathBuf> {
    places.iter().map(Path::new).find(|path| path.is_file()).map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_criu_that_forgets_no_new_privs_is_not_taken() {
        assert!(
            too_old("Version: 3.17.1\n")
                .is_some_and(|why| why.contains("criu 3.17.1") && why.contains("3.19"))
        );
        assert!(too_old("").is_some() && too_old("Version: x").is_some());
        assert_eq!([too_old("Version: 3.19\n"), too_old("Version: 4.1.1\nGitID: v\n")], [None, None]);
    }

    #[test]
    fn what_criu_runs_is_packed_once() {
        let mut runtime = Runtime::none();
        if let Some(why) = pack(&mut runtime).unwrap() {
            assert!(why.contains("on this machine: ") && runtime.files.is_empty(), "{why}");
            return;
        }
        let mut names: Vec<&str> = runtime.files.iter().map(|(guest, ..)| guest.as_str()).collect();
        assert!(names.contains(&"/usr/sbin/criu") && names.contains(&"/bin/sh"), "{names:?}");
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }
}
