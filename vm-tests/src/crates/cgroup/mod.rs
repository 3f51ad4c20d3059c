//! Tests of `cofferdam-cgroup`.

mod any;
mod devices;
mod events;
mod life;
mod limits;
mod members;

use super::child::{self, Sleeper};
use super::kernel::since;
use crate::guest::cgroups::Layout;
use crate::registry::{Context, OrFail, Result, Test};
use cofferdam_cgroup::{Branch, Cgroup, Controllers, Hierarchy, Limits, Positions, probe::PROBES};
use cofferdam_ns::Isolation;
use std::time::{Duration, Instant};

pub(super) const TESTS: &[Test] = &[
    Test::integration(
        "cgroup::layout-is-seen",
        "The layout that is found is the one that was set up",
        layout_is_seen,
    ),
    Test::integration(
        "cgroup::facilities",
        "Each optional facility is there from its kernel on, and not before",
        facilities,
    )
    .cgroup("v2"),
    Test::integration(
        "cgroup::born-inside",
        "A child is in its cgroup from its first instruction",
        life::born_inside,
    )
    .cgroup("v2"),
    Test::integration("cgroup::freeze", "A frozen process does nothing until it is thawed", life::freeze)
        .cgroup("v2"),
    Test::integration("cgroup::kill", "All processes of a subtree are killed, frozen ones too", life::kill)
        .cgroup("v2"),
    Test::integration(
        "cgroup::kill-outruns-forks",
        "A process that keeps changing its id is killed",
        life::kill_outruns_forks,
    )
    .cgroup("v2"),
    Test::integration(
        "cgroup::branch-is-removed",
        "Deleting a branch removes the parents that it made",
        life::branch_is_removed,
    )
    .cgroup("v2"),
    Test::integration(
        "cgroup::busy-names-processes",
        "Waiting for an end in vain names the processes",
        life::busy_names_processes,
    )
    .cgroup("v2"),
    Test::integration(
        "cgroup::nested-deletion",
        "Deleting a cgroup deletes those below, which are counted",
        life::nested_deletion,
    )
    .cgroup("v2"),
    Test::integration("cgroup::root-is-safe", "The root of the hierarchy is not deleted", life::root_is_safe)
        .cgroup("v2"),
    Test::integration(
        "cgroup::pids-limit",
        "Forks beyond the limit are refused, and counted",
        limits::pids_limit,
    )
    .cgroup("v2"),
    Test::integration(
        "cgroup::memory-limit",
        "What uses more memory than the limit is killed, and counted",
        limits::memory_limit,
    )
    .cgroup("v2"),
    Test::integration(
        "cgroup::cpu-limit",
        "What uses more processor time than the limit is held back",
        limits::cpu_limit,
    )
    .cgroup("v2"),
    Test::integration(
        "cgroup::missing-controller",
        "A limit without its controller is an error, not ignored",
        limits::missing_controller,
    )
    .cgroup("v2"),
    Test::integration(
        "cgroup::limits-read-back",
        "Every limit that is written is read back equal",
        limits::limits_read_back,
    )
    .cgroup("v2"),
    Test::integration("cgroup::no-limit-is-max", "A new cgroup has no limits", limits::no_limit_is_max)
        .cgroup("v2"),
    Test::integration(
        "cgroup::update-is-all-or-none",
        "A refused update leaves the limits as they were",
        limits::update_is_all_or_none,
    )
    .cgroup("v2"),
    Test::integration(
        "cgroup::burst-and-idle",
        "Newer files of cpu are written, or their kernel is named",
        limits::burst_and_idle,
    )
    .cgroup("v2"),
    Test::integration("cgroup::oom-group", "The OOM killer kills one or all, as asked", limits::oom_group)
        .cgroup("v2"),
    Test::integration(
        "cgroup::cpuset",
        "A process runs on the processors of its cpuset; wrong lists are refused",
        limits::cpuset,
    )
    .cgroup("v2"),
    Test::integration("cgroup::hugetlb", "Limits of huge pages are written and read back", limits::hugetlb)
        .cgroup("v2"),
    Test::integration(
        "cgroup::wrong-device",
        "A limit for a disk that is not there names it",
        limits::wrong_device,
    )
    .cgroup("v2"),
    Test::integration(
        "cgroup::cgroups-below-are-limited",
        "Depth and number of cgroups below are limited",
        limits::cgroups_below_are_limited,
    )
    .cgroup("v2"),
    Test::integration(
        "cgroup::v1-files-are-refused",
        "Files of v1 and of no controller are refused",
        limits::files_of_v1_are_refused,
    )
    .cgroup("v2"),
    Test::integration(
        "cgroup::no-internal-processes",
        "Controllers beside processes are refused, with the reason",
        limits::subtree_control,
    )
    .cgroup("v2"),
    Test::integration(
        "cgroup::device-filter",
        "Only the devices of the list can be opened",
        devices::device_filter,
    )
    .cgroup("v2"),
    Test::integration(
        "cgroup::device-last-rule-wins",
        "The last rule that fits a device decides",
        devices::last_rule_wins,
    )
    .cgroup("v2"),
    Test::integration(
        "cgroup::device-read-back",
        "The device list in force is read back, replaced and taken away",
        devices::read_back,
    )
    .cgroup("v2"),
    Test::integration(
        "cgroup::device-list-of-parents",
        "The device list of a parent stays in force below",
        devices::of_parents,
    )
    .cgroup("v2"),
    Test::integration(
        "cgroup::device-list-keeps-its-place",
        "An update takes the place of the old device list, and leaves those of others",
        devices::keeps_its_place,
    )
    .cgroup("v2"),
    Test::integration(
        "cgroup::device-list-is-replaced-at-once",
        "At no moment none or both of two device lists are in force",
        devices::replaced_atomically,
    )
    .cgroup("v2"),
    Test::integration(
        "cgroup::move",
        "A process is moved, and found where it is",
        members::processes_are_moved,
    )
    .cgroup("v2"),
    Test::integration(
        "cgroup::threads",
        "Threads are moved within a threaded subtree, and not into it",
        members::threads_are_moved,
    )
    .cgroup("v2"),
    Test::integration(
        "cgroup::removed-position",
        "The position of a zombie says that its cgroup is gone",
        members::removed_position,
    )
    .cgroup("v2"),
    Test::integration(
        "cgroup::position-in-a-namespace",
        "A cgroup namespace shows positions from its own root",
        members::position_in_a_namespace,
    )
    .cgroup("v2"),
    Test::integration(
        "cgroup::delegate",
        "A user gets the files of the kernel's list and can change no limit",
        members::delegated_to_a_user,
    )
    .cgroup("v2"),
    Test::integration(
        "cgroup::delegation-is-seen",
        "What is delegated to the caller is seen",
        members::delegation_is_seen,
    )
    .cgroup("v2"),
    Test::integration(
        "cgroup::refused-delegation",
        "A refused delegation names the capability and leaves nothing",
        members::refused_delegation,
    )
    .cgroup("v2"),
    Test::integration(
        "cgroup::event-populated",
        "The first process and the end of the last are events",
        events::populated,
    )
    .cgroup("v2"),
    Test::integration(
        "cgroup::event-out-of-memory",
        "An OOM kill is an event, of the cgroup and of its parents",
        events::out_of_memory,
    )
    .cgroup("v2"),
    Test::integration("cgroup::event-refused-forks", "A refused fork is an event", events::refused_forks)
        .cgroup("v2"),
    Test::integration("cgroup::event-gone", "Waiting for a cgroup that is removed ends", events::gone)
        .cgroup("v2"),
    Test::integration(
        "cgroup::pressure",
        "Pressure is read, or what would bring it is named",
        events::pressure_is_read,
    )
    .cgroup("v2"),
    Test::integration(
        "cgroup::pressure-trigger",
        "A crossed threshold of pressure wakes, wrong ones are refused",
        events::pressure_trigger,
    )
    .cgroup("v2"),
    Test::integration(
        "cgroup::pressure-switch",
        "Pressure is switched off for one cgroup from 6.1 on",
        events::pressure_switch,
    )
    .cgroup("v2"),
    Test::integration("cgroup::reclaim", "Memory is taken away from 5.19 on", events::reclaim).cgroup("v2"),
    Test::integration("cgroup::own-peak", "A peak of one's own is reset from 6.12 on", events::own_peak)
        .cgroup("v2"),
    Test::integration("cgroup::statistics", "What was used is counted", events::statistics).cgroup("v2"),
    Test::integration("cgroup::v1-pids", "v1: The limit of processes holds", any::pids).cgroup("v1"),
    Test::integration(
        "cgroup::v1-memory",
        "v1: The limit of memory holds, or the missing controller is named",
        any::memory,
    )
    .cgroup("v1"),
    Test::integration("cgroup::v1-cpu", "v1: The limit of processor time holds, and is read back", any::cpu)
        .cgroup("v1"),
    Test::integration(
        "cgroup::v1-freeze",
        "v1: A frozen process does nothing until it is thawed",
        any::freeze,
    )
    .cgroup("v1"),
    Test::integration(
        "cgroup::v1-kill-outruns-forks",
        "v1: A process that keeps changing its id is killed",
        any::kill_outruns_forks,
    )
    .cgroup("v1"),
    Test::integration("cgroup::v1-devices", "v1: The device list holds, also after an update", any::devices)
        .cgroup("v1"),
    Test::integration(
        "cgroup::v1-opened-again",
        "v1: A cgroup is found again by its path and deleted",
        any::opened_again,
    )
    .cgroup("v1"),
    Test::integration(
        "cgroup::v1-nothing-is-left",
        "v1: A process is in all parts, and nothing is left of any",
        any::nothing_is_left,
    )
    .cgroup("v1"),
    Test::integration(
        "cgroup::v1-what-v1-has-not",
        "v1: What v1 has not is named, and nothing is written",
        any::what_v1_has_not,
    )
    .cgroup("v1"),
    Test::integration(
        "cgroup::v1-half-made",
        "v1: A name that is taken in one hierarchy leaves nothing in others",
        any::half_made,
    )
    .cgroup("v1"),
    Test::integration("cgroup::hybrid-pids", "hybrid: The limit of processes holds", any::pids)
        .cgroup("hybrid"),
    Test::integration(
        "cgroup::hybrid-memory",
        "hybrid: The limit of memory holds, or the missing controller is named",
        any::memory,
    )
    .cgroup("hybrid"),
    Test::integration(
        "cgroup::hybrid-cpu",
        "hybrid: The limit of processor time holds, and is read back",
        any::cpu,
    )
    .cgroup("hybrid"),
    Test::integration(
        "cgroup::hybrid-freeze",
        "hybrid: A frozen process does nothing until it is thawed",
        any::freeze,
    )
    .cgroup("hybrid"),
    Test::integration(
        "cgroup::hybrid-kill-outruns-forks",
        "hybrid: A process that keeps changing its id is killed",
        any::kill_outruns_forks,
    )
    .cgroup("hybrid"),
    Test::integration(
        "cgroup::hybrid-devices",
        "hybrid: The device list holds, also after an update",
        any::devices,
    )
    .cgroup("hybrid"),
    Test::integration(
        "cgroup::hybrid-opened-again",
        "hybrid: A cgroup is found again by its path and deleted",
        any::opened_again,
    )
    .cgroup("hybrid"),
    Test::integration(
        "cgroup::hybrid-nothing-is-left",
        "hybrid: A process is in all parts, and nothing is left of any",
        any::nothing_is_left,
    )
    .cgroup("hybrid"),
    Test::integration(
        "cgroup::hybrid-half-made",
        "hybrid: A name that is taken in one hierarchy leaves nothing in others",
        any::half_made,
    )
    .cgroup("hybrid"),
    Test::integration(
        "cgroup::v1-memory-of-nested",
        "v1: A limit of memory holds for cgroups below",
        any::memory_of_nested,
    )
    .cgroup("v1"),
    Test::integration(
        "cgroup::v1-memory-and-swap",
        "v1: Memory and swap are raised and lowered in either order",
        any::memory_and_swap,
    )
    .cgroup("v1"),
    Test::integration(
        "cgroup::v1-cpuset",
        "v1: A new cpuset takes processes without being told to inherit",
        any::cpuset,
    )
    .cgroup("v1"),
    Test::integration(
        "cgroup::v1-inexpressible-devices",
        "v1: Device rules that v1 cannot express are refused",
        any::inexpressible_devices,
    )
    .cgroup("v1"),
];

