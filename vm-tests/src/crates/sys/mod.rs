//! Tests of `cofferdam-sys`: here the child and the paths, beside it a call of each family.
//!
//! What only one crate uses is tested with that crate: namespaces, mounts, filters, security modules.

mod files;
mod processes;
mod resources;

use super::child;
use super::kernel::{since, version};
use crate::registry::{Context, OrFail, Result, Test};
use cofferdam_ns::Isolation;
use cofferdam_sys::Errno;
use cofferdam_sys::facility;
use cofferdam_sys::open::{Dir, Open, Resolve, name_to_handle_at, open_by_handle_at, openat2};
use cofferdam_sys::plan::Step;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::AsFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

pub(super) const TESTS: &[Test] = &[
    Test::integration(
        "sys::facilities",
        "Each facility is found from its kernel on, and not before",
        facilities,
    ),
    Test::integration(
        "sys::landlock-abi",
        "The Landlock ABI is the one that this kernel is known for",
        landlock_abi,
    ),
    Test::integration(
        "sys::paths-stay-in-root",
        "A link out of a root is resolved inside it, or refused",
        paths_stay_in_root,
    ),
    Test::integration("sys::file-handles", "The host's root opens a file by its handle", file_handles),
    Test::integration(
        "sys::spawn-from-threads",
        "Children are made while other threads allocate and lock",
        spawn_from_threads,
    ),
    Test::integration(
        "sys::failed-step-is-named",
        "A failed step comes back with its name and errno",
        failed_step_is_named,
    ),
    Test::integration(
        "sys::no-descriptor-leaks",
        "A child has the standard descriptors and no other",
        no_descriptor_leaks,
    ),
    Test::integration(
        "sys::extended-attributes",
        "Attributes are the same by descriptor, by path and by the calls of Linux 6.13",
        files::extended_attributes,
    ),
    Test::integration(
        "sys::sealed-memory",
        "A sealed file in memory cannot be changed, nor executed where the kernel can seal that",
        files::sealed_memory,
    ),
    Test::integration(
        "sys::what-a-file-is",
        "Mount flags, file system, owner and device of an open file",
        files::what_a_file_is,
    ),
    Test::integration(
        "sys::a-change-is-seen",
        "A change of the mount table wakes who waits for it, and nothing else does",
        files::a_change_is_seen,
    ),
    Test::integration(
        "sys::descriptors-of-others",
        "A descriptor is copied from another process, and not without the right to trace it",
        processes::descriptors_of_others,
    ),
    Test::integration(
        "sys::closed-on-exec",
        "Every descriptor from a number on is marked close-on-exec, where the kernel can",
        processes::closed_on_exec,
    ),
    Test::integration(
        "sys::signals-and-the-end",
        "A signal and the end of a child are told apart by who waits for both",
        processes::signals_and_the_end,
    ),
    Test::integration(
        "sys::terminal",
        "A child leads a session on a terminal, which knows its size",
        processes::terminal,
    ),
    Test::integration(
        "sys::session-keyring",
        "A child has a session keyring of its own, with the permissions it was given",
        processes::session_keyring,
    ),
    Test::integration(
        "sys::process-controls",
        "Name, inspection, orphans and executable memory are set and read back",
        processes::process_controls,
    ),
    Test::integration(
        "sys::resource-limits",
        "A child has the limits that it was given",
        resources::resource_limits,
    ),
    Test::integration(
        "sys::scheduling",
        "A child has the policy, the processors and the I/O priority that it was given",
        resources::scheduling,
    ),
    Test::integration(
        "sys::memory-nodes",
        "A child's memory is bound to a node, by a mode that the kernel knows",
        resources::memory_nodes,
    ),
    Test::integration(
        "sys::personality",
        "A child believes in a kernel of 32 bits, its parent does not",
        resources::personality,
    ),
];

/// A facility and the version that brought it.
const FACILITIES: [(&str, (u32, u32)); 5] = [
    ("seccomp_user_notif", (5, 0)),
    ("time_namespace", (5, 6)),
    ("mount_setattr", (5, 12)),
    ("landlock", (5, 13)),
    ("statmount", (6, 8)),
];

fn facilities(ctx: &mut Context) -> Result {
    for (name, (major, minor)) in FACILITIES {
        ensure_eq!(ctx.has(name)?, since(major, minor)?, "{name}, which is there since {major}.{minor}");
    }
    ensure!(facility::has_clone3()?, "clone3 is there since 5.3");
    Ok(())
}

/// The first version with an ABI, and the ABI.
const LANDLOCK: [((u32, u32), u32); 9] = [
    ((5, 13), 1),
    ((5, 19), 2),
    ((6, 2), 3),
    ((6, 7), 4),
    ((6, 10), 5),
    ((6, 12), 6),
    ((6, 15), 7),
    ((7, 0), 8),
    ((7, 1), 9),
];

