//! `cargo xtask kernels`: what there is, and fetching it.

use anyhow::Result;
use indicatif::HumanBytes;
use serde::Serialize;

use super::{Cache, Debian, Flavour, KernelSpec, Options, Provider as _, Resolved};
use crate::{fail, output};

/// What `cargo xtask kernels` was asked to do.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `--fetch`: fetch what is not cached.
    pub fetch: bool,
    /// `--json`: print JSON instead of a table.
    pub json: bool,
    /// Only these; all series in the cloud flavour when empty.
    pub specs: Vec<KernelSpec>,
    /// How the archive is reached.
    pub options: Options,
}

/// One line of the list.
#[derive(Debug, Serialize)]
struct Row {
    series: String,
    flavour: &'static str,
    /// Whether the archive may lack it without that being an error.
    optional: bool,
    release: Option<String>,
    version: Option<String>,
    /// Bytes to fetch.
    size: Option<u64>,
    cached: bool,
    /// Why it cannot be had.
    problem: Option<String>,
}

/// Lists series, version, size and whether it is cached; with `--fetch`, fetches what is not.
///
/// # Errors
///
/// When a required or a named kernel cannot be had; the others have been listed and fetched by then.
pub fn command(request: &Request) -> Result<()> {
    let debian = Debian::new(Cache::open()?, request.options.clone())?;
    let every = || {
        let series = debian.catalogue().series.iter();
        series.map(|entry| KernelSpec::new(&entry.name, Flavour::Cloud)).collect()
    };
    let named = !request.specs.is_empty();
    let specs: Vec<KernelSpec> = if named { request.specs.clone() } else { every() };

    let (mut rows, mut failures) = (Vec::new(), Vec::new());
    for spec in &specs {
        let optional = debian.catalogue().find(&spec.series)?.optional;
        let (resolved, problem) = get(&debian, spec, request.fetch);
        if let Some(problem) = problem.as_ref().filter(|_| named || !optional) {
            failures.push(problem.clone());
        }
        rows.push(row(spec, optional, resolved, problem));
    }
    if request.json {
        output::json(&rows)?;
    } else {
        output::print(table(&rows))?;
    }
    match failures.first() {
        None => Ok(()),
        Some(first) if failures.len() == 1 => Err(fail::lab(first.clone())),
        Some(first) => {
            Err(fail::lab(format!("{} kernels cannot be had; the first: {first}", failures.len())))
        }
    }
}

/// Resolves one kernel and fetches it if asked; an error is for this kernel alone.
fn get(debian: &Debian, spec: &KernelSpec, fetch: bool) -> (Option<Resolved>, Option<String>) {
    let mut resolved = match debian.resolve(spec) {
        Ok(resolved) => resolved,
        Err(error) => return (None, Some(format!("{error:#}"))),
    };
    if !fetch {
        return (Some(resolved), None);
    }
    match debian.fetch(&resolved) {
        Ok(kernel) => {
            // The newest may not have been fetched: say which one is there.
            resolved.cached = kernel.id == resolved.id;
            (Some(resolved), None)
        }
        Err(error) => {
            resolved.cached = false;
            (Some(resolved), Some(format!("{error:#}")))
        }
    }
}

fn row(spec: &KernelSpec, optional: bool, resolved: Option<Resolved>, problem: Option<String>) -> Row {
    let mut row = Row {
        series: spec.series.clone(),
        flavour: spec.flavour.name(),
        optional,
        release: None,
        version: None,
        size: None,
        cached: false,
        problem,
    };
    if let Some(resolved) = resolved {
        row.release = Some(resolved.release);
        row.version = Some(resolved.version);
        row.size = Some(resolved.size);
        row.cached = resolved.cached;
    }
    row
}

fn table(rows: &[Row]) -> String {
    let mut lines =
        vec![format!("{:<7} {:<8} {:<20} {:>11}  {}", "series", "flavour", "version", "size", "state")];
    for row in rows {
        let version = row.version.as_deref().unwrap_or("-");
        let size = row.size.map_or_else(|| "-".to_owned(), |size| HumanBytes(size).to_string());
        let state = match (row.cached, row.version.is_some(), row.optional) {
            (true, ..) => "cached",
            (false, true, _) => "not cached",
            (false, false, true) => "not in the archive (optional)",
            (false, false, false) => "not available",
        };
        lines.push(format!("{:<7} {:<8} {version:<20} {size:>11}  {state}", row.series, row.flavour));
    }
    lines.push(String::new());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_tells_the_states_apart() {
        let make = |series, version: Option<&str>, cached, optional| {
            let mut row = row(&KernelSpec::new(series, Flavour::Cloud), optional, None, None);
            row.version = version.map(str::to_owned);
            row.size = version.map(|_| 35_000_000);
            row.cached = cached;
            row
        };
        let rows = [
            make("5.10", Some("5.10.262-1"), true, false),
            make("6.12", Some("6.12.117-1"), false, false),
            make("7.0", None, false, true),
            make("7.2", None, false, false),
        ];
        let text = table(&rows);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5);
        assert!(lines[1].contains("33.38 MiB  cached"), "{text}");
        assert!(lines[2].ends_with("not cached"));
        assert!(lines[3].ends_with("not in the archive (optional)"));
        assert!(lines[4].ends_with("not available"));
    }
}
