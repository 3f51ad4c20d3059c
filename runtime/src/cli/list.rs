//! `list`.

use std::ffi::OsString;

use clap::{Parser, ValueEnum};

use super::arguments;
use super::context::Context;
use super::state::print_text;
use crate::Result;
use crate::lifecycle::Listed;

#[derive(Debug, Parser)]
#[command(name = "cofferdam list", about = "Print all containers")]
struct List {
    /// How they are printed.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    format: Format,
    /// Print the ids alone.
    #[arg(short, long)]
    quiet: bool,
}

/// A table for people or JSON for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Columns.
    Table,
    /// JSON.
    Json,
}

pub(super) fn act(context: &Context, words: &[OsString]) -> Result<u8> {
    let List { format, quiet } = arguments(words)?;
    let runtime = context.runtime()?;
    if quiet {
        for id in runtime.ids()? {
            print_text(id.as_str())?;
        }
        return Ok(0);
    }
    let mut states = Vec::new();
    for listed in runtime.list()? {
        match listed {
            Listed::State(state) => states.push(state),
            Listed::Broken(_, error) => context.warn(&error.to_string()),
        }
    }
    if format == Format::Json {
        let text = serde_json::to_string(&states)
            .map_err(|error| crate::Error::new(crate::ErrorKind::System, error.to_string()))?;
        return print_text(&text).map(|()| 0);
    }
    let header = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned);
    let rows = states.into_iter().map(|state| {
        let bundle = state.bundle.display().to_string();
        [state.id, state.pid.to_string(), state.status.to_string(), bundle, state.created, state.owner]
    });
    print_text(&table(&std::iter::once(header).chain(rows).collect::<Vec<_>>())).map(|()| 0)
}

/// Columns that are as wide as their widest cell and wide enough for what callers look for when there are no
/// rows; the last is not padded.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [9usize; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}   "));
        cells.collect::<String>().trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [["ID", "PID", "S"], ["a", "1234567", "running"], ["longer", "1", ""]];
        let rows = rows.map(|row| row.map(str::to_owned));
        let wanted = "ID          PID         S\na           1234567     running\nlonger      1";
        assert_eq!(table(&rows), wanted);
        let header = [["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned)];
        assert_eq!(table(&header), "ID          PID         STATUS      BUNDLE      CREATED     OWNER");
    }
}
