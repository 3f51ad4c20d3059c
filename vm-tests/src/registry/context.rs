//! What a test gets to work with.

use crate::guest::cgroups::Layout;
use crate::guest::cmdline::Cmdline;
use crate::guest::paths;
use std::path::Path;

/// The mode a test runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode<'a> {
    /// With the whole stack of defences: an attempt must be blocked.
    Full,
    /// Without this layer: an attempt must still be blocked, by the next one.
    Peel(&'a str),
    /// Without any defence: an attempt must succeed.
    Control,
}

impl<'a> Mode<'a> {
    /// The mode of that name.
    pub fn parse(text: &'a str) -> Option<Self> {
        match text {
            "full" => Some(Self::Full),
            "control" => Some(Self::Control),
            _ => text.strip_prefix("peel:").filter(|layer| !layer.is_empty()).map(Self::Peel),
        }
    }
}

/// The surroundings of one case.
#[derive(Debug)]
pub struct Context {
    mode: String,
    cmdline: Cmdline,
    layout: Layout,
}

impl Context {
    /// The surroundings for a case in that mode, with what the guest was booted with, and its cgroups.
    pub fn new(mode: impl Into<String>, cmdline: Cmdline, layout: Layout) -> Self {
        Self { mode: mode.into(), cmdline, layout }
    }

    /// The mode of this case.
    pub fn mode(&self) -> Mode<'_> {
        Mode::parse(&self.mode).unwrap_or(Mode::Full)
    }

    /// An empty directory on a tmpfs of its own (mode 0755), removed after the case.
    pub fn scratch(&self) -> &Path {
        Path::new(paths::SCRATCH)
    }

    /// The OCI runtime under test.
    pub fn runtime(&self) -> &Path {
        Path::new(paths::RUNTIME)
    }

    /// Whether the runtime under test is this project's own.
    pub fn own_runtime(&self) -> bool {
        self.cmdline.own_runtime()
    }

    /// The small static program that is placed in containers.
    pub fn probe(&self) -> &Path {
        Path::new(paths::PROBE)
    }

    /// Whether this defence is to be left out on purpose (`lab.break=` on the kernel's command line), to
    /// show that the attempts notice.
    pub fn broken(&self, defence: &str) -> bool {
        self.cmdline.broken(defence)
    }

    /// The cgroup layout of this guest.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// What the kernel was booted with.
    pub fn cmdline(&self) -> &Cmdline {
        &self.cmdline
    }

    /// Whether the kernel has this facility, see [`crate::guest::facilities`].
    ///
    /// # Errors
    /// When that could not be found out.
    pub fn has(&self, facility: &str) -> super::Result<bool> {
        Ok(crate::guest::facilities::has(facility)?)
    }
}
