//! The child of a spawn must not allocate: in a threaded program the lock may be held for ever.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::CString;
use std::fs::File;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use cofferdam_sys::clone::Namespaces;
use cofferdam_sys::mount::MountFlags;
use cofferdam_sys::plan::{Absent, At, Errand, Exec, Input, PathIn, Plan, Step};
use cofferdam_sys::process::Exit;
use cofferdam_sys::readback::{IdKind, Wanted};
use cofferdam_sys::seccomp::{FilterFlags, Instruction};
use cofferdam_sys::spawn::{Failure, Request, spawn};
use cofferdam_sys::{open, rlimit, sched};

/// Aborts when another process than the one that was noted allocates or frees.
struct Guard;

static OWNER: AtomicI32 = AtomicI32::new(0);

fn check() {
    let owner = OWNER.load(Ordering::Relaxed);
    // SAFETY: takes no pointer.
    if owner != 0 && owner != unsafe { libc::getpid() } {
        // SAFETY: takes no pointer, does not return.
        unsafe { libc::_exit(99) }
    }
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Guard {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        check();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        check();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Guard = Guard;

fn plan(program: &str) -> Plan {
    Plan::new(Exec {
        candidates: vec![CString::new(program).unwrap()],
        args: vec![c"program".to_owned()],
        env: vec![c"A=b".to_owned()],
    })
}

/// Every kind of step that needs no privilege, the failing paths included.
fn harmless(plan: &mut Plan) {
    let dir = tempfile_dir();
    let root = open::openat2(open::Dir::Cwd, &dir, open::Open::PATH, 0, open::Resolve::empty()).unwrap();
    let root = At::from(root);
    let slots: Vec<_> = (0..4).map(|_| plan.slot().unwrap()).collect();
    let path = PathIn::new(b"a/b/c").unwrap();
    plan.push("wait", Step::WaitForParent);
    plan.push("session", Step::NewSession);
    plan.push("umask", Step::FileModeMask(0o22));
    plan.push("root", Step::ChangeDirectory(c"/".into()));
    plan.push("home", Step::FindHome { uid: 0 });
    plan.push("dirs", Step::EnsureDir { root: root.clone(), path: path.clone(), out: slots[0] });
    let file = PathIn::new(b"a/file").unwrap();
    plan.push("file", Step::EnsureFile { root: root.clone(), path: file, out: slots[1] });
    plan.push("link", Step::Symlink { dir: root.clone(), name: c"l".into(), target: c"a".into() });
    plan.push("close", Step::Close(slots[0]));
    let limit = rlimit::get(0, rlimit::by_name("RLIMIT_CORE").unwrap()).unwrap();
    plan.push("limit", Step::ResourceLimit { resource: rlimit::by_name("RLIMIT_CORE").unwrap(), limit });
    plan.push("nice", Step::Scheduler(sched::Attributes { nice: 1, ..sched::Attributes::default() }));
    plan.push("disk", Step::IoPriority { class: sched::IoClass::BestEffort, level: 5 });
    plan.push("processors", Step::Processors(sched::affinity(0).unwrap()));
    plan.push("directory", Step::RequireDirectory { fd: root.clone() });
    plan.push(
        "missing",
        Step::OpenIn {
            dir: root,
            path: c"missing".into(),
            flags: open::Open::PATH,
            resolve: open::Resolve::IN_ROOT,
            absent: Absent::Skip(0),
            out: slots[2],
        },
    );
    mounts(plan, &dir);
    plan.push("close what nobody needs", Step::CloseOthers);
    plan.push("look for the program", Step::RequireProgram);
    let input = Input { before: b"{".to_vec(), after: b"}".to_vec() };
    let exec = Exec {
        candidates: vec![c"/bin/cat".into()],
        args: vec![c"cat".into(), c"-".into()],
        env: vec![c"A=b".into()],
    };
    let program = Errand {
        exec,
        input,
        directory: c"/".into(),
        home: true,
        timeout: Some(Duration::from_secs(20)),
        rest: true,
    };
    plan.push("run a program", Step::Run(Box::new(program)));
    plan.push("come this far", Step::TellParent);
    plan.push("fork", Step::Fork(Namespaces::empty()));
    plan.push("take orphans", Step::ChildSubreaper);
    plan.push("no new privileges", Step::NoNewPrivileges);
    security(plan);
    let allow = Instruction { code: 0x06, jump_true: 0, jump_false: 0, operand: 0x7fff_0000 };
    let flags = FilterFlags::empty();
    plan.push_last(
        "filter",
        Step::SystemCallFilter { program: [allow].into(), flags, listener: Some(slots[3]) },
    );
    let (sender, receiver) = std::os::unix::net::UnixStream::pair().unwrap();
    // Whatever is sent waits in the socket: the test ends without reading it.
    std::mem::forget(receiver);
    let (socket, payload) = (At::from(OwnedFd::from(sender)), vec![0; 100]);
    plan.push_last("send", Step::SendDescriptor { socket, descriptor: slots[3].into(), payload });
}

static COPIES: AtomicI32 = AtomicI32::new(0);

/// Reading back, and the copy of what is below `a`.
fn mounts(plan: &mut Plan, dir: &CString) {
    let open = |path| At::from(OwnedFd::from(File::open(path).unwrap()));
    let (note, kind) = (plan.note().unwrap(), IdKind::Reused);
    plan.push("note", Step::NoteMount { mount: open("/"), kind, note });
    let (wanted, propagation) = (Wanted::default(), MountFlags::empty());
    let path = c"/".to_owned();
    plan.push("require", Step::RequireMount { path, note, kind, wanted, propagation, optional: false });
    plan.push("peers", Step::RequirePropagation { proc: open("/proc"), noted: vec![], others: false });
    let (from, to) = (plan.slot().unwrap(), plan.slot().unwrap());
    let root = open::openat2(open::Dir::Cwd, dir, open::Open::PATH, 0, open::Resolve::empty()).unwrap();
    let root = At::from(root);
    // Each copy goes to a directory that is not there yet.
    let new = format!("copy-{}", COPIES.fetch_add(1, Ordering::Relaxed));
    for (name, out) in [("a", from), (new.as_str(), to)] {
        let path = PathIn::new(name.as_bytes()).unwrap();
        plan.push("dir", Step::EnsureDir { root: root.clone(), path, out });
    }
    plan.push("copy", Step::CopyContent { from: from.into(), to: to.into(), top: true });
}

/// What a child tells the security modules. Where there is no Landlock, nothing of it is left to test here.
fn security(plan: &mut Plan) {
    let open = |path| At::from(OwnedFd::from(File::open(path).unwrap()));
    let data = b"renamed".to_vec();
    plan.push("name itself", Step::WriteOwn { proc: open("/proc"), path: c"comm".into(), data });
    if let Some(ruleset) = ruleset() {
        let ruleset = At::from(ruleset);
        let (directory, other) = (MAKE_SOCK, 0);
        let allow = Step::LandlockAllow { ruleset: ruleset.clone(), file: open("/"), directory, other };
        plan.push("allow", allow);
        plan.push("restrict itself", Step::LandlockRestrict { ruleset, flags: 0 });
    }
}

/// `LANDLOCK_ACCESS_FS_MAKE_SOCK`.
const MAKE_SOCK: u64 = 1 << 9;

/// A Landlock ruleset that handles the making of sockets only.
fn ruleset() -> Option<OwnedFd> {
    let handled = MAKE_SOCK;
    // SAFETY: the attribute is the first word of the kernel's structure, and its size is given.
    let fd = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, &raw const handled, 8, 0) };
    // SAFETY: the kernel just returned this descriptor.
    (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd.try_into().unwrap()) })
}

fn tempfile_dir() -> CString {
    let dir = std::env::temp_dir().join(format!("no-allocation-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    CString::new(dir.into_os_string().into_encoded_bytes()).unwrap()
}

#[test]
fn walking_allocates_nothing() {
    // SAFETY: takes no pointer.
    OWNER.store(unsafe { libc::getpid() }, Ordering::Relaxed);

    let mut good = plan("/bin/true");
    harmless(&mut good);
    let mut spawning = spawn(&good, &Request::default()).unwrap();
    spawning.release().unwrap();
    spawning.reached().unwrap();
    assert_eq!(spawning.finish().unwrap().wait().unwrap(), Exit::Code(0));

    let mut bad = plan("/nowhere");
    harmless(&mut bad);
    let mut spawning = spawn(&bad, &Request::default()).unwrap();
    spawning.release().unwrap();
    let failure = spawning.finish().unwrap_err();
    assert!(matches!(failure, Failure::Exec { .. }), "{failure}");

    std::fs::remove_dir_all(tempfile_dir().into_string().unwrap()).unwrap();
}
