//! Paths that become read-only or empty.

use cofferdam_sys::mount::{MountAttrs, MountFlags, OpenTree};
use cofferdam_sys::plan::{At, Step};

use super::attach::Change;
use super::steps::{Entry, Steps, count};
use super::{MASK, SAME};
use crate::Attributes;
use crate::place::Place;

/// What a masked file gets: reading works and gives nothing, and the host's node cannot be changed.
const MASKED_FILE: MountAttrs = MountAttrs::RDONLY.union(MountAttrs::NOSUID).union(MountAttrs::NOEXEC);

impl Steps<'_> {
    /// Mounts the directory that masks are copies of on the open target: one inode, nothing to be written.
    pub(super) fn mask_source(&mut self) {
        let about = "mask of directories";
        self.push(format!("{about}: begin"), Step::FsOpen { fstype: c"tmpfs".into(), out: self.context });
        for key in [c"nr_blocks", c"nr_inodes"] {
            self.parameter(about, key, Some(c"1"));
        }
        self.parameter(about, c"mode", Some(c"0555"));
        let step = Step::FsMount { context: self.context, attrs: MASK, out: self.mask };
        self.push(format!("{about}: create"), step);
        self.close(about, self.context);
        self.attach(about, &self.mask.into(), self.target.into(), &[]);
    }

    /// Empties a directory with a copy of the mask, or a file with the host's `/dev/null`.
    ///
    /// The copy is of the child's own, old mounts, where no container has a say, and is looked at after it
    /// was made: nothing can come between the check and the use.
    pub(super) fn masked_path(&mut self, place: &Place) {
        let about = format!("mask {}", place.shown);
        let mount = At::from(self.mount);

        let mut directory = vec![(format!("{about}: copy the mask"), self.copy_of(self.mask, false))];
        directory.extend(self.attach_entries(&about, &mount, self.target.into(), &[]));

        let null = Step::OpenTree {
            dir: At::Cwd,
            path: c"/dev/null".into(),
            flags: OpenTree::CLONE,
            out: self.mount,
        };
        let require = Step::RequireDevice { fd: mount.clone(), major: 1, minor: 3 };
        let change = Change {
            recursive: false,
            attrs: Attributes::set(MASKED_FILE),
            propagation: MountFlags::PRIVATE,
        };
        let mut file: Vec<Entry> =
            vec![(format!("{about}: copy /dev/null"), null), (format!("{about}: verify /dev/null"), require)];
        file.extend(self.attach_entries(&about, &mount, self.target.into(), &[change]));
        file.push((format!("{about}: done"), Step::Skip(count(&directory))));

        let skip = Step::SkipIfDirectory { fd: self.target.into(), skip: count(&file) };
        let mut entries = vec![(format!("{about}: is it a directory"), skip)];
        entries.extend(file);
        entries.extend(directory);
        entries.push((format!("{about}: close"), Step::Close(self.mount)));
        entries.push((format!("{about}: close"), Step::Close(self.target)));
        self.if_there(&about, place, entries);
    }

    /// Mounts a path on itself, read-only with everything in it.
    ///
    /// Before Linux 5.12 only one mount can be made so: mounts below it, which no entry of the list made,
    /// are left out of the copy and disappear rather than stay writable.
    pub(super) fn readonly_path(&mut self, place: &Place) {
        let about = format!("make {} read-only", place.shown);
        let recursive = self.mount_setattr;
        let change = Change {
            recursive,
            attrs: Attributes::set(MountAttrs::RDONLY),
            propagation: MountFlags::PRIVATE,
        };
        let mut entries = vec![(format!("{about}: copy it"), self.copy_of(self.target, recursive))];
        let mount = At::from(self.mount);
        entries.extend(self.attach_entries(&about, &mount, self.target.into(), &[change]));
        entries.push((format!("{about}: close"), Step::Close(self.mount)));
        entries.push((format!("{about}: close"), Step::Close(self.target)));
        self.if_there(&about, place, entries);
    }

    /// Makes the root itself read-only, now that all mount points are there.
    pub(super) fn readonly_root(&mut self) {
        let attrs = Attributes::set(MountAttrs::RDONLY);
        let change = Change { recursive: false, attrs, propagation: SAME };
        let entries = self.change_entries("make the root read-only", &self.root.clone(), change);
        self.extend(entries);
    }
}
