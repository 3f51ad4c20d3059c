//! `cargo xtask vm-shell`.

use std::io::{IsTerminal as _, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::cli::VmShell;
use crate::lab::build;
use crate::lab::runtime::Runtime;
use crate::lab::single::{self, Packed, Request};
use crate::lab::terminal::{self, Raw};
use crate::protocol::Command;
use crate::workspace::Workspace;

const SCRIPT: &str = "/lab/bin/script";
/// Control-], which ends the guest whatever it does.
const ESCAPE: u8 = 0x1d;
/// Control-D: the end of what is typed.
const END: u8 = 0x04;

/// Boots a guest and puts a shell on this terminal, or runs the commands of a pipe; the shell's status is ours.
///
/// # Errors
/// Wrong input, or a lab that cannot start.
pub(super) fn run(workspace: &Workspace, args: &VmShell) -> Result<u8> {
    let mut files: Vec<Packed> = vec![single::busybox(&args.source)?];
    if args.container {
        files.extend(Runtime::own(&build::dist(workspace)?).files);
    }
    let request = Request {
        kernel: &args.kernel,
        cgroup: args.cgroup.name(),
        modules: &[],
        accel: args.accel,
        source: &args.source,
    };
    if std::io::stdin().is_terminal() || args.container {
        return on_console(workspace, args, &request, &files);
    }
    let mut script = tempfile::NamedTempFile::new().context("make a file for the commands")?;
    std::io::copy(&mut std::io::stdin(), &mut script).context("read the commands from the pipe")?;
    files.push((SCRIPT.to_owned(), script.path().to_owned(), 0o644));
    let mut guest = single::boot(workspace, &request, &files)?;
    let words = ["sh", SCRIPT].map(str::to_owned);
    guest.finish(&single::with_applets(words, std::iter::empty()), std::io::stdout())
}

fn on_console(workspace: &Workspace, args: &VmShell, request: &Request<'_>, files: &[Packed]) -> Result<u8> {
    let mut single = single::boot(workspace, request, files)?;
    let typed = single.guest().vm().console_input().context("reach the console")?;
    let interactive = std::io::stdin().is_terminal();
    if interactive {
        eprintln!("leave with `exit`; Ctrl-] ends the guest at once");
    }
    let size = if interactive { terminal::size() } else { None };
    let raw = Raw::standard_input()?;
    single.guest().vm().tee(Box::new(std::io::stdout()));
    // The thread sits in a read of standard input and ends with this program.
    std::thread::spawn(move || type_into(std::io::stdin(), typed, interactive));
    let code = single.finish(&Command::Shell { container: args.container, size }, std::io::sink());
    drop(raw);
    code
}

/// Passes on what is typed until the end of it, or the escape.
fn type_into(mut input: impl Read, mut console: UnixStream, interactive: bool) {
    let mut buffer = [0; 256];
    loop {
        let Ok(count) = input.read(&mut buffer) else { return };
        let bytes = buffer.get(..count).unwrap_or_default();
        let escaped = interactive && bytes.contains(&ESCAPE);
        if count == 0 || escaped {
            // A closed console ends QEMU's side too; a shell in a pipe is told the end instead.
            let _ =
                if escaped { console.shutdown(std::net::Shutdown::Both) } else { console.write_all(&[END]) };
            return;
        }
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if console.write_all(line).is_err() {
                return;
            }
            if !interactive {
                // A serial port has no room for a whole script at once.
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_is_typed_and_ended() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        type_into("uname -r\nid\n".as_bytes(), theirs, false);
        let mut text = String::new();
        ours.read_to_string(&mut text).unwrap();
        assert_eq!(text, "uname -r\nid\n\u{4}");
    }

    #[test]
    fn the_escape_ends_a_terminal_only() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        type_into("id\u{1d}".as_bytes(), theirs, true);
        let mut text = String::new();
        ours.read_to_string(&mut text).unwrap();
        assert_eq!(text, "");
    }
}
