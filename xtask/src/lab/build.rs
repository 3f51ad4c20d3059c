//! Builds the programs of a run: the guest's own, and the runtime under test.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use object::Endianness;
use object::elf::{DT_NEEDED, FileHeader64, PT_DYNAMIC, PT_INTERP};
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _};

use crate::fail;
use crate::protocol::TestInfo;
use crate::workspace::Workspace;

/// The target of everything that runs in a guest.
pub const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The programs that are placed in a guest.
#[derive(Debug, Clone)]
pub struct GuestPrograms {
    /// PID 1.
    pub guest: PathBuf,
    /// The program placed in containers.
    pub probe: PathBuf,
    /// The program that the bench runs in containers; not placed in guests.
    pub bare: PathBuf,
}

impl GuestPrograms {
    /// The programs as files of an image.
    pub fn packed(&self) -> Vec<(String, PathBuf, u32)> {
        vec![
            ("/init".to_owned(), self.guest.clone(), 0o755),
            ("/lab/probe".to_owned(), self.probe.clone(), 0o755),
        ]
    }
}

/// Builds the guest's programs.
///
/// # Errors
/// The build fails.
pub fn guest(workspace: &Workspace) -> Result<GuestPrograms> {
    let mut command = static_build(workspace);
    command.args(["--profile", "lab", "--package", "cofferdam-vm-tests", "--bins"]);
    run(command, "build the guest's programs")?;
    let dir = workspace.target.join(TARGET).join("lab");
    let programs =
        GuestPrograms { guest: dir.join("guest"), probe: dir.join("probe"), bare: dir.join("bare") };
    for program in [&programs.guest, &programs.probe, &programs.bare] {
        require_static(program)?;
    }
    Ok(programs)
}

/// Builds the runtime as it ships and places it in `dist/` of the target folder.
///
/// # Errors
/// The build fails, or the program is not static.
pub fn dist(workspace: &Workspace) -> Result<PathBuf> {
    let mut command = static_build(workspace);
    command.args(["--release", "--package", "cofferdam", "--bin", "cofferdam"]);
    run(command, "build the runtime")?;
    let built = workspace.target.join(TARGET).join("release/cofferdam");
    require_static(&built)?;
    let dir = workspace.target.join("dist");
    let path = dir.join("cofferdam");
    place(&built, &dir, &path).with_context(|| format!("place the runtime at {}", path.display()))?;
    Ok(path)
}

/// The tests that the guest program knows.
///
/// # Errors
/// The program cannot run, or prints no list.
pub fn tests(programs: &GuestPrograms) -> Result<Vec<TestInfo>> {
    let what = format!("run `{} list`", programs.guest.display());
    let output = Command::new(&programs.guest)
        .arg("list")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| what.clone())?;
    if !output.status.success() {
        return Err(fail::lab(format!("{what}: {}", output.status)));
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("{what}: not a list of tests"))
}

/// Static, with packed relocations: a program that starts often does not page in a table of them
/// (glibc 2.36 and binutils 2.38, as Debian 12 has them).
fn static_build(workspace: &Workspace) -> Command {
    let flags = format!(
        "target.{TARGET}.rustflags=[\"-Ctarget-feature=+crt-static\", \"-Clink-arg=-Wl,-z,pack-relative-relocs\"]"
    );
    let mut command = workspace.cargo();
    command.args(["build", "--target", TARGET, "--config", &flags]);
    command
}

fn run(mut command: Command, what: &str) -> Result<()> {
    // Standard output belongs to the results.
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let status = command.status().with_context(|| format!("{what}: run cargo"))?;
    if status.success() { Ok(()) } else { Err(fail::lab(format!("{what}: cargo build: {status}"))) }
}

fn place(built: &Path, dir: &Path, path: &Path) -> Result<()> {
    std::fs::create_dir_all(dir)?;
    let staged = tempfile::Builder::new().prefix(".cofferdam-").tempfile_in(dir)?;
    std::fs::copy(built, staged.path())?;
    staged.persist(path)?;
    Ok(())
}

/// Refuses a program that wants a loader or libraries; a static position-independent one is right.
fn require_static(path: &Path) -> Result<()> {
    let data = std::fs::read(path).with_context(|| format!("read the program {}", path.display()))?;
    match dynamic_parts(&data).with_context(|| format!("read {} as ELF", path.display()))? {
        None => Ok(()),
        Some(part) => Err(fail::failed(format!(
            "{} is not static: it has {part}; is `target-feature=+crt-static` overridden?",
            path.display()
        ))),
    }
}

/// What ties an ELF program to a loader, if anything.
fn dynamic_parts(data: &[u8]) -> Result<Option<&'static str>> {
    let header = FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    for segment in header.program_headers(endian, data)? {
        if segment.p_type(endian) == PT_INTERP {
            return Ok(Some("a PT_INTERP segment"));
        }
        if segment.p_type(endian) == PT_DYNAMIC
            && let Some(entries) = segment.dynamic(endian, data)?
            && entries.iter().any(|entry| entry.tag(endian) == DT_NEEDED)
        {
            return Ok(Some("a DT_NEEDED entry"));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This test program itself is dynamic.
    #[test]
    fn a_dynamic_program_is_refused() {
        let own = std::env::current_exe().unwrap();
        let error = require_static(&own).unwrap_err();
        assert!(format!("{error:#}").contains("is not static: it has a PT_INTERP"), "{error:#}");
        assert_eq!(fail::exit_code(&error), 1);
    }

    #[test]
    fn what_is_no_program_is_refused() {
        let error = require_static(Path::new("/proc/self/status")).unwrap_err();
        assert!(format!("{error:#}").contains("as ELF"), "{error:#}");
    }

    #[test]
    fn a_header_without_segments_is_static() {
        let mut header = vec![0; 64];
        header[..8].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0]);
        header[0x12] = 62;
        header[0x14] = 1;
        assert_eq!(dynamic_parts(&header).unwrap(), None);
    }
}
