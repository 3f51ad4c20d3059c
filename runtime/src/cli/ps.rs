//! `ps`.

use std::ffi::OsString;
use std::process::Command;

use clap::Parser;

use super::arguments;
use super::context::{Context, id};
use super::list::Format;
use super::state::print_text;
use crate::{Error, ErrorKind, Result};

#[derive(Debug, Parser)]
#[command(name = "cofferdam ps", about = "Print the processes of a container")]
struct Ps {
    /// How they are printed.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    format: Format,
    /// The container's name.
    id: String,
    /// Options for ps(1).
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

pub(super) fn act(context: &Context, words: &[OsString]) -> Result<u8> {
    let ps: Ps = arguments(words)?;
    let pids = context.runtime()?.processes(&id(&ps.id)?)?;
    if ps.format == Format::Json {
        return print_text(&serde_json::Value::from(pids).to_string()).map(|()| 0);
    }
    let options = if ps.options.is_empty() { vec!["-ef".to_owned()] } else { ps.options };
    let output = Command::new("ps").args(options).output();
    let output = output.map_err(|error| Error::new(ErrorKind::System, format!("run ps: {error}")))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
        return Err(Error::new(ErrorKind::System, format!("ps: {why}")));
    }
    print_text(&of_these(&String::from_utf8_lossy(&output.stdout), &pids)?).map(|()| 0)
}

/// The header and the lines whose column PID holds one of the numbers.
fn of_these(table: &str, pids: &[i32]) -> Result<String> {
    let mut lines = table.lines();
    let header = lines.next().unwrap_or_default();
    let column = header.split_whitespace().position(|name| name == "PID").ok_or_else(|| {
        Error::new(ErrorKind::System, "couldn't find PID field in ps output")
            .with_hint("choose options of ps(1) that print it")
    })?;
    let ours = |line: &&str| {
        let pid = line.split_whitespace().nth(column).and_then(|pid| pid.parse().ok());
        pid.is_some_and(|pid: i32| pids.contains(&pid))
    };
    Ok(std::iter::once(header).chain(lines.filter(ours)).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_others_are_left_out() {
        let table = "UID   PID PPID CMD\nroot    1    0 init 7\nroot    7    1 sh\n";
        assert_eq!(of_these(table, &[7]).unwrap(), "UID   PID PPID CMD\nroot    7    1 sh");
        assert!(of_these("UID CMD\n", &[7]).is_err());
    }
}
