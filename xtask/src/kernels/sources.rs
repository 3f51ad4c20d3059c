//! Where the archives are: read from the system's own apt sources, so that no host name is written here.

use anyhow::{Context as _, Result};
use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::catalogue::Archive;
use crate::fail;

/// Names of Debian releases; a source of one of them may be the archive.
const RELEASES: [&str; 12] = [
    "buster",
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "sid",
    "stable",
    "testing",
    "unstable",
    "oldstable",
    "oldoldstable",
];

/// One enabled binary source.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Source {
    uri: String,
    suite: String,
    components: Vec<String>,
    signed_by: String,
}

/// The addresses of the two archives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archives {
    main: String,
    security: Option<String>,
}

impl fmt::Display for Archives {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.main, self.security.as_deref().unwrap_or("-"))
    }
}

impl Archives {
    /// Takes the addresses from `--mirror` or from the system's apt configuration.
    ///
    /// # Errors
    ///
    /// When the mirror is no URI, or the system has no source that can be the Debian archive.
    pub fn find(mirror: Option<&str>) -> Result<Self> {
        let sources = system_sources();
        match mirror {
            Some(mirror) => Self::from_mirror(mirror, &sources.unwrap_or_default()),
            None => Self::from_sources(&sources?),
        }
    }

    /// The address of one of the archives, if it is known.
    pub fn uri(&self, archive: Archive) -> Option<&str> {
        match archive {
            Archive::Main => Some(&self.main),
            Archive::Security => self.security.as_deref(),
        }
    }

    fn from_mirror(mirror: &str, sources: &[Source]) -> Result<Self> {
        let scheme = mirror.split_once(':').map_or("", |(scheme, _)| scheme);
        let word = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        if scheme.is_empty()
            || !scheme.bytes().all(word)
            || mirror.chars().any(|c| c.is_whitespace() || c == '"')
        {
            return Err(fail::usage(format!(
                "--mirror `{mirror}` is no URI: give the address that holds `dists`, as in a line of sources.list"
            )));
        }
        let security = sibling(mirror).or_else(|| best(sources, Archive::Security));
        Ok(Self { main: mirror.to_owned(), security })
    }

    fn from_sources(sources: &[Source]) -> Result<Self> {
        let (main, security) = (best(sources, Archive::Main), best(sources, Archive::Security));
        // A system may list one of the two only; mirrors keep them side by side.
        let main = main.or_else(|| security.as_deref().and_then(without_security));
        let main = main.ok_or_else(|| {
            fail::lab("apt's sources name no Debian archive: name one with --mirror URI (the address that holds `dists`)")
        })?;
        let security = security.or_else(|| sibling(&main));
        Ok(Self { main, security })
    }
}

/// `…/debian` to `…/debian-security`, in a URI or in the name of a mirror list that exists.
fn sibling(main: &str) -> Option<String> {
    if let Some(list) = main.strip_prefix("mirror+file:") {
        let stem = list.strip_suffix(".list")?;
        let path = format!("{stem}-security.list");
        return Path::new(&path).exists().then(|| format!("mirror+file:{path}"));
    }
    let trimmed = main.trim_end_matches('/');
    trimmed.ends_with("/debian").then(|| format!("{trimmed}-security"))
}

fn without_security(uri: &str) -> Option<String> {
    uri.trim_end_matches('/').strip_suffix("/debian-security").map(|root| format!("{root}/debian"))
}

/// The source that most looks like Debian's own; others can carry a release's name too.
fn best(sources: &[Source], archive: Archive) -> Option<String> {
    let score = |source: &&Source| {
        let keyring = source.signed_by.contains("debian-archive-");
        let named = source
            .uri
            .trim_end_matches('/')
            .rsplit('/')
            .next()
            .is_some_and(|last| last.starts_with("debian"));
        (keyring, named)
    };
    let fitting = sources.iter().filter(|source| serves(source) == Some(archive));
    // The first of equals wins: that is also the one apt prefers.
    let best = fitting.rev().max_by_key(score)?;
    Some(best.uri.trim_end_matches('/').to_owned())
}

fn serves(source: &Source) -> Option<Archive> {
    if !source.components.iter().any(|component| component == "main") || source.uri.starts_with("cdrom:") {
        return None;
    }
    let suite = source.suite.trim_end_matches('/');
    let (release, rest) = match suite.find(['-', '/']) {
        Some(end) => suite.split_at_checked(end)?,
        None => (suite, ""),
    };
    if !RELEASES.contains(&release) {
        return None;
    }
    match rest {
        "-security" | "/updates" => Some(Archive::Security),
        "" | "-updates" | "-backports" | "-proposed-updates" => Some(Archive::Main),
        _ => None,
    }
}

/// All sources of the system, in the order in which apt reads them.
fn system_sources() -> Result<Vec<Source>> {
    let output = Command::new("apt-config")
        .args(["shell", "list", "Dir::Etc::sourcelist/f", "parts", "Dir::Etc::sourceparts/d"])
        .output()
        .context("running apt-config (package apt)")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let value = |name: &str| {
        let quoted = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        quoted.map(|value| value.trim_matches('\'').to_owned())
    };
    let mut sources = Vec::new();
    if let Some(list) = value("list") {
        sources.extend(parse_list(&fs::read_to_string(list).unwrap_or_default()));
    }
    if let Some(parts) = value("parts") {
        let mut files: Vec<_> =
            fs::read_dir(parts).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        files.sort();
        for file in files {
            let text = fs::read_to_string(&file).unwrap_or_default();
            match file.extension().and_then(|extension| extension.to_str()) {
                Some("list") => sources.extend(parse_list(&text)),
                Some("sources") => sources.extend(parse_deb822(&text)),
                _ => {}
            }
        }
    }
    Ok(sources)
}

