//! Gaps, leases, and who still holds one.

use super::*;
use crate::IdMap;
use proptest::prelude::*;

fn range(first: u32, count: u32) -> IdRange {
    IdRange::new(first, count).unwrap()
}

struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("cofferdam-ids-{name}-{}", std::process::id()));
        // Left by an earlier run that was killed.
        let _ = fs::remove_dir_all(&dir);
        Self(dir)
    }

    fn pool(&self, count: u32) -> Pool {
        Pool::new(&self.0, vec![range(100_000, count)], vec![range(500_000, count)]).unwrap()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn leases_are_disjoint_and_come_back() {
    let dir = Dir::new("disjoint");
    let pool = dir.pool(30);
    let one = pool.take(10).unwrap();
    let two = pool.take(10).unwrap();
    assert_eq!((one.uid(), one.gid()), (range(100_000, 10), range(500_000, 10)));
    assert_eq!(two.uid(), range(100_010, 10));
    let error = pool.take(11).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Exhausted);
    assert!(error.to_string().contains("no 11 user ids in a row are free, 2 leases are held"), "{error}");
    drop(one);
    assert_eq!(pool.take(10).unwrap().uid(), range(100_000, 10));
    two.give_back().unwrap();
    assert_eq!(pool.taken().unwrap(), []);
    assert_eq!(pool.take(30).unwrap().maps().uid, [IdMap::new(0, 100_000, 30)]);
}

#[test]
fn a_lease_is_kept_for_the_life_of_a_process() {
    let dir = Dir::new("kept");
    let pool = dir.pool(10);
    let mut child = std::process::Command::new("/bin/sleep").arg("60").spawn().unwrap();
    let process = Process::open(child.id().cast_signed()).unwrap();
    pool.take(10).unwrap().keep_for(&process).unwrap();
    assert_eq!(pool.take(10).unwrap_err().kind(), ErrorKind::Exhausted);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(pool.take(10).unwrap().uid(), range(100_000, 10));
    let error = pool.take(10).unwrap().keep_for(&process).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Os(_)), "{error}");
    assert_eq!(pool.taken().unwrap(), []);
}

#[test]
fn what_a_killed_maker_left_is_taken_away() {
    let dir = Dir::new("left");
    let pool = dir.pool(10);
    // Killed before, in the middle of, and after writing the record.
    for text in ["", "uid 1000", "uid 100000 10\ngid 500000 10\n"] {
        fs::write(dir.0.join("lease-100000"), text).unwrap();
        let lease = pool.take(10).unwrap();
        assert_eq!(lease.uid(), range(100_000, 10));
    }
    fs::write(dir.0.join("unrelated"), "kept").unwrap();
    assert_eq!(pool.taken().unwrap(), []);
    assert!(dir.0.join("unrelated").exists());
}

#[test]
fn an_empty_pool_says_where_ids_come_from() {
    let error = Pool::new(Path::new("/nowhere"), vec![], vec![range(1, 1)]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.hint().unwrap().contains("/etc/subuid"));
    let dir = Dir::new("zero");
    assert_eq!(dir.pool(1).take(0).unwrap_err().kind(), ErrorKind::Invalid);
}

proptest! {
    #[test]
    fn a_gap_is_in_the_pool_and_free(
        pool in prop::collection::vec((0..100u32, 1..40u32), 1..4),
        taken in prop::collection::vec((0..140u32, 1..20u32), 0..8),
        count in 1..30u32,
    ) {
        let ranges = |list: &[(u32, u32)]| list.iter().map(|(f, c)| range(*f, *c)).collect::<Vec<_>>();
        let (pool, taken) = (ranges(&pool), ranges(&taken));
        let fits = |found: IdRange| {
            pool.iter().any(|range| range.first <= found.first && found.end() <= range.end())
                && !taken.iter().any(|other| other.overlaps(found))
        };
        let any = (0..140).filter_map(|first| IdRange::new(first, count)).any(fits);
        let found = gap(&pool, taken.iter().copied(), count);
        prop_assert_eq!(found.is_some(), any, "{:?}", found);
        prop_assert!(found.is_none_or(fits), "{:?}", found);
    }

    #[test]
    fn a_record_is_read_as_it_was_written(first in 0..1u32 << 30, count in 1..1u32 << 30, cut in 0..60usize) {
        let record = Record { uid: range(first, count), gid: range(count, first + 1), holder: None };
        let text = record.to_string();
        prop_assert_eq!(text.parse::<Record>().unwrap(), record.clone());
        // Cut off anywhere it is the same, or none.
        let read = text.get(..cut.min(text.len())).unwrap().parse::<Record>();
        prop_assert!(read.is_err() || read.unwrap() == record);
    }

    #[test]
    fn no_record_panics(text in "(uid |gid |holder |[0-9]{1,12}| |\n|\\PC){0,20}") {
        let _ = text.parse::<Record>();
    }
}
