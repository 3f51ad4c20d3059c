//! A run: every group of every kernel, over a number of guests at once.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};

use super::build::GuestPrograms;
use super::cancel::Cancel;
use super::collect::{Booted, Collector};
use super::guest::{self, Guest, Host, Wish};
use super::ledger::Ledger;
use super::plan::{Cases, Group, Plan};
use super::progress::{Line, Progress};
use super::runtime::Runtime;
use super::schedule::Queue;
use super::session::{self, End, Talk as _, Watch};
use crate::image::libs::Packed;
use crate::image::{self, Image, ImageSpec};
use crate::kernels::Kernel;
use crate::protocol::{Case, Command};
use crate::qemu::{Config, Snapshot};

/// How often a part goes on in a new guest after it lost one.
const MOST_LOST: usize = 6;
/// How many cases run in one guest at most. Small parts keep all jobs busy to the end; but under emulation each guest
/// translates the kernel's code anew, and in parts of 24 a run took 6 % more of the processors.
const PART: usize = 60;

/// Everything a run works with.
#[derive(Debug)]
pub struct Run<'a> {
    /// QEMU, limits and folders.
    pub host: Host<'a>,
    /// The kernels.
    pub kernels: &'a [Kernel],
    /// The names of their columns.
    pub names: &'a [String],
    /// The groups.
    pub plan: &'a Plan,
    /// What is packed.
    pub programs: &'a GuestPrograms,
    /// What is packed besides for tests that need systemd.
    pub systemd: &'a [Packed],
    /// The runtime under test.
    pub runtime: &'a Runtime,
    /// A defence to leave out.
    pub broken: Option<&'a str>,
    /// What is shown meanwhile.
    pub progress: &'a Progress,
    /// Where outcomes go.
    pub collector: &'a Collector,
    /// The user's wish to end.
    pub cancel: &'a Cancel,
}

/// A piece of work for one guest.
#[derive(Debug)]
enum Work {
    /// Booting a configuration on a kernel, running its first part, and making work of the others.
    Group { kernel: usize, group: usize },
    /// A part, in a resumed guest.
    Part { prepared: Arc<Prepared>, part: Part },
}

/// Cases that run one after the other in one guest.
#[derive(Debug)]
struct Part {
    /// The cgroup layout.
    cgroup: String,
    title: String,
    cases: Vec<Case>,
}

/// A booted configuration.
#[derive(Debug)]
struct Prepared {
    kernel: usize,
    group: usize,
    config: Config,
    booted: Booted,
    /// What guests are resumed from; nothing when one guest is enough.
    snapshot: Option<Snapshot>,
    _image: Image,
}