fn landlock_abi(_: &mut Context) -> Result {
    let found = facility::landlock_abi()?;
    let version = version()?;
    let known = LANDLOCK.iter().rev().find(|(first, _)| *first <= version).map(|(_, abi)| *abi);
    if version > (7, 1) {
        // Later kernels may have any later one.
        ensure!(found > Some(9), "Landlock ABI {found:?} on {version:?}");
        return Ok(());
    }
    ensure_eq!(found, known, "the Landlock ABI of {version:?}");
    Ok(())
}

fn paths_stay_in_root(ctx: &mut Context) -> Result {
    let root = ctx.scratch().join("root");
    fs::create_dir_all(root.join("etc"))?;
    fs::write(root.join("etc/hostname"), "inside")?;
    std::os::unix::fs::symlink("/etc/hostname", root.join("absolute"))?;
    std::os::unix::fs::symlink("../../../../etc/hostname", root.join("up"))?;
    let directory = File::open(&root)?;
    let open = |path, resolve| openat2(Dir::Fd(directory.as_fd()), path, Open::empty(), 0, resolve);
    for link in [c"absolute", c"up"] {
        let mut text = String::new();
        File::from(open(link, Resolve::IN_ROOT)?).read_to_string(&mut text)?;
        ensure_eq!(text, "inside", "what {link:?} leads to in the root");
        ensure_eq!(open(link, Resolve::BENEATH).err(), Some(Errno::EXDEV), "{link:?}, beneath");
        ensure_eq!(open(link, Resolve::NO_SYMLINKS).err(), Some(Errno::ELOOP), "{link:?}, without links");
    }
    let proc = File::open("/proc/self")?;
    let magic = openat2(Dir::Fd(proc.as_fd()), c"exe", Open::empty(), 0, Resolve::NO_MAGICLINKS);
    ensure_eq!(magic.err(), Some(Errno::ELOOP), "a magic link");
    Ok(())
}

fn file_handles(ctx: &mut Context) -> Result {
    fs::write(ctx.scratch().join("secret"), "found")?;
    let directory = File::open(ctx.scratch())?;
    let at = || Dir::Fd(directory.as_fd());
    let (kind, handle) = name_to_handle_at(at(), c"secret").or_fail("name_to_handle_at")?;
    let mut text = String::new();
    let file = open_by_handle_at(at(), kind, &handle, Open::empty()).or_fail("open_by_handle_at")?;
    File::from(file).read_to_string(&mut text)?;
    ensure_eq!(text, "found", "the file behind the handle");
    Ok(())
}

fn spawn_from_threads(_: &mut Context) -> Result {
    let stop = AtomicBool::new(false);
    // Held all the time: a child that would print, or take any lock of its parent's, waits for ever.
    let _printing = (std::io::stdout().lock(), std::io::stderr().lock());
    let shared = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..3usize {
            let (stop, shared) = (&stop, &shared);
            scope.spawn(move || allocate(stop, shared, 64 << thread));
        }
        // A thread of its own, as the locks above may be taken again by the one that has them.
        let spawner = scope.spawn(|| {
            (0..8).try_for_each(|_| {
                let facts = child::ask(&Isolation::default(), None, vec![], &["link:/proc/self/exe"])?;
                ensure_eq!(facts.get("link:/proc/self/exe")?, "/init", "the program of the child");
                Ok(())
            })
        });
        let result = spawner.join();
        stop.store(true, Ordering::Relaxed);
        result.unwrap_or_else(|_| fail!("the thread that makes children panicked"))
    })
}

fn allocate(stop: &AtomicBool, shared: &Mutex<Vec<Vec<u8>>>, size: usize) {
    while !stop.load(Ordering::Relaxed) {
        let piece = vec![7; size];
        if let Ok(mut all) = shared.lock() {
            all.push(piece);
            if all.len() > 100 {
                all.clear();
            }
        }
    }
}

fn failed_step_is_named(_: &mut Context) -> Result {
    let go = Step::ChangeDirectory(c"/no/such/directory".into());
    let answer = child::ask(&Isolation::default(), None, vec![("go to the directory", go)], &[]);
    let error = answer.err().or_fail("a failure")?.to_string();
    ensure!(error.contains("go to the directory: ") && error.contains("ENOENT"), "the error says {error}");
    Ok(())
}

fn no_descriptor_leaks(ctx: &mut Context) -> Result {
    // One that is not close-on-exec, as a careless library may leave it.
    let careless = File::open(ctx.scratch())?;
    let inherited = rustix::io::dup(&careless)?;
    rustix::io::fcntl_setfd(&inherited, rustix::io::FdFlags::empty())?;
    let facts = child::ask(&Isolation::default(), None, vec![], &["list:/proc/self/fd"])?;
    // The fourth is the listing itself.
    ensure_eq!(facts.get("list:/proc/self/fd")?, "0\n1\n2\n3", "descriptors of the child");
    Ok(())
}
