//! Directories in place of the kernel's, which make no files of their own in a new one.

use super::*;
use proptest::prelude::*;

/// A file system with the class `pinned`, as a machine with two caches has it.
fn tree() -> (tempfile::TempDir, Resctrl) {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in [
        ("info/last_cmd_status", "ok\n"),
        ("info/L3_MON/mon_features", "llc_occupancy\nmbm_total_bytes\n"),
        ("tasks", "1\n"),
        ("pinned/schemata", "    MB:0=100;1=100\n    L3:0=7ff;1=01f\n"),
        ("pinned/tasks", ""),
    ] {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    fs::create_dir(dir.path().join("pinned/mon_groups")).unwrap();
    let root = dir.path().to_owned();
    (dir, Resctrl { root })
}

fn read(resctrl: &Resctrl, path: &str) -> String {
    fs::read_to_string(resctrl.root.join(path)).unwrap()
}

#[test]
fn it_is_found_where_it_is_mounted() {
    let line = "30 24 0:26 / /sys/fs/resc\\040trl rw,relatime shared:9 - resctrl resctrl rw\n";
    let found = Resctrl::of_mountinfo(line.as_bytes()).unwrap();
    assert_eq!(found.root, Path::new("/sys/fs/resc trl"));
    assert_eq!(Resctrl::of_mountinfo(line.replace("- resctrl", "- tmpfs").as_bytes()), None);
}

#[test]
fn a_class_that_is_there_takes_a_process_and_stays() {
    let (_dir, resctrl) = tree();
    let group = resctrl.group("pinned", None).unwrap();
    assert!(!group.made);
    let wanted = Schemata::parse("L3:0=7f0;1=1f\nMB:0=20").unwrap();
    group.create(std::slice::from_ref(&wanted)).unwrap();
    assert_eq!(read(&resctrl, "pinned/schemata"), "L3:0=7f0;1=1f\nMB:0=20\n");
    group.add(77).unwrap();
    assert_eq!(read(&resctrl, "pinned/tasks"), "77\n");
    group.remove().unwrap();
    assert!(group.class.is_dir());
}

#[test]
fn what_was_made_is_removed_unless_others_use_it() {
    let (_dir, resctrl) = tree();
    let group = resctrl.group("new", None).unwrap();
    group.create(&[]).unwrap();
    assert!(group.made && group.class.is_dir());
    group.remove().unwrap();
    assert!(!group.class.exists());
    group.remove().unwrap();
    group.create(&[]).unwrap();
    fs::write(group.class.join("tasks"), "5\n").unwrap();
    group.remove().unwrap();
    assert!(group.class.is_dir());
}

#[test]
fn a_group_that_measures_lies_below_its_class() {
    let (_dir, resctrl) = tree();
    let group = resctrl.group("pinned", Some("box")).unwrap();
    group.create(&[]).unwrap();
    let monitor = resctrl.root.join("pinned/mon_groups/box");
    assert_eq!(group.monitor.as_deref(), Some(monitor.as_path()));
    fs::write(monitor.join("tasks"), "").unwrap();
    group.add(78).unwrap();
    assert_eq!(
        (read(&resctrl, "pinned/tasks"), read(&resctrl, "pinned/mon_groups/box/tasks")),
        ("78\n".into(), "78\n".into())
    );
    fs::remove_file(monitor.join("tasks")).unwrap();
    group.remove().unwrap();
    assert!(!monitor.exists());
    let whole = resctrl.group("/", None).unwrap();
    assert!(whole.class == resctrl.root && !whole.made);
    assert!(resctrl.measures("llc_occupancy") && !resctrl.measures("mbm_local_bytes"));
}

#[test]
fn shares_that_are_refused_undo_the_class_and_say_why() {
    let (_dir, resctrl) = tree();
    fs::write(resctrl.root.join("info/last_cmd_status"), "Mask out of range\n").unwrap();
    let group = resctrl.group("new", None).unwrap();
    // The kernel would have made the file.
    let error = group.create(&[Schemata::parse("L3:0=fffff").unwrap()]).unwrap_err();
    assert!(error.to_string().contains("new/schemata (Mask out of range)"), "{error}");
    assert!(!group.class.exists());
}

#[test]
fn names_stay_below_the_root() {
    let (_dir, resctrl) = tree();
    for name in ["", ".", "..", "a/b", "info", "mon_groups", "mon_data", "a\nb", "//"] {
        assert_eq!(resctrl.group(name, None).unwrap_err().kind(), ErrorKind::Invalid, "{name:?}");
        assert_eq!(resctrl.group("x", Some(name)).unwrap_err().kind(), ErrorKind::Invalid, "{name:?}");
    }
}

#[test]
fn shares_are_compared_by_what_they_mean() {
    let (_dir, resctrl) = tree();
    let there = resctrl.group("pinned", None).unwrap().schemata().unwrap();
    let differs = |text: &str| there.differs_from(&Schemata::parse(text).unwrap());
    assert_eq!(differs("L3:1=1f"), None);
    assert_eq!(differs("L3:0=7FF;1=01f\nMB:1=100"), None);
    assert_eq!(differs("L3:0=7f0").as_deref(), Some("L3:0 is 7ff, not 7f0"));
    assert_eq!(differs("MB:1=0x64").as_deref(), Some("MB:1 is 100, not 0x64"));
    assert_eq!(differs("L2:0=f").as_deref(), Some("L2:0 is nothing, not f"));
    assert_eq!(differs(""), None);
}

#[test]
fn lines_are_read_and_told_apart() {
    let both = Schemata::parse("L3:1=f;0=ff\nMB:0=20").unwrap();
    assert_eq!(both.to_string(), "L3:0=ff;1=f\nMB:0=20\n");
    assert_eq!(
        both.without("MB").and(Schemata::parse("MB:0=30").unwrap()).to_string(),
        "L3:0=ff;1=f\nMB:0=30\n"
    );
    assert_eq!(both.of("MB").to_string(), "MB:0=20\n");
    for bad in ["L3", "L3:", ":0=f", "L3:0", "L3:x=f", "L3:0=", "L3:0=f;0=f", "L 3:0=f", "L3:0=f f"] {
        assert_eq!(Schemata::parse(bad).unwrap_err().kind(), ErrorKind::Invalid, "{bad}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_alike(text in "(L3|MB):[0-9]=[0-9a-f]{1,5}(;1[0-9]=[0-9a-f]{1,5})?\n?|\\PC{0,30}") {
        if let Ok(read) = Schemata::parse(&text) {
            prop_assert_eq!(Schemata::parse(&read.to_string()).unwrap(), read);
        }
    }
}
