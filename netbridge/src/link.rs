//! Devices of a network namespace: looking them up, moving them, setting them up.

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::message::{self, Request, number};
use crate::route::Route;
use crate::{Error, InterfaceName};

/// `struct ifinfomsg`.
const FIXED: usize = 16;

/// `IFF_UP`.
const UP: u32 = 1;

/// A device as the kernel tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) index: i32,
    pub(crate) name: String,
    pub(crate) up: bool,
}

impl Link {
    /// Reads an `RTM_NEWLINK` message.
    fn read(body: &[u8]) -> Option<Self> {
        let name = message::attributes(body, FIXED).find(|(kind, _)| *kind == number::IFLA_IFNAME)?;
        Some(Self {
            index: message::i32_at(body, 4)?,
            name: message::text(name.1),
            up: message::u32_at(body, 8)? & UP != 0,
        })
    }
}

fn fixed(index: i32, flags: u32, change: u32) -> Vec<u8> {
    // The family, a gap and the kind of hardware, which a request does not have.
    [[0; 4], index.to_ne_bytes(), flags.to_ne_bytes(), change.to_ne_bytes()].concat()
}

impl Route {
    /// The device of this name, if there is one. Alternative names are not looked at.
    pub(crate) fn link(&mut self, name: &str) -> Result<Option<Link>, Error> {
        let request = Request::new(number::RTM_GETLINK, 0, &fixed(0, 0, 0)).text(number::IFLA_IFNAME, name);
        let found = self.one(&format!("look for the network device {name}"), request, Link::read)?;
        Ok(found.filter(|link| link.name == name))
    }

    /// All devices.
    pub(crate) fn links(&mut self) -> Result<Vec<Link>, Error> {
        let request = Request::new(number::RTM_GETLINK, number::NLM_F_DUMP, &fixed(0, 0, 0));
        self.dump("list network devices", &request, Link::read)
    }

    /// Moves a device into another network namespace, where it has a new name.
    ///
    /// The kernel sets it down, takes its addresses and routes away, and keeps the rest (MTU, hardware address,
    /// queues). It renames behind the move: when that fails the device is there under its old name.
    pub(crate) fn move_link(
        &mut self,
        link: &Link,
        to: BorrowedFd<'_>,
        name: &InterfaceName,
    ) -> Result<(), Error> {
        let what = format!("move the network device {} to another network namespace as {name}", link.name);
        let request = Request::new(number::RTM_NEWLINK, 0, &fixed(link.index, 0, 0))
            .attribute(number::IFLA_NET_NS_FD, &to.as_raw_fd().to_ne_bytes())
            .text(number::IFLA_IFNAME, name.as_str());
        self.act(&what, request)
    }

    /// Sets a device up.
    pub(crate) fn set_up(&mut self, link: &Link) -> Result<(), Error> {
        let request = Request::new(number::RTM_NEWLINK, 0, &fixed(link.index, UP, UP));
        self.act(&format!("set the network device {} up", link.name), request)
    }
}
