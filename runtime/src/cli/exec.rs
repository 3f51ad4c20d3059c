//! `exec`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Parser;

use super::arguments;
use super::context::{Context, id};
use crate::lifecycle::{ExecArgs, ExecOptions, ExecProcess};
use crate::{Error, ErrorKind, Result, spec};

#[derive(Debug, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "one for each flag")]
#[command(name = "cofferdam exec", about = "Run another program in a container")]
struct Exec {
    /// A file with the process as JSON, as in config.json.
    #[arg(short, long, value_name = "FILE")]
    process: Option<PathBuf>,
    /// The working directory in the container.
    #[arg(long, value_name = "DIR")]
    cwd: Option<PathBuf>,
    /// Add NAME=VALUE to the environment.
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Give it a terminal.
    #[arg(short, long)]
    tty: bool,
    /// The user's id, with `:` and a group's id behind it.
    #[arg(short, long, value_name = "UID[:GID]")]
    user: Option<String>,
    /// Add groups.
    #[arg(short = 'g', long, value_name = "GID", value_delimiter = ',')]
    additional_gids: Vec<u32>,
    /// Add a capability.
    #[arg(short, long, value_name = "CAP")]
    cap: Vec<String>,
    /// The AppArmor profile.
    #[arg(long, value_name = "NAME")]
    apparmor: Option<String>,
    /// The SELinux label.
    #[arg(long, value_name = "LABEL")]
    process_label: Option<String>,
    /// Let it gain no privileges.
    #[arg(long)]
    no_new_privs: bool,
    /// Return once the program runs.
    #[arg(short, long)]
    detach: bool,
    /// A unix socket that is sent the master of the terminal.
    #[arg(long, value_name = "SOCKET")]
    console_socket: Option<PathBuf>,
    /// A file that gets the process id.
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// How many descriptors from number 3 on it inherits.
    #[arg(long, value_name = "N", default_value_t = 0)]
    preserve_fds: u32,
    /// A unix socket that is sent a pidfd of the process.
    #[arg(long, value_name = "SOCKET")]
    pidfd_socket: Option<PathBuf>,
    /// Run it in a cgroup that is there below the container's.
    #[arg(long, value_name = "PATH")]
    cgroup: Option<String>,
    /// Go on with a paused container; the program runs once it is resumed.
    #[arg(long)]
    ignore_paused: bool,
    /// The container's name.
    id: String,
    /// The program and its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

/// The status for a failure that is not the program's, so that it can be told from the program's own 1.
const OTHER_FAILURE: u8 = 255;

pub(super) fn act(context: &Context, words: &[OsString]) -> Result<u8> {
    Context::seal()?;
    let exec: Exec = arguments(words)?;
    run(context, &exec).map_err(|error| match error.exit_status() {
        1 => error.with_status(OTHER_FAILURE),
        _ => error,
    })
}

fn run(context: &Context, exec: &Exec) -> Result<u8> {
    let id = id(&exec.id)?;
    let process = match &exec.process {
        Some(path) => whole(path)?,
        None => ExecProcess::Changed(ExecArgs {
            args: exec.args.clone(),
            cwd: exec.cwd.clone(),
            env: exec.env.clone(),
            user: exec.user.as_deref().map(user).transpose()?,
            additional_gids: exec.additional_gids.clone(),
            tty: exec.tty,
            caps: exec.cap.clone(),
            apparmor: exec.apparmor.clone(),
            selinux: exec.process_label.clone(),
            no_new_privs: exec.no_new_privs,
        }),
    };
    let mut options = ExecOptions::default();
    options.console_socket.clone_from(&exec.console_socket);
    options.pid_file.clone_from(&exec.pid_file);
    options.preserve_fds = exec.preserve_fds;
    options.listen_fds = context.listen_fds()?;
    options.pidfd_socket.clone_from(&exec.pidfd_socket);
    options.cgroup.clone_from(&exec.cgroup);
    options.ignore_paused = exec.ignore_paused;
    options.detach = exec.detach;
    let mut warn = |warning: &str| context.warn(warning);
    Ok(context.runtime()?.exec(&id, &process, &options, &mut warn)?.status())
}

fn whole(path: &Path) -> Result<ExecProcess> {
    let fail = |why: &dyn std::fmt::Display| {
        Error::new(ErrorKind::Config, format!("--process {}: {why}", path.display()))
    };
    let text = std::fs::read(path).map_err(|error| fail(&error))?;
    let process = spec::from_slice(&text).map_err(|fault| fail(&fault))?;
    Ok(ExecProcess::Whole(Box::new(process)))
}

/// `UID` or `UID:GID`.
fn user(text: &str) -> Result<(u32, Option<u32>)> {
    let (uid, gid) = text.split_once(':').map_or((text, None), |(uid, gid)| (uid, Some(gid)));
    let number = |text: &str| {
        text.parse::<u32>().ok().filter(|id| *id != u32::MAX).ok_or_else(|| {
            Error::new(ErrorKind::Usage, format!("--user: `{}` is no id", text.escape_debug()))
                .with_hint("give numbers, as 1000 or 1000:1000: names are those of the image")
        })
    };
    Ok((number(uid)?, gid.map(number).transpose()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_numbers() {
        assert_eq!(user("7").unwrap(), (7, None));
        assert_eq!(user("7:8").unwrap(), (7, Some(8)));
        for bad in ["", "root", "1:", ":1", "-1", "4294967295", "1:2:3"] {
            assert_eq!(user(bad).unwrap_err().kind(), ErrorKind::Usage, "{bad}");
        }
    }

    #[test]
    fn words_behind_the_id_are_the_programs() {
        let exec = Exec::try_parse_from(["exec", "-t", "box", "--", "ls", "-l", "--tty"]).unwrap();
        assert_eq!((exec.id.as_str(), exec.tty), ("box", true));
        assert_eq!(exec.args, ["ls", "-l", "--tty"]);
        let exec = Exec::try_parse_from(["exec", "box", "sh", "-c", "x"]).unwrap();
        assert_eq!(exec.args, ["sh", "-c", "x"]);
        let exec = Exec::try_parse_from(["exec", "box", "--cwd", "/tmp", "sh"]).unwrap();
        assert_eq!(exec.cwd.unwrap(), Path::new("/tmp"));
    }
}
