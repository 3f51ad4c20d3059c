//! Attempts on the network of the host.

use crate::probe::{Steps, Tried, number};
use cofferdam_sys::{Errno, attempts};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, ipproto, recv, socket_with};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long a packet of the host is waited for; the host sends one every few milliseconds.
const PATIENCE: Duration = Duration::from_millis(500);

/// Listens to every UDP packet and looks for a text in them.
pub(super) fn raw(steps: &Steps, needle: &str) -> Tried {
    let errno = |error: rustix::io::Errno| Errno::from_raw(error.raw_os_error());
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let opened = socket_with(AddressFamily::INET, SocketType::RAW, flags, Some(ipproto::UDP)).map_err(errno);
    let socket = steps.step("socket", opened)?;
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        let mut packet = vec![0u8; 2048];
        match recv(&socket, &mut packet, RecvFlags::empty()) {
            Ok((length, _))
                if String::from_utf8_lossy(packet.get(..length).unwrap_or(&[])).contains(needle) =>
            {
                return Ok(json!(needle));
            }
            Ok(_) => {}
            Err(rustix::io::Errno::AGAIN) => std::thread::sleep(Duration::from_millis(5)),
            Err(error) => return Err(errno(error)),
        }
    }
    Err(Errno::ENOMSG)
}

/// Changes an interface.
pub(super) fn mtu(interface: &str, mtu: &str) -> Tried {
    attempts::set_mtu(interface.as_bytes(), number(mtu)?).map(|()| Value::Null)
}
