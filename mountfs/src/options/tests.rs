//! The option words, read and written.

use super::*;
use proptest::prelude::*;

fn read(fstype: &str, options: &[&str]) -> Result<Mount> {
    Mount::from_options(fstype, "/source", "/target", options)
}

#[test]
fn reads_what_engines_write() {
    let mount = read("tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]).unwrap();
    assert_eq!(mount.attrs.set, MountAttrs::NOSUID | MountAttrs::STRICTATIME);
    assert_eq!(mount.attrs.clear, ATIME_MASK);
    let Kind::Fs { fstype, data, .. } = mount.kind else { panic!("a file system") };
    assert_eq!(fstype, "tmpfs");
    assert_eq!(data, [("mode".into(), Some("755".into())), ("size".into(), Some("65536k".into()))]);

    let mount = read("none", &["rbind", "rprivate", "ro", "rnosuid"]).unwrap();
    assert_eq!(mount.kind, Kind::Bind { source: "/source".into(), recursive: true });
    assert_eq!(mount.propagation, Some(Propagation::PRIVATE));
    assert_eq!(mount.attrs, Attributes::set(MountAttrs::RDONLY));
    assert_eq!(mount.recursive_attrs, Attributes::set(MountAttrs::NOSUID));
}

#[test]
fn the_last_word_counts() {
    let mount = read("bind", &["ro", "rw", "noatime", "strictatime", "shared", "slave"]).unwrap();
    assert_eq!(mount.options(), ["bind", "rw", "strictatime", "slave"]);
    let mount = read("bind", &["rw", "ro", "noatime", "relatime"]).unwrap();
    assert_eq!(mount.options(), ["bind", "ro", "relatime"]);
    assert_eq!(mount.attrs.set, MountAttrs::RDONLY);
}

#[test]
fn what_is_not_done_is_refused_by_name() {
    for option in ["remount", "mand", "loop"] {
        let error = read("tmpfs", &["ro", option]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnsupportedOption);
        assert!(error.to_string().contains(option), "{error}");
        assert!(error.hint().is_some());
    }
}

#[test]
fn a_bind_takes_no_parameters() {
    let error = read("bind", &["size=1"]).unwrap_err();
    insta::assert_snapshot!(error, @r#"mount on /target: the option "size" is for file systems, and a bind is none"#);
    assert_eq!(read("bind", &["sync"]).unwrap_err().kind(), ErrorKind::InvalidInput);
    let mount = read("tmpfs", &["sync"]).unwrap();
    assert_eq!(mount.options(), ["sync"]);
}

#[test]
fn maps_and_copies_are_asked_for() {
    let mount = read("bind", &["ridmap", "ro"]).unwrap();
    assert_eq!(mount.idmap, Some(Idmap { maps: IdmapSource::Container, recursive: true }));
    assert_eq!(mount.options(), ["bind", "ro", "ridmap"]);
    let mount = read("tmpfs", &["idmap=/proc/1/ns/user", "tmpcopyup"]).unwrap();
    let maps = IdmapSource::Namespace("/proc/1/ns/user".into());
    assert_eq!((mount.idmap, mount.copy_up), (Some(Idmap { maps, recursive: false }), true));
    for fstype in ["bind", "proc"] {
        assert_eq!(read(fstype, &["tmpcopyup"]).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn a_mount_needs_a_type() {
    for fstype in ["", "none"] {
        assert_eq!(read(fstype, &["ro"]).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    assert_eq!(read("tmpfs", &["=1"]).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(read("tmpfs", &["a\0b"]).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn lists_are_split_outside_quotes() {
    let words: Vec<_> = split_options(r#"ro,context="a:c1,c2",size=1"#).collect();
    assert_eq!(words, ["ro", r#"context="a:c1,c2""#, "size=1"]);
    let mount = read("tmpfs", &words).unwrap();
    assert_eq!(mount.options(), ["ro", "context=a:c1,c2", "size=1"]);
}

#[test]
fn flags_of_mount_are_those_of_mount_setattr() {
    use cofferdam_sys::mount::MountFlags;
    let attrs = |options: &[&str]| read("bind", options).unwrap().attrs.as_flags();
    assert_eq!(attrs(&["ro", "dev"]), (MountFlags::RDONLY, MountFlags::NODEV));
    let every_atime = MountFlags::NOATIME | MountFlags::RELATIME | MountFlags::STRICTATIME;
    assert_eq!(attrs(&["noatime"]), (MountFlags::NOATIME, every_atime));
    assert_eq!(attrs(&["relatime"]), (MountFlags::RELATIME, every_atime));
}

/// A word that the tables know.
fn known() -> impl Strategy<Value = String> {
    let mut words: Vec<String> = ["bind", "rbind", "idmap", "ridmap"].map(str::to_owned).into();
    for (give, take, _) in ATTRS {
        words.extend([give, take].map(str::to_owned));
        words.extend([give, take].map(|word| format!("r{word}")));
    }
    for (name, _) in ATIMES {
        words.extend([name.to_owned(), format!("r{name}")]);
    }
    for name in ["private", "slave", "shared", "unbindable"] {
        words.extend([name.to_owned(), format!("r{name}")]);
    }
    words.extend(NOTHING.map(str::to_owned));
    proptest::sample::select(words)
}

proptest! {
    #[test]
    fn any_words_are_read_or_refused(fstype in ".*", source in ".*", target in ".*",
                                     options in proptest::collection::vec(".*", 0..8)) {
        let _ = Mount::from_options(&fstype, source, target, options);
    }

    #[test]
    fn known_words_come_back(options in proptest::collection::vec(known(), 0..12)) {
        let mount = Mount::from_options("tmpfs", "/source", "/target", &options).unwrap();
        let again = Mount::from_options("tmpfs", "/source", "/target", mount.options()).unwrap();
        prop_assert_eq!(&mount, &again);
        // Each known word was understood: nothing is left over for the file system.
        if let Kind::Fs { data, .. } = &mount.kind {
            prop_assert!(data.is_empty());
        }
    }

    #[test]
    fn parameters_come_back(key in "[a-z_]{3,10}", value in proptest::option::of("[a-z0-9=:/,]{0,9}")) {
        let word = match &value { Some(value) => format!("x{key}={value}"), None => format!("x{key}") };
        let mount = read("tmpfs", &[&word]).unwrap();
        prop_assert_eq!(mount.options(), [word]);
    }
}
