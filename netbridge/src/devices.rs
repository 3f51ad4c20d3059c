//! Devices that change their network namespace, and back.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;

use cofferdam_sys::errno;

use crate::address::Address;
use crate::link::Link;
use crate::route::{Route, own_namespace};
use crate::{Error, ErrorKind, InterfaceName, NewName};

/// A device that is to go to another network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Its name in the caller's namespace.
    pub device: InterfaceName,
    /// Its name in the other one.
    pub name: NewName,
}

/// Devices that have moved. They stay where they are when this is dropped.
pub struct Moved {
    here: Route,
    own: File,
    /// Its socket keeps the other namespace, and with it the devices, alive after the last process there.
    there: Route,
    devices: Vec<Device>,
}

/// What one needs to come back as it was.
struct Device {
    before: Link,
    addresses: Vec<Address>,
    name: InterfaceName,
}

/// Asks whether all devices are in the caller's network namespace.
///
/// # Errors
/// [`ErrorKind::NoDevice`] with the first that is not; [`ErrorKind::System`].
pub fn require(moves: &[Move]) -> Result<(), Error> {
    let mut here = Route::here()?;
    moves.iter().try_for_each(|one| find(&mut here, &one.device).map(drop))
}

impl Moved {
    /// Moves devices from the caller's network namespace into another. There they are up and have the permanent
    /// addresses of global scope that they had; routes are lost. When one cannot be moved, all are brought back.
    ///
    /// An IPv6 address is looked for in the network again before it can be used (`IFA_F_TENTATIVE`), unless it
    /// had the flag `nodad`.
    ///
    /// Needs `CAP_NET_ADMIN` over both namespaces and `CAP_SYS_ADMIN` to enter the other.
    ///
    /// # Errors
    /// [`ErrorKind::NoDevice`]; [`ErrorKind::NameTaken`]; [`ErrorKind::SameNamespace`]; [`ErrorKind::System`]
    /// with the step and the kernel's answer.
    pub fn new(moves: &[Move], namespace: BorrowedFd<'_>) -> Result<Self, Error> {
        let own = own_namespace()?;
        if identity(own.as_fd())? == identity(namespace)? {
            let what = "the network namespace is the one that the devices are in";
            return Err(Error::new(ErrorKind::SameNamespace, what));
        }
        let mut all =
            Self { here: Route::here()?, own, there: Route::inside(namespace)?, devices: Vec::new() };
        let mut taken: BTreeSet<String> = all.there.links()?.into_iter().map(|link| link.name).collect();
        // All questions before the first move.
        let mut wanted = Vec::new();
        for one in moves {
            let before = find(&mut all.here, &one.device)?;
            let addresses = all.here.addresses(&before)?;
            let name = one.name.choose(&taken)?;
            taken.insert(name.to_string());
            wanted.push(Device { before, addresses, name });
        }
        for device in wanted {
            if let Err(error) = all.bring(device, namespace) {
                return Err(match all.give_back() {
                    Ok(()) => error,
                    Err(cleanup) => error.with_cleanup(&cleanup),
                });
            }
        }
        Ok(all)
    }

    /// The names in the other namespace, in the order of the moves.
    pub fn names(&self) -> impl Iterator<Item = &InterfaceName> {
        self.devices.iter().map(|device| &device.name)
    }

    fn bring(&mut self, device: Device, namespace: BorrowedFd<'_>) -> Result<(), Error> {
        if let Err(error) = self.here.move_link(&device.before, namespace, &device.name) {
            // Gone but not renamed: another took the name meanwhile.
            if self.here.link(&device.before.name)?.is_none() {
                let name = InterfaceName::new(&device.before.name)?;
                self.devices.push(Device { name, ..device });
            }
            return Err(error);
        }
        let name = device.name.clone();
        self.devices.push(device);
        let now = find(&mut self.there, &name)?;
        if let Some(device) = self.devices.last() {
            device.addresses.iter().try_for_each(|address| self.there.add_address(&now, address))?;
        }
        self.there.set_up(&now)
    }

    /// Brings all devices back under their old names, with those addresses, and up when they were.
    ///
    /// # Errors
    /// The first that could not be brought back as it was; the others are tried all the same.
    pub fn give_back(mut self) -> Result<(), Error> {
        let mut devices = std::mem::take(&mut self.devices);
        devices.reverse();
        let results: Vec<_> = devices.iter().map(|device| self.take_back(device)).collect();
        results.into_iter().collect()
    }

    fn take_back(&mut self, device: &Device) -> Result<(), Error> {
        let old = InterfaceName::new(&device.before.name)?;
        let there = find(&mut self.there, &device.name)?;
        self.there.move_link(&there, self.own.as_fd(), &old)?;
        let back = find(&mut self.here, &old)?;
        for address in &device.addresses {
            self.here.add_address(&back, address)?;
        }
        if device.before.up { self.here.set_up(&back) } else { Ok(()) }
    }
}

fn find(route: &mut Route, name: &InterfaceName) -> Result<Link, Error> {
    let none = || Error::new(ErrorKind::NoDevice, format!("there is no network device {name}"));
    route.link(name.as_str())?.ok_or_else(none)
}

/// What tells one namespace from another.
fn identity(namespace: BorrowedFd<'_>) -> Result<(u64, u64), Error> {
    let stat = || File::from(namespace.try_clone_to_owned()?).metadata();
    let found =
        stat().map_err(|error| Error::system("look at a network namespace", errno::from_io(&error)))?;
    Ok((found.dev(), found.ino()))
}
