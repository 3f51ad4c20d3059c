//! A routing socket of one network namespace: requests and what the kernel answers.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use cofferdam_sys::clone::{Namespaces, setns};
use cofferdam_sys::{Errno, errno, netlink};

use crate::Error;
use crate::message::{self, Request, number};

/// What a part of a dump takes at most: the kernel makes none longer than 32 KiB.
const ROOM: usize = 1 << 15;

/// How often a table is read that changes meanwhile.
const TRIES: usize = 8;

/// A socket of `NETLINK_ROUTE`.
pub(crate) struct Route {
    socket: OwnedFd,
    sequence: u32,
}

/// The network namespace of the calling thread.
pub(crate) fn own_namespace() -> Result<File, Error> {
    let path = "/proc/thread-self/ns/net";
    File::open(path).map_err(|error| Error::system(format!("open {path}"), errno::from_io(&error)))
}

impl Route {
    /// In the calling thread's network namespace.
    pub(crate) fn here() -> Result<Self, Error> {
        let socket = netlink::open().map_err(|number| Error::system("open a routing socket", number))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// In another network namespace. A thread goes there, and the socket it opens stays there.
    pub(crate) fn inside(namespace: BorrowedFd<'_>) -> Result<Self, Error> {
        let enter = || {
            setns(namespace, Namespaces::NET)
                .map_err(|number| Error::system("enter the other network namespace", number))?;
            Self::here()
        };
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().spawn_scoped(scope, enter);
            let thread = thread.map_err(|error| Error::system("make a thread", errno::from_io(&error)))?;
            thread.join().unwrap_or_else(|_| Err(Error::system("wait for a thread", Errno::EIO)))
        })
    }

    /// Has something done, and waits until it is.
    pub(crate) fn act(&mut self, what: &str, request: Request) -> Result<(), Error> {
        self.exchange(what, &request.acknowledged(), |_| ()).map(drop)
    }

    /// Asks for one thing; none when the kernel answers that there is no such device.
    pub(crate) fn one<T>(
        &mut self,
        what: &str,
        request: Request,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let mut found = None;
        match self.exchange(what, &request.acknowledged(), |body| found = read(body)) {
            Err(error) if error.errno() == Some(Errno::ENODEV) => Ok(None),
            other => other.map(|_| found),
        }
    }

    /// Reads a whole table: `read` makes something of each entry's message behind the header.
    pub(crate) fn dump<T>(
        &mut self,
        what: &str,
        request: &Request,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Vec<T>, Error> {
        for _ in 0..TRIES {
            let mut found = Vec::new();
            let whole = self.exchange(what, request, |body| found.extend(read(body)))?;
            if whole {
                return Ok(found);
            }
        }
        Err(Error::system(format!("{what}: it keeps changing"), Errno::EAGAIN))
    }

    /// Sends a request and reads to the end of its answers; tells whether they are of one moment.
    fn exchange(
        &mut self,
        what: &str,
        request: &Request,
        mut entry: impl FnMut(&[u8]),
    ) -> Result<bool, Error> {
        self.sequence = self.sequence.wrapping_add(1);
        let fail = |number| Error::system(what, number);
        netlink::send(self.socket.as_fd(), &request.bytes(self.sequence)).map_err(fail)?;
        let mut room = vec![0; ROOM];
        let mut whole = true;
        loop {
            let length = netlink::receive(self.socket.as_fd(), &mut room).map_err(fail)?;
            for answer in message::answers(room.get(..length).unwrap_or_default()) {
                if answer.sequence != self.sequence {
                    continue;
                }
                whole &= answer.flags & number::NLM_F_DUMP_INTR == 0;
                match answer.kind {
                    number::NLMSG_DONE | number::NLMSG_ERROR => {
                        return verdict(what, &answer).map(|()| whole);
                    }
                    _ => entry(answer.body),
                }
            }
        }
    }
}

/// The end of an exchange: 0 or a negative errno, and the kernel's words on it.
fn verdict(what: &str, answer: &message::Answer<'_>) -> Result<(), Error> {
    /// The errno, then for `NLMSG_ERROR` the header of the request.
    const ERROR: usize = 4 + 16;
    let value = message::i32_at(answer.body, 0).unwrap_or(-(Errno::EIO as i32));
    if value >= 0 {
        return Ok(());
    }
    let fixed = if answer.kind == number::NLMSG_ERROR { ERROR } else { 4 };
    let words = if answer.flags & number::NLM_F_ACK_TLVS == 0 {
        None
    } else {
        message::attributes(answer.body, fixed).find(|(kind, _)| *kind == number::NLMSGERR_ATTR_MSG)
    };
    let words = words.map(|(_, words)| format!(" ({})", message::text(words))).unwrap_or_default();
    Err(Error::system(format!("{what}{words}"), Errno::from_raw(value.saturating_neg())))
}
