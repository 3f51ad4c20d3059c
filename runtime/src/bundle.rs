//! Reading an OCI bundle: a directory with `config.json` and, mostly, the root file system.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::spec::{self, Spec};
use crate::{Error, ErrorKind, Result};

/// The largest `config.json` that is read, in bytes. Real ones have some 20 KiB.
const LARGEST: u64 = 16 << 20;

/// A bundle whose config has been read.
#[derive(Debug)]
pub struct Bundle {
    /// The bundle's directory, absolute and without links.
    pub dir: PathBuf,
    /// The config.
    pub spec: Spec,
    /// Its text.
    pub text: Vec<u8>,
}

impl Bundle {
    /// Reads `DIR/config.json`, or another config for the bundle.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] with the JSON path of the field at fault.
    pub fn load(dir: &Path, config: Option<&Path>) -> Result<Self> {
        let absolute = dir.canonicalize().map_err(|error| {
            Error::new(ErrorKind::Config, format!("bundle {}: {error}", dir.display()))
                .with_hint("--bundle names a directory that holds config.json")
        })?;
        let path = config.map_or_else(|| absolute.join("config.json"), Path::to_owned);
        let text = read(&path).map_err(|error| {
            Error::new(ErrorKind::Config, format!("read {}: {error}", path.display()))
                .with_hint("a bundle holds config.json beside its root file system")
        })?;
        Self::from_slice(absolute, &text)
    }

    /// Takes the text of a `config.json` for the bundle in `dir`, which is not looked at.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] with the JSON path of the field at fault.
    pub fn from_slice(dir: PathBuf, config: &[u8]) -> Result<Self> {
        let spec = parse(config)?;
        check_version(&spec.version)?;
        Ok(Self { dir, spec, text: config.to_vec() })
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(std::io::Error::other("not a regular file"));
    }
    // Room for one byte more, which tells the end.
    let room = meta.len().min(LARGEST).saturating_add(1);
    let mut text = Vec::with_capacity(usize::try_from(room).unwrap_or(0));
    file.take(LARGEST.saturating_add(1)).read_to_end(&mut text)?;
    if u64::try_from(text.len()).map_or(true, |length| length > LARGEST) {
        return Err(std::io::Error::other(format!("longer than {LARGEST} bytes")));
    }
    Ok(text)
}

/// Reads the text of a config.
pub(crate) fn parse(text: &[u8]) -> Result<Spec> {
    Ok(spec::from_slice(text)?)
}

/// Takes every 1.x: the specification's minor versions only add (runtime-spec, "Specification version").
fn check_version(version: &str) -> Result<()> {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let numbers: Option<Vec<u32>> = core.split('.').map(|part| part.parse().ok()).collect();
    match numbers.as_deref() {
        Some([1, _, _]) => Ok(()),
        Some([_, _, _]) => Err(Error::config("ociVersion", format!("`{version}` is not 1.x.y"))),
        _ => Err(Error::config("ociVersion", format!("`{version}` is no version of the form 1.2.0"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Bundle> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.json"), text).unwrap();
        Bundle::load(dir.path(), None)
    }

    fn message(text: &str) -> String {
        load(text).unwrap_err().to_string()
    }

    #[test]
    fn names_the_field_at_fault() {
        let wrong = r#"{"ociVersion":"1.0.2","process":{"cwd":"/","user":{"uid":"root","gid":0}}}"#;
        assert!(message(wrong).starts_with("config.json: process.user.uid: "), "{}", message(wrong));
        let wrong = r#"{"ociVersion":"1.0.2","linux":{"namespaces":[{"type":"pid"},{"type":"nope"}]}}"#;
        assert!(message(wrong).contains("linux.namespaces[1].type"), "{}", message(wrong));
    }

    #[test]
    fn versions_of_the_first_major_are_taken() {
        for good in ["1.0.0", "1.2.1", "1.0.2-dev", "1.3.0-rc.1+x"] {
            load(&format!(r#"{{"ociVersion":"{good}"}}"#)).unwrap();
        }
        for bad in ["", "2.0.0", "0.9.0", "1", "1.x.0", "one"] {
            assert!(message(&format!(r#"{{"ociVersion":"{bad}"}}"#)).contains("ociVersion"), "{bad}");
        }
    }

    #[test]
    fn broken_files_are_refused_in_one_line() {
        for bad in ["", "{", "[]", "{\"ociVersion\":\"1.0.0\"} x", "\u{0}"] {
            assert_eq!(message(bad).lines().count(), 1, "{bad:?}");
        }
        let dir = tempfile::tempdir().unwrap();
        let error = Bundle::load(dir.path(), None).unwrap_err().to_string();
        assert!(error.contains("config.json") && error.contains("No such file"), "{error}");
        assert!(Bundle::load(&dir.path().join("none"), None).is_err());
    }

    #[test]
    fn unknown_fields_are_ignored() {
        load(r#"{"ociVersion":"1.0.0","future":{"a":1},"linux":{"future":[]}}"#).unwrap();
    }
}
