//! The criu of this machine, for guests in which the runtime's checkpoint and restore are tested.
//!
//! It is a program of the distribution with a dozen libraries, so it is taken from where it is installed, and what it
//! runs itself along with it: tar for file systems in memory, and what tar runs.

use std::path::{Path, PathBuf};

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

/// Adds criu to what is packed for a runtime; gives the reason when this machine has none.
///
/// # Errors
/// A library of theirs is missing, or a program is none: exit 2.
pub fn pack(runtime: &mut Runtime) -> Result<Option<String>> {
    let mut files = Vec::new();
    for (name, places, guest) in PROGRAMS {
        let Some(here) = find(places) else {
            return Ok(Some(format!("{name} is not on this machine: apt-get install {name}")));
        };
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

fn find(places: &[&str]) -> Option<PathBuf> {
    places.iter().map(Path::new).find(|path| path.is_file()).map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_criu_runs_is_packed_once() {
        let mut runtime = Runtime::none();
        if let Some(why) = pack(&mut runtime).unwrap() {
            assert!(why.contains("apt-get install") && runtime.files.is_empty(), "{why}");
            return;
        }
        let mut names: Vec<&str> = runtime.files.iter().map(|(guest, ..)| guest.as_str()).collect();
        assert!(names.contains(&"/usr/sbin/criu") && names.contains(&"/bin/sh"), "{names:?}");
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }
}
