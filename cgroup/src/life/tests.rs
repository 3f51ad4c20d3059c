//! With real cgroups. A mistake here can kill what it should not, so these tests are for a machine to throw
//! away: `cargo xtask test` runs them in a guest.

use super::*;
use crate::Hierarchy;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};

/// A cgroup of the test's own that is killed and removed at its end.
fn scratch() -> Scratch {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("cofferdam-test-{}-{number}", std::process::id());
    let root = Cgroup::root(&Hierarchy::detect().unwrap()).unwrap();
    Scratch(Cgroup::create(&root, &name).unwrap())
}

struct Scratch(Cgroup);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = self.0.kill();
        self.0.try_clone().unwrap().delete().unwrap();
    }
}

fn sleeper(group: &Cgroup) -> Child {
    let child = Command::new("sleep").arg("60").spawn().unwrap();
    group.add(child.id().cast_signed()).unwrap();
    child
}

/// Forks for some seconds, and comes to an end by itself should nothing kill it.
const FORKS: &str = "i=0; while [ $i -lt 5000 ]; do true & i=$((i + 1)); sleep 0; done; sleep 20";

/// The signal that ended a child.
fn killed_by(child: &mut Child) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&child.wait().unwrap())
}

#[test]
#[ignore = "changes control groups as root: `cargo xtask test` runs it in a guest"]
fn processes_are_listed_stopped_and_killed() {
    let Scratch(group) = &scratch();
    assert_eq!(group.events().unwrap(), Events { populated: false, frozen: Some(false) });
    let mut child = sleeper(group);
    assert_eq!(group.procs().unwrap(), [child.id().cast_signed()]);
    assert!(group.events().unwrap().populated);

    group.freeze().unwrap();
    assert_eq!(group.events().unwrap().frozen, Some(true));
    group.thaw().unwrap();
    assert_eq!(group.events().unwrap().frozen, Some(false));

    group.freeze().unwrap();
    group.kill().unwrap();
    group.wait_empty(PATIENCE).unwrap();
    assert_eq!(killed_by(&mut child), Some(SIGKILL));
}

#[test]
#[ignore = "changes control groups as root: `cargo xtask test` runs it in a guest"]
fn signals_kill_as_thoroughly() {
    let Scratch(group) = &scratch();
    let below = Cgroup::create(group, "below").unwrap();
    let mut one = sleeper(&below);
    group.freeze().unwrap();
    assert!(group.files().signal_all().unwrap(), "a process below counts");
    group.thaw().unwrap();
    assert_eq!(killed_by(&mut one), Some(SIGKILL));
    assert!(!group.files().signal_all().unwrap());

    let mut one = sleeper(&below);
    // Its children come and go faster than a list of them is read.
    let mut forker = Command::new("sh").args(["-c", FORKS]).spawn().unwrap();
    group.add(forker.id().cast_signed()).unwrap();
    group.kill_by_signals().unwrap();
    assert!(!group.events().unwrap().populated);
    assert_eq!(killed_by(&mut one), Some(SIGKILL));
    assert_eq!(killed_by(&mut forker), Some(SIGKILL));
    // It is left usable.
    assert_eq!(group.events().unwrap().frozen, Some(false));
}

#[test]
#[ignore = "changes control groups as root: `cargo xtask test` runs it in a guest"]
fn a_cgroup_in_use_is_not_deleted_and_says_by_whom() {
    let Scratch(group) = &scratch();
    let mut child = sleeper(group);
    let error = group.try_clone().unwrap().remove(Duration::from_millis(30)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.to_string().ends_with(&format!("it has processes: {}", child.id())), "{error}");
    let error = group.wait_empty(Duration::from_millis(30)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    group.kill().unwrap();
    child.wait().unwrap();
}

#[test]
#[ignore = "changes control groups as root: `cargo xtask test` runs it in a guest"]
fn deletion_waits_for_the_last_process() {
    let Scratch(group) = &scratch();
    let mut child = sleeper(group);
    Cgroup::create(&Cgroup::create(group, "a").unwrap(), "b").unwrap();
    let killer = std::thread::spawn({
        let group = group.try_clone().unwrap();
        move || {
            std::thread::sleep(Duration::from_millis(100));
            group.kill().unwrap();
        }
    });
    let start = Instant::now();
    group.try_clone().unwrap().delete().unwrap();
    assert!(start.elapsed() >= Duration::from_millis(90));
    killer.join().unwrap();
    child.wait().unwrap();
    assert!(!group.path().exists());
    // What is gone is gone.
    assert_eq!(group.events().unwrap_err().kind(), ErrorKind::NotFound);
    group.try_clone().unwrap().delete().unwrap();
}

#[test]
#[ignore = "changes control groups as root: `cargo xtask test` runs it in a guest"]
fn a_namesake_is_not_deleted() {
    let Scratch(group) = &scratch();
    let first = Cgroup::create(group, "x").unwrap();
    first.try_clone().unwrap().delete().unwrap();
    let second = Cgroup::create(group, "x").unwrap();
    first.delete().unwrap();
    assert!(second.path().exists());
}

#[test]
#[ignore = "changes control groups as root: `cargo xtask test` runs it in a guest"]
fn the_root_is_neither_killed_nor_deleted() {
    // The check alone: a `kill` of the root that is not refused would take the machine with it.
    let root = Cgroup::root(&Hierarchy::detect().unwrap()).unwrap();
    let Scratch(group) = &scratch();
    let error = root.refuse_root("kill").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(
        error.to_string().ends_with("it is the root of the hierarchy; make a cgroup below it"),
        "{error}"
    );
    group.refuse_root("kill").unwrap();
}
