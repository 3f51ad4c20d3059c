//! An interactive shell on the console.

use super::cgroups::Layout;
use super::cmdline::Cmdline;
use super::{exec, paths};
use crate::bundle::Bundle;
use crate::registry::Context;
use nix::unistd::Pid;
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

/// Starts the shell: busybox, with all its applets on the path.
pub(super) fn start(container: bool, size: Option<(u16, u16)>) -> io::Result<Pid> {
    if !Path::new(paths::BUSYBOX).exists() {
        return Err(io::Error::other(format!("the image has no {}", paths::BUSYBOX)));
    }
    let terminal = open_terminal()?;
    if let Some((ws_row, ws_col)) = size {
        tcsetwinsize(&terminal, Winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 })?;
    }
    install_applets()?;
    let program: Vec<String> =
        if container { container_command()? } else { [paths::BUSYBOX, "sh", "-l"].map(str::to_owned).into() };
    exec::spawn(Command::new(paths::INIT).arg("terminal").args(program).env_clear().envs([
        ("PATH", "/lab/bin:/sbin:/bin"),
        ("HOME", "/root"),
        ("TERM", "xterm"),
        ("PS1", "\\h:\\w\\$ "),
    ]))
}

/// `/init terminal PROGRAM …`: gives the console to a program, as its controlling terminal.
pub fn main(program: &str, arguments: &[&str]) -> ExitCode {
    let prepared = nix::unistd::setsid().map_err(io::Error::from).and_then(|_| {
        // The first terminal that a session's leader opens becomes the session's own.
        let terminal = open_terminal()?;
        nix::unistd::dup2_stdin(&terminal)?;
        nix::unistd::dup2_stdout(&terminal)?;
        Ok(nix::unistd::dup2_stderr(&terminal)?)
    });
    let error = match prepared {
        Ok(()) => Command::new(program).args(arguments).exec(),
        Err(error) => error,
    };
    eprintln!("lab: cannot run {program} on {}: {error}", paths::TERMINAL);
    ExitCode::from(127)
}

fn open_terminal() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(paths::TERMINAL)
}

fn install_applets() -> io::Result<()> {
    std::fs::create_dir_all("/root")?;
    let pid = exec::spawn(
        Command::new(paths::BUSYBOX)
            .args(["--install", "-s", "/bin"])
            .stdin(Stdio::null())
            .stdout(Stdio::null()),
    )?;
    nix::sys::wait::waitpid(pid, None)?;
    Ok(())
}

/// Makes a bundle like those of the attempts, whole stack up, with a shell in place of the probe.
fn container_command() -> io::Result<Vec<String>> {
    const START: &str = "/bin/busybox mkdir -p /tmp/bin && /bin/busybox --install -s /tmp/bin; \
                         PATH=/tmp/bin:$PATH exec /bin/busybox sh";
    let ctx = Context::new("full", Cmdline::read()?, Layout::here()?);
    std::fs::create_dir_all(ctx.scratch())?;
    let mut bundle = Bundle::hardened(&ctx, "shell");
    bundle.directory("/bin", 0o755).copy(Path::new(paths::BUSYBOX), "/bin/busybox", 0o755);
    if let Some(arguments) = bundle.config().pointer_mut("/process/args") {
        *arguments = ["/bin/busybox", "sh", "-c", START].as_slice().into();
    }
    bundle.write().map_err(|failure| io::Error::other(failure.to_string()))?;
    let dir = bundle.dir().to_string_lossy().into_owned();
    Ok(vec![paths::RUNTIME.to_owned(), "run".to_owned(), "--bundle".to_owned(), dir, bundle.id().to_owned()])
}
