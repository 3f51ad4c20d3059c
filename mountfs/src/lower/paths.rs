//! Paths that become read-only or empty.

use cofferdam_sys::mount::{MountAttrs, MountFlags};
use cofferdam_sys::plan::{At, Step};

use super::backend::{Change, NewFs};
use super::check::Expect;
use super::steps::{Steps, count, say};
use super::{MASK, SAME};
use crate::place::{Place, c_string};
use crate::{Api, Attributes, Result};

/// What a masked file gets: reading works and gives nothing, and the host's node cannot be changed.
const MASKED_FILE: MountAttrs = MountAttrs::RDONLY.union(MountAttrs::NOSUID).union(MountAttrs::NOEXEC);

impl Steps<'_> {
    /// Makes the directory that masks are copies of: one inode, nothing to be written.
    ///
    /// A detached mount is itself the first mask. What is made by `mount(2)` is put on the open target, and
    /// unmounted in the end.
    pub(super) fn mask_source(&mut self) -> Result<()> {
        let about = "mask of directories";
        let mut data = Vec::new();
        for (key, value) in [("nr_blocks", "1"), ("nr_inodes", "1"), ("mode", "0555")] {
            data.push((c_string(about, key)?, Some(c_string(about, value)?)));
        }
        let late = MASK & self.backend.late();
        let fs = NewFs { fstype: c"tmpfs", data: &data, attrs: MASK - late };
        let mut backend = self.backend;
        backend.mount = self.mask;
        let mut entries = backend.filesystem(about, &fs)?;
        if backend.api == Api::Mount {
            let change = Change { recursive: false, attrs: Attributes::set(late), propagation: SAME };
            entries.extend(backend.attach(about, &self.mask.into(), self.target.into(), &[change]));
            self.covers.push(about);
        }
        self.extend(entries);
        Ok(())
    }

    /// Empties a directory with the mask, or a file with a copy of the host's `/dev/null`.
    ///
    /// That copy is of the child's own, old mounts, where no container has a say, and is looked at after it
    /// was made: nothing can come between the check and the use.
    pub(super) fn masked_path(&mut self, place: &Place) -> Result<()> {
        let about = format!("mask {}", place.shown);
        let (mount, target) = (At::from(self.mount), At::from(self.target));
        let backend = self.backend;

        let mut directory = backend.mask(&say(&about, "take or copy the mask"), self.mask);
        // What it is a copy of may be shared by now, as what that was put on.
        let change =
            Change { recursive: false, attrs: Attributes::default(), propagation: MountFlags::PRIVATE };
        directory.extend(backend.attach(&about, &mount, target.clone(), &[change]));

        let change = Change {
            recursive: false,
            attrs: Attributes::set(MASKED_FILE),
            propagation: MountFlags::PRIVATE,
        };
        let mut file = backend.copy_path(&say(&about, "copy /dev/null"), c"/dev/null", false);
        let require = Step::RequireDevice { fd: mount.clone(), major: 1, minor: 3 };
        file.push((say(&about, "verify /dev/null"), require));
        file.extend(backend.attach(&about, &mount, target.clone(), &[change]));
        file.push((say(&about, "done"), Step::Skip(count(&directory))));

        let skip = Step::SkipIfDirectory { fd: target, skip: count(&file) };
        let mut entries = vec![(say(&about, "is it a directory"), skip)];
        entries.extend(file);
        entries.extend(directory);
        let expect = Expect { optional: true, ..Expect::private(MASKED_FILE) };
        entries.push(self.note(&about, Some(place), &mount, expect)?);
        entries.push((say(&about, "close"), Step::Close(self.mount)));
        entries.push((say(&about, "close"), Step::Close(self.target)));
        self.if_there(&about, place, entries);
        Ok(())
    }

    /// Mounts a path on itself, read-only with everything in it.
    ///
    /// Before Linux 5.12 only one mount can be made so: mounts below it, which no entry of the list made,
    /// are left out of the copy and disappear rather than stay writable.
    pub(super) fn readonly_path(&mut self, place: &Place) -> Result<()> {
        let about = format!("make {} read-only", place.shown);
        let recursive = self.backend.api == Api::Setattr;
        let attrs = Attributes::set(MountAttrs::RDONLY);
        let change = Change { recursive, attrs, propagation: MountFlags::PRIVATE };
        let mut entries = self.backend.copy(&say(&about, "copy it"), &self.target.into(), recursive);
        let mount = At::from(self.mount);
        entries.extend(self.backend.attach(&about, &mount, self.target.into(), &[change]));
        let expect = Expect { attrs, below: Some(attrs), propagation: MountFlags::PRIVATE, optional: true };
        entries.push(self.note(&about, Some(place), &mount, expect)?);
        entries.push((say(&about, "close"), Step::Close(self.mount)));
        entries.push((say(&about, "close"), Step::Close(self.target)));
        self.if_there(&about, place, entries);
        Ok(())
    }

    /// Makes the root itself read-only, now that all mount points are there.
    pub(super) fn readonly_root(&mut self) {
        let attrs = Attributes::set(MountAttrs::RDONLY);
        let change = Change { recursive: false, attrs, propagation: SAME };
        let entries = self.backend.change("make the root read-only", &self.root.clone(), change);
        self.extend(entries);
    }
}
