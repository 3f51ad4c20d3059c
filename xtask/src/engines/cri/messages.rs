//! The messages of the CRI (`runtime.v1`), as far as they are sent here; the numbers are those of its `api.proto`.

use super::super::engine::Ask;
use super::super::image;
use super::proto::Message;

/// `NamespaceMode`: the process namespace of one container.
const CONTAINER: u64 = 1;
/// Where the container's log is, below the pod's folder.
pub(super) const LOG: &str = "container.log";

/// `PodSandboxConfig`.
pub(super) fn pod(ask: &Ask<'_>, logs: &str) -> Message {
    let metadata = Message::default().text(1, ask.name).text(2, ask.name).text(3, "engine-test");
    let mut security = Message::default().message(1, &namespaces(ask));
    // The default profile, and none for who is privileged.
    security = if ask.privileged { security.number(6, 1) } else { security.message(9, &Message::default()) };
    let mut config = Message::default().message(1, &metadata).text(2, ask.name).text(3, logs);
    if let Some((outside, inside)) = ask.publish {
        let port = Message::default().number(2, inside.into()).number(3, outside.into()).text(4, "127.0.0.1");
        config = config.message(5, &port);
    }
    config.message(8, &Message::default().message(2, &security))
}

/// `ContainerConfig`.
pub(super) fn container(ask: &Ask<'_>) -> Message {
    let metadata = Message::default().text(1, ask.name);
    let spec = Message::default().text(1, image::NAME);
    let mut config = Message::default().message(1, &metadata).message(2, &spec);
    for word in &ask.args {
        config = config.text(3, word);
    }
    if let Some((outside, inside)) = ask.volume {
        config = config.message(7, &Message::default().text(1, inside).text(2, outside).number(3, 1));
    }
    config = config.text(11, LOG);
    if ask.terminal {
        config = config.number(12, 1).number(14, 1);
    }
    let mut linux = Message::default();
    if let Some(bytes) = ask.memory {
        linux = linux.message(1, &memory(bytes));
    }
    config.message(15, &linux.message(2, &security(ask)))
}

/// `LinuxContainerResources`.
pub(super) fn memory(bytes: u64) -> Message {
    Message::default().number(4, bytes)
}

/// `LinuxContainerSecurityContext`.
fn security(ask: &Ask<'_>) -> Message {
    let mut security = Message::default().number(2, ask.privileged.into()).message(3, &namespaces(ask));
    if let Some((user, group)) = ask.user.and_then(|user| user.split_once(':')) {
        let id = |text: &str| Message::default().number(1, text.parse().unwrap_or(0));
        security = security.message(5, &id(user)).message(12, &id(group));
    }
    security = security.number(7, ask.read_only.into());
    if ask.privileged { security } else { security.message(15, &Message::default()) }
}

/// `NamespaceOption`: everything is the pod's, but for the processes where containers do not share them.
fn namespaces(ask: &Ask<'_>) -> Message {
    let shared = ask.shares || ask.beside.is_some();
    Message::default().number(2, if shared { 0 } else { CONTAINER })
}
