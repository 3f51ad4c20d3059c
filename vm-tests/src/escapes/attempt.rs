//! What all attempts have in common: the three modes, and what each must come to.

use crate::bundle::{Bundle, Ended, Layer};
use crate::registry::{Context, Mode, OrFail, Result};
use cofferdam_sys::Errno;
use std::process::Command;

/// How an attempt is expected to be blocked.
#[derive(Debug, Clone, Copy)]
pub(super) enum Held {
    /// It fails, and every step that fails gives one of these.
    By(&'static [Errno]),
    /// It may succeed, but reaches nothing of the host.
    Inside,
    /// The kernel kills it.
    Killed,
}

type Look<'a> = Box<dyn Fn() -> Result<String> + 'a>;
type Outside<'a> = Box<dyn Fn(&Bundle) -> Command + 'a>;

/// One attempt, in the mode of the context.
pub(super) struct Attempt<'a> {
    ctx: &'a Context,
    bundle: Bundle,
    layers: &'static [Layer],
    full: Held,
    peeled: Held,
    host: Option<Look<'a>>,
    shows: bool,
    secret: Option<String>,
    outside: Option<Outside<'a>>,
    barrier: Option<&'static str>,
}

impl<'a> Attempt<'a> {
    /// An attempt that these layers stop, the first to fire first.
    pub(super) fn new(ctx: &'a Context, layers: &'static [Layer], words: &[&str]) -> Self {
        let mut bundle = Bundle::hardened(ctx, "attempt");
        // The first command shows that the probe ran at all.
        bundle.probe(&[&["show", "args", "+", "try"], words].concat());
        Self {
            ctx,
            bundle,
            layers,
            full: Held::By(&[Errno::EPERM]),
            peeled: Held::By(&[Errno::EPERM]),
            host: None,
            shows: true,
            secret: None,
            outside: None,
            barrier: None,
        }
    }

    /// How it is blocked with all layers, and without the first one; `EPERM` both times unless said.
    pub(super) fn held(mut self, full: Held, peeled: Held) -> Self {
        (self.full, self.peeled) = (full, peeled);
        self
    }

    /// Changes the bundle, in every mode, before layers are taken away.
    pub(super) fn bundle(mut self, change: impl FnOnce(&mut Bundle)) -> Self {
        change(&mut self.bundle);
        self
    }

    /// The state of the host: must stay as it is while the attempt is blocked, and change when it succeeds.
    pub(super) fn host(mut self, look: impl Fn() -> Result<String> + 'a) -> Self {
        self.host = Some(Box::new(look));
        self
    }

    /// The same for an attempt whose success does not show on the host.
    pub(super) fn host_untouched(mut self, look: impl Fn() -> Result<String> + 'a) -> Self {
        self.shows = false;
        self.host(look)
    }

    /// What the attempt is after: must appear when it succeeds, and nowhere in the output when it is blocked.
    pub(super) fn secret(mut self, text: impl Into<String>) -> Self {
        self.secret = Some(text.into());
        self
    }

    /// The step that the first layer must stop, where a later one would stop the attempt all the same.
    pub(super) fn barrier(mut self, step: &'static str) -> Self {
        self.barrier = Some(step);
        self
    }

    /// Makes the control without a runtime: for a defence that no config can leave out.
    pub(super) fn control_outside(mut self, command: impl Fn(&Bundle) -> Command + 'a) -> Self {
        self.outside = Some(Box::new(command));
        self
    }

    /// Makes the attempt and judges it.
    pub(super) fn run(mut self) -> Result {
        self.peel()?;
        let before = self.look()?;
        let ended = match (self.ctx.mode(), &self.outside) {
            (Mode::Control, Some(outside)) => {
                self.bundle.write()?;
                outside_a_container(outside(&self.bundle))?
            }
            _ => self.bundle.run()?,
        };
        let after = self.look()?;
        ensure!(!ended.lines().is_empty(), "the probe did not run; {ended}");
        match self.ctx.mode() {
            Mode::Full => {
                if let Some(step) = self.barrier {
                    let passed = ended.lines().iter().any(|line| line.step == step && line.ok);
                    ensure!(!passed, "the first layer let the step {step} pass; {ended}");
                }
                self.blocked(self.full, &ended, &before, &after)
            }
            Mode::Peel(_) => self.blocked(self.peeled, &ended, &before, &after),
            Mode::Control => self.succeeded(&ended, &before, &after),
        }
    }

    fn peel(&mut self) -> Result {
        match self.ctx.mode() {
            Mode::Full => {}
            Mode::Peel(name) => {
                let layer = Layer::parse(name).or_fail(format_args!("the layer {name}"))?;
                ensure_eq!(Some(&layer), self.layers.first(), "the layer that fires first");
                self.bundle.peel(layer);
            }
            Mode::Control => self.layers.iter().for_each(|layer| {
                self.bundle.peel(*layer);
            }),
        }
        Ok(())
    }

    fn look(&self) -> Result<String> {
        self.host.as_ref().map_or_else(|| Ok(String::new()), |look| look())
    }

    fn blocked(&self, held: Held, ended: &Ended, before: &str, after: &str) -> Result {
        ensure_eq!(after, before, "the state of the host; {ended}");
        if let Some(secret) = &self.secret {
            ensure!(!ended.stdout.contains(secret.as_str()), "the secret got out; {ended}");
        }
        match held {
            Held::Killed => {
                ensure_eq!(ended.status, 137, "the status of what the kernel killed; {ended}");
                ensure!(ended.breach().is_none(), "it was not killed in time; {ended}");
            }
            Held::Inside => ensure!(ended.breach().is_some(), "the attempt was not made; {ended}"),
            Held::By(accepted) => {
                let breach = ended.breach().or_fail(format_args!("the attempt was not made; {ended}"))?;
                ensure!(!breach.ok, "the attempt got through; {ended}");
                let names: Vec<String> = accepted.iter().map(|errno| format!("{errno:?}")).collect();
                for line in ended.lines().iter().filter(|line| !line.ok) {
                    let found = line.errno.as_ref().is_some_and(|errno| names.contains(errno));
                    ensure!(
                        found,
                        "step {} gave {:?}, wanted one of {names:?}; {ended}",
                        line.step,
                        line.errno
                    );
                }
            }
        }
        Ok(())
    }

    fn succeeded(&self, ended: &Ended, before: &str, after: &str) -> Result {
        let breach = ended.breach().or_fail(format_args!("the attempt was not made; {ended}"))?;
        ensure!(breach.ok, "with every layer away the attempt must succeed; {ended}");
        if let Some(secret) = &self.secret {
            let value = breach.value.to_string();
            ensure!(value.contains(secret.as_str()), "the attempt did not find {secret:?}; {ended}");
        }
        if self.host.is_some() && self.shows {
            ensure!(before != after, "the host is as before ({before:?}), so nothing is proved; {ended}");
        }
        Ok(())
    }
}

fn outside_a_container(mut command: Command) -> Result<Ended> {
    let output = command.output().or_fail("running the probe")?;
    Ok(Ended {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
