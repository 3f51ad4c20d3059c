//! What is kept of a container is damaged, or was written by another release.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::order::order;
use crate::scene::{ID, Scene};

/// Commands that need to know the container, and the exit status when it cannot be known.
const ASKING: [(&[&str], i32); 6] = [
    (&["state"], 1),
    (&["start"], 1),
    (&["kill", "KILL"], 1),
    (&["ps"], 1),
    (&["pause"], 1),
    // 1 would be the program's.
    (&["exec", "/bin/true"], 255),
];

fn state_file(scene: &Scene) -> PathBuf {
    scene.root().join(ID).join("state.json")
}

/// Every command refuses in one line that says what is wrong; the file stays as it was, and `list` goes on.
#[track_caller]
fn refused(scene: &Scene, text: &[u8], wanted: &str) {
    fs::write(state_file(scene), text).unwrap();
    for (words, code) in ASKING.into_iter().chain([(&["create"][..], 1), (&["delete"][..], 1)]) {
        let ended = scene.order(words);
        assert_eq!(ended.code, Some(code), "{words:?}: {ended:?}");
        let one_line = ended.stderr.lines().count() == 1;
        assert!(one_line && ended.stderr.contains(wanted), "{words:?}: {:?}", ended.stderr);
    }
    assert_eq!(fs::read(state_file(scene)).unwrap(), text);
    let root = scene.root();
    let listed = order(&["--root", root.to_str().unwrap(), "list", "--quiet"]);
    assert_eq!((listed.code, listed.stdout.trim()), (Some(0), "box"), "{listed:?}");
}

/// The config beside the record tells where the processes are. How many parents were made for the cgroup it does
/// not tell: they stay, and that is said.
#[track_caller]
fn removed_by_its_config(scene: &Scene) {
    let deleted = scene.must(&["delete", "--force"]);
    assert!(deleted.stderr.contains("parents of its cgroup stay"), "{deleted:?}");
    scene.remove_cgroup_parents();
    assert_eq!(scene.left(), "");
}

#[test]
fn a_damaged_state_file_is_told_and_the_container_can_be_removed() {
    let Some(scene) = Scene::new("damaged") else { return };
    scene.must(&["run", "--detach"]);
    let whole = fs::read(state_file(&scene)).unwrap();
    for cut in [0, 1, whole.len() / 2, whole.len() - 1] {
        refused(&scene, &whole[..cut], "state.json cannot be read");
    }
    refused(&scene, b"no JSON", "state.json cannot be read");
    refused(&scene, b"{}", "state.json cannot be read");
    // Whole again, it is the container that it was.
    fs::write(state_file(&scene), &whole).unwrap();
    assert_eq!(scene.status().as_deref(), Ok("running"));
    fs::write(state_file(&scene), &whole[..whole.len() / 2]).unwrap();
    removed_by_its_config(&scene);
}

#[test]
fn a_state_file_of_a_newer_release_is_told_and_the_container_can_be_removed() {
    let Some(scene) = Scene::new("newer") else { return };
    scene.must(&["run", "--detach"]);
    let mut record: Value = serde_json::from_slice(&fs::read(state_file(&scene)).unwrap()).unwrap();
    record["version"] = json!(1000);
    record["init"] = json!(["a shape of the future"]);
    refused(&scene, record.to_string().as_bytes(), "state.json has version 1000");
    removed_by_its_config(&scene);
}

/// With the config gone too there is nothing to go by. What is left of the directory is removed, and that the rest
/// is not known is said.
#[test]
fn a_container_of_which_nothing_is_known_is_not_said_to_have_ended() {
    let Some(scene) = Scene::new("unknown") else { return };
    scene.must(&["create"]);
    fs::write(state_file(&scene), "").unwrap();
    fs::write(scene.root().join(ID).join("config.json"), "").unwrap();
    let deleted = scene.must(&["delete", "--force"]);
    assert!(deleted.stderr.contains("its processes are not known"), "{deleted:?}");
    assert_eq!(scene.status().map_err(|why| why.contains("does not exist")), Err(true));
}

/// Fields that this release does not know are a newer release's, which did not change the version for them.
#[test]
fn unknown_fields_are_let_pass() {
    let Some(scene) = Scene::new("fields") else { return };
    scene.must(&["create"]);
    let mut record: Value = serde_json::from_slice(&fs::read(state_file(&scene)).unwrap()).unwrap();
    record["future"] = json!({ "a": [1] });
    fs::write(state_file(&scene), record.to_string()).unwrap();
    scene.must(&["start"]);
    assert_eq!(scene.status().as_deref(), Ok("running"));
    scene.clear();
}

/// A process that has the number of a container's now is not taken for it, and not killed.
#[test]
fn another_process_with_the_number_is_left_alone() {
    let Some(scene) = Scene::new("number") else { return };
    scene.must(&["run", "--detach"]);
    let whole = fs::read_to_string(state_file(&scene)).unwrap();
    let mut record: Value = serde_json::from_str(&whole).unwrap();
    record["init"]["pid"] = json!(std::process::id());
    fs::write(state_file(&scene), record.to_string()).unwrap();
    assert_eq!(scene.status().as_deref(), Ok("stopped"));
    let killed = scene.order(&["kill", "KILL"]);
    assert!(killed.code == Some(1) && killed.stderr.contains("container not running"), "{killed:?}");
    // The cgroup is the container's all the same.
    scene.clear();
}

/// What is in the place of a container's directory and was not made by the runtime is not touched.
#[test]
fn strange_files_in_the_state_folder_are_left_alone() {
    let Some(scene) = Scene::new("strange") else { return };
    let file = scene.root().join(ID);
    fs::create_dir_all(scene.root()).unwrap();
    fs::write(&file, "mine").unwrap();
    for (words, code) in ASKING.into_iter().chain([(&["create"][..], 1), (&["delete", "--force"][..], 1)]) {
        let ended = scene.order(words);
        assert_eq!(ended.code, Some(code), "{words:?}: {ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{words:?}: {ended:?}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    fs::remove_file(file).unwrap();
    scene.clear();
}
