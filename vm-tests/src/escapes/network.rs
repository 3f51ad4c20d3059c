//! Attempts on the network of the host.

use super::CAPABILITIES;
use super::attempt::{Attempt, Held};
use super::host::read;
use crate::bundle::Layer::{Capabilities, NetworkNamespace, UserNamespace};
use crate::registry::{Context, OrFail, Result, Test};
use cofferdam_sys::Errno::{ENOMSG, EPERM};
use cofferdam_sys::{attempts, net};
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

pub(super) const TESTS: &[Test] = &[
    Test::escape("net-raw-sniff", "Listens to packets of the host with a raw socket", CAPABILITIES, sniff),
    Test::escape("ns-net-links", "Changes a network interface of the host", CAPABILITIES, mtu),
];

/// While the attempt runs, the host sends itself a packet every few milliseconds.
fn sniff(ctx: &mut Context) -> Result {
    net::interface_up(b"lo").or_fail("bringing lo up")?;
    let needle = format!("needle-{}", std::process::id());
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let to = socket.local_addr()?;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                // A full queue loses packets, as networks do.
                let _ = socket.send_to(needle.as_bytes(), to);
                thread::sleep(Duration::from_millis(10));
            }
        });
        let result = Attempt::new(ctx, &[Capabilities, NetworkNamespace, UserNamespace], &["raw", &needle])
            .held(Held::By(&[EPERM]), Held::By(&[ENOMSG]))
            .run();
        over.store(true, Ordering::Relaxed);
        result
    })
}

fn mtu(ctx: &mut Context) -> Result {
    const FILE: &str = "/sys/class/net/lo/mtu";
    let before = read(FILE)?;
    let result = Attempt::new(ctx, &[Capabilities, NetworkNamespace, UserNamespace], &["mtu", "lo", "4321"])
        .held(Held::By(&[EPERM]), Held::Inside)
        .host(|| read(FILE))
        .run();
    attempts::set_mtu(b"lo", before.trim().parse().or_fail("the MTU of lo")?)?;
    result
}
