//! Killed at every step of every command: a container or nothing is left.
//!
//! The short series kill behind each call that changes something outside of the process, the long ones
//! (`cargo test -p cofferdam --test robust -- --ignored`) before every call.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::left::settle;
use crate::scene::Scene;
use crate::trace::{Steps, Traced, Victim, run};

/// A series of kills: at step after step, until the command ends before.
struct Series<'a> {
    scene: &'a Scene,
    words: &'a [&'a str],
    victim: Victim,
    steps: Steps,
}

impl Series<'_> {
    /// `before` makes what the command works on, `after` looks at what is there and removes it.
    fn each(&self, before: impl Fn(), after: impl Fn(&Traced, usize)) {
        let Self { scene, words, victim, steps } = self;
        for number in 0.. {
            before();
            let traced = run(&scene.words(words), *victim, *steps, number);
            let whole = traced.killed_at.is_none();
            if whole {
                assert_eq!(traced.code, Some(0), "{words:?}: {}", traced.stderr);
                assert!(number > 3, "{words:?} has only {number} steps: nothing was looked at");
            }
            after(&traced, number);
            if whole {
                println!("{words:?}: {victim:?}, {steps:?}: killed at each of {number} steps");
                return;
            }
        }
    }
}

/// The status once nobody makes the container any more: who was killed does not, nor what was left of it.
fn status(scene: &Scene, traced: &Traced) -> Result<String, String> {
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        match scene.status() {
            Ok(status) if status == "creating" => {
                assert!(Instant::now() < end, "for ever creating after {traced:?}");
                thread::sleep(Duration::from_millis(5));
            }
            Err(why) => {
                assert!(why.contains("does not exist"), "after {traced:?}: {why}");
                return Err(why);
            }
            status => return status,
        }
    }
}

/// A container that `state` calls created can be started, one that is running runs. Where there is none, or half
/// of one that nobody was told of, another can be made in its place.
fn whole_or_nothing(scene: &Scene, traced: &Traced, number: usize) {
    match status(scene, traced).as_deref() {
        Ok("created") => {
            let started = scene.order(&["start"]);
            // The word of a `start` that was killed may be on its way.
            let on_its_way = started.stderr.contains("already running");
            assert!(started.code == Some(0) || on_its_way, "start after {traced:?}: {started:?}");
            assert_eq!(scene.status().as_deref(), Ok("running"), "after {traced:?}");
        }
        Ok("running") => {}
        Ok("stopped") if traced.code == Some(0) => {}
        // Every other one, so that `delete` comes upon such a half too.
        Ok("stopped") | Err(_) => {
            if number % 2 == 1 {
                let made = scene.order(&["create"]);
                assert_eq!(made.code, Some(0), "create again after {traced:?}: {}", made.stderr);
            }
        }
        Ok(other) => panic!("{other} after {traced:?}"),
    }
    scene.clear();
}

/// The program that `run` and its hooks execute ends at once.
fn brief(scene: &Scene) {
    scene.configure(|config| {
        config["process"]["args"] = json!(["/bin/true"]);
        let hook = json!([{ "path": "/bin/true" }]);
        config["hooks"] = json!({
            "createRuntime": hook, "createContainer": hook, "startContainer": hook,
            "poststart": hook, "poststop": hook,
        });
    });
}

fn create(victim: Victim, steps: Steps) {
    let Some(scene) = Scene::new("create") else { return };
    let series = Series { scene: &scene, words: &["create"], victim, steps };
    series.each(|| {}, |traced, number| whole_or_nothing(&scene, traced, number));
}

/// Everything at once: `create`, `start` and `delete`, with all hooks.
fn whole_run(victim: Victim, steps: Steps) {
    let Some(scene) = Scene::new("run") else { return };
    brief(&scene);
    let series = Series { scene: &scene, words: &["run"], victim, steps };
    series.each(
        || {},
        |traced, number| {
            if status(&scene, traced).is_err() && number % 2 == 1 {
                let ran = scene.order(&["run"]);
                assert_eq!(ran.code, Some(0), "run again after {traced:?}: {}", ran.stderr);
            }
            scene.clear();
        },
    );
}

fn start(steps: Steps) {
    let Some(scene) = Scene::new("start") else { return };
    let series = Series { scene: &scene, words: &["start"], victim: Victim::Runtime, steps };
    series.each(
        || drop(scene.must(&["create"])),
        |traced, _| {
            let status = status(&scene, traced);
            assert!(matches!(status.as_deref(), Ok("created" | "running")), "{status:?} after {traced:?}");
            whole_or_nothing(&scene, traced, 0);
        },
    );
}

/// The container that `exec` was to join goes on; what it brought ends or is one of the container's processes.
fn exec(victim: Victim, steps: Steps) {
    let Some(scene) = Scene::new("exec") else { return };
    scene.must(&["run", "--detach"]);
    let init = scene.pid();
    let series = Series { scene: &scene, words: &["exec", "/bin/true"], victim, steps };
    series.each(
        || {},
        |traced, _| {
            assert_eq!(settle(&[init]), Ok(()), "after {traced:?}");
            assert_eq!(scene.status().as_deref(), Ok("running"), "after {traced:?}");
            let again = scene.order(&["exec", "/bin/true"]);
            assert_eq!(again.code, Some(0), "exec again after {traced:?}: {}", again.stderr);
        },
    );
    scene.clear();
}

/// A removal that was cut off can be taken up again, without --force too once nothing runs.
fn delete(steps: Steps) {
    let Some(scene) = Scene::new("delete") else { return };
    let series = Series { scene: &scene, words: &["delete", "--force"], victim: Victim::Runtime, steps };
    series.each(
        || drop(scene.must(&["run", "--detach"])),
        |traced, _| {
            if scene.status().is_ok_and(|status| status == "stopped") {
                let deleted = scene.order(&["delete"]);
                assert_eq!(deleted.code, Some(0), "delete after {traced:?}: {}", deleted.stderr);
            }
            scene.clear();
        },
    );
}

#[test]
fn create_killed_at_each_change() {
    create(Victim::Runtime, Steps::Changes);
}

#[test]
fn child_of_create_killed_at_each_change() {
    create(Victim::Child, Steps::Changes);
}

#[test]
fn create_killed_while_its_child_is_at_each_change() {
    create(Victim::RuntimeAtChild, Steps::Changes);
}

#[test]
fn run_killed_at_each_change() {
    whole_run(Victim::Runtime, Steps::Changes);
}

#[test]
fn start_killed_at_each_change() {
    start(Steps::Changes);
}

#[test]
fn exec_killed_at_each_change() {
    exec(Victim::Runtime, Steps::Changes);
}

#[test]
fn exec_killed_while_its_child_is_at_each_change() {
    exec(Victim::RuntimeAtChild, Steps::Changes);
}

#[test]
fn delete_killed_at_each_change() {
    delete(Steps::Changes);
}

#[test]
#[ignore = "a minute: every call"]
fn create_killed_at_each_call() {
    create(Victim::Runtime, Steps::All);
    create(Victim::Child, Steps::All);
    create(Victim::RuntimeAtChild, Steps::All);
}

#[test]
#[ignore = "minutes: every call"]
fn run_killed_at_each_call() {
    whole_run(Victim::Runtime, Steps::All);
    whole_run(Victim::RuntimeAtChild, Steps::All);
}

#[test]
#[ignore = "a minute: every call"]
fn start_exec_and_delete_killed_at_each_call() {
    start(Steps::All);
    exec(Victim::Runtime, Steps::All);
    exec(Victim::RuntimeAtChild, Steps::All);
    delete(Steps::All);
}
