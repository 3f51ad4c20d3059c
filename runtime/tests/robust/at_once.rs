//! Two commands on one container at the same moment: one wins, the other says why it did not.

use std::sync::Barrier;
use std::thread;

use nix::sys::signal::{Signal, kill};

use crate::left::settle;
use crate::order::{Ended, order};
use crate::scene::Scene;

const ROUNDS: usize = 15;

/// Gives both commands at once and waits for both.
fn both(scene: &Scene, one: &[&str], other: &[&str]) -> [Ended; 2] {
    let (one, other) = (scene.words(one), scene.words(other));
    let ready = Barrier::new(2);
    let go = |words: &[String]| {
        ready.wait();
        order(words)
    };
    thread::scope(|scope| {
        let [one, other] = [&one, &other].map(|words| scope.spawn(|| go(words)));
        [one.join().unwrap(), other.join().unwrap()]
    })
}

/// An answer is success or one of the known refusals, in one line; gives how many succeeded.
#[track_caller]
fn won(ended: &[Ended; 2], refusals: &[&str]) -> usize {
    for Ended { code, stderr, .. } in ended {
        let refused = refusals.iter().any(|refusal| stderr.contains(refusal)) && stderr.lines().count() == 1;
        assert!(*code == Some(0) || (matches!(code, Some(1 | 255)) && refused), "{ended:?}");
    }
    ended.iter().filter(|ended| ended.code == Some(0)).count()
}

#[test]
fn of_two_creations_one_makes_the_container() {
    let Some(scene) = Scene::new("create-create") else { return };
    for _ in 0..ROUNDS {
        let ended = both(&scene, &["create"], &["create"]);
        assert_eq!(won(&ended, &["already exists"]), 1, "{ended:?}");
        scene.must(&["start"]);
        assert_eq!(scene.status().as_deref(), Ok("running"));
        scene.clear();
    }
}

#[test]
fn of_two_starts_one_starts_it() {
    let Some(scene) = Scene::new("start-start") else { return };
    for _ in 0..ROUNDS {
        scene.must(&["create"]);
        let ended = both(&scene, &["start"], &["start"]);
        assert_eq!(won(&ended, &["already running"]), 1, "{ended:?}");
        assert_eq!(scene.status().as_deref(), Ok("running"));
        scene.clear();
    }
}

#[test]
fn of_two_deletions_one_removes_it() {
    let Some(scene) = Scene::new("delete-delete") else { return };
    for _ in 0..ROUNDS {
        scene.must(&["run", "--detach"]);
        kill(scene.pid(), Signal::SIGKILL).unwrap();
        assert_eq!(settle(&[]), Ok(()));
        let ended = both(&scene, &["delete"], &["delete"]);
        assert_eq!(won(&ended, &["does not exist"]), 1, "{ended:?}");
        assert_eq!(scene.left(), "");
        scene.must(&["run", "--detach"]);
        let ended = both(&scene, &["delete", "--force"], &["delete", "--force"]);
        assert_eq!(won(&ended, &[]), 2, "{ended:?}");
        assert_eq!(scene.left(), "");
    }
}

#[test]
fn a_signal_and_a_deletion_do_not_disturb_each_other() {
    let Some(scene) = Scene::new("kill-delete") else { return };
    for _ in 0..ROUNDS {
        scene.must(&["run", "--detach"]);
        let ended = both(&scene, &["kill", "KILL"], &["delete", "--force"]);
        assert_eq!(ended[1].code, Some(0), "{ended:?}");
        won(&ended, &["does not exist", "container not running"]);
        assert_eq!(scene.left(), "");
    }
}

#[test]
fn a_process_that_comes_while_the_container_is_removed_does_not_stay() {
    let Some(scene) = Scene::new("exec-delete") else { return };
    let known = ["does not exist", "container not running"];
    for _ in 0..ROUNDS {
        scene.must(&["run", "--detach"]);
        let ended = both(&scene, &["exec", "--detach", "/bin/sleep", "1000"], &["delete", "--force"]);
        assert_eq!(ended[1].code, Some(0), "{ended:?}");
        won(&ended, &known);
        assert_eq!(scene.left(), "", "{ended:?}");
    }
}

#[test]
fn a_container_that_is_being_made_can_be_removed() {
    let Some(scene) = Scene::new("create-delete") else { return };
    for _ in 0..ROUNDS {
        let ended = both(&scene, &["create"], &["delete", "--force"]);
        won(&ended, &[]);
        // Which of them came first is open; the container is whole or gone.
        match scene.status().as_deref() {
            Ok("created") => drop(scene.must(&["start"])),
            Ok(other) => panic!("{other}: {ended:?}"),
            Err(why) => assert!(why.contains("does not exist"), "{why}"),
        }
        scene.clear();
    }
}
