//! Maps of user and group ids (`user_namespaces(7)`): checked before the kernel sees them.

mod parse;
mod write;

pub(crate) use parse::id;
pub use write::{Mapping, Setgroups, Writer};

use std::fmt;

use cofferdam_sys::ids;

use crate::Error;

/// A range of ids inside a user namespace and the range of the same length that it stands for outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdMap {
    /// The first id inside.
    pub inside: u32,
    /// The first id outside, as the parent user namespace numbers it.
    pub outside: u32,
    /// How many ids; at least 1.
    pub count: u32,
}

impl IdMap {
    /// A range.
    pub const fn new(inside: u32, outside: u32, count: u32) -> Self {
        Self { inside, outside, count }
    }

    /// Whether the range stays below 2^32 - 1, which is no id, on both sides.
    fn fits(self) -> bool {
        let end = |first: u32| u64::from(first).saturating_add(u64::from(self.count));
        self.count > 0
            && [self.inside, self.outside].into_iter().all(|first| u32::try_from(end(first)).is_ok())
    }

    /// The id outside that an id inside stands for.
    pub fn to_outside(self, id: u32) -> Option<u32> {
        let offset = id.checked_sub(self.inside).filter(|offset| *offset < self.count)?;
        self.outside.checked_add(offset)
    }
}

impl fmt::Display for IdMap {
    /// `inside:outside:count`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.inside, self.outside, self.count)
    }
}

/// The kernel's limit of ranges in one map since Linux 4.15.
const MAX_RANGES: usize = 340;

/// A map is written in one call of less than a page; this is the smallest page of any architecture.
const MAX_TEXT: usize = 4095;

/// The maps of a user namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IdMaps {
    /// Ranges of user ids.
    pub uid: Vec<IdMap>,
    /// Ranges of group ids.
    pub gid: Vec<IdMap>,
}

impl IdMaps {
    /// Checks what the kernel would refuse with a bare `EINVAL`.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] that names the map and the ranges at fault.
    pub fn validate(&self) -> Result<(), Error> {
        validate("uid", &self.uid)?;
        validate("gid", &self.gid)
    }

    /// The user id outside that an id inside stands for.
    pub fn outside_uid(&self, id: u32) -> Option<u32> {
        self.uid.iter().find_map(|map| map.to_outside(id))
    }

    /// The group id outside that an id inside stands for.
    pub fn outside_gid(&self, id: u32) -> Option<u32> {
        self.gid.iter().find_map(|map| map.to_outside(id))
    }

    /// The caller's own user and group as root, which anybody may map (`user_namespaces(7)`).
    pub fn caller_as_root() -> Self {
        Self {
            uid: vec![IdMap::new(0, ids::effective_uid(), 1)],
            gid: vec![IdMap::new(0, ids::effective_gid(), 1)],
        }
    }

    /// The ids from 0 on as host ids from `first` on, the same for users and groups.
    pub fn shifted(first: u32, count: u32) -> Self {
        let map = || vec![IdMap::new(0, first, count)];
        Self { uid: map(), gid: map() }
    }
}

fn validate(name: &str, maps: &[IdMap]) -> Result<(), Error> {
    let invalid = |why: String| Err(Error::invalid(format!("{name} map: {why}")));
    if maps.len() > MAX_RANGES {
        return invalid(format!("{} ranges, the kernel takes {MAX_RANGES}", maps.len()));
    }
    let length = write::lines(maps).len();
    if length > MAX_TEXT {
        return invalid(format!("{} ranges take {length} bytes, the kernel takes {MAX_TEXT}", maps.len()));
    }
    if let Some(map) = maps.iter().find(|map| !map.fits()) {
        return invalid(format!("the range {map} is empty or does not fit into 32 bits"));
    }
    for (number, one) in maps.iter().enumerate() {
        for other in maps.iter().skip(number.saturating_add(1)) {
            let inside = overlap(one.inside, one.count, other.inside, other.count);
            if inside || overlap(one.outside, one.count, other.outside, other.count) {
                let side = if inside { "inside" } else { "outside" };
                return invalid(format!("{one} and {other} overlap {side}"));
            }
        }
    }
    Ok(())
}

fn overlap(first: u32, count: u32, other: u32, other_count: u32) -> bool {
    let end = |first: u32, count: u32| u64::from(first).saturating_add(u64::from(count));
    u64::from(first) < end(other, other_count) && u64::from(other) < end(first, count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn maps(uid: &[IdMap]) -> IdMaps {
        IdMaps { uid: uid.to_vec(), gid: vec![] }
    }

    #[test]
    fn names_what_is_wrong() {
        let text = |uid: &[IdMap]| maps(uid).validate().unwrap_err().to_string();
        assert!(text(&[IdMap::new(0, 0, 0)]).contains("empty"));
        assert!(text(&[IdMap::new(1, 0, u32::MAX)]).contains("does not fit"));
        assert!(text(&[IdMap::new(0, 100, 10), IdMap::new(9, 500, 1)]).contains("overlap inside"));
        assert!(text(&[IdMap::new(0, 100, 10), IdMap::new(10, 109, 1)]).contains("overlap outside"));
        assert!(text(&[IdMap::new(0, 0, 1); 341]).contains("341 ranges"));
        let long: Vec<_> = (0..340).map(|n| IdMap::new(n, 4_000_000_000 + n, 1)).collect();
        assert!(text(&long).contains("the kernel takes 4095"));
    }

    #[test]
    fn translates() {
        let maps = maps(&[IdMap::new(0, 100_000, 1000), IdMap::new(5000, 7, 1)]);
        maps.validate().unwrap();
        assert_eq!(maps.outside_uid(999), Some(100_999));
        assert_eq!(maps.outside_uid(1000), None);
        assert_eq!(maps.outside_uid(5000), Some(7));
        assert_eq!(maps.outside_gid(0), None);
    }

    proptest! {
        #[test]
        fn a_valid_map_is_one_to_one(ranges in prop::collection::vec((0..200u32, 0..200u32, 0..50u32), 0..6)) {
            let uid: Vec<_> = ranges.iter().map(|(i, o, c)| IdMap::new(*i, *o, *c)).collect();
            let maps = maps(&uid);
            let inside: Vec<u32> = uid.iter().flat_map(|map| map.inside..map.inside + map.count).collect();
            let outside: Vec<u32> = uid.iter().flat_map(|map| map.outside..map.outside + map.count).collect();
            let unique = |ids: &[u32]| ids.iter().collect::<std::collections::HashSet<_>>().len() == ids.len();
            let one_to_one = unique(&inside) && unique(&outside) && uid.iter().all(|map| map.count > 0);
            prop_assert_eq!(maps.validate().is_ok(), one_to_one);
        }

        #[test]
        fn no_range_panics(inside: u32, outside: u32, count: u32, id: u32) {
            let map = IdMap::new(inside, outside, count);
            let _ = maps(&[map, map]).validate();
            let _ = map.to_outside(id);
        }
    }
}
