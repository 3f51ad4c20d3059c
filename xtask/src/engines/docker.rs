//! docker: a daemon of its own, with the client that is there.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::cli::{Cli, UserNamespace};
use super::image::Image;
use super::place::Place;
use super::podman;
use super::process::success;

/// The daemon whose containers publish ports on the box's loopback device.
const MAIN: &str = "docker";

/// Starts the daemon and loads the image.
///
/// # Errors
/// The daemon does not come up, or does not load the image.
pub(super) fn start(place: &Place, image: &Image) -> Result<Cli> {
    let mut cli = daemon(place, image, MAIN, &json!({}))?;
    let (place, image) = (place.clone(), image.clone());
    cli.user_namespace = UserNamespace::Daemon(Box::new(move || {
        podman::add_user(&place.dir).context("add a user to the box")?;
        daemon(&place, &image, "docker-remapped", &json!({ "userns-remap": podman::NAME }))
    }));
    Ok(cli)
}

fn daemon(place: &Place, image: &Image, name: &str, more: &Value) -> Result<Cli> {
    let dir = place.dir.join(name);
    fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    let path = |name: &str| dir.join(name).display().to_string();
    let files = place.open_files;
    let mut config = json!({
        "data-root": path("data"),
        "exec-root": path("exec"),
        "pidfile": path("pid"),
        "hosts": [format!("unix://{}", path("docker.sock"))],
        "runtimes": { "under-test": { "path": place.runtime } },
        "default-runtime": "under-test",
        "default-ulimits": { "nofile": { "Name": "nofile", "Soft": files, "Hard": files } },
        "exec-opts": ["native.cgroupdriver=cgroupfs"],
        "ip6tables": false,
    });
    if let (Some(config), Some(more)) = (config.as_object_mut(), more.as_object()) {
        config.extend(more.clone());
    }
    fs::write(dir.join("daemon.json"), config.to_string()).context("write the daemon's configuration")?;
    // A daemon takes the bridge of another one for its own.
    let mut daemon = Command::new("unshare");
    if name == MAIN {
        daemon = Command::new("dockerd");
    } else {
        daemon.args(["--net", "dockerd"]);
    }
    daemon.args(["--config-file", &path("daemon.json")]);
    Place::daemon(&mut daemon, &dir.join("docker.sock"))?;
    let cli = Cli {
        words: ["docker", "--host", &format!("unix://{}", path("docker.sock"))].map(str::to_owned).to_vec(),
        // Clients of later versions build with a plug-in that is not there.
        variables: vec![
            ("DOCKER_BUILDKIT".to_owned(), "0".to_owned()),
            ("DOCKER_CONFIG".to_owned(), path("client")),
        ],
        user_namespace: UserNamespace::Words(&[]),
        remove: &["rm", "--force"],
        no_limits: None,
    };
    success(cli.command(&["load", "--input"]).arg(&image.archive)).context("load the image")?;
    Ok(cli)
}
