//! Tests of `cofferdam-ns`.

mod create;
mod identity;
mod ids;
mod inside;
mod join;
mod spawning;

use crate::registry::{OrFail, Result, Test};
use cofferdam_ns::{IdMap, IdMaps};

pub(super) const TESTS: &[Test] = &[
    Test::integration(
        "ns::each-kind-alone",
        "Each kind of namespace can be had anew, the others stay",
        create::each_kind_alone,
    ),
    Test::integration(
        "ns::all-at-once",
        "All namespaces can be had anew at once, as root of them",
        create::all_at_once,
    ),
    Test::integration(
        "ns::ids-are-mapped",
        "Root inside is the mapped user outside, on both sides",
        create::ids_are_mapped,
    ),
    Test::integration("ns::pid-one", "The child is process 1 of its new PID namespace", create::pid_one),
    Test::integration(
        "ns::host-name-is-private",
        "A host name set in a namespace stays there",
        create::host_name_is_private,
    ),
    Test::integration(
        "ns::limit-is-explained",
        "At the limit of user namespaces the error says what to do",
        create::limit_is_explained,
    ),
    Test::integration(
        "ns::unshared-host-name",
        "Without a UTS namespace of its own a container cannot rename the host",
        create::unshared_host_name,
    ),
    Test::integration(
        "ns::join",
        "A child joins another's namespaces, and its parent does not",
        join::by_files,
    ),
    Test::integration(
        "ns::join-user-and-mount",
        "User, mount and time namespaces are joined too, and the ids inside are theirs",
        join::user_mount_and_time,
    ),
    Test::integration(
        "ns::join-process",
        "All namespaces of a process are joined by its pidfd",
        join::by_pidfd,
    ),
    Test::integration(
        "ns::join-outer-first",
        "A namespace that the host owns is joined before the user namespace takes the right away",
        join::outer_first,
    ),
    Test::integration(
        "ns::join-then-new",
        "In a joined network namespace a child gets a user and PID namespace of its own",
        join::then_new,
    ),
    Test::integration(
        "ns::join-as-user",
        "An unprivileged user joins the namespaces of its own child",
        join::as_user,
    ),
    Test::integration(
        "ns::join-own-user-namespace",
        "The user namespace that one is in already is refused by name",
        join::own_user_namespace,
    ),
    Test::integration(
        "ns::identity",
        "A namespace tells its owner, its parent and who made it",
        identity::relations,
    ),
    Test::integration(
        "ns::unique-id",
        "Ids that are never used again are there from their kernel on",
        identity::unique_id,
    ),
    Test::integration(
        "ns::pin",
        "A pinned namespace outlives its processes and is joined by its path",
        identity::pin,
    ),
    Test::integration(
        "ns::pin-mount-namespace",
        "A mount namespace is pinned and joined",
        identity::pin_mount,
    ),
    Test::integration(
        "ns::pin-refused",
        "What is no pin, or in the way of one, stays as it is",
        identity::pin_refused,
    ),
    Test::integration("ns::maps-read-back", "Several ranges are mapped and read back", ids::read_back),
    Test::integration(
        "ns::setgroups",
        "setgroups is denied when that is asked for, and only then",
        ids::setgroups,
    ),
    Test::integration(
        "ns::ids-as-user",
        "An unprivileged user maps itself, and is told what other ids need",
        ids::as_user,
    ),
    Test::integration(
        "ns::ids-of-a-dead-process",
        "A map is never written to the process that got a dead one's number",
        ids::of_a_dead_process,
    ),
    Test::integration("ns::leases", "Host ids are leased for the life of a process", ids::leases),
    Test::integration(
        "ns::clocks",
        "Clocks are set to the nanosecond before the first process is inside",
        inside::clocks,
    ),
    Test::integration(
        "ns::clocks-as-user",
        "An unprivileged user sets the clocks of its own namespace",
        inside::clocks_as_user,
    ),
    Test::integration(
        "ns::clock-below-zero",
        "A clock that would be below zero is refused with the reason",
        inside::clock_below_zero,
    ),
    Test::integration(
        "ns::limits",
        "Namespaces inside are limited, and the host's limit stays",
        inside::limits,
    ),
    Test::integration(
        "ns::parameters",
        "Each namespaced kernel parameter is set inside and not outside",
        inside::parameters,
    ),
    Test::integration(
        "ns::spawn",
        "A command runs in namespaces, with its input, output and end",
        spawning::command,
    ),
    Test::integration(
        "ns::spawn-as-user",
        "An unprivileged user runs a command as root of its namespaces",
        spawning::command_as_user,
    ),
    Test::integration(
        "ns::spawn-failure",
        "A command that does not come to run leaves its reason and no process",
        spawning::failure,
    ),
    Test::integration(
        "ns::spawn-from-threads",
        "Threads that allocate spawn contained children, and no descriptor is left",
        spawning::from_threads,
    ),
    Test::integration(
        "ns::without-clone3",
        "Where clone3 is hidden a child gets the same namespaces",
        spawning::without_clone3,
    ),
    Test::integration(
        "ns::without-clone3-cgroup",
        "Where clone3 is hidden a child is in its cgroup before its first step",
        spawning::without_clone3_cgroup,
    )
    .cgroup("v2"),
    Test::integration("ns::subreaper", "Orphans of a sub-reaper are its children", spawning::subreaper),
    Test::integration(
        "ns::probes",
        "Each facility is there from its kernel on, and not before",
        identity::probes,
    ),
];

/// Root of a new user namespace is host user 100000.
pub(super) fn mapped() -> IdMaps {
    let map = || vec![IdMap::new(0, 100_000, 65_536)];
    IdMaps { uid: map(), gid: map() }
}

/// Runs `test` in a thread that is user 1000 without any privilege, in the host's own user namespace.
fn as_user<T: Send>(test: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    use rustix::process::{Gid, Uid};
    use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
    let unprivileged = || {
        let (uid, gid) = (Uid::from_raw(1000), Gid::from_raw(1000));
        set_thread_groups(&[])?;
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)?;
        // The change of user has made the files of this process root's.
        cofferdam_sys::process::set_dumpable(true)?;
        test()
    };
    std::thread::scope(|scope| scope.spawn(unprivileged).join()).ok().or_fail("the thread of user 1000")?
}
