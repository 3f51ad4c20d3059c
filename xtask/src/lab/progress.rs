//! One live line per guest on a terminal, plain lines elsewhere; always on standard error.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// The progress of a run.
#[derive(Debug)]
pub struct Progress {
    live: Option<MultiProgress>,
    started: Instant,
}

/// The line of one guest.
#[derive(Debug)]
pub struct Line<'a> {
    progress: &'a Progress,
    name: String,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Live lines when standard error is a terminal.
    pub fn new() -> Self {
        let live = std::io::stderr().is_terminal().then(MultiProgress::new);
        Self { live, started: Instant::now() }
    }

    /// Prints a line that stays.
    pub fn say(&self, text: &str) {
        match &self.live {
            // Nothing can be done about a terminal that is gone.
            Some(live) => drop(live.println(text)),
            None => eprintln!("[{:>4} s] {text}", self.started.elapsed().as_secs()),
        }
    }

    /// Opens the line of a guest.
    pub fn line(&self, name: &str, cases: usize) -> Line<'_> {
        let bar = self.live.as_ref().map(|live| {
            let bar = live.add(ProgressBar::new(cases as u64));
            // The template is a constant; were it wrong, the default style would do.
            if let Ok(style) =
                ProgressStyle::with_template("{prefix:24} {bar:20} {pos:>3}/{len:3} {elapsed:>4} {msg}")
            {
                bar.set_style(style);
            }
            bar.set_prefix(name.to_owned());
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        Line { progress: self, name: name.to_owned(), bar }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Line<'_> {
    /// What the guest does now; shown on a terminal only.
    pub fn now(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(text.to_owned());
        }
    }

    /// How many cases are done.
    pub fn done(&self, count: usize) {
        if let Some(bar) = &self.bar {
            bar.set_position(count as u64);
        }
    }

    /// Prints a line that stays, with the guest's name.
    pub fn say(&self, text: &str) {
        self.progress.say(&format!("{}: {text}", self.name));
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
