//! No host of an archive or registry, and no absolute path of somebody's machine, in any file.

use super::Finding;

/// Hosts that pages of documentation may be linked from.
const DOCUMENTATION: [&str; 12] = [
    "man7.org",
    "www.kernel.org",
    "docs.kernel.org",
    "git.kernel.org",
    "lore.kernel.org",
    "lwn.net",
    "github.com",
    "opencontainers.org",
    "www.apache.org",
    "doc.rust-lang.org",
    "rustup.rs",
    "www.qemu.org",
];

/// Parts of the names of archives and registries, written in two halves so that this file holds none.
const ARCHIVES: [&str; 12] = [
    concat!("deb", ".debian."),
    concat!("ftp", ".debian."),
    concat!("security", ".debian."),
    concat!("snapshot", ".debian."),
    concat!("archive", ".ubuntu."),
    concat!("crates", ".io"),
    concat!("pypi", "."),
    concat!("npmjs", "."),
    concat!("docker", ".io"),
    concat!("quay", ".io"),
    concat!("ghcr", ".io"),
    concat!("dl-cdn", "."),
];

/// Folders in which people have their work trees and tools; containers have a `/root` too, but no hidden
/// folders of ours in it.
const HOMES: [&str; 3] = [concat!("/ho", "me/"), concat!("/ro", "ot/."), concat!("/wo", "rk/")];

/// Checks a file by its path and text.
pub(super) fn check(path: &str, text: &str) -> Vec<Finding> {
    // Cargo writes the registry into its lock file; licences hold the addresses of their authors.
    if path == "Cargo.lock" || path == "fuzz/Cargo.lock" || path.starts_with("LICENSE") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let mut find = |rule, message| findings.push(Finding { rule, path: path.into(), line, message });
        if let Some(name) = ARCHIVES.iter().find(|name| text.contains(**name)) {
            find(
                "host",
                format!("names an archive or registry ({name}): take it from the system's configuration"),
            );
        } else if let Some(host) = foreign_host(text) {
            find("host", format!("links to {host}, which is not in the list of documentation hosts"));
        }
        if let Some(path) = machine_path(text) {
            find("machine-path", format!("holds the path {path} of one machine"));
        }
    }
    findings
}

/// The first host of a URL in the line that no documentation is linked from.
fn foreign_host(line: &str) -> Option<&str> {
    let mut rest = line;
    while let Some((_, after)) = rest.split_once("://") {
        let end = after.find(|c: char| !(c.is_alphanumeric() || "-.{$_".contains(c))).unwrap_or(after.len());
        let host = after.get(..end).unwrap_or(after).trim_end_matches('.');
        let placeholder = host.is_empty() || host.starts_with(['{', '$']) || !host.contains('.');
        let example = host.ends_with(".example")
            || host.ends_with(".invalid")
            || host.contains("example.")
            || host.starts_with("127.");
        if !placeholder && !example && !DOCUMENTATION.contains(&host) {
            return Some(host);
        }
        rest = after;
    }
    None
}

/// The first absolute path in the line that leads into somebody's folders.
fn machine_path(line: &str) -> Option<&str> {
    HOMES.iter().find_map(|home| {
        let mut from = 0;
        while let Some(found) = line.get(from..)?.find(home) {
            let at = from + found;
            let before = line.get(..at)?.chars().next_back();
            let after = line.get(at + home.len()..)?.chars().next();
            let absolute = !before.is_some_and(|c| c.is_alphanumeric() || "_.-}/~$)*".contains(c));
            if absolute && after.is_some_and(|c| c.is_alphanumeric() || c == '.' || c == '_') {
                let rest = line.get(at..)?;
                let end =
                    rest.find(|c: char| c.is_whitespace() || "\"'`,)]".contains(c)).unwrap_or(rest.len());
                return rest.get(..end);
            }
            from = at + home.len();
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<&'static str> {
        check("docs/a.md", text).into_iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn archives_are_not_named() {
        assert_eq!(rules(&format!("deb http://{}org/debian stable main", ARCHIVES[0])), ["host"]);
        assert_eq!(rules(&format!("pull {}/library/x", ARCHIVES[8])), ["host"]);
        assert!(check("Cargo.lock", &format!("registry {}", ARCHIVES[5])).is_empty());
    }

    #[test]
    fn only_documentation_is_linked() {
        assert!(rules("see https://man7.org/linux/man-pages/man2/mount.2.html").is_empty());
        assert!(rules("--mirror http://mirror.example/debian or http://{host}/x or file:///x").is_empty());
        assert_eq!(rules(&["https://man7.org/x and https:", "//files.acme.com/y"].concat()), ["host"]);
    }

    #[test]
    fn no_path_of_a_machine() {
        for home in HOMES {
            assert_eq!(rules(&format!("see {home}me/src")), ["machine-path"], "{home}");
            assert_eq!(rules(&format!("\"{home}.cache\"")), ["machine-path"], "{home}");
            assert!(rules(&format!("bundle{home}dir and {{dir}}{home}x and {home}")).is_empty(), "{home}");
        }
    }
}
