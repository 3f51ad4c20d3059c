//! Loads the modules of the image.

use super::paths;
use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module};
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// The modules of the image, in load order, as file names below [`paths::MODULES`].
///
/// # Errors
/// When the list exists and cannot be read.
pub fn order() -> io::Result<Vec<String>> {
    match fs::read_to_string(Path::new(paths::MODULES).join("order")) {
        Ok(text) => {
            Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Loads them all; what could not be loaded is returned, one line each, and does not stop the rest.
///
/// # Errors
/// When the list cannot be read.
pub fn load_all() -> io::Result<Vec<String>> {
    let failed = order()?.into_iter().filter_map(|file| {
        load(&Path::new(paths::MODULES).join(&file)).err().map(|error| format!("module {file}: {error}"))
    });
    Ok(failed.collect())
}

/// Loads one module file; one that is there already is fine.
///
/// # Errors
/// What `finit_module(2)` says.
pub fn load(file: &Path) -> io::Result<()> {
    match finit_module(File::open(file)?, c"", ModuleInitFlags::empty()) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// The name that the kernel knows a module file by.
pub fn name(file: &str) -> String {
    let base = file.rsplit('/').next().unwrap_or(file);
    base.strip_suffix(".ko").unwrap_or(base).replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_kernels() {
        assert_eq!(name("kernel/net/bridge/br-netfilter.ko"), "br_netfilter");
        assert_eq!(name("overlay.ko"), "overlay");
    }
}
