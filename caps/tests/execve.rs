//! What a program has after `execve(2)`: the model against the running kernel, for root.
//!
//! The lab has the same on all kernels; this one is for whoever changes the model.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod common;

use std::cell::Cell;
use std::ffi::CString;
use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use cofferdam_caps::transition::IdChange;
use cofferdam_caps::{Cap, CapSet, Change, Credentials, FileCaps, Program, Rules, Securebits, Status};
use cofferdam_sys::Errno;
use cofferdam_sys::plan::{At, Exec, Plan, Step};
use cofferdam_sys::spawn::{Failure, Request, spawn};
use common::{ambient, change, fitting, set};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// Half of them with file capabilities.
fn program() -> impl Strategy<Value = Program> {
    let caps = (set(), set(), any::<bool>(), prop::sample::select(vec![None, None, None, Some(1000)]))
        .prop_map(|(permitted, inheritable, effective, rootid)| FileCaps {
            permitted: permitted & CapSet::ALL,
            inheritable: inheritable & CapSet::ALL,
            effective,
            rootid,
        });
    let ids = || prop::sample::select(vec![None, None, Some(0), Some(1000)]);
    (ids(), ids(), prop::option::of(caps)).prop_map(|(set_user_id, set_group_id, caps)| Program {
        set_user_id,
        set_group_id,
        caps,
        nosuid: false,
    })
}

/// Gives the file at `path` these bits and capabilities; what it then is for the kernel.
fn prepare(path: &Path, wanted: &Program) -> Program {
    chown(path, Some(wanted.set_user_id.unwrap_or(0)), Some(wanted.set_group_id.unwrap_or(0))).unwrap();
    let bits = wanted.set_user_id.map_or(0, |_| 0o4000) | wanted.set_group_id.map_or(0, |_| 0o2000);
    fs::set_permissions(path, Permissions::from_mode(0o755 | bits)).unwrap();
    let file = File::open(path).unwrap();
    match wanted.caps {
        Some(caps) => caps.write(&file).unwrap(),
        None => drop(FileCaps::remove(&file).unwrap()),
    }
    let found = Program::of(&file).unwrap();
    assert_eq!(Program { nosuid: false, ..found }, *wanted);
    found
}

/// What a copy of cat(1) says that it has when the calling thread executes it.
fn execute(path: &Path) -> Result<Status, Errno> {
    let text = |text: &[u8]| CString::new(text).unwrap();
    let (mut read, write) = std::io::pipe().unwrap();
    let args = vec![text(b"cat"), text(b"/proc/self/status")];
    let mut plan = Plan::new(Exec { candidates: vec![text(path.as_os_str().as_bytes())], args, env: vec![] });
    plan.push("print to the pipe", Step::Duplicate { from: At::from(OwnedFd::from(write)), to: 1 });
    let child = match spawn(&plan, &Request::default()).unwrap().finish() {
        Ok(child) => child,
        Err(Failure::Exec { errno, .. }) => return Err(errno),
        Err(failure) => panic!("{failure}"),
    };
    drop(plan);
    let mut printed = Vec::new();
    read.read_to_end(&mut printed).unwrap();
    child.wait().unwrap();
    Ok(Status::parse(&printed).unwrap())
}

/// The thread before `execve`, and the answer.
fn run(path: &Path, first: CapSet, changes: &[Change]) -> (Credentials, Result<Status, Errno>) {
    let walk = || {
        for change in ambient(&Credentials::current().unwrap(), first).iter().chain(changes) {
            // Most are made to succeed; what is refused changes nothing, which is for the other test.
            let _ = fitting(*change, &Credentials::current().unwrap()).apply();
        }
        (Credentials::current().unwrap(), execute(path))
    };
    std::thread::scope(|scope| scope.spawn(walk).join().unwrap())
}

/// As far as a status shows it.
fn seen(thread: Credentials) -> Status {
    let Credentials { uids, gids, groups, sets, no_new_privs, .. } = thread;
    Status { uids, gids, groups, sets, no_new_privs }
}

#[test]
fn the_kernel_executes_as_the_model_says() {
    let have = Credentials::current().unwrap().sets.effective;
    let need = CapSet::of(&[Cap::SETFCAP, Cap::SETUID, Cap::SETGID, Cap::SETPCAP, Cap::CHOWN, Cap::FOWNER]);
    if !need.is_subset(have) {
        eprintln!("skipped: needs {need}, this thread has {have}");
        return;
    }
    let directory = std::env::temp_dir().join(format!("cofferdam-execve-{}", std::process::id()));
    fs::create_dir(&directory).unwrap();
    fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
    let path = directory.join("program");
    fs::copy("/bin/cat", &path).unwrap();
    // Which of the two kinds of kernel it can still be.
    let possible = Cell::new([true, true]);
    let config = ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() };
    let bits =
        prop::sample::select(vec![Securebits::NOROOT, Securebits::NO_SETUID_FIXUP, Securebits::KEEP_CAPS]);
    let strategy = (set(), prop::option::of(bits), prop::collection::vec(change(), 0..6), program());
    let result = TestRunner::new(config).run(&strategy, |(first, bits, mut changes, wanted)| {
        changes.splice(0..0, bits.map(Change::Securebits));
        let program = prepare(&path, &wanted);
        let (before, found) = run(&path, first, &changes);
        let agrees = [IdChange::Real, IdChange::Effective].map(|id_change| {
            let mut rules = Rules::of_kernel().unwrap();
            rules.id_change = id_change;
            before.execve(&program, rules).map(seen) == found
        });
        let [real, effective] = possible.get();
        possible.set([real && agrees[0], effective && agrees[1]]);
        prop_assert_ne!(possible.get(), [false; 2], "{:?} of {:?}: {:#?}", program, before, found);
        Ok(())
    });
    fs::remove_dir_all(&directory).unwrap();
    result.unwrap();
}
