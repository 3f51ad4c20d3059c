//! Landlock: ports, abstract and named sockets, signals.

use super::landlock::{refused, required, restricted};
use crate::crates::child::Sleeper;
use crate::registry::{Context, OrFail, Result, Test};
use cofferdam_lsm::landlock::{FsAccess, NetAccess, Ruleset, Scopes};
use cofferdam_ns::Isolation;
use nix::errno::Errno::{EACCES, EPERM};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

pub(in crate::crates) const TESTS: &[Test] = &[
    Test::integration("lsm::landlock-tcp", "TCP ports are bound and connected to where allowed only", tcp),
    Test::integration("lsm::landlock-udp", "UDP ports are bound and sent to where allowed only", udp),
    Test::integration("lsm::landlock-signals", "No signal leaves the domain", signals),
    Test::integration(
        "lsm::landlock-abstract",
        "No abstract socket outside is connected to",
        abstract_sockets,
    ),
    Test::integration(
        "lsm::landlock-named",
        "A socket's path is connected to where allowed only",
        named_sockets,
    ),
];

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// A network of the case's own, in which no port is taken.
fn network() -> Result {
    unshare(CloneFlags::CLONE_NEWNET)?;
    Ok(cofferdam_sys::net::interface_up(b"lo")?)
}

fn tcp(_: &mut Context) -> Result {
    network()?;
    let _servers = (TcpListener::bind((HERE, 443))?, TcpListener::bind((HERE, 22))?);
    let ruleset = Ruleset::new()
        .handle_net(NetAccess::BIND_TCP | NetAccess::CONNECT_TCP)
        .allow_port(8080, NetAccess::BIND_TCP)
        .allow_port(443, NetAccess::CONNECT_TCP);
    let Some(prepared) = required(&ruleset, (6, 7))? else { return Ok(()) };
    restricted(&prepared, || {
        TcpListener::bind((HERE, 8080)).or_fail("binding a port that may be bound")?;
        TcpStream::connect((HERE, 443)).or_fail("connecting to a port that may be")?;
        refused(TcpListener::bind((HERE, 8081)), EACCES, "binding another port")?;
        refused(TcpStream::connect((HERE, 22)), EACCES, "connecting to another port")
    })?;
    TcpStream::connect((HERE, 22)).or_fail("connecting, unrestricted").map(drop)
}

fn udp(_: &mut Context) -> Result {
    network()?;
    let (_dns, other) = (UdpSocket::bind((HERE, 53))?, UdpSocket::bind((HERE, 54))?);
    let ruleset = Ruleset::new()
        .handle_net(NetAccess::BIND_UDP | NetAccess::CONNECT_SEND_UDP)
        .allow_port(0, NetAccess::BIND_UDP)
        .allow_port(1000, NetAccess::BIND_UDP)
        .allow_port(53, NetAccess::CONNECT_SEND_UDP);
    let Some(prepared) = required(&ruleset, (7, 2))? else { return Ok(()) };
    restricted(&prepared, || {
        let socket = UdpSocket::bind((HERE, 1000)).or_fail("binding a port that may be bound")?;
        socket.send_to(b"x", (HERE, 53)).or_fail("sending to a port that may be sent to")?;
        refused(socket.send_to(b"x", (HERE, 54)), EACCES, "sending to another port")?;
        refused(socket.connect((HERE, 54)), EACCES, "connecting to another port")?;
        refused(UdpSocket::bind((HERE, 1001)), EACCES, "binding another port")
    })?;
    other.send_to(b"x", (HERE, 53)).or_fail("sending, unrestricted").map(drop)
}

fn signals(_: &mut Context) -> Result {
    let outside = Sleeper::start(&Isolation::default(), None, vec![])?;
    let ruleset = Ruleset::new().scope(Scopes::SIGNAL);
    let Some(prepared) = required(&ruleset, (6, 12))? else { return Ok(()) };
    restricted(&prepared, || {
        let inside = Sleeper::start(&Isolation::default(), None, vec![])?;
        kill(Pid::from_raw(inside.pid()), None).or_fail("a signal inside of the domain")?;
        ensure_eq!(kill(Pid::from_raw(outside.pid()), None).err(), Some(EPERM), "a signal out of the domain");
        Ok(())
    })?;
    kill(Pid::from_raw(outside.pid()), None).or_fail("a signal, unrestricted")
}

fn abstract_sockets(_: &mut Context) -> Result {
    network()?;
    let (outside, inside) = (SocketAddr::from_abstract_name("out")?, SocketAddr::from_abstract_name("in")?);
    let _server = UnixListener::bind_addr(&outside)?;
    let ruleset = Ruleset::new().scope(Scopes::ABSTRACT_UNIX_SOCKET);
    let Some(prepared) = required(&ruleset, (6, 12))? else { return Ok(()) };
    restricted(&prepared, || {
        let _server = UnixListener::bind_addr(&inside)?;
        UnixStream::connect_addr(&inside).or_fail("connecting inside of the domain")?;
        refused(UnixStream::connect_addr(&outside), EPERM, "connecting out of the domain")
    })?;
    UnixStream::connect_addr(&outside).or_fail("connecting, unrestricted").map(drop)
}

fn named_sockets(ctx: &mut Context) -> Result {
    let (allowed, other) = (ctx.scratch().join("allowed"), ctx.scratch().join("other"));
    let _servers = (UnixListener::bind(&allowed)?, UnixListener::bind(&other)?);
    let ruleset =
        Ruleset::new().handle_fs(FsAccess::RESOLVE_UNIX).allow_path(&allowed, FsAccess::RESOLVE_UNIX);
    let Some(prepared) = required(&ruleset, (7, 1))? else { return Ok(()) };
    restricted(&prepared, || {
        UnixStream::connect(&allowed).or_fail("connecting where it is allowed")?;
        refused(UnixStream::connect(&other), EACCES, "connecting elsewhere")
    })?;
    UnixStream::connect(&other).or_fail("connecting, unrestricted").map(drop)
}