/// A cgroup of a test; killed and deleted when dropped.
struct Group(Option<Branch>);

/// Waits until a process has used processor time.
fn spins(used: impl Fn() -> Result<u64>) -> Result {
    let (before, end) = (used()?, Instant::now() + Duration::from_secs(20));
    while used()? == before {
        ensure!(Instant::now() < end, "the spinner does not spin");
        std::thread::yield_now();
    }
    Ok(())
}

/// Looks at processor time for a moment in which it must not grow.
fn stands_still(used: impl Fn() -> Result<u64>) -> Result {
    let before = used()?;
    std::thread::sleep(Duration::from_millis(80));
    ensure_eq!(used()?, before, "processor time of a frozen process, in microseconds");
    Ok(())
}

impl Group {
    fn new(limits: &Limits) -> Result<Self> {
        Self::with(&["cpu", "memory", "pids"], limits)
    }

    fn with(controllers: &[&str], limits: &Limits) -> Result<Self> {
        let controllers: Controllers = controllers.iter().copied().collect();
        let group = Self(Some(Branch::create(&root()?, "test/leaf", &controllers)?));
        group.leaf()?.apply(limits)?;
        Ok(group)
    }

    fn leaf(&self) -> Result<&Cgroup> {
        Ok(self.0.as_ref().or_fail("the cgroup")?.leaf())
    }

