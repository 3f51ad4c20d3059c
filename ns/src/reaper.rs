//! Orphans: who becomes the parent of a process whose parent has ended (`PR_SET_CHILD_SUBREAPER`, `prctl(2)`).

use cofferdam_sys::process;

use crate::Error;

/// Makes the calling process the new parent of all orphans below it, rather than process 1 (Linux 3.4).
///
/// It then has to wait for children that it never made. For a child, use [`crate::Spawn::subreaper`].
///
/// # Errors
/// None in practice.
pub fn become_subreaper() -> Result<(), Error> {
    process::set_child_subreaper().map_err(|number| Error::os(number, "become a sub-reaper"))
}