impl Run<'_> {
    /// Runs everything; what goes wrong is in the collector.
    pub fn run(&self, jobs: usize) {
        let work = (0..self.plan.groups.len())
            .flat_map(|group| (0..self.kernels.len()).map(move |kernel| Work::Group { kernel, group }))
            .collect();
        let queue = Queue::new(work);
        queue.run(jobs, |work| match work {
            Work::Group { kernel, group } => self.group(kernel, group, &queue),
            Work::Part { prepared, part } => self.part(&prepared, &part, None),
        });
    }

    fn group(&self, kernel: usize, at: usize, queue: &Queue<Work>) {
        let Some(group) = self.plan.groups.get(at) else { return };
        let mut parts = parts(group).into_iter();
        let Some(first) = parts.next() else { return };
        match self.prepare(kernel, at, &self.name(kernel, group, &first), parts.len() > 0) {
            Ok((guest, prepared)) => {
                let prepared = Arc::new(prepared);
                queue.add(parts.map(|part| Work::Part { prepared: Arc::clone(&prepared), part }));
                self.part(&prepared, &first, Some(guest));
            }
            Err(error) => {
                let reason = format!("{error:#}");
                self.fault(&self.name(kernel, group, &first), &reason);
                for part in std::iter::once(first).chain(parts) {
                    let mut ledger = Ledger::new(&part.cases);
                    ledger.give_up(&reason);
                    self.collector.outcomes(kernel, &part.cgroup, ledger.close().0);
                }
            }
        }
    }

    fn prepare(&self, kernel: usize, at: usize, name: &str, snapshot: bool) -> Result<(Guest, Prepared)> {
        self.check_cancelled()?;
        let group = self.plan.groups.get(at).context("no such group")?;
        let line = self.progress.line(name, 0);
        line.now("making the image");
        let image = self.image(kernel, group)?;
        let wish = Wish { config: &group.config, own_runtime: self.runtime.own, broken: self.broken };
        let config = guest::config(&image, &wish, &self.host, name)?;
        line.now("booting");
        let mut guest = self.boot(&config, kernel, name)?;
        let snapshot = if snapshot {
            line.now("taking a snapshot");
            Some(guest.snapshot()?)
        } else {
            None
        };
        let booted = guest.booted.clone();
        Ok((guest, Prepared { kernel, group: at, config, booted, snapshot, _image: image }))
    }

    /// Runs a part, in this guest or in a resumed one.
    fn part(&self, prepared: &Prepared, part: &Part, guest: Option<Guest>) {
        let Some(group) = self.plan.groups.get(prepared.group) else { return };
        let name = self.name(prepared.kernel, group, part);
        let mut ledger = Ledger::new(&part.cases);
        if let Err(error) = self.sessions(prepared, guest, &name, &part.cgroup, &mut ledger) {
            let reason = format!("{error:#}");
            self.fault(&name, &reason);
            ledger.give_up(&reason);
        }
        let (outcomes, faults) = ledger.close();
        self.collector.outcomes(prepared.kernel, &part.cgroup, outcomes);
        for fault in &faults {
            self.fault(&name, fault);
        }
    }

    /// Runs the cases of a part, in a new guest after each one that is lost.
    fn sessions(
        &self,
        prepared: &Prepared,
        first: Option<Guest>,
        name: &str,
        cgroup: &str,
        ledger: &mut Ledger,
    ) -> Result<()> {
        self.check_cancelled()?;
        let line = self.progress.line(name, ledger.remaining().len());
        let mut next = first;
        for lost in 0..=MOST_LOST {
            let mut guest = match next.take() {
                Some(guest) => guest,
                None => self.another(prepared, name, lost)?,
            };
            // It answers what follows, so it needs no answer.
            guest.send(&Command::Cgroups { layout: cgroup.to_owned() })?;
            match session::run(&mut guest, ledger, self.host.limits, &Show { run: self, line: &line }) {
                End::Cancelled => self.check_cancelled()?,
                End::Done if ledger.clean() => return Ok(()),
                End::Done | End::Lost => self.show_console(name, &guest),
            }
            let remaining = ledger.remaining().len();
            if remaining == 0 {
                return Ok(());
            }
            line.say(&format!("the guest is lost; {remaining} cases go on in a new one"));
            ledger.rebooted();
        }
        anyhow::bail!("{} guests were lost", MOST_LOST + 1)
    }

    /// One more guest of a configuration.
    fn another(&self, prepared: &Prepared, name: &str, lost: usize) -> Result<Guest> {
        let log = if lost == 0 { name.to_owned() } else { format!("{name} again {lost}") };
        let log = guest::log(self.host.logs, &log);
        match &prepared.snapshot {
            Some(snapshot) => self.resume(prepared, snapshot, &log, name),
            None => self.boot(&Config { log, ..prepared.config.clone() }, prepared.kernel, name),
        }
    }

    fn check_cancelled(&self) -> Result<()> {
        anyhow::ensure!(!self.cancel.wanted(), "the run was cancelled");
        Ok(())
    }

    fn boot(&self, config: &Config, kernel: usize, name: &str) -> Result<Guest> {
        let guest = guest::boot(config).with_context(|| format!("boot {name}"))?;
        if guest.retried {
            self.collector
                .note(format!("{name}: PID 1 never appeared in the first boot; the second went well"));
        }
        self.collector.booted(kernel, &guest.booted);
        Ok(guest)
    }

    /// Resumes a guest; once more when it does not answer.
    fn resume(&self, prepared: &Prepared, snapshot: &Snapshot, log: &Path, name: &str) -> Result<Guest> {
        let attempt = || guest::resume(snapshot, log.to_owned(), &prepared.booted);
        let guest = attempt()
            .or_else(|error| {
                self.collector
                    .note(format!("{name}: the first resume failed, a second was tried: {error:#}"));
                attempt()
            })
            .with_context(|| format!("resume {name}"))?;
        self.collector.resumed(prepared.kernel, guest.ready_ms());
        Ok(guest)
    }

    fn image(&self, kernel: usize, group: &Group) -> Result<Image> {
        let kernel = self.kernels.get(kernel).context("no such kernel")?;
        let mut files = self.programs.packed();
        files.extend(self.runtime.files.iter().cloned());
        if group.config.systemd {
            files.extend(self.systemd.iter().cloned());
        }
        let signed = group.config.lockdown.is_some();
        let spec = ImageSpec { kernel, modules: &group.modules, signed, files: &files };
        image::build(&spec, self.host.cache).context("make the image")
    }

    fn show_console(&self, name: &str, guest: &Guest) {
        self.progress.say(&format!("{name}: {}", guest.console()));
    }

    fn fault(&self, name: &str, what: &str) {
        self.progress.say(&format!("{name}: the lab failed: {what}"));
        self.collector.fault(format!("{name}: {what}"));
    }

    fn name(&self, kernel: usize, group: &Group, part: &Part) -> String {
        let kernel = self.names.get(kernel).map_or("", String::as_str);
        let name = format!("{kernel} {} {}", group.config.label(&part.cgroup), part.title);
        name.trim_end().to_owned()
    }
}

