//! A cache gives back what it was given, and believes nobody else.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use super::*;
use crate::{Action, Answer};
use proptest::prelude::*;

struct Place {
    dir: tempfile::TempDir,
    cache: Cache,
    kernel: Kernel,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
        Self { cache: Cache::open(dir.path()).unwrap(), dir, kernel: Kernel::ask().unwrap() }
    }

    fn filter(&self, profile: &Profile) -> (Filter, Origin) {
        self.cache.filter(profile, &self.kernel).unwrap()
    }

    fn file(&self) -> PathBuf {
        let mut files = fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().path());
        let file = files.next().unwrap();
        assert_eq!(files.next(), None, "a scratch file is left");
        file
    }
}

#[test]
fn the_second_start_compiles_nothing() {
    let place = Place::new();
    let profile = Profile::hardened().rule(Answer::Allow, &["no_such_call"]);
    let (first, origin) = place.filter(&profile);
    assert_eq!(origin, Origin::Compiled);
    let (second, origin) = place.filter(&profile);
    assert_eq!(origin, Origin::Cached);
    assert_eq!(first, second);
    assert_eq!(fs::metadata(place.file()).unwrap().permissions().mode() & 0o777, 0o600);
    // Another profile has a file of its own.
    assert_eq!(place.filter(&Profile::hardened()).1, Origin::Compiled);
}

#[test]
fn what_the_kernel_has_is_part_of_the_key() {
    let place = Place::new();
    place.filter(&Profile::hardened());
    let old = Kernel { actions: vec![Action::Allow], ..place.kernel.clone() };
    let error = place.cache.filter(&Profile::hardened(), &old).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

/// After `change` the file must not be believed, and be replaced by a good one.
fn distrusted(change: impl Fn(&std::path::Path)) {
    let place = Place::new();
    let (wanted, _) = place.filter(&Profile::hardened());
    let file = place.file();
    change(&file);
    let (filter, origin) = place.filter(&Profile::hardened());
    assert_eq!((&filter, origin), (&wanted, Origin::Compiled));
    let (filter, origin) = place.filter(&Profile::hardened());
    assert_eq!((filter, origin), (wanted, Origin::Cached));
    assert!(fs::symlink_metadata(&file).unwrap().is_file());
}

#[test]
fn damage_and_foreign_files_are_replaced() {
    distrusted(|file| fs::write(file, "").unwrap());
    distrusted(|file| fs::write(file, [0; 1000]).unwrap());
    distrusted(|file| fs::write(file, vec![0; LARGEST + 1]).unwrap());
    distrusted(|file| fs::set_permissions(file, Permissions::from_mode(0o620)).unwrap());
    distrusted(|file| fs::set_permissions(file, Permissions::from_mode(0o602)).unwrap());
    distrusted(|file| {
        let other = file.with_extension("other");
        fs::rename(file, &other).unwrap();
        symlink(&other, file).unwrap();
    });
    distrusted(|file| {
        fs::remove_file(file).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, file, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    });
}

#[test]
fn the_file_of_another_user_is_not_read() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not tried: only root can give a file away");
        return;
    }
    distrusted(|file| std::os::unix::fs::chown(file, Some(1), None).unwrap());
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(dir.path(), Some(1), None).unwrap();
    assert_eq!(Cache::open(dir.path()).unwrap_err().kind(), ErrorKind::Cache);
}

/// A profile that allows everything, stored under the name of one that allows little.
#[test]
fn the_filter_of_another_profile_is_not_taken() {
    let place = Place::new();
    let (open, _) = place.filter(&Profile::new(Answer::Allow));
    let allows = fs::read(place.file()).unwrap();
    fs::remove_file(place.file()).unwrap();
    let (wanted, _) = place.filter(&Profile::hardened());
    fs::write(place.file(), allows).unwrap();
    let (filter, origin) = place.filter(&Profile::hardened());
    assert_eq!((&filter, origin), (&wanted, Origin::Compiled));
    assert_ne!(filter, open);
}

#[test]
fn a_directory_for_others_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for mode in [0o770, 0o707, 0o1777] {
        fs::set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
        let error = Cache::open(dir.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cache);
        assert!(error.to_string().contains(&format!("may be written by others (mode {mode:o})")), "{error}");
    }
    fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
    let link = dir.path().join("link");
    symlink(dir.path(), &link).unwrap();
    assert_eq!(Cache::open(&link).unwrap_err().kind(), ErrorKind::Os(Errno::ENOTDIR));
    assert_eq!(Cache::open(&dir.path().join("none")).unwrap_err().kind(), ErrorKind::Os(Errno::ENOENT));
}

#[test]
fn a_cache_that_cannot_be_written_costs_only_time() {
    let place = Place::new();
    // A directory where the file should be.
    place.filter(&Profile::hardened());
    let file = place.file();
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let (_, origin) = place.filter(&Profile::hardened());
    assert!(matches!(origin, Origin::NotStored(_)), "{origin:?}");
    fs::remove_dir(&file).unwrap();
    assert_eq!(fs::read_dir(place.dir.path()).unwrap().count(), 0, "a scratch file is left");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_flipped_bit_is_noticed(place in 0..2000usize, bit in 0..8u32) {
        let filter = Filter::compile(&Profile::new(Answer::Errno(1)).rule(Answer::Allow, &["read"])).unwrap();
        let key = b"key".as_slice();
        let mut bytes = pack(key, filter.program());
        let packed = unpack(&bytes, key);
        prop_assert_eq!(packed.as_deref(), Some(filter.program()));
        let place = place % bytes.len();
        bytes[place] ^= 1 << bit;
        prop_assert_eq!(unpack(&bytes, key), None);
    }

    #[test]
    fn no_bytes_are_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(unpack(&bytes, b"key"), None);
    }
}
