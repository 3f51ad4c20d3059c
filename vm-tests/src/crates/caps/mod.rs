//! Tests of `cofferdam-caps`.

mod execve;
mod files;
mod model;
mod sets;
mod threads;

use super::child::{self, Facts};
use super::kernel::since;
use crate::registry::{Context, OrFail, Result, Test};
use cofferdam_caps::transition::IdChange;
use cofferdam_caps::{Credentials, Ids, Rules, Securebits, Sets, Status, last_cap};
use cofferdam_ns::Isolation;
use cofferdam_sys::Errno;
use cofferdam_sys::plan::{At, Step};
use cofferdam_sys::spawn::{Failure, Request, spawn};
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

pub(super) const TESTS: &[Test] = &[
    Test::integration(
        "caps::probes",
        "Each facility is found from its kernel on, and not before",
        sets::probes,
    ),
    Test::integration(
        "caps::last-is-the-kernels",
        "The last capability is the one that procfs names",
        sets::last_is_the_kernels,
    ),
    Test::integration(
        "caps::unknown-capabilities",
        "A capability that the kernel has not is refused by number, by set and by name of the set",
        sets::unknown_capabilities,
    ),
    Test::integration(
        "caps::sets-of-root",
        "Root has exactly the sets that were asked for",
        sets::sets_of_root,
    ),
    Test::integration(
        "caps::sets-of-a-user",
        "A user has its ambient capabilities and no other",
        sets::sets_of_a_user,
    ),
    Test::integration(
        "caps::none-at-all",
        "Without capabilities even the bounding set is empty",
        sets::none_at_all,
    ),
    Test::integration(
        "caps::stay-in-the-namespace",
        "Capabilities of a user namespace do not reach the host's files",
        sets::stay_in_the_namespace,
    ),
    Test::integration(
        "caps::child-with-secure-bits",
        "A child whose root means nothing has its ambient capabilities, and no way back",
        sets::child_with_secure_bits,
    ),
    Test::integration(
        "caps::no-new-privileges",
        "A set-user-id program gains nothing, and would without it",
        execve::no_new_privileges,
    ),
    Test::integration(
        "caps::status-of-a-task",
        "The sets of another process, and of one thread among others, are read by its id",
        threads::status_of_a_task,
    ),
    Test::integration(
        "caps::apply-to-one-thread",
        "A thread gives up its capabilities, its siblings keep theirs",
        threads::apply_to_one_thread,
    ),
    Test::integration(
        "caps::apply-all-or-nothing",
        "Sets that are out of reach change nothing, and the error says why",
        threads::apply_all_or_nothing,
    ),
    Test::integration(
        "caps::inheritable-without-bounding",
        "An inheritable capability outlives its place in the bounding set",
        threads::inheritable_without_bounding,
    ),
    Test::integration(
        "caps::keep-caps",
        "Permitted capabilities survive the loss of user 0 when they are kept, effective ones do not",
        threads::keep_caps,
    ),
    Test::integration(
        "caps::locked-secure-bits",
        "A locked secure bit stays, and the error tells a lock from a missing right",
        threads::locked_secure_bits,
    ),
    Test::integration(
        "caps::secure-bits-for-interpreters",
        "They are set without privilege where the kernel has them, and refused with a reason elsewhere",
        threads::secure_bits_for_interpreters,
    ),
    Test::integration(
        "caps::ambient-closed",
        "Nothing is raised in the ambient set behind NO_CAP_AMBIENT_RAISE",
        threads::ambient_closed,
    ),
    Test::integration(
        "caps::file-written-and-read",
        "File capabilities are written, read and removed by descriptor, by O_PATH and by name",
        files::written_and_read,
    ),
    Test::integration(
        "caps::file-of-a-namespace",
        "A root id makes file capabilities count in its user namespace, and nowhere else",
        files::of_a_namespace,
    ),
    Test::integration(
        "caps::file-written-in-a-namespace",
        "What is written in a user namespace belongs to its root outside",
        files::written_in_a_namespace,
    ),
    Test::integration(
        "caps::file-changed",
        "A file that is written to or given away has no capabilities any more",
        files::changed,
    ),
    Test::integration(
        "caps::file-malformed",
        "The kernel takes the bytes that the parser takes, and refuses those that it refuses",
        files::malformed,
    ),
    Test::integration(
        "caps::program-with-capabilities",
        "A user who executes a program with capabilities has these and no other",
        execve::program_with_capabilities,
    ),
    Test::integration(
        "caps::program-with-inheritable",
        "Inheritable file capabilities count for who has them inheritable",
        execve::program_with_inheritable,
    ),
    Test::integration(
        "caps::program-all-or-nothing",
        "A program with the effective flag is not executed with less than it was given",
        execve::program_all_or_nothing,
    ),
    Test::integration(
        "caps::program-on-nosuid",
        "On a nosuid mount neither file capabilities nor set-user-id bits count",
        execve::program_on_nosuid,
    ),
    Test::integration(
        "caps::program-of-root-with-capabilities",
        "A set-user-id root program with capabilities has these alone, and all without them",
        execve::program_of_root_with_capabilities,
    ),
    Test::integration(
        "caps::model-of-changes",
        "Random changes of a thread are answered, and end, as the model says",
        model::changes,
    ),
    Test::integration(
        "caps::model-of-execve",
        "What a program has after execve is what the model says, for every rule of capabilities(7)",
        model::fixed,
    ),
    Test::integration(
        "caps::model-of-random-execve",
        "What a program has after execve is what the model says, for random threads and programs",
        model::random,
    ),
];

