//! The addresses of a device that outlive a move.

use crate::Error;
use crate::link::Link;
use crate::message::{self, Request, number};
use crate::route::Route;

/// `struct ifaddrmsg`.
const FIXED: usize = 8;

/// `IFA_F_PERMANENT`: neither from a router's advertisement nor with an end.
const PERMANENT: u32 = 0x80;

/// `RT_SCOPE_UNIVERSE`.
const UNIVERSE: u8 = 0;

/// The flags that a request may set: `IFA_F_NODAD`, `HOMEADDRESS`, `MANAGETEMPADDR`, `NOPREFIXROUTE` and
/// `MCAUTOJOIN`.
const SETTABLE: u32 = 0x02 | 0x10 | 0x100 | 0x200 | 0x400;

/// What is taken over as it is.
const KEPT: [u16; 6] = [
    number::IFA_ADDRESS,
    number::IFA_LOCAL,
    number::IFA_BROADCAST,
    number::IFA_CACHEINFO,
    number::IFA_RT_PRIORITY,
    number::IFA_PROTO,
];

/// An address as the kernel tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    index: u32,
    family: u8,
    prefix: u8,
    scope: u8,
    flags: u32,
    label: Option<String>,
    kept: Vec<(u16, Vec<u8>)>,
}

impl Address {
    /// Reads an `RTM_NEWADDR` message.
    fn read(body: &[u8]) -> Option<Self> {
        let [family, prefix, flags, scope] = *body.first_chunk()?;
        let mut address = Self {
            index: message::u32_at(body, 4)?,
            family,
            prefix,
            scope,
            flags: flags.into(),
            label: None,
            kept: Vec::new(),
        };
        for (kind, value) in message::attributes(body, FIXED) {
            match kind {
                // All of them, where the header has the first eight.
                number::IFA_FLAGS => address.flags = message::u32_at(value, 0)?,
                number::IFA_LABEL => address.label = Some(message::text(value)),
                kind if KEPT.contains(&kind) => address.kept.push((kind, value.to_vec())),
                _ => {}
            }
        }
        Some(address)
    }

    /// Whether a move is to keep it: the specification names permanent addresses of global scope.
    fn is_lasting(&self) -> bool {
        self.flags & PERMANENT != 0 && self.scope == UNIVERSE
    }

    /// The label on a device with this name: `eth0:web` goes along, and without a part of its own there is none
    /// to set.
    fn label_on(&self, name: &str) -> Option<String> {
        let (_, own) = self.label.as_deref()?.split_once(':')?;
        let label = format!("{name}:{own}");
        // The kernel takes no longer one.
        (label.len() < 16).then_some(label)
    }
}

impl Route {
    /// The lasting addresses of a device.
    pub(crate) fn addresses(&mut self, link: &Link) -> Result<Vec<Address>, Error> {
        let request = Request::new(number::RTM_GETADDR, number::NLM_F_DUMP, &[0; FIXED]);
        let all = self.dump("list addresses", &request, Address::read)?;
        let index = u32::try_from(link.index).ok();
        Ok(all.into_iter().filter(|one| Some(one.index) == index && one.is_lasting()).collect())
    }

    /// Gives a device an address.
    pub(crate) fn add_address(&mut self, link: &Link, address: &Address) -> Result<(), Error> {
        let header = [address.family, address.prefix, 0, UNIVERSE];
        let fixed = [header, link.index.to_ne_bytes()].concat();
        let flags = number::NLM_F_CREATE | number::NLM_F_REPLACE;
        let mut request = Request::new(number::RTM_NEWADDR, flags, &fixed)
            .attribute(number::IFA_FLAGS, &(address.flags & SETTABLE).to_ne_bytes());
        for (kind, value) in &address.kept {
            request = request.attribute(*kind, value);
        }
        if let Some(label) = address.label_on(&link.name) {
            request = request.text(number::IFA_LABEL, &label);
        }
        self.act(&format!("give the network device {} an address that it had", link.name), request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(label: &str) -> Address {
        let (flags, kept) = (PERMANENT, Vec::new());
        Address { index: 1, family: 2, prefix: 24, scope: UNIVERSE, flags, label: Some(label.into()), kept }
    }

    #[test]
    fn a_label_follows_the_name() {
        assert_eq!(address("eth0:web").label_on("net1"), Some("net1:web".into()));
        assert_eq!(address("eth0").label_on("net1"), None);
        assert_eq!(address("eth0:web").label_on("a-long-name-12"), None);
    }

    #[test]
    fn only_lasting_addresses_go_along() {
        assert!(address("eth0").is_lasting());
        assert!(!Address { scope: 253, ..address("eth0") }.is_lasting());
        assert!(!Address { flags: 0, ..address("eth0") }.is_lasting());
    }

    #[test]
    fn a_message_is_read() {
        let body = [
            &[2, 24, 0, 0],
            &7_u32.to_ne_bytes()[..],
            &[8, 0, 2, 0, 10, 0, 0, 1],
            &[8, 0, 8, 0, 0x80, 2, 0, 0],
        ];
        let read = Address::read(&body.concat()).unwrap();
        assert_eq!((read.index, read.prefix, read.flags), (7, 24, 0x280));
        assert_eq!(read.kept, [(number::IFA_LOCAL, vec![10, 0, 0, 1])]);
        assert_eq!(Address::read(&[2, 24, 0]), None);
    }
}
