//! The text of a lease's file.

use std::fmt;
use std::str::FromStr;

use super::holder::Holder;
use crate::Error;
use crate::idmap::id;
use crate::subid::IdRange;

/// What is written about a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) uid: IdRange,
    pub(super) gid: IdRange,
    /// The process that it was handed to.
    pub(super) holder: Option<Holder>,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "uid {} {}", self.uid.first, self.uid.count)?;
        writeln!(f, "gid {} {}", self.gid.first, self.gid.count)?;
        self.holder.as_ref().map_or(Ok(()), |holder| f.write_str(&holder.line()))
    }
}

impl FromStr for Record {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        // A last line that was cut off counts for nothing.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let field = |name: &str| whole.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let range = |name: &str| {
            let (first, count) = field(name)?.split_once(' ')?;
            IdRange::new(id(first)?, id(count)?)
        };
        let (Some(uid), Some(gid)) = (range("uid"), range("gid")) else {
            return Err(Error::invalid("the record of a lease has no ranges"));
        };
        let holder = field("holder").map(Holder::parse).transpose()?;
        Ok(Self { uid, gid, holder })
    }
}
