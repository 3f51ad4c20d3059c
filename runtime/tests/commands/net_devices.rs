//! Network devices that a container gets of the host's.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::Command;

use cofferdam_sys::clone::{Namespaces, setns, unshare};
use serde_json::{Value, json};

use super::bundle::{Bundle, wait_for};

/// A network namespace in place of the host's, which this thread and what it runs are in.
struct Network {
    own: File,
}

impl Network {
    fn new() -> Option<Self> {
        if let Err(errno) = unshare(Namespaces::NET) {
            eprintln!("skipped: no network namespaces here: {errno}");
            return None;
        }
        let network = Self { own: File::open("/proc/thread-self/ns/net").unwrap() };
        let words = ["link", "add", "d0", "type", "veth", "peer", "name", "p0"];
        let made = Command::new("ip").args(words).output().unwrap();
        if !made.status.success() {
            eprintln!("skipped: no veth devices here: {}", String::from_utf8_lossy(&made.stderr));
            return None;
        }
        ip("link set d0 up");
        ip("addr add 10.1.2.3/24 dev d0");
        Some(network)
    }

    /// A second one, which a path leads to as long as this thread is in the first.
    fn second(&self) -> File {
        unshare(Namespaces::NET).unwrap();
        let second = File::open("/proc/thread-self/ns/net").unwrap();
        setns(self.own.as_fd(), Namespaces::NET).unwrap();
        second
    }
}

fn ip(words: &str) -> String {
    let output = Command::new("ip").args(words.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {words}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A bundle whose container has a network of its own and gets these devices.
fn bundle(devices: &Value) -> Option<(Network, Bundle)> {
    let mut bundle = Bundle::new()?;
    std::os::unix::fs::symlink("busybox", bundle.path("rootfs/bin/ip")).unwrap();
    namespaces(&mut bundle).push(json!({ "type": "network" }));
    bundle.config["linux"]["netDevices"] = devices.clone();
    Some((Network::new()?, bundle))
}

fn namespaces(bundle: &mut Bundle) -> &mut Vec<Value> {
    bundle.config["linux"]["namespaces"].as_array_mut().unwrap()
}

/// The device is where it was, with all it had.
#[track_caller]
fn assert_at_home() {
    let found = ip("addr show dev d0");
    assert!(found.contains("10.1.2.3/24") && found.contains(",UP"), "{found}");
}

#[test]
fn a_device_comes_with_its_address_and_the_parameters_reach_it() {
    let Some((_network, mut bundle)) = bundle(&json!({ "d0": { "name": "inside%d" } })) else { return };
    bundle.config["linux"]["sysctl"] = json!({ "net.ipv4.conf.inside0.forwarding": "1" });
    bundle.script("ip addr show dev inside0; cat /proc/sys/net/ipv4/conf/inside0/forwarding");
    let text = bundle.run().good();
    assert!(text.contains("10.1.2.3/24") && text.contains(",UP") && text.ends_with("\n1\n"), "{text}");
    // It ends with the namespace, which the kernel takes apart by and by, and its peer with it.
    wait_for("the end of the peer", || (ip("-o link").lines().count() == 1).then_some(()));
}

#[test]
fn a_user_namespace_gets_it_too() {
    let Some((_network, mut bundle)) = bundle(&json!({ "d0": {} })) else { return };
    namespaces(&mut bundle).push(json!({ "type": "user" }));
    for map in ["uidMappings", "gidMappings"] {
        bundle.config["linux"][map] = json!([{ "containerID": 0, "hostID": 700_000, "size": 1000 }]);
    }
    bundle.script("ip addr show dev d0");
    assert!(bundle.run().good().contains("10.1.2.3/24"));
}

#[test]
fn a_namespace_that_is_joined_keeps_it() {
    let Some((network, mut bundle)) = bundle(&json!({ "d0": {} })) else { return };
    let second = network.second();
    let path = format!("/proc/{}/fd/{}", std::process::id(), std::os::fd::AsRawFd::as_raw_fd(&second));
    namespaces(&mut bundle).retain(|namespace| namespace["type"] != "network");
    namespaces(&mut bundle).push(json!({ "type": "network", "path": path }));
    bundle.write();
    // Descriptors of this process are no container's.
    let quiet = || std::process::Stdio::null();
    let made = bundle.command(&["create", bundle.id()]).stdout(quiet()).stderr(quiet()).status().unwrap();
    assert!(made.success());
    setns(second.as_fd(), Namespaces::NET).unwrap();
    assert!(ip("addr show dev d0").contains("10.1.2.3/24"));
    bundle.order(&["delete", "--force", bundle.id()]).good();
    assert!(ip("addr show dev d0").contains("10.1.2.3/24"), "its end belongs to who made the namespace");
}

#[test]
fn a_start_that_fails_gives_it_back() {
    let Some((_network, mut bundle)) = bundle(&json!({ "d0": { "name": "inside" } })) else { return };
    // One that sees the container's namespaces, when all has been moved.
    let seen = bundle.path("seen");
    let script = format!(
        "read state; pid=${{state#*\\\"pid\\\":}}; \
        nsenter -t ${{pid%%,*}} -n ip -o link > {}; exit 3",
        seen.display()
    );
    bundle.config["hooks"] = json!({ "createRuntime": [{ "path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"] }] });
    let line = bundle.run().bad(1);
    assert!(line.contains("createRuntime") && !line.contains("cleaning up"), "{line}");
    let seen = std::fs::read_to_string(seen).unwrap();
    assert!(seen.contains("inside"), "{seen}");
    assert_at_home();
    bundle.config["hooks"] = json!({});
    bundle.config["process"]["args"] = json!(["/no/such/program"]);
    bundle.run().bad(127);
    assert_at_home();
    bundle.order(&["create", bundle.id()]).bad(127);
    assert_at_home();
    bundle.config["hooks"] = json!({ "poststart": [{ "path": "/bin/false", "args": ["false"] }] });
    bundle.config["process"]["args"] = json!(["sleep", "1000"]);
    bundle.run().bad(1);
    assert_at_home();
}

#[test]
fn what_cannot_be_moved_is_named() {
    let Some((network, mut bundle)) = bundle(&json!({ "d0": {}, "d9": {} })) else { return };
    let line = bundle.run().bad(1);
    assert!(line.contains("linux.netDevices") && line.contains("no network device d9"), "{line}");
    bundle.config["linux"]["netDevices"] = json!({ "d0": { "name": "lo" } });
    let line = bundle.run().bad(1);
    assert!(line.contains("linux.netDevices") && line.contains("has a device lo already"), "{line}");
    bundle.config["linux"]["netDevices"] = json!({ "d0": {} });
    // The namespace that they are in, by a path.
    let path = format!("/proc/{}/fd/{}", std::process::id(), std::os::fd::AsRawFd::as_raw_fd(&network.own));
    namespaces(&mut bundle).retain(|namespace| namespace["type"] != "network");
    namespaces(&mut bundle).push(json!({ "type": "network", "path": path }));
    let line = bundle.run().bad(1);
    assert!(line.contains("linux.netDevices") && line.contains("the one that the devices are in"), "{line}");
    assert_at_home();
}