    /// What a child that was born in it answers.
    fn ask(&self, facts: &[&str]) -> Result<child::Facts> {
        child::ask(&Isolation::default(), Some(self.leaf()?.fd()), vec![], facts)
    }

    fn sleeper(&self) -> Result<Sleeper> {
        Sleeper::start(&Isolation::default(), Some(self.leaf()?.fd()), vec![])
    }

    /// A process in the cgroup of the test itself.
    fn outside() -> Result<Sleeper> {
        Sleeper::start(&Isolation::default(), None, vec![])
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(branch) = self.0.take() {
            // What stays is found by the leak check.
            let _ = branch.leaf().kill();
            let _ = branch.leaf().wait_empty(Duration::from_secs(5));
            let _ = branch.delete();
        }
    }
}

fn root() -> Result<Cgroup> {
    Ok(Cgroup::root(&Hierarchy::detect()?)?)
}

/// The path of the test's own cgroup, as the kernel prints it.
fn own_cgroup() -> Result<String> {
    let positions = Positions::own()?;
    Ok(positions.v2().or_fail("the own position")?.path.display().to_string())
}

fn layout_is_seen(ctx: &mut Context) -> Result {
    let found = match Hierarchy::detect()? {
        Hierarchy::Unified(_) => Some(Layout::V2),
        Hierarchy::Hybrid { .. } => Some(Layout::Hybrid),
        Hierarchy::Legacy { .. } => Some(Layout::V1),
        _ => None,
    };
    ensure_eq!(found, Some(ctx.layout()), "the layout");
    Ok(())
}