/// Shows a session on the line of its guest.
struct Show<'a> {
    run: &'a Run<'a>,
    line: &'a Line<'a>,
}

impl Watch for Show<'_> {
    fn cancelled(&self) -> bool {
        self.run.cancel.wanted()
    }

    fn changed(&self, ledger: &Ledger) {
        self.line.done(ledger.progress().0);
        if let Some(case) = ledger.running() {
            self.line.now(&super::results::case_name(&case.test, &case.mode));
        }
    }
}

/// The parts of a group: for each layout the cases that share guests, then each case with a guest of its own.
fn parts(group: &Group) -> Vec<Part> {
    group.layouts.iter().flat_map(parts_of_layout).collect()
}

fn parts_of_layout(layout: &Cases) -> impl Iterator<Item = Part> {
    let cgroup = || layout.cgroup.clone();
    let count = layout.shared.len().div_ceil(PART);
    // As many in each, rather than a short rest.
    let size = layout.shared.len().div_ceil(count.max(1)).max(1);
    let shared = layout.shared.chunks(size).enumerate().map(move |(at, cases)| {
        let title = if count == 1 { String::new() } else { format!("{} of {count}", at + 1) };
        Part { cgroup: cgroup(), title, cases: cases.to_vec() }
    });
    let fresh = layout.fresh.iter().map(move |case| {
        let title = super::results::case_name(&case.test, &case.mode);
        Part { cgroup: cgroup(), title, cases: vec![case.clone()] }
    });
    shared.chain(fresh)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::plan::BootConfig;

    fn cases(count: usize) -> Vec<Case> {
        (0..count).map(|at| Case { test: format!("t{at}"), mode: "full".into() }).collect()
    }

    fn sizes(shared: usize, fresh: usize) -> Vec<usize> {
        let layout = Cases { cgroup: "v2".into(), shared: cases(shared), fresh: cases(fresh) };
        let group = Group { config: BootConfig::default(), modules: vec![], layouts: vec![layout] };
        parts(&group).iter().map(|part| part.cases.len()).collect()
    }

    #[test]
    fn parts_are_alike_and_fresh_cases_alone() {
        assert_eq!(sizes(PART, 0), [PART]);
        assert_eq!(sizes(PART + 2, 0), [PART / 2 + 1, PART / 2 + 1]);
        assert_eq!(sizes(3, 2), [3, 1, 1]);
        assert_eq!(sizes(0, 2), [1, 1]);
        assert_eq!(sizes(0, 0), [0; 0]);
        assert_eq!(sizes(100, 0).iter().sum::<usize>(), 100);
    }
}
