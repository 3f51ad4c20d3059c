//! What can go wrong between the runtime and systemd.

use std::io;

use super::Manager;
use crate::{Error, ErrorKind};

#[derive(Debug)]
pub(super) enum Fault {
    /// Nobody listens.
    NoBus { manager: Manager, tried: Vec<(String, io::Error)> },
    /// A connection that did not hold.
    Broken { address: String, what: String },
    /// systemd, or the bus, refuses a call.
    Refused { member: String, name: String, text: String },
    /// A job that did not end well.
    Job { what: String, result: String },
}

/// The remedies are the same all over.
const OR_CGROUPFS: &str = "or have cgroups made without systemd (--cgroup-manager cgroupfs)";

impl Fault {
    /// The last part of the error's name, which tells what it is.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Fault::Refused { name, .. } => name.rsplit('.').next(),
            _ => None,
        }
    }

    /// The property that this systemd does not know: an older one has not all of them.
    pub(super) fn unknown_property(&self) -> Option<&str> {
        match self {
            Fault::Refused { text, .. } if self.name() == Some("PropertyReadOnly") => {
                text.strip_prefix("Cannot set property ")?.split([',', ' ']).next()
            }
            _ => None,
        }
    }

    /// As the error of a step: `what` names it and its object.
    pub(super) fn error(&self, kind: ErrorKind, what: &str) -> Error {
        match self {
            Fault::NoBus { manager, tried } if tried.is_empty() => Error::new(
                kind,
                format!("{what}: no address of the {manager} is known: neither XDG_RUNTIME_DIR nor DBUS_SESSION_BUS_ADDRESS is set"),
            )
            .with_hint(format!("log in so that there is one (loginctl enable-linger USER), {OR_CGROUPFS}")),
            Fault::NoBus { manager, tried } => {
                let tried: Vec<String> = tried.iter().map(|(address, error)| format!("{address}: {error}")).collect();
                let hint = match manager {
                    Manager::System => "boot the machine with systemd and have its /run in sight",
                    Manager::User => "start the user's systemd (systemctl start user@UID) and set XDG_RUNTIME_DIR",
                };
                Error::new(kind, format!("{what}: the {manager} cannot be reached: {}", tried.join("; ")))
                    .with_hint(format!("{hint}, {OR_CGROUPFS}"))
            }
            Fault::Broken { address, what: why } => {
                Error::new(kind, format!("{what}: systemd at {address}: {why}"))
                    .with_hint(format!("look at `systemctl status` and `journalctl -b _PID=1`, {OR_CGROUPFS}"))
            }
            Fault::Refused { member, name, text } => {
                let error = Error::new(kind, format!("{what}: systemd refused {member}: {name}: {text}"));
                match self.name() {
                    Some("AccessDenied" | "InteractiveAuthorizationRequired") => {
                        error.with_hint("root may do so, or an owner with a systemd of its own: set XDG_RUNTIME_DIR")
                    }
                    Some("UnitExists") => error.with_hint("choose another id or cgroupsPath: that unit is in use"),
                    _ => error,
                }
            }
            Fault::Job { what: job, result } => Error::new(kind, format!("{what}: the job to {job} ended as `{result}`"))
                .with_hint("systemd tells why: journalctl -b _PID=1"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_property_is_found_in_what_systemd_says() {
        let fault = |name: &str, text: &str| Fault::Refused {
            member: "StartTransientUnit".into(),
            name: name.into(),
            text: text.into(),
        };
        let unknown = fault(
            "org.freedesktop.DBus.Error.PropertyReadOnly",
            "Cannot set property CPUQuotaPeriodUSec, or unknown property.",
        );
        assert_eq!(unknown.unknown_property(), Some("CPUQuotaPeriodUSec"));
        assert_eq!(
            fault("org.freedesktop.systemd1.UnitExists", "Cannot set property X").unknown_property(),
            None
        );
    }

    #[test]
    fn a_message_has_address_answer_and_remedy() {
        let tried = vec![("unix:path=/run/systemd/private".to_owned(), io::Error::from_raw_os_error(2))];
        let error = Fault::NoBus { manager: Manager::System, tried }
            .error(ErrorKind::Start, "make the scope x.scope");
        assert_eq!(
            error.to_string(),
            "make the scope x.scope: the systemd of the machine cannot be reached: unix:path=/run/systemd/private: No \
             such file or directory (os error 2); boot the machine with systemd and have its /run in sight, or have \
             cgroups made without systemd (--cgroup-manager cgroupfs)"
        );
        let refused = Fault::Refused {
            member: "StartTransientUnit".into(),
            name: "org.freedesktop.systemd1.UnitExists".into(),
            text: "Unit x.scope was already loaded.".into(),
        };
        assert_eq!(
            refused.error(ErrorKind::Start, "make the scope x.scope").to_string(),
            "make the scope x.scope: systemd refused StartTransientUnit: org.freedesktop.systemd1.UnitExists: Unit \
             x.scope was already loaded.; choose another id or cgroupsPath: that unit is in use"
        );
    }
}
