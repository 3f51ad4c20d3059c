//! From prepared sources to the steps of a plan.

mod attach;
mod backend;
mod check;
mod nodes;
mod paths;
mod scratch;
mod steps;

use cofferdam_sys::mount::{MountAttrs, MountFlags, Unmount};
use cofferdam_sys::open::{Open, Resolve};
use cofferdam_sys::plan::{Absent, At, Plan, Step, TooManySlots};

use crate::mount::{Propagation, PropagationKind};
use crate::prepare::Prepared;
use crate::{Attributes, Result};
use check::Expect;
use steps::Steps;

/// How a mask looks: nothing can be made in it, run from it or written to it.
const MASK: MountAttrs =
    MountAttrs::RDONLY.union(MountAttrs::NOSUID).union(MountAttrs::NODEV).union(MountAttrs::NOEXEC);

impl Prepared {
    /// Appends the steps that mount everything and pivot into the new root.
    ///
    /// The child needs a mount namespace of its own, `CAP_SYS_ADMIN` over it, and to be root in its
    /// user namespace. Afterwards the umask is 022 and the working directory is the new root.
    ///
    /// # Errors
    /// When the plan has too few slots left.
    pub fn lower(self, plan: &mut Plan) -> Result<()> {
        self.lower_with(plan, |_, _| Ok(()))
    }

    /// The same, with steps of the caller's between the mounts and the pivot.
    ///
    /// There the new root is complete but not yet read-only, `inside` is its directory, and everything else
    /// is still seen from the old root. A slot that `add` takes must not be used behind it unless it is kept.
    ///
    /// # Errors
    /// As [`Prepared::lower`], and what `add` gives.
    pub fn lower_with(
        self,
        plan: &mut Plan,
        add: impl FnOnce(&mut Plan, &At) -> std::result::Result<(), TooManySlots>,
    ) -> Result<()> {
        let mut steps = Steps::new(plan, self.host)?;
        steps.push("set the umask for mount points", Step::FileModeMask(0o022));
        self.detach_from_host(&mut steps);
        let mask = !self.masked.is_empty();
        steps.begin_checks();
        self.attach_root(&mut steps, mask)?;
        for item in &self.mounts {
            steps.item(item)?;
        }
        steps.nodes(&self.nodes)?;
        if let Some(links) = &self.links {
            steps.links(links);
        }
        for path in &self.readonly_paths {
            steps.readonly_path(path)?;
        }
        for path in &self.masked {
            steps.masked_path(path)?;
        }
        let root = steps.root.clone();
        add(steps.plan(), &root)?;
        for item in &self.seals {
            steps.item(item)?;
        }
        if self.readonly {
            steps.readonly_root();
        }
        pivot(&mut steps);
        self.final_propagation(&mut steps);
        steps.finish_checks(self.propagation, self.shares());
        Ok(())
    }

    /// Nothing that the child mounts may reach the host.
    fn detach_from_host(&self, steps: &mut Steps<'_>) {
        let kind = if self.listens { PropagationKind::Slave } else { PropagationKind::Private };
        let propagation = Propagation { kind, recursive: true };
        let about = format!("make all mounts {propagation}");
        steps.push(about, Step::Propagation { path: c"/".into(), flags: propagation.flags() });
    }

    /// Puts the new root on top of the old one or where it is to be seen, and makes the directory that masks are copies of.
    fn attach_root(&self, steps: &mut Steps<'_>, mask: bool) -> Result<()> {
        let (target, root) = (steps.target, steps.root_slot);
        let open = Step::OpenIn {
            dir: At::Cwd,
            path: self.visible_at.clone().unwrap_or_else(|| c"/".into()),
            flags: Open::PATH | Open::DIRECTORY,
            resolve: Resolve::empty(),
            absent: Absent::Fail,
            out: target,
        };
        let place =
            if self.visible_at.is_some() { "open the place of the root" } else { "open the old root" };
        steps.push(place, open);
        let entries = steps.backend.begin();
        if !entries.is_empty() {
            steps.covers.push("stage");
        }
        steps.extend(entries);
        if mask {
            steps.mask_source()?;
        }
        // What the child makes of it stays in a slot of its own.
        let (mount, made) = (steps.mount, root);
        steps.use_mount_slot(made);
        let (tree, _) = steps.source("root", &self.root)?;
        steps.use_mount_slot(mount);
        steps.root = tree;
        let root = steps.root.clone();
        steps.push("the root is a directory", Step::RequireDirectory { fd: root.clone() });
        // Shared comes last: made from private, it is a peer group of its own.
        let kind = match self.propagation.kind {
            PropagationKind::Slave => PropagationKind::Slave,
            _ => PropagationKind::Private,
        };
        let changes = [backend::Change {
            recursive: true,
            attrs: Attributes::default(),
            propagation: Propagation { kind, recursive: true }.kind_flag(),
        }];
        steps.attach("root", &root, target.into(), &changes);
        let attrs = if self.readonly { MountAttrs::RDONLY } else { MountAttrs::empty() };
        let expect = Expect { propagation: self.propagation.kind_flag(), ..Expect::private(attrs) };
        let (about, step) = steps.note("root", None, &root, expect)?;
        steps.push(about, step);
        steps.close("root", target);
        Ok(())
    }

    /// Whether a mount of the list is to be shared with the host.
    fn shares(&self) -> bool {
        self.mounts.iter().any(|item| item.propagation.kind == PropagationKind::Shared)
    }

    fn final_propagation(&self, steps: &mut Steps<'_>) {
        if matches!(self.propagation.kind, PropagationKind::Shared | PropagationKind::Unbindable) {
            let about = format!("make the root {}", self.propagation);
            let flags = self.propagation.flags();
            steps.push(about, Step::Propagation { path: c"/".into(), flags });
        }
    }
}

/// Makes the new root the only one (`pivot_root(2)`, notes).
///
/// The old root lands on top of the new one, with all that was mounted on it, which has to go first. Were the runtime's own root covered by yet another mount, the old root would stay
/// there unseen, one `..` away; `..` crosses to what covers a root, so that asking for it tells.
fn pivot(steps: &mut Steps<'_>) {
    let root = steps.root.clone();
    steps.push("enter the new root", Step::ChangeDirectoryTo(root));
    steps.push("pivot into the new root", Step::PivotRoot);
    let detach = Step::Unmount { path: c".".into(), flags: Unmount::DETACH };
    for cover in std::mem::take(&mut steps.covers).iter().rev() {
        steps.push(format!("unmount the {cover}"), detach.clone());
    }
    steps.push("unmount the old root", detach);
    let look = Step::OpenIn {
        dir: At::Cwd,
        path: c"..".into(),
        flags: Open::PATH | Open::DIRECTORY,
        resolve: Resolve::NO_XDEV,
        absent: Absent::Fail,
        out: steps.target,
    };
    steps.push("verify that nothing covers the new root", look);
    steps.close("root", steps.target);
    steps.push("go to the new root", Step::ChangeDirectory(c"/".into()));
}

/// Flags of nothing: no change of propagation.
const SAME: MountFlags = MountFlags::empty();

#[cfg(test)]
mod tests;
