//! Programs and files of the host that the lab needs, and getting them through apt.

use anyhow::{Context as _, Result};
use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::fail;

/// Something the lab needs from the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// The emulator.
    Qemu,
    /// Makes the scratch disk's file system.
    Mke2fs,
    /// apt, which fetches and verifies kernels.
    Apt,
    /// The keys that Debian's archive is signed with.
    Keyring,
    /// A C compiler, which links Rust programs.
    Cc,
    /// A C++ compiler, which builds libFuzzer.
    Cxx,
    /// The static C library, for the programs of the guest.
    StaticLibc,
    /// A runtime to compare with.
    Crun,
    /// A runtime to compare with.
    Runc,
    /// An engine without a daemon.
    Podman,
    /// Watches a container for podman.
    Conmon,
    /// Makes networks for podman.
    Netavark,
    /// Gives an ordinary user's containers ids of their own.
    NewUidMap,
    /// Gives an ordinary user's containers a network.
    Slirp,
    /// Builds images.
    Buildah,
    /// An engine.
    Containerd,
    /// The daemon of docker.
    Dockerd,
    /// The client of docker.
    Docker,
    /// Engines publish ports with it.
    Iptables,
    /// Makes networks for Kubernetes.
    Cni,
    /// Speaks HTTP/2.
    Curl,
    /// The first process in containers that podman starts with `--init`.
    Catatonit,
}

/// The package, not the registry of the same name.
const DOCKER: &str = concat!("docker", ".io");

impl Tool {
    /// What it is called in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Qemu => "qemu-system-x86_64",
            Self::Mke2fs => "mke2fs",
            Self::Apt => "apt-get",
            Self::Keyring => "debian-archive-keyring",
            Self::Cc => "cc",
            Self::Cxx => "c++",
            Self::StaticLibc => "libc.a",
            Self::Crun => "crun",
            Self::Runc => "runc",
            Self::Podman => "podman",
            Self::Conmon => "conmon",
            Self::Netavark => "netavark",
            Self::NewUidMap => "newuidmap",
            Self::Slirp => "slirp4netns",
            Self::Buildah => "buildah",
            Self::Containerd => "containerd",
            Self::Dockerd => "dockerd",
            Self::Docker => "docker",
            Self::Iptables => "iptables",
            Self::Cni => "the plug-ins of CNI",
            Self::Curl => "curl",
            Self::Catatonit => "catatonit",
        }
    }

    /// The Debian packages that have it.
    fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Qemu => &["qemu-system-x86"],
            Self::Mke2fs => &["e2fsprogs"],
            Self::Apt => &["apt"],
            Self::Keyring => &["debian-archive-keyring"],
            Self::Cc => &["gcc", "libc6-dev"],
            Self::Cxx => &["g++"],
            Self::StaticLibc => &["libc6-dev"],
            Self::Crun => &["crun"],
            Self::Runc => &["runc"],
            Self::Podman => &["podman"],
            Self::Conmon => &["conmon"],
            Self::Netavark => &["netavark"],
            Self::NewUidMap => &["uidmap"],
            Self::Slirp => &["slirp4netns"],
            Self::Buildah => &["buildah"],
            Self::Containerd => &["containerd"],
            Self::Dockerd | Self::Docker => &[DOCKER],
            Self::Iptables => &["iptables"],
            Self::Cni => &["containernetworking-plugins"],
            Self::Curl => &["curl"],
            Self::Catatonit => &["catatonit"],
        }
    }
}

/// How packages can be installed on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Root,
    Sudo,
    /// Only the user can, by typing a line.
    Ask,
}

/// Makes sure that all of these are there: installs what is missing when root or sudo allows it, saying so first.
///
/// # Errors
///
/// When something is missing and cannot be installed; the message has the exact line to type (exit 3).
pub fn ensure(tools: &[Tool]) -> Result<()> {
    let absent = absent(tools);
    if absent.is_empty() {
        return Ok(());
    }
    let way = way();
    if way == Way::Ask || in_path("apt-get").is_none() {
        return Err(fail::lab(missing(&absent)));
    }
    let packages = packages(&absent);
    eprintln!("missing: {}; installing {} through apt", names(&absent), packages.join(" "));
    // Lists may be absent (fresh image) or behind the archive: only then are they fetched.
    if install(way, &packages).is_err() {
        eprintln!("fetching the system's package lists first");
        apt(way, &["update"]).and_then(|()| install(way, &packages)).with_context(|| missing(&absent))?;
    }
    let still: Vec<Tool> = self::absent(&absent);
    if still.is_empty() {
        return Ok(());
    }
    Err(fail::lab(format!(
        "{} is still missing after the installation of {}",
        names(&still),
        packages.join(" ")
    )))
}

