//! A terminal of the container's own, whose master comes over the console socket.

use crate::bundle::{At, Bundle};
use crate::registry::{Context, OrFail, Result, Test};
use cofferdam_sys::send::receive_descriptor;
use serde_json::json;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::process::Stdio;

pub(super) const TESTS: &[Test] = &[
    Test::oci("oci::terminal", "A container has a terminal that it knows by name and size", create),
    Test::oci("oci::terminal-exec", "A process that joins has one of its own", exec),
    Test::oci(
        "oci::terminal-refused",
        "Without a console socket, or with a file in its place, create fails",
        refused,
    ),
];

/// Gives a command and takes the terminal that it sends.
fn terminal(bundle: &Bundle, before: &[&str], behind: &[&str]) -> Result<File> {
    let path = bundle.dir().join("console");
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path)?;
    let socket = path.to_string_lossy().into_owned();
    let words = [before, &["--console-socket", &socket], behind].concat();
    let mut command = bundle.command(&words);
    let mut child =
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().or_fail("starting the runtime")?;
    let (connection, _) = listener.accept()?;
    let (_, master) = receive_descriptor(connection.as_fd(), &mut [0; 4096])?;
    let status = child.wait()?;
    ensure!(status.success(), "{before:?} failed: {status}");
    Ok(master.or_fail("the master of the terminal")?.into())
}

/// All that a terminal has to say; its end is an error of input and output.
fn text(mut master: File) -> String {
    let mut bytes = Vec::new();
    let _ = master.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn create(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "terminal");
    bundle.set("/process/terminal", json!(true));
    bundle.set("/process/consoleSize", json!({ "height": 33, "width": 77 }));
    bundle.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    bundle.probe(&["show", "terminal", "+", "show", "stat", "/dev/console", "+", "show", "fds"]).write()?;
    let dir = bundle.dir().to_string_lossy().into_owned();
    let master = terminal(&bundle, &["create", "--bundle", &dir], &[bundle.id()])?;
    bundle.order(&["start", bundle.id()])?.success()?;
    let text = text(master);
    let ended = crate::bundle::Ended { status: 0, stdout: text.replace('\r', ""), stderr: String::new() };
    let found = ended.value("terminal")?;
    ensure_eq!(found.at("link"), "/dev/pts/0", "the terminal's name");
    ensure_eq!(found.at("size"), json!([33, 77]), "the terminal's size");
    ensure_eq!(found.at("controlling"), true, "whether it is the controlling one");
    ensure_eq!(found.at("uid"), 1000, "the terminal's owner");
    ensure_eq!(ended.value("stat")?.at("kind"), "char", "the kind of /dev/console");
    ensure_eq!(ended.value("fds")?, json!([0, 1, 2]), "the descriptors");
    let ended = bundle.order(&["delete", "--force", bundle.id()])?.success()?;
    bundle.nothing_left(&ended)
}

fn exec(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "terminal-exec");
    let container = bundle.probe(&["sleep", "100"]).create()?;
    container.must(&["start"])?;
    let words = [bundle.id(), "/probe", "show", "terminal"];
    let text = text(terminal(&bundle, &["exec", "--tty", "--detach"], &words)?);
    let ended = crate::bundle::Ended { status: 0, stdout: text.replace('\r', ""), stderr: String::new() };
    ensure_eq!(
        ended.value("terminal")?.at("controlling"),
        true,
        "whether it is the controlling one; {ended}"
    );
    container.delete()
}

fn refused(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "terminal-refused");
    bundle.set("/process/terminal", json!(true)).probe(&["sleep", "100"]).write()?;
    let file = bundle.dir().join("config.json").to_string_lossy().into_owned();
    for options in [&[][..], &["--console-socket", &file]] {
        let (container, ended) = bundle.try_create(options)?;
        ensure!(ended.status != 0, "create {options:?} succeeded; {ended}");
        ensure!(!ended.stderr.is_empty(), "create {options:?} failed without a word");
        bundle.nothing_left(&ended)?;
        drop(container);
    }
    Ok(())
}
