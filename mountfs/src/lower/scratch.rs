//! A root whose changes end with the container: an overlay of a tmpfs on top of something else.
//!
//! The layers of an overlay have to be in the child's own mount namespace. So the tmpfs is mounted over the
//! old root, where no path leads, and what is below it in a directory of the tmpfs; all of that goes away
//! with the old root, while the overlay has clones of its own.

use cofferdam_sys::mount::MountAttrs;
use cofferdam_sys::plan::{At, PathIn, Step};

use super::backend::NewFs;
use super::steps::{Steps, say};
use crate::tree::{Parameters, Tree};
use crate::{Error, Result};

impl Steps<'_> {
    /// Leaves the overlay in the slot for new mounts. The old root is open as the target.
    pub(super) fn scratch(&mut self, lower: &Tree, tmpfs: &Parameters, user: bool) -> Result<(At, bool)> {
        let about = "root tmpfs";
        let (overlay, scratch, below, place) =
            (self.mount, self.new_slot()?, self.new_slot()?, self.new_slot()?);
        self.use_mount_slot(scratch);
        let attrs = MountAttrs::NOSUID | MountAttrs::NODEV;
        let entries = self.backend.filesystem(about, &NewFs { fstype: c"tmpfs", data: tmpfs, attrs })?;
        self.extend(entries);
        self.attach(about, &scratch.into(), self.target.into(), &[]);
        self.covers.push(about);
        for name in ["upper", "work", "lower"] {
            let path = PathIn::new(name.as_bytes()).ok_or_else(|| Error::invalid(name))?;
            let step = Step::EnsureDir { root: scratch.into(), path, out: place };
            self.push(format!("{about}: make {name}"), step);
            if name != "lower" {
                self.close(about, place);
            }
        }
        self.use_mount_slot(below);
        let (tree, _) = self.source("root", lower)?;
        self.attach("root below the tmpfs", &tree, place.into(), &[]);
        self.close(about, place);
        self.close_source("root below the tmpfs", lower);

        // Names of the layers are looked up from the working directory.
        self.push(say(about, "enter it"), Step::ChangeDirectoryTo(scratch.into()));
        let mut data: Parameters = Vec::new();
        for (key, value) in
            [(c"source", c"overlay"), (c"lowerdir", c"lower"), (c"upperdir", c"upper"), (c"workdir", c"work")]
        {
            data.push((key.to_owned(), Some(value.to_owned())));
        }
        if user {
            // Its notes are extended attributes that a user namespace may write.
            data.push((c"userxattr".to_owned(), None));
        }
        self.use_mount_slot(overlay);
        let fs = NewFs { fstype: c"overlay", data: &data, attrs: MountAttrs::empty() };
        let entries = self.backend.filesystem("root overlay", &fs)?;
        self.extend(entries);
        self.push("root overlay: leave the tmpfs", Step::ChangeDirectory(c"/".into()));
        self.close(about, scratch);
        Ok((overlay.into(), false))
    }
}
