//! Networks: the engine makes them, the container is put there.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::super::image::PAGE;
use super::{Ask, Engine, SLEEPER, Started, until};

const PORT: u16 = 18_080;

pub(super) fn publish(engine: &dyn Engine) -> Result<()> {
    let ask =
        Ask { publish: Some((PORT, 80)), ..Ask::new("publish", &["httpd", "-f", "-p", "80", "-h", "/www"]) };
    let _container = Started::new(engine, &ask)?;
    let mut last = String::new();
    let found = until("the server", || {
        last = get().unwrap_or_else(|error| format!("{error:#}"));
        Ok(last.contains(PAGE))
    });
    found.with_context(|| format!("the port answers `{}`", last.trim()))
}

fn get() -> Result<String> {
    let limit = Duration::from_secs(2);
    let address = ([127, 0, 0, 1], PORT).into();
    let mut stream = TcpStream::connect_timeout(&address, limit).context("connect")?;
    stream.set_read_timeout(Some(limit))?;
    stream.write_all(b"GET /index.html HTTP/1.0\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

pub(super) fn beside(engine: &dyn Engine) -> Result<()> {
    let first = Started::new(engine, &Ask { shares: true, ..Ask::new("beside-first", SLEEPER) })?;
    let script = "for kind in net ipc pid; do readlink /proc/self/ns/$kind; done";
    let ask = Ask { beside: Some("beside-first"), ..Ask::new("beside-second", SLEEPER) };
    let second = Started::new(engine, &ask)?;
    let [one, other] = [first.sh(script)?, second.sh(script)?];
    ensure!(one == other, "the namespaces differ: {one} and {other}");
    let mounts = "readlink /proc/self/ns/mnt";
    ensure!(first.sh(mounts)? != second.sh(mounts)?, "the mounts are shared too");
    Ok(())
}
