//! podman, as root and as an ordinary user. It has no daemon.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::tools::{self, Tool};

use super::cli::{Cli, UserNamespace};
use super::image::Image;
use super::place::Place;
use super::process::success;

/// Who `podman-rootless` runs as: not a user of the host, but one of the box's own `/etc/passwd`.
const USER: u32 = 4242;
pub(super) const NAME: &str = "engine-test";

/// podman as root.
///
/// # Errors
/// It cannot be set up, or does not load the image.
pub(super) fn rootful(place: &Place, image: &Image) -> Result<Cli> {
    let cli = client("podman", place, &place.dir.join("podman"), "overlay", Vec::new())?;
    load(cli, image)
}

/// podman as an ordinary user.
///
/// # Errors
/// It cannot be set up, or does not load the image.
pub(super) fn rootless(place: &Place, image: &Image) -> Result<Cli> {
    let dir = place.dir.join("podman-rootless");
    add_user(&dir).context("add a user to the box")?;
    let ids = [format!("--reuid={USER}"), format!("--regid={USER}"), "--clear-groups".into(), "--".into()];
    let mut as_user = vec!["setpriv".to_owned()];
    as_user.extend(ids);
    // Overlays of an ordinary user need more of the file system below than all have.
    let mut cli = client("podman", place, &dir, "vfs", as_user)?;
    let runtime_dir = format!("/run/user/{USER}");
    fs::create_dir_all(&runtime_dir).with_context(|| format!("make {runtime_dir}"))?;
    success(Command::new("chown").arg("-R").arg(format!("{USER}:{USER}")).arg(&dir).arg(&runtime_dir))?;
    cli.variables.push(("XDG_RUNTIME_DIR".to_owned(), runtime_dir));
    cli.variables.push(("USER".to_owned(), NAME.to_owned()));
    cli.no_limits = (!place.unified).then_some("an ordinary user has no right to limits on cgroup v1");
    load(cli, image)
}

/// podman or a sibling of it, with storage and configuration in this folder; `words` come before the program.
///
/// # Errors
/// A file cannot be written.
pub(super) fn client(
    program: &str,
    place: &Place,
    dir: &Path,
    driver: &str,
    mut words: Vec<String>,
) -> Result<Cli> {
    let config = dir.join("home/.config/containers");
    fs::create_dir_all(&config).with_context(|| format!("make {}", config.display()))?;
    let write =
        |path: &Path, text: &str| fs::write(path, text).with_context(|| format!("write {}", path.display()));
    write(&config.join("policy.json"), r#"{"default":[{"type":"insecureAcceptAnything"}]}"#)?;
    let containers = dir.join("containers.conf");
    // The defaults ask for more open files and processes than a host without CAP_SYS_RESOURCE gives, and for a
    // limit of processes, which a hierarchy may not have. Runtimes that write JSON are known to podman by name.
    let name = place.runtime.file_name().unwrap_or_default().to_string_lossy();
    let text = format!(
        "[containers]\ndefault_ulimits = [\"nofile={0}:{0}\", \"nproc={0}:{0}\"]\ninit_path = \"{2}\"\n\
         pids_limit = 0\n[engine]\nruntime_supports_json = [\"{name}\"]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n[network]\nnetwork_backend = \"netavark\"\n\
         network_config_dir = \"{1}\"\n",
        place.open_files,
        dir.join("networks").display(),
        tools::path(Tool::Catatonit).unwrap_or_default().display()
    );
    write(&containers, &text)?;
    let storage = dir.join("storage.conf");
    let path = |name: &str| dir.join(name).display().to_string();
    let text = format!(
        "[storage]\ndriver = \"{driver}\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n",
        path("root"),
        path("run")
    );
    write(&storage, &text)?;
    words.extend([
        program.to_owned(),
        "--root".to_owned(),
        path("root"),
        "--runroot".to_owned(),
        path("run"),
    ]);
    if program == "podman" {
        words.extend(["--runtime".to_owned(), place.runtime.display().to_string()]);
    }
    let variables = [
        ("CONTAINERS_CONF", containers),
        ("CONTAINERS_STORAGE_CONF", storage),
        ("HOME", dir.join("home")),
        ("TMPDIR", dir.join("tmp")),
    ];
    fs::create_dir_all(dir.join("tmp")).context("make the folder for temporary files")?;
    Ok(Cli {
        words,
        variables: variables.map(|(name, path)| (name.to_owned(), path.display().to_string())).to_vec(),
        user_namespace: UserNamespace::Words(if driver == "vfs" {
            &["--uidmap", "0:1:1000", "--gidmap", "0:1:1000"]
        } else {
            &["--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536"]
        }),
        remove: &["rm", "--force", "--time", "0"],
        no_limits: None,
    })
}

fn load(cli: Cli, image: &Image) -> Result<Cli> {
    success(cli.command(&["load", "--input"]).arg(&image.archive)).context("load the image")?;
    Ok(cli)
}

/// Adds the user of the box, which has its own `/etc`.
///
/// # Errors
/// A file of it cannot be changed.
pub(super) fn add_user(home: &Path) -> Result<()> {
    let add = |path: &str, line: String| -> Result<()> {
        let mut text = fs::read_to_string(path).unwrap_or_default();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&line);
        fs::write(path, text).with_context(|| format!("write {path}"))
    };
    add("/etc/passwd", format!("{NAME}:x:{USER}:{USER}::{}/home:/bin/sh\n", home.display()))?;
    add("/etc/group", format!("{NAME}:x:{USER}:\n"))?;
    add("/etc/subuid", format!("{NAME}:2000000:65536\n"))?;
    add("/etc/subgid", format!("{NAME}:2000000:65536\n"))
}
