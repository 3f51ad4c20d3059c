//! One guest for one command: what `vm-shell` and `runner` share.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use super::build::{self, GuestPrograms};
use super::cancel::Cancel;
use super::guest::{self, Guest, Host, Wish};
use super::limits::Limits;
use super::plan::BootConfig;
use super::session::{Heard, Talk as _};
use crate::cli::{AccelChoice, Source};
use crate::fail;
use crate::image::{self, Image, ImageSpec};
use crate::kernels::{self, Cache, Kernel, KernelSpec, Options, Wanted};
use crate::protocol::{Command, Event};
use crate::qemu::accel;
use crate::qemu::{Accel, Qemu};
use crate::tools::{self, Tool};
use crate::workspace::Workspace;

/// Where it is in a guest.
const BUSYBOX: &str = "/bin/busybox";

/// A file to pack: path in the guest, path here, mode.
pub type Packed = (String, PathBuf, u32);

/// What the guest is to be like.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The kernel.
    pub kernel: &'a str,
    /// The cgroup layout.
    pub cgroup: &'a str,
    /// Modules to load.
    pub modules: &'a [String],
    /// The accelerator.
    pub accel: AccelChoice,
    /// Where kernels come from.
    pub source: &'a Source,
}

/// A guest of its own, and what it boots from.
#[derive(Debug)]
pub struct Single {
    guest: Guest,
    cancel: Cancel,
    _image: Image,
    _logs: TempDir,
}

/// How the archive is reached.
pub fn options(source: &Source) -> Options {
    Options { mirror: source.mirror.clone(), offline: source.offline }
}

/// Boots a guest with these files beside its own programs.
///
/// # Errors
/// Wrong input, or a lab that cannot start.
pub fn boot(workspace: &Workspace, request: &Request<'_>, files: &[Packed]) -> Result<Single> {
    let spec: KernelSpec = request.kernel.parse()?;
    tools::ensure(&[Tool::Qemu, Tool::Cc, Tool::StaticLibc, Tool::Apt, Tool::Keyring])?;
    let programs = build::guest(workspace)?;
    let cancel = Cancel::on_signals().context("listen to signals")?;
    let cache = Cache::open()?;
    let kernels = kernels::obtain(&Wanted::Specs(vec![spec]), &options(request.source), &cache)?;
    let kernel = kernels.first().context("no kernel to boot")?;
    let qemu = Qemu::find(&cache)?;
    let logs = cache.temp_dir()?;

    let image = plain_image(kernel, request.modules, &programs, files, &cache)?;
    let wish = Wish { config: &BootConfig::default(), own_runtime: true, broken: None };
    let limits = Limits::new(Accel::Tcg, None);
    let host = Host { qemu: &qemu, accel: Accel::Tcg, limits: &limits, logs: logs.path(), cache: &cache };
    let mut config = guest::config(&image, &wish, &host, "guest")?;
    config.accel = accel::choose(request.accel, &config, &cache)?.accel;
    let mut guest = guest::boot(&config)?;
    guest.send(&Command::Cgroups { layout: request.cgroup.to_owned() })?;
    Ok(Single { guest, cancel, _image: image, _logs: logs })
}

/// An image with the guest's programs and these files.
///
/// # Errors
/// See [`image::build`].
pub fn plain_image(
    kernel: &Kernel,
    modules: &[String],
    programs: &GuestPrograms,
    files: &[Packed],
    cache: &Cache,
) -> Result<Image> {
    let mut all = programs.packed();
    all.extend(files.iter().cloned());
    image::build(&ImageSpec { kernel, modules, signed: false, files: &all }, cache).context("make the image")
}

/// The multi-call program that gives a guest a shell and the usual commands, as a file of an image.
///
/// # Errors
/// Its package cannot be had.
pub fn busybox(source: &Source) -> Result<Packed> {
    let package = kernels::fetch_package("busybox-static", &options(source), &Cache::open()?)?;
    Ok((BUSYBOX.to_owned(), find_busybox(&package)?, 0o755))
}

/// Its place has moved between releases.
fn find_busybox(package: &Path) -> Result<PathBuf> {
    ["bin/busybox", "usr/bin/busybox"]
        .iter()
        .map(|path| package.join(path))
        .find(|path| path.is_file())
        .ok_or_else(|| fail::lab(format!("{} holds no busybox", package.display())))
}

/// A command for a guest with [`busybox`]: puts its applets on the path, then becomes `words`.
pub fn with_applets(
    words: impl IntoIterator<Item = String>,
    variables: impl IntoIterator<Item = String>,
) -> Command {
    let install = format!("{BUSYBOX} --install -s /bin && exec \"$@\"");
    let mut argv = [BUSYBOX, "sh", "-c", &install, "lab"].map(str::to_owned).to_vec();
    argv.extend(words);
    let mut env = ["PATH=/lab/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/"].map(str::to_owned).to_vec();
    env.extend(variables);
    Command::Exec { argv, env }
}

impl Single {
    /// The guest.
    pub fn guest(&mut self) -> &mut Guest {
        &mut self.guest
    }

    /// Gives a command that ends in [`Event::Exited`], and passes output on until then.
    ///
    /// # Errors
    /// The guest is lost, or the user wants to end.
    pub fn finish(&mut self, command: &Command, mut output: impl Write) -> Result<u8> {
        self.guest.vm().allow_silence();
        self.guest.send(command)?;
        loop {
            if self.cancel.wanted() {
                return Err(fail::lab("cancelled"));
            }
            match self.guest.next(Duration::from_millis(100)) {
                Heard::Guest(Event::Output { data }) => {
                    output
                        .write_all(data.as_bytes())
                        .and_then(|()| output.flush())
                        .context("pass output on")?;
                }
                Heard::Guest(Event::Exited { code }) => return Ok(u8::try_from(code).unwrap_or(255)),
                Heard::Guest(Event::Fault { message }) => {
                    return Err(fail::lab(format!("PID 1 cannot go on: {message}")));
                }
                Heard::Trouble(what) => {
                    return Err(fail::lab(format!("{what}\n{}", self.guest.console())));
                }
                Heard::Exited(how) => return Err(fail::lab(format!("QEMU ended: {how}"))),
                Heard::Guest(_) | Heard::Console | Heard::Nothing => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busybox_is_found_in_old_and_new_packages() {
        let dir = tempfile::tempdir().unwrap();
        assert!(find_busybox(dir.path()).is_err());
        std::fs::create_dir_all(dir.path().join("usr/bin")).unwrap();
        std::fs::write(dir.path().join("usr/bin/busybox"), "").unwrap();
        assert_eq!(find_busybox(dir.path()).unwrap(), dir.path().join("usr/bin/busybox"));
    }

    #[test]
    fn arguments_arrive_as_they_are() {
        let words = ["/lab/bin/prog", "a b", "$HOME"].map(str::to_owned);
        let Command::Exec { argv, env } = with_applets(words, ["X=1".to_owned()]) else { panic!("no exec") };
        assert_eq!(argv[4..], ["lab", "/lab/bin/prog", "a b", "$HOME"]);
        assert_eq!(env.last().unwrap(), "X=1");
    }
}