/// Asks a child with these sets and ids, in these namespaces, run from `program`.
fn ask(isolation: &Isolation, sets: &Sets, ids: &Ids, program: &str, facts: &[&str]) -> Result<Facts> {
    ask_with(isolation, sets, ids, true, program, facts)
}

fn ask_with(
    isolation: &Isolation,
    sets: &Sets,
    ids: &Ids,
    no_new_privs: bool,
    program: &str,
    facts: &[&str],
) -> Result<Facts> {
    let facts = [&["facts", "file:/proc/self/status"], facts].concat();
    let mut plan = child::plan_of(program, &facts)?;
    isolation.lower(&mut plan);
    sets.lower(ids, no_new_privs, last_cap()?, &mut plan)?;
    child::ask_with(isolation, None, plan)
}

fn host() -> Isolation {
    Isolation::default()
}

fn user() -> Ids {
    Ids { uid: 1000, gid: 1000, groups: vec![1001], set_groups: true }
}

fn root() -> Ids {
    Ids { set_groups: true, ..Ids::default() }
}

/// The five sets that a child saw.
fn shown(facts: &Facts) -> Result<Sets> {
    Ok(Status::parse(facts.get("file:/proc/self/status")?.as_bytes())?.sets)
}

/// A copy of this program that a test may give bits and capabilities.
fn copy(ctx: &Context) -> Result<PathBuf> {
    let path = ctx.scratch().join("program");
    fs::copy(crate::guest::paths::INIT, &path)?;
    fs::set_permissions(&path, Permissions::from_mode(0o755))?;
    Ok(path)
}

/// The rules of the running kernel. What cannot be probed is known of each kernel here.
fn rules() -> Result<Rules> {
    let mut rules = Rules::of_kernel()?;
    rules.id_change = if since(6, 17)? { IdChange::Effective } else { IdChange::Real };
    Ok(rules)
}

/// Runs this on a thread of its own, whose credentials end with it.
fn on_a_thread<T: Send>(run: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(run);
        thread.join().unwrap_or_else(|_| fail!("the thread panicked"))
    })
}

/// What a copy of this program has when the calling thread executes it, or the error number of `execve(2)`.
fn execute(program: &str) -> Result<std::result::Result<Credentials, Errno>> {
    const STATUS: &str = "file:/proc/self/status";
    const SECUREBITS: &str = "securebits:";
    let mut plan = child::plan_of(program, &["facts", STATUS, SECUREBITS])?;
    let (mut answers, output) = io::pipe()?;
    plan.push("send the answers back", Step::Duplicate { from: At::from(OwnedFd::from(output)), to: 1 });
    let child = match spawn(&plan, &Request::default())?.finish() {
        Ok(child) => child,
        Err(Failure::Exec { errno, .. }) => return Ok(Err(errno)),
        Err(other) => return Err(other.into()),
    };
    drop(plan);
    let mut text = String::new();
    answers.read_to_string(&mut text)?;
    child.wait()?;
    let facts: BTreeMap<String, String> = serde_json::from_str(&text)?;
    let status = Status::parse(facts.get(STATUS).or_fail("a status")?.as_bytes())?;
    let bits = facts.get(SECUREBITS).or_fail("secure bits")?.parse()?;
    Ok(Ok(Credentials {
        uids: status.uids,
        gids: status.gids,
        groups: status.groups,
        sets: status.sets,
        securebits: Securebits::from_bits_retain(bits),
        no_new_privs: status.no_new_privs,
    }))
}
