//! `linux.netDevices`.

use cofferdam_netbridge::{InterfaceName, Move, NewName};
use cofferdam_ns::NsKind;

use super::namespaces::Lowered;
use crate::spec::Linux;
use crate::{Error, Result};

const FIELD: &str = "linux.netDevices";

pub(super) fn lower(linux: &Linux, namespaces: &Lowered) -> Result<Vec<Move>> {
    if linux.net_devices.is_empty() {
        return Ok(Vec::new());
    }
    if !namespaces.has(NsKind::Network) {
        // runc's words, which its tests look for.
        let why = "unable to move network devices without a NET namespace of the container's own";
        return Err(Error::config(FIELD, why).with_hint("add `network` to linux.namespaces"));
    }
    let mut moves: Vec<Move> = Vec::new();
    for (device, inside) in &linux.net_devices {
        let field = format!("{FIELD}[\"{}\"]", device.escape_default());
        let device: InterfaceName = device.parse().map_err(|error| Error::config(&field, error))?;
        let name = match inside.name.as_deref().filter(|name| !name.is_empty()) {
            Some(name) => {
                NewName::new(name).map_err(|error| Error::config(&format!("{field}.name"), error))?
            }
            None => device.clone().into(),
        };
        if let Some(name) = name.exact()
            && moves.iter().any(|other| other.name.exact() == Some(name))
        {
            return Err(Error::config(&field, format!("a second device that is to be {name}")));
        }
        moves.push(Move { device, name });
    }
    Ok(moves)
}
