//! The units that a systemd of a test knows, and no other.

/// Where they are in its `/run`.
pub(super) const FOLDER: &str = "/run/units";

/// Where systemd looks for units: there, and where it keeps what it is told over the bus.
pub(super) const PATH: &str = "/run/systemd/system.control:/run/systemd/transient:/run/units";

/// Where those of the user's systemd are.
pub(super) const FOLDER_OF_USER: &str = "/run/units-of-user";

/// The user who has a systemd.
pub(super) const USER: u32 = 1000;

/// Names and texts of the units of the machine's systemd.
pub(super) const MACHINE: &[(&str, &str)] = &[
    ("default.target", "[Unit]\nDescription=Everything there is\n"),
    ("dbus.socket", "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=/run/dbus/system_bus_socket\n"),
    (
        "dbus.service",
        "[Unit]\nDefaultDependencies=no\nRequires=dbus.socket\n[Service]\nType=notify\n\
         ExecStart=/usr/bin/dbus-daemon --config-file=/run/units/bus.conf --address=systemd: --nofork --nopidfile \
         --systemd-activation\n",
    ),
    (
        "bus.conf",
        "<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen>\
         <auth>EXTERNAL</auth><policy context=\"default\"><allow user=\"*\"/><allow own=\"*\"/>\
         <allow send_destination=\"*\"/><allow receive_sender=\"*\"/>\
         </policy></busconfig>\n",
    ),
    (
        "user@.service",
        "[Unit]\nDefaultDependencies=no\n[Service]\nUser=%i\nSlice=user-%i.slice\nType=notify\n\
         ExecStart=/usr/lib/systemd/systemd --user\nDelegate=yes\nKillMode=mixed\n\
         Environment=HOME=/ XDG_RUNTIME_DIR=/run/user/%i \
         SYSTEMD_UNIT_PATH=/run/user/%i/systemd/user.control:/run/user/%i/systemd/transient:/run/units-of-user SYSTEMD_LOG_TARGET=console\n",
    ),
];

/// Those of the user's systemd.
pub(super) const OF_USER: &[(&str, &str)] =
    &[("default.target", "[Unit]\nDescription=Everything the user has\n")];
