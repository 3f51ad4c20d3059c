//! Devices and the links in `/dev`.

use cofferdam_sys::mount::{MountAttrs, MountFlags};
use cofferdam_sys::plan::Step;

use super::backend::Change;
use super::check::Expect;
use super::steps::{Steps, say};
use crate::place::Place;
use crate::prepare::{Links, Node};
use crate::rootfs::DeviceKind;
use crate::tree::Tree;
use crate::{Attributes, Error, Result};

/// The links of every container (`fd(4)`, `stdin(3)`).
const LINKS: [(&std::ffi::CStr, &std::ffi::CStr); 4] = [
    (c"fd", c"/proc/self/fd"),
    (c"stdin", c"/proc/self/fd/0"),
    (c"stdout", c"/proc/self/fd/1"),
    (c"stderr", c"/proc/self/fd/2"),
];

impl Steps<'_> {
    /// Makes or binds each device. Those that are made in one directory, mostly `/dev`, are made with one look at
    /// the way to it.
    pub(super) fn nodes(&mut self, nodes: &[Node]) -> Result<()> {
        let beside = |one: &Node, next: &Node| {
            one.bind.is_none() && next.bind.is_none() && one.place.parent() == next.place.parent()
        };
        for group in nodes.chunk_by(beside) {
            match group {
                [node @ Node { bind: Some(tree), .. }] => self.bind_node(node, tree)?,
                _ => self.make_nodes(group)?,
            }
        }
        Ok(())
    }

    fn make_nodes(&mut self, nodes: &[Node]) -> Result<()> {
        let mut open = false;
        for node in nodes {
            let about = format!("device {}", node.place.shown);
            let (parent, name) =
                node.place.split().ok_or_else(|| Error::invalid(say(&about, "no directory to be in")))?;
            if !open {
                let step = Step::EnsureDir { root: self.root.clone(), path: parent, out: self.target };
                self.push(say(&about, "open its directory"), step);
                open = true;
            }
            let device = &node.device;
            let step = Step::Device {
                dir: self.target.into(),
                name,
                mode: device.mode_bits(),
                major: device.major,
                minor: device.minor,
                uid: device.uid,
                gid: device.gid,
            };
            self.push(say(&about, "make it"), step);
        }
        self.close("devices", self.target);
        Ok(())
    }

    /// A user namespace can make no devices, but may use the host's.
    fn bind_node(&mut self, node: &Node, tree: &Tree) -> Result<()> {
        let about = format!("device {}", node.place.shown);
        let (mount, _) = self.source(&about, tree)?;
        if node.device.kind == DeviceKind::Char {
            let (major, minor) = (node.device.major, node.device.minor);
            let step = Step::RequireDevice { fd: mount.clone(), major, minor };
            self.push(say(&about, "verify it"), step);
        }
        self.open_target(&about, &node.place, false);
        self.check_target(&about, &node.place);
        let attrs = MountAttrs::NOSUID | MountAttrs::NOEXEC;
        let change =
            Change { recursive: false, attrs: Attributes::set(attrs), propagation: MountFlags::PRIVATE };
        self.attach(&about, &mount, self.target.into(), &[change]);
        self.note_now(&about, &node.place, &mount, Expect::private(attrs))?;
        self.close(&about, self.target);
        self.close_source(&about, tree);
        Ok(())
    }

    /// Makes the links; what the image has under these names stays.
    pub(super) fn links(&mut self, links: &Links) {
        let about = format!("links in {}", links.dev.shown);
        self.open_target(&about, &links.dev, true);
        let ptmx = links.ptmx.then_some((c"ptmx", c"pts/ptmx"));
        for (name, target) in LINKS.into_iter().chain(ptmx) {
            let dir = self.target.into();
            let step = Step::Symlink { dir, name: name.into(), target: target.into() };
            self.push(format!("{about}: {}", name.to_string_lossy()), step);
        }
        self.close(&about, self.target);
    }

    /// A link beside which its target lies.
    pub(super) fn link_beside(&mut self, place: &Place, to: &std::ffi::CStr) {
        let Some((parent, name)) = place.split() else { return };
        let about = format!("link {}", place.shown);
        let step = Step::EnsureDir { root: self.root.clone(), path: parent, out: self.target };
        self.push(say(&about, "open its directory"), step);
        let step = Step::Symlink { dir: self.target.into(), name, target: to.into() };
        self.push(say(&about, "make it"), step);
        self.close(&about, self.target);
    }
}
