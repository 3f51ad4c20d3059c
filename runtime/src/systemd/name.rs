//! The names of a container's scope and slice, from `linux.cgroupsPath`.

use std::fmt::Write as _;

use crate::{ContainerId, Error, Result};

const FIELD: &str = "linux.cgroupsPath";

/// The longest name of a unit (`UNIT_NAME_MAX`).
const LONGEST: usize = 255;

/// The scope of a container, and the slice that it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeName {
    /// `PREFIX-NAME.scope`.
    pub unit: String,
    /// `a-b.slice`; none for the manager's usual one.
    pub slice: Option<String>,
}

impl ScopeName {
    /// That of a config which names none: `cofferdam-ID.scope`.
    pub(crate) fn usual(id: &ContainerId) -> Self {
        Self { unit: format!("cofferdam-{}.scope", escaped(id.as_str())), slice: None }
    }

    /// Reads `SLICE:PREFIX:NAME`, as the common runtimes do: an empty slice is the usual one.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split(':').collect();
        let [slice, prefix, name] = parts.as_slice() else {
            let why = format!("`{text}` is not of the form slice:prefix:name");
            return Err(Error::config(FIELD, why));
        };
        if name.is_empty() {
            return Err(Error::config(FIELD, format!("`{text}`: the name behind the last colon is empty")));
        }
        let unit = unit(&format!("{prefix}-{name}")).ok_or_else(|| {
            Error::config(FIELD, format!("`{prefix}-{name}.scope` is no name of a unit (systemd.unit(5))"))
        })?;
        let slice = (!slice.is_empty()).then(|| (*slice).to_owned());
        if let Some(slice) = slice.as_deref().filter(|slice| !is_slice(slice)) {
            return Err(Error::config(
                FIELD,
                format!("`{slice}` is no name of a slice, as a-b.slice (systemd.slice(5))"),
            ));
        }
        Ok(Self { unit, slice })
    }

    /// The scope for a plain name, which is no path: `NAME.scope` in the usual slice.
    pub(crate) fn plain(name: &str) -> Option<Self> {
        Some(Self { unit: unit(name)?, slice: None })
    }
}

fn unit(name: &str) -> Option<String> {
    let valid = |c: char| c.is_ascii_alphanumeric() || "_.-\\".contains(c);
    let unit = format!("{name}.scope");
    (!name.is_empty() && name.chars().all(valid) && unit.len() <= LONGEST).then_some(unit)
}

/// Whether it names a slice below the root by its parents (`a-b.slice` is in `a.slice`), or the root, `-.slice`.
fn is_slice(slice: &str) -> bool {
    let Some(name) = slice.strip_suffix(".slice") else { return false };
    let part = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "_.\\".contains(c))
    };
    slice.len() <= LONGEST && (name == "-" || name.split('-').all(part))
}

/// An id may have a `+`, which a unit's name may not (`systemd-escape(1)`).
fn escaped(id: &str) -> String {
    id.chars().fold(String::new(), |mut text, c| {
        if c == '+' {
            // Writing to a string cannot fail.
            let _ = write!(text, "\\x{:02x}", u32::from(c));
        } else {
            text.push(c);
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> (String, Option<String>) {
        let name = ScopeName::parse(text).unwrap();
        (name.unit, name.slice)
    }

    #[test]
    fn the_common_forms_are_read() {
        let of = |unit: &str, slice: Option<&str>| (unit.to_owned(), slice.map(str::to_owned));
        assert_eq!(parsed("machine.slice:libpod:77"), of("libpod-77.scope", Some("machine.slice")));
        assert_eq!(
            parsed("kubepods-burstable-pod1_2.slice:cri-containerd:a"),
            of("cri-containerd-a.scope", Some("kubepods-burstable-pod1_2.slice"))
        );
        assert_eq!(parsed(":docker:a"), of("docker-a.scope", None));
        assert_eq!(parsed("-.slice:x:y"), of("x-y.scope", Some("-.slice")));
        // As runc and crun have it.
        assert_eq!(parsed("::y"), of("-y.scope", None));
        assert_eq!(ScopeName::plain("y").unwrap().unit, "y.scope");
        assert_eq!(ScopeName::plain("/y"), None);
        assert_eq!(ScopeName::usual(&"a+b".parse().unwrap()).unit, "cofferdam-a\\x2bb.scope");
    }

    #[test]
    fn wrong_names_are_refused_with_the_field() {
        let long = format!("a.slice:b:{}", "x".repeat(250));
        for bad in [
            "a:b",
            "a:b:c:d",
            "::",
            "system:b:c",
            "a--b.slice:b:c",
            "-a.slice:b:c",
            "a-.slice:b:c",
            ".slice:b:c",
            "../a.slice:b:c",
            "a.slice:b:c/d",
            "a.slice:b c:d",
            "a.slice:b@:c",
            &long,
        ] {
            let error = ScopeName::parse(bad).unwrap_err().to_string();
            assert!(error.starts_with("config.json: linux.cgroupsPath: "), "{bad}: {error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_stays_in_its_directory(text in "[a-z.:/\\-]{0,20}") {
            if let Ok(name) = ScopeName::parse(&text) {
                prop_assert!(!name.unit.contains('/') && name.unit.strip_suffix(".scope").is_some());
                prop_assert!(name.slice.is_none_or(|slice| !slice.contains('/') && slice.strip_suffix(".slice").is_some()));
            }
        }
    }
}
