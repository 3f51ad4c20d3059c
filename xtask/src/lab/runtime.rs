//! The OCI runtime under test, and what has to be packed for it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::fail;
use crate::image::libs;

/// Where the guest finds it.
const GUEST_PATH: &str = "/lab/runtime";

/// A runtime, ready to be packed.
#[derive(Debug, Clone)]
pub struct Runtime {
    /// The name in reports: `cofferdam`, or the path that was given.
    pub name: String,
    /// Whether it is this repository's own.
    pub own: bool,
    /// The program and its libraries: path in the guest, path here, mode.
    pub files: Vec<(String, PathBuf, u32)>,
}

impl Runtime {
    /// None, for tests that start no container by one.
    pub fn none() -> Self {
        Self { name: "none".to_owned(), own: true, files: Vec::new() }
    }

    /// This repository's own, as built.
    pub fn own(program: &Path) -> Self {
        let files = vec![(GUEST_PATH.to_owned(), program.to_owned(), 0o755)];
        Self { name: "cofferdam".to_owned(), own: true, files }
    }

    /// Another one, with the shared libraries that it wants.
    ///
    /// # Errors
    /// There is no such program, it cannot be executed, or a library is missing: exit 2.
    pub fn foreign(program: &Path) -> Result<Self> {
        let shown = program.display();
        let meta =
            std::fs::metadata(program).map_err(|error| fail::usage(format!("--runtime {shown}: {error}")))?;
        let mode = std::os::unix::fs::PermissionsExt::mode(&meta.permissions());
        if !meta.is_file() || mode & 0o111 == 0 {
            return Err(fail::usage(format!("--runtime {shown}: not a program that can be executed")));
        }
        let path = std::path::absolute(program).with_context(|| format!("--runtime {shown}"))?;
        let mut files = vec![(GUEST_PATH.to_owned(), path.clone(), 0o755)];
        files.extend(libs::closure(&path)?);
        Ok(Self { name: path.display().to_string(), own: false, files })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_that_is_none_is_usage() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let plain = file.path().to_str().unwrap();
        let table = [("/nonexistent/runc", "No such file"), (plain, "not a program"), ("/", "not a program")];
        for (path, why) in table {
            let error = Runtime::foreign(Path::new(path)).unwrap_err();
            assert_eq!(fail::exit_code(&error), 2, "{path}");
            let text = format!("{error:#}");
            assert!(text.contains(path) && text.contains(why), "{text}");
            assert_eq!(text.lines().count(), 1);
        }
    }

    #[test]
    fn libraries_are_packed_along() {
        let runtime = Runtime::foreign(&std::env::current_exe().unwrap()).unwrap();
        assert!(!runtime.own);
        assert!(runtime.files.iter().any(|(guest, _, _)| guest.contains("libc.so")), "{:?}", runtime.files);
    }
}