/// Reads the one-line format: `deb [options] uri suite component…`.
fn parse_list(text: &str) -> Vec<Source> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Source> {
    let line = line.split('#').next()?.trim();
    let rest = line.strip_prefix("deb").filter(|rest| rest.starts_with(char::is_whitespace))?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let option = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
    let mut words = rest.split_whitespace().map(str::to_owned);
    Some(Source {
        uri: words.next()?,
        suite: words.next()?,
        components: words.collect(),
        signed_by: option.unwrap_or_default().to_owned(),
    })
}

/// Reads the deb822 format: paragraphs of fields, each of which may go on in indented lines.
fn parse_deb822(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines().chain([""]) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            sources.extend(from_fields(&std::mem::take(&mut fields)));
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    sources
}

fn from_fields(fields: &[(String, String)]) -> Vec<Source> {
    let field =
        |name: &str| fields.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    let words = |name: &str| field(name).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let off = ["no", "false", "without", "off", "disable", "0"];
    if off.contains(&field("enabled").to_ascii_lowercase().as_str())
        || !words("types").iter().any(|kind| kind == "deb")
    {
        return Vec::new();
    }
    let source = |uri: &String, suite| Source {
        uri: uri.clone(),
        suite,
        components: words("components"),
        signed_by: field("signed-by").to_owned(),
    };
    let each = |uri: &String| words("suites").into_iter().map(|suite| source(uri, suite)).collect::<Vec<_>>();
    words("uris").iter().flat_map(each).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEB822: &str = "\
Types: deb deb-src
# a comment inside a paragraph
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://security.example/debian-security/
Suites: bookworm-security
Components: main
 contrib
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
";

    fn archives(main: &str, security: Option<&str>) -> Archives {
        Archives { main: main.to_owned(), security: security.map(str::to_owned) }
    }

    #[test]
    fn deb822_sources_are_read() {
        let sources = parse_deb822(DEB822);
        let suites: Vec<&str> = sources.iter().map(|source| source.suite.as_str()).collect();
        assert_eq!(suites, ["bookworm", "bookworm-updates", "bookworm-security"]);
        assert_eq!(sources[2].components, ["main", "contrib"]);
        let found = Archives::from_sources(&sources).unwrap();
        assert_eq!(
            found,
            archives("http://mirror.example/debian", Some("http://security.example/debian-security"))
        );
    }

    #[test]
    fn one_line_sources_are_read() {
        let sources = parse_list(
            "# deb http://comment.example/debian stable main\n\
             deb-src http://src.example/debian bookworm main\n\
             deb [arch=amd64 signed-by=/etc/apt/keyrings/docker.asc] https://docker.example/linux/debian bookworm stable\n\
             deb cdrom:[Debian]/ bookworm main\n\
             deb http://mirror.example/debian/ bookworm main non-free-firmware # near\n\
             deb http://security.example/ bullseye/updates main\n",
        );
        let found = Archives::from_sources(&sources).unwrap();
        assert_eq!(found, archives("http://mirror.example/debian", Some("http://security.example")));
    }

    #[test]
    fn others_with_a_release_in_their_name_do_not_win() {
        let sources = parse_list(
            "deb https://browser.example/deb/ stable main\n\
             deb https://node.example/debian nodistro main\n\
             deb https://database.example/pub bookworm-pgdg main\n\
             deb http://mirror.example/debian bookworm main\n\
             deb http://second.example/debian bookworm main\n",
        );
        assert_eq!(Archives::from_sources(&sources).unwrap().main, "http://mirror.example/debian");
        assert!(Archives::from_sources(&sources[1..3]).is_err());
    }

    #[test]
    fn a_missing_archive_is_looked_for_beside_the_other() {
        let main = parse_list("deb http://mirror.example/debian trixie main");
        let security = parse_list("deb http://mirror.example/debian-security trixie-security main");
        let both = archives("http://mirror.example/debian", Some("http://mirror.example/debian-security"));
        assert_eq!(Archives::from_sources(&main).unwrap(), both);
        assert_eq!(Archives::from_sources(&security).unwrap(), both);
        let odd = parse_list("deb http://proxy.example/repository/apt trixie main");
        assert_eq!(
            Archives::from_sources(&odd).unwrap(),
            archives("http://proxy.example/repository/apt", None)
        );
        let list = parse_list("deb mirror+file:/nowhere/debian.list trixie main");
        assert_eq!(
            Archives::from_sources(&list).unwrap(),
            archives("mirror+file:/nowhere/debian.list", None)
        );
    }

    #[test]
    fn mirror_wins_and_must_be_a_uri() {
        let sources = parse_deb822(DEB822);
        let found = Archives::from_mirror("https://own.example/debian/", &sources).unwrap();
        assert_eq!(
            found,
            archives("https://own.example/debian/", Some("https://own.example/debian-security"))
        );
        let found = Archives::from_mirror("https://own.example/apt", &sources).unwrap();
        assert_eq!(found.security.as_deref(), Some("http://security.example/debian-security"));
        for bad in ["", "example.org/debian", "http://a b", "http://a\nb", "ht tp:x"] {
            let error = Archives::from_mirror(bad, &sources).unwrap_err();
            assert_eq!(fail::exit_code(&error), 2, "{bad:?}");
        }
    }

    #[test]
    fn without_any_source_the_error_says_what_to_do() {
        let error = Archives::from_sources(&[]).unwrap_err();
        assert!(error.to_string().contains("--mirror"));
    }
}
