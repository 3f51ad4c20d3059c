//! A state folder that cannot be written, because it is read-only or full.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::scene::Scene;

/// The smallest tmpfs with this many pages for files.
fn mount_state(scene: &Scene, options: &str) {
    fs::create_dir_all(scene.root()).unwrap();
    mount(Some("tmpfs"), &scene.root(), Some("tmpfs"), MsFlags::empty(), Some(options)).unwrap();
}

fn remount(scene: &Scene, flags: MsFlags) {
    mount(None::<&str>, &scene.root(), None::<&str>, MsFlags::MS_REMOUNT | flags, None::<&str>).unwrap();
}

fn unmount(scene: &Scene) {
    umount2(&scene.root(), MntFlags::empty()).unwrap();
}

#[test]
fn a_read_only_state_folder_refuses_changes_and_loses_nothing() {
    let Some(scene) = Scene::new("readonly") else { return };
    mount_state(&scene, "size=1m");
    remount(&scene, MsFlags::MS_RDONLY);
    for words in [&["create"][..], &["run"]] {
        let ended = scene.order(words);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains("Read-only file system"), "{ended:?}");
        assert!(ended.stderr.contains(scene.root().to_str().unwrap()), "no path is named: {ended:?}");
    }
    remount(&scene, MsFlags::empty());
    scene.must(&["create"]);
    scene.must(&["start"]);
    remount(&scene, MsFlags::MS_RDONLY);
    assert_eq!(scene.status().as_deref(), Ok("running"));
    scene.must(&["exec", "/bin/true"]);
    // The container is ended, and what cannot be removed is told: it is still there for another try.
    let deleted = scene.order(&["delete", "--force"]);
    assert_eq!(deleted.code, Some(1), "{deleted:?}");
    assert!(deleted.stderr.contains("Read-only file system"), "{deleted:?}");
    assert_eq!(scene.status().as_deref(), Ok("stopped"));
    remount(&scene, MsFlags::empty());
    scene.must(&["delete"]);
    unmount(&scene);
    scene.clear();
}

/// The disk is full after each page in turn, so that each file in turn is the one that does not fit.
#[test]
fn a_full_disk_leaves_nothing_half_made() {
    let Some(scene) = Scene::new("full") else { return };
    let mut refused = 0;
    let mut started = false;
    for pages in 1..12 {
        mount_state(&scene, &format!("nr_blocks={pages}"));
        // A page that is taken already, as none at all cannot be asked for.
        fs::write(scene.root().join("ballast"), [0; 4096]).unwrap();
        let ended = scene.order(&["create"]);
        if ended.code == Some(0) {
            scene.must(&["start"]);
            scene.must(&["delete", "--force"]);
            started = true;
        } else {
            assert!(ended.code == Some(1) && ended.stderr.contains("No space left on device"), "{ended:?}");
            assert!(!ended.stderr.contains("cleaning up failed"), "{ended:?}");
            refused += 1;
        }
        let left: Vec<_> =
            fs::read_dir(scene.root()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["ballast"], "with {pages} pages: {ended:?}");
        unmount(&scene);
        assert_eq!(scene.left(), "", "with {pages} pages: {ended:?}");
        if started {
            break;
        }
    }
    assert!(refused >= 2 && started, "{refused} refused, started: {started}");
}

/// There are no more inodes after each in turn: for the directory, the files, the socket.
#[test]
fn a_disk_without_inodes_leaves_nothing_half_made() {
    let Some(scene) = Scene::new("inodes") else { return };
    let mut refused = 0;
    for inodes in 1..12 {
        mount_state(&scene, &format!("size=1m,nr_inodes={inodes}"));
        let ended = scene.order(&["create"]);
        if ended.code == Some(0) {
            scene.must(&["start"]);
            scene.must(&["delete", "--force"]);
        } else {
            assert!(ended.code == Some(1) && ended.stderr.contains("No space left on device"), "{ended:?}");
            refused += 1;
        }
        assert_eq!(fs::metadata(scene.root()).unwrap().nlink(), 2, "with {inodes} inodes: {ended:?}");
        unmount(&scene);
        assert_eq!(scene.left(), "", "with {inodes} inodes: {ended:?}");
        if ended.code == Some(0) {
            assert!(refused >= 3, "{refused} refused");
            return;
        }
    }
    panic!("never made");
}

/// A full disk must not keep a container from being removed.
#[test]
fn a_container_on_a_full_disk_can_be_used_and_removed() {
    let Some(scene) = Scene::new("filled") else { return };
    mount_state(&scene, "size=64k");
    scene.must(&["create"]);
    let ballast = scene.root().join("ballast");
    let filled = fs::write(&ballast, vec![0; 128 << 10]).unwrap_err();
    assert_eq!(filled.kind(), std::io::ErrorKind::StorageFull);
    scene.must(&["start"]);
    scene.must(&["exec", "/bin/true"]);
    scene.must(&["pause"]);
    scene.must(&["resume"]);
    scene.must(&["kill", "KILL"]);
    scene.must(&["delete", "--force"]);
    fs::remove_file(ballast).unwrap();
    unmount(&scene);
    scene.clear();
}
