//! Descriptors of the caller's that the program inherits.

use cofferdam_sys::file::is_inherited;

use super::Warn;
use crate::{Error, ErrorKind, Result};

/// The numbers that the program gets: those that are open of `listen` from 3 on, whose caller promises that all are,
/// and of `more` behind them.
///
/// What this program has opened itself is closed on exec, and none of them.
pub(super) fn find(listen: u32, more: u32, warn: Warn<'_>) -> Result<Vec<u32>> {
    let count = listen.saturating_add(more);
    if count == 0 {
        return Ok(Vec::new());
    }
    let open = |number: &u32| i32::try_from(*number).is_ok_and(is_inherited);
    let end = count.saturating_add(3);
    // There are at most as many as the list has, whatever the count.
    let entries = std::fs::read_dir("/proc/self/fd").map_err(|error| {
        Error::new(ErrorKind::System, format!("list the open descriptors in /proc/self/fd: {error}"))
    })?;
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut found: Vec<u32> = numbers.filter(|number| (3..end).contains(number) && open(number)).collect();
    found.sort_unstable();
    if let Some(missing) = (3..listen.saturating_add(3)).find(|number| !found.contains(number)) {
        warn(&format!("LISTEN_FDS: descriptor {missing} is not open, and not passed on"));
    }
    Ok(found)
}
