//! Where a systemd listens.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::{Path, PathBuf};

use super::Manager;

/// A socket behind which a systemd is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    socket: Socket,
    /// Whether systemd itself listens there, and not a bus that it is on.
    pub(super) direct: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Socket {
    Path(PathBuf),
    /// A name without a file (`unix(7)`).
    Abstract(OsString),
}

impl Address {
    /// Those of a manager, in the order in which `systemctl(1)` tries them: without a bus it needs less, and works
    /// when the bus does not.
    pub(super) fn of(manager: Manager) -> Vec<Self> {
        let variable = |name: &str| env::var_os(name).filter(|text| !text.is_empty());
        match manager {
            Manager::System => system(variable("DBUS_SYSTEM_BUS_ADDRESS")),
            Manager::User => {
                let runtime = variable("XDG_RUNTIME_DIR").map(PathBuf::from);
                user(runtime.as_deref(), variable("DBUS_SESSION_BUS_ADDRESS"))
            }
        }
    }

    pub(super) fn connect(&self) -> io::Result<UnixStream> {
        match &self.socket {
            Socket::Path(path) => UnixStream::connect(path),
            Socket::Abstract(name) => {
                UnixStream::connect_addr(&SocketAddr::from_abstract_name(name.as_bytes())?)
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket {
            Socket::Path(path) => write!(f, "unix:path={}", path.display()),
            Socket::Abstract(name) => write!(f, "unix:abstract={}", name.display()),
        }
    }
}

fn system(bus: Option<OsString>) -> Vec<Address> {
    let mut all = vec![direct(Path::new("/run"))];
    match bus {
        Some(bus) => all.extend(parse(bus.as_bytes())),
        None => {
            all.push(Address { socket: Socket::Path("/run/dbus/system_bus_socket".into()), direct: false });
        }
    }
    all
}

fn user(runtime: Option<&Path>, bus: Option<OsString>) -> Vec<Address> {
    let mut all: Vec<Address> = runtime.map(direct).into_iter().collect();
    match (bus, runtime) {
        (Some(bus), _) => all.extend(parse(bus.as_bytes())),
        (None, Some(runtime)) => {
            all.push(Address { socket: Socket::Path(runtime.join("bus")), direct: false });
        }
        (None, None) => {}
    }
    all
}

fn direct(below: &Path) -> Address {
    Address { socket: Socket::Path(below.join("systemd/private")), direct: true }
}

/// Reads `unix:path=/run/bus,guid=…;unix:abstract=…` (D-Bus Specification, "Server Addresses"). What is no Unix socket
/// cannot be systemd's, and is left out.
fn parse(text: &[u8]) -> Vec<Address> {
    let one = |text: &[u8]| {
        let pairs = text.strip_prefix(b"unix:")?;
        let socket = pairs.split(|byte| *byte == b',').find_map(|pair| {
            if let Some(path) = pair.strip_prefix(b"path=") {
                Some(Socket::Path(PathBuf::from(unescaped(path)?)))
            } else {
                Some(Socket::Abstract(unescaped(pair.strip_prefix(b"abstract=")?)?))
            }
        });
        Some(Address { socket: socket?, direct: false })
    };
    text.split(|byte| *byte == b';').filter_map(one).collect()
}

/// Takes `%2f` for `/`.
fn unescaped(text: &[u8]) -> Option<OsString> {
    let mut bytes = Vec::new();
    let mut left = text.iter();
    while let Some(byte) = left.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit =
                    || char::from(*left.next()?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                let (high, low) = (digit()?, digit()?);
                high << 4 | low
            }
            byte => *byte,
        });
    }
    Some(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(addresses: &[Address]) -> Vec<String> {
        addresses.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn systemd_is_asked_before_a_bus() {
        assert_eq!(
            shown(&system(None)),
            ["unix:path=/run/systemd/private", "unix:path=/run/dbus/system_bus_socket"]
        );
        let of_user = user(Some(Path::new("/run/user/7")), None);
        assert_eq!(shown(&of_user), ["unix:path=/run/user/7/systemd/private", "unix:path=/run/user/7/bus"]);
        assert!(of_user[0].direct && !of_user[1].direct);
        assert_eq!(shown(&user(None, Some("unix:path=/b".into()))), ["unix:path=/b"]);
        assert!(user(None, None).is_empty());
    }

    #[test]
    fn addresses_of_a_bus_are_read() {
        let text = b"tcp:host=x;unix:guid=1,path=/run/a%20b;unix:abstract=/tmp/dbus-1,guid=0;unix:path=%4";
        assert_eq!(shown(&parse(text)), ["unix:path=/run/a b", "unix:abstract=/tmp/dbus-1"]);
    }

    proptest! {
        #[test]
        fn any_text_is_addresses(text in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut unix = b"unix:path=".to_vec();
            unix.extend(&text);
            let _ = (parse(&text), parse(&unix));
        }
    }
}
