//! Network devices that a container gets of the host's.

use crate::bundle::{At, Bundle};
use crate::registry::{Context, Result, Test};
use cofferdam_netbridge::{Move, devices};
use cofferdam_sys::netlink;
use nix::sched::{CloneFlags, unshare};
use serde_json::json;
use std::os::fd::AsFd;

pub(super) const TESTS: &[Test] =
    &[Test::oci("oci::net-devices", "A network device moves in, with its name and address, and back", moves)
        .modules(&["dummy"])];

fn moves(ctx: &mut Context) -> Result {
    if !ctx.own_runtime() {
        skip!("netDevices is a field of OCI 1.3, which these versions leave out in silence");
    }
    // The host's devices are others' too.
    unshare(CloneFlags::CLONE_NEWNET)?;
    make_device("lab0")?;
    let mut bundle = Bundle::hardened(ctx, "net-devices");
    bundle.set("/linux/netDevices", json!({ "lab0": { "name": "inside%d" } }));
    bundle.set("/linux/sysctl", json!({ "net.ipv4.conf.inside0.forwarding": "1" }));
    let program = bundle.config().at("process").at("args");
    bundle.set("/process/args", json!(["/no/such/program"]));
    let ended = bundle.run()?;
    ensure_eq!(ended.status, 127, "the status of a program that is not there");
    let back = Move { device: "lab0".parse()?, name: cofferdam_netbridge::NewName::new("lab0")? };
    devices::require(&[back])?;
    bundle.set("/process/args", program);
    let words = [
        "show",
        "read",
        "/sys/class/net/inside0/flags",
        "+",
        "show",
        "read",
        "/proc/net/fib_trie",
        "+",
        "show",
        "read",
        "/proc/sys/net/ipv4/conf/inside0/forwarding",
    ];
    let ended = bundle.probe(&words).run()?.success()?;
    let found: Vec<_> =
        ended.lines().into_iter().map(|line| line.value.as_str().unwrap_or("").to_owned()).collect();
    ensure_eq!(found.len(), 3, "the files that were read");
    let [flags, routes, forwarding] = found.as_slice() else { return Ok(()) };
    let flags = u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16)?;
    ensure!(flags & 1 == 1, "the device is down: {flags:#x}");
    ensure!(routes.contains("10.1.2.3"), "the address is not there: {routes}");
    ensure_eq!(forwarding.trim(), "1", "the kernel parameter of the device");
    Ok(())
}

/// A dummy device that is up and has the address 10.1.2.3/24, by `rtnetlink(7)`.
fn make_device(name: &str) -> Result {
    const NEW_LINK: u16 = 16;
    const NEW_ADDRESS: u16 = 20;
    const INDEX: u32 = 77;
    let text = [name.as_bytes(), b"\0"].concat();
    let kind = attribute(1, b"dummy");
    // The number, and IFF_UP in flags and in change.
    let fixed = [[0; 4], INDEX.to_ne_bytes(), 1_u32.to_ne_bytes(), 1_u32.to_ne_bytes()].concat();
    order(NEW_LINK, &[fixed, attribute(3, &text), attribute(18, &kind)].concat())?;
    let fixed = [[2, 24, 0, 0], INDEX.to_ne_bytes()].concat();
    order(NEW_ADDRESS, &[fixed, attribute(2, &[10, 1, 2, 3]), attribute(1, &[10, 1, 2, 3])].concat())
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
    let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// One request that makes something, and its answer.
fn order(kind: u16, body: &[u8]) -> Result {
    /// `NLM_F_REQUEST | NLM_F_ACK | NLM_F_EXCL | NLM_F_CREATE`.
    const FLAGS: u16 = 0x605;
    let length = u32::try_from(16 + body.len())?;
    let head = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &FLAGS.to_ne_bytes(), &[0; 8]].concat();
    let socket = netlink::open()?;
    netlink::send(socket.as_fd(), &[&head, body].concat())?;
    let mut answer = [0; 4096];
    let length = netlink::receive(socket.as_fd(), &mut answer)?;
    let errno = answer.get(16..length).and_then(|rest| rest.first_chunk().copied()).map(i32::from_ne_bytes);
    ensure_eq!(errno, Some(0), "the kernel's answer to the making of a device");
    Ok(())
}
