//! Progress of downloads: a bar in a terminal, plain lines elsewhere.

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

/// One step under way.
#[derive(Debug)]
pub struct Step {
    bar: ProgressBar,
    what: String,
    start: Instant,
    plain: bool,
}

impl Step {
    /// Announces a step; `bytes` is its size when that is known.
    pub fn start(what: impl Into<String>, bytes: Option<u64>) -> Self {
        let what = what.into();
        let plain = !std::io::stderr().is_terminal();
        let bar = match bytes {
            _ if plain => ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()),
            Some(bytes) => ProgressBar::new(bytes)
                .with_style(style("{msg} [{bar:24}] {bytes}/{total_bytes} {bytes_per_sec}")),
            None => ProgressBar::new_spinner().with_style(style("{spinner} {msg} {elapsed}")),
        };
        bar.set_message(what.clone());
        if plain {
            let size = bytes.map(|bytes| format!(" ({})", HumanBytes(bytes))).unwrap_or_default();
            eprintln!("{what}{size}");
        } else {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        let start = Instant::now();
        Self { bar, what, start, plain }
    }

    /// Tells how far it is, in bytes.
    pub fn at(&self, bytes: u64) {
        self.bar.set_position(bytes);
    }

    /// Ends it with success.
    pub fn done(self) {
        self.bar.finish_and_clear();
        let seconds = self.start.elapsed().as_secs_f32();
        if !self.plain || seconds > 5.0 {
            eprintln!("{}: done in {seconds:.1} s", self.what);
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
