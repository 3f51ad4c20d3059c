//! What the commands that boot guests share.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::cli::AccelChoice;
use crate::kernels::{Cache, Kernel};
use crate::lab::build::GuestPrograms;
use crate::lab::guest::{self, Host, Wish};
use crate::lab::limits::Limits;
use crate::lab::plan::BootConfig;
use crate::lab::single::plain_image;
use crate::qemu::accel::{self, Chosen};
use crate::qemu::{Accel, Qemu};

/// Chooses the accelerator, with a guest of this kernel as the probe.
pub(super) fn accel(
    choice: AccelChoice,
    kernel: Option<&Kernel>,
    programs: &GuestPrograms,
    qemu: &Qemu,
    logs: &Path,
    cache: &Cache,
) -> Result<Chosen> {
    let kernel = kernel.context("no kernel to boot")?;
    let image = plain_image(kernel, &[], programs, &[], cache)?;
    let wish = Wish { config: &BootConfig::default(), own_runtime: true, broken: None };
    let host = Host { qemu, accel: Accel::Tcg, limits: &Limits::new(Accel::Tcg, None), logs, cache };
    accel::choose(choice, &guest::config(&image, &wish, &host, "probe")?, cache)
}
