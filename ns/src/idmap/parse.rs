//! Reading id maps: the kernel's files, and the `container:host:size` form of command lines.

use std::str::FromStr;

use super::{IdMap, IdMaps};
use crate::{Error, Process};

impl FromStr for IdMap {
    type Err = Error;

    /// Reads `container:host:size`, as `0:100000:65536`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let mut fields = text.split(':');
        let mut number = |name: &str| match fields.next() {
            Some(field) => id(field).ok_or_else(|| refuse(text, &format!("its {name} is no id"))),
            None => Err(refuse(text, &format!("its {name} is missing"))),
        };
        let map = IdMap::new(number("first id inside")?, number("first id outside")?, number("count")?);
        if fields.next().is_some() {
            return Err(refuse(text, "it has more than three fields"));
        }
        if map.fits() { Ok(map) } else { Err(refuse(text, "it is empty or does not fit into 32 bits")) }
    }
}

impl IdMap {
    /// Reads a list of `container:host:size`, separated by commas.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] with the range at fault.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, Error> {
        text.split(',').map(str::parse).collect()
    }

    /// Reads what `/proc/PID/uid_map` and `gid_map` hold; nothing for a map that was not written yet.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] with the line at fault.
    pub fn parse_kernel(text: &str) -> Result<Vec<Self>, Error> {
        text.lines().map(line).collect()
    }
}

/// Three numbers between blanks.
fn line(text: &str) -> Result<IdMap, Error> {
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    let [inside, outside, count] = fields.as_slice() else {
        return Err(refuse(text, "it has not three fields"));
    };
    match (id(inside), id(outside), id(count)) {
        (Some(inside), Some(outside), Some(count)) => {
            let map = IdMap::new(inside, outside, count);
            if map.fits() { Ok(map) } else { Err(refuse(text, "it is empty or does not fit into 32 bits")) }
        }
        _ => Err(refuse(text, "a field is no id")),
    }
}

/// Digits only: `u32::from_str` would take a sign too.
pub(crate) fn id(text: &str) -> Option<u32> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn refuse(text: &str, why: &str) -> Error {
    /// Enough of a bad line to find it.
    const SHOWN: usize = 80;
    let shown: String = text.chars().take(SHOWN).flat_map(char::escape_default).collect();
    Error::invalid(format!("id map `{shown}`: {why}"))
}

impl IdMaps {
    /// The maps of a process's user namespace, with outside ids as the caller's user namespace numbers them.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Os`] when the files cannot be read.
    pub fn of(process: &Process) -> Result<Self, Error> {
        Ok(Self {
            uid: IdMap::parse_kernel(&process.read(c"uid_map")?)?,
            gid: IdMap::parse_kernel(&process.read(c"gid_map")?)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_forms_are_read() {
        let map = IdMap::new(0, 100_000, 65_536);
        assert_eq!("0:100000:65536".parse::<IdMap>().unwrap(), map);
        let text = "         0     100000      65536\n         65536          7          1\n";
        assert_eq!(IdMap::parse_kernel(text).unwrap(), [map, IdMap::new(65_536, 7, 1)]);
        assert_eq!(IdMap::parse_kernel("").unwrap(), []);
        let whole = IdMap::new(0, 0, u32::MAX);
        assert_eq!(IdMap::parse_kernel("         0          0 4294967295\n").unwrap(), [whole]);
        assert_eq!(IdMap::parse_list("0:1:2,5:6:7").unwrap(), [IdMap::new(0, 1, 2), IdMap::new(5, 6, 7)]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let message = |text: &str| text.parse::<IdMap>().unwrap_err().to_string();
        assert_eq!(message("0:1"), "id map `0:1`: its count is missing");
        assert_eq!(message("0::1"), "id map `0::1`: its first id outside is no id");
        assert_eq!(message("0:+1:1"), "id map `0:+1:1`: its first id outside is no id");
        assert_eq!(message("0:4294967296:1"), "id map `0:4294967296:1`: its first id outside is no id");
        assert_eq!(message("0:1:2:3"), "id map `0:1:2:3`: it has more than three fields");
        assert!(message("1:1:4294967295").contains("does not fit"));
        assert!(message(&"9".repeat(5000)).len() < 200);
        assert!(message("\n\u{1b}[31m").contains("\\n\\u{1b}[31m"));
        assert!(IdMap::parse_list("").is_err());
        assert!(IdMap::parse_kernel("0 0").is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(inside in 0..1u32 << 30, outside in 0..1u32 << 30, count in 1..1u32 << 30) {
            let map = IdMap::new(inside, outside, count);
            prop_assert_eq!(map.to_string().parse::<IdMap>().unwrap(), map);
            let line = format!("{inside:10} {outside:10} {count:10}\n");
            prop_assert_eq!(IdMap::parse_kernel(&line).unwrap(), [map]);
        }

        #[test]
        fn no_text_panics(text in "[0-9: ,+\\-\n\\PC]{0,40}") {
            let _ = text.parse::<IdMap>();
            let _ = IdMap::parse_list(&text);
            let _ = IdMap::parse_kernel(&text);
        }
    }
}