/// Where a tool is, if it is there.
pub fn path(tool: Tool) -> Option<PathBuf> {
    match tool {
        Tool::Keyring => ["gpg", "pgp"]
            .iter()
            .map(|kind| PathBuf::from(format!("/usr/share/keyrings/debian-archive-keyring.{kind}")))
            .find(|path| path.is_file()),
        Tool::StaticLibc => static_libc(),
        Tool::Cni => Some(PathBuf::from("/usr/lib/cni/bridge")).filter(|path| is_executable(path)),
        // Not for users to call.
        Tool::Netavark => ["/usr/lib/podman/netavark", "/usr/libexec/podman/netavark"]
            .map(PathBuf::from)
            .into_iter()
            .find(|path| is_executable(path)),
        program => in_path(program.name()),
    }
}

/// The message for tools that are missing, with the line that installs them.
pub fn missing(tools: &[Tool]) -> String {
    let verb = if tools.len() == 1 { "is" } else { "are" };
    let packages = packages(tools).join(" ");
    if tools.contains(&Tool::Apt) {
        return format!(
            "{} {verb} missing: kernels are fetched by apt; install what Debian has as {packages} with this system's own package manager, or give a kernel with --kernel-path",
            names(tools)
        );
    }
    format!(
        "{} {verb} missing: type `apt-get update && apt-get install -y --no-install-recommends {packages}` as root, then try again",
        names(tools)
    )
}

fn absent(tools: &[Tool]) -> Vec<Tool> {
    tools.iter().copied().filter(|tool| path(*tool).is_none()).collect()
}

fn names(tools: &[Tool]) -> String {
    tools.iter().map(|tool| tool.name()).collect::<Vec<_>>().join(", ")
}

fn packages(tools: &[Tool]) -> Vec<&'static str> {
    let mut packages: Vec<&str> = tools.iter().flat_map(|tool| tool.packages()).copied().collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

fn in_path(program: &str) -> Option<PathBuf> {
    find_in(program, env::var_os("PATH").as_deref())
}

/// An ordinary user's PATH may lack the folders of system programs.
fn find_in(program: &str, path: Option<&OsStr>) -> Option<PathBuf> {
    let listed = path.map(env::split_paths).into_iter().flatten();
    let folders = listed.chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    use nix::unistd::{AccessFlags, access};
    path.is_file() && access(path, AccessFlags::X_OK).is_ok()
}

/// The compiler knows where the library would be; it answers with the bare name when there is none.
fn static_libc() -> Option<PathBuf> {
    let output = Command::new(in_path("cc")?).arg("-print-file-name=libc.a").output().ok()?;
    let path = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    (path.is_absolute() && path.is_file()).then_some(path)
}

fn way() -> Way {
    if nix::unistd::geteuid().is_root() {
        return Way::Root;
    }
    let mut sudo = Command::new("sudo");
    sudo.args(["-n", "true"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match sudo.status() {
        Ok(status) if status.success() => Way::Sudo,
        _ => Way::Ask,
    }
}

fn install(way: Way, packages: &[&str]) -> Result<()> {
    let mut arguments = vec!["install", "-y", "--no-install-recommends"];
    arguments.extend(packages);
    apt(way, &arguments)
}

/// Runs the system's apt-get; what it prints goes to standard error, where it disturbs no `--json`.
fn apt(way: Way, arguments: &[&str]) -> Result<()> {
    let mut command = match way {
        Way::Sudo => {
            let mut command = Command::new("sudo");
            command.args(["-n", "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
            command
        }
        Way::Root | Way::Ask => {
            let mut command = Command::new("apt-get");
            command.env("DEBIAN_FRONTEND", "noninteractive");
            command
        }
    };
    command
        .args(["-q", "-o", "DPkg::Lock::Timeout=120"])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(std::io::stderr());
    let status = command.status().context("running apt-get")?;
    if status.success() {
        return Ok(());
    }
    Err(fail::lab(format!("apt-get {} failed ({status})", arguments.first().unwrap_or(&""))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn message_has_the_exact_line() {
        let text = missing(&[Tool::Qemu, Tool::Cc, Tool::StaticLibc, Tool::Keyring]);
        assert!(
            text.starts_with("qemu-system-x86_64, cc, libc.a, debian-archive-keyring are missing"),
            "{text}"
        );
        let line = "apt-get install -y --no-install-recommends debian-archive-keyring gcc libc6-dev qemu-system-x86`";
        assert!(text.contains(line), "{text}");
        assert!(missing(&[Tool::Mke2fs]).starts_with("mke2fs is missing"));
        assert!(missing(&[Tool::Apt]).contains("package manager"));
    }

    #[test]
    fn programs_are_found_only_when_they_can_run() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("a-program");
        fs::write(&program, "").unwrap();
        let find = || find_in("a-program", Some(dir.path().as_os_str()));
        assert_eq!(find(), None);
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(find(), Some(program));
        assert_eq!(find_in("a-program", None), None);
        assert_eq!(find_in("", Some(dir.path().as_os_str())), None);
    }
}