/// What has no answer by the version alone: it hangs on how a kernel was built.
const BY_OPTION: [&str; 6] = [
    "psi",
    "io.prio.class",
    "misc_controller",
    "dmem_controller",
    "memory.zswap.max",
    "memory.zswap.writeback",
];

fn facilities(ctx: &mut Context) -> Result {
    let group = Group::with(&["cpu", "cpuset", "io", "memory", "pids"], &Limits::default())?;
    for probe in PROBES {
        let (major, minor) = probe.since.split_once('.').or_fail(probe.name)?;
        let (major, minor) = (major.parse()?, minor.parse()?);
        let answer = (probe.ask)().or_fail(probe.name)?;
        let newer = since(major, minor)?;
        match probe.name {
            "cgroup.pressure" => ensure_eq!(answer, newer && ctx.has("psi")?, "{}", probe.name),
            name if BY_OPTION.contains(&name) => ensure!(newer || !answer, "{name} is there too early"),
            name => ensure_eq!(answer, newer, "{name}, which is there since {}", probe.since),
        }
    }
    let stats = group.leaf()?.stats()?;
    let memory = stats.memory.or_fail("memory statistics")?;
    ensure_eq!(memory.peak.is_some(), since(5, 19)?, "memory.peak in the statistics");
    let pids = stats.pids.or_fail("process statistics")?;
    ensure_eq!(pids.peak.is_some(), since(6, 1)?, "pids.peak in the statistics");
    Ok(())
}
