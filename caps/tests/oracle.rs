//! The same answers as the crate `caps`, which was written by others.

use cofferdam_caps::{Cap, CapSet, Sets};
use lucab_caps::{CapSet as Kind, Capability};

#[test]
fn numbers_and_names_are_the_same() {
    for theirs in lucab_caps::all() {
        let ours: Cap = theirs.to_string().parse().unwrap();
        assert_eq!(ours.number(), theirs.index());
        assert_eq!(ours.to_string(), theirs.to_string());
    }
    assert_eq!(lucab_caps::all().len(), Cap::named().count());
}

#[test]
fn the_sets_of_this_thread_are_the_same() {
    let read = |kind| -> CapSet {
        let theirs = lucab_caps::read(None, kind).unwrap();
        theirs.iter().map(|cap: &Capability| Cap::from_number(cap.index()).unwrap()).collect()
    };
    let theirs = Sets {
        effective: read(Kind::Effective),
        permitted: read(Kind::Permitted),
        inheritable: read(Kind::Inheritable),
        bounding: read(Kind::Bounding),
        ambient: read(Kind::Ambient),
    };
    assert_eq!(Sets::current().unwrap().restricted_to(CapSet::ALL), theirs);
}

#[test]
fn what_they_set_is_what_we_read() {
    let have = Sets::current().unwrap();
    for cap in have.permitted.iter().filter(|cap| *cap <= Cap::LAST_NAMED) {
        let theirs: Capability = cap.to_string().parse().unwrap();
        lucab_caps::raise(None, Kind::Inheritable, theirs).unwrap();
        lucab_caps::raise(None, Kind::Ambient, theirs).unwrap();
        lucab_caps::drop(None, Kind::Effective, theirs).unwrap();
        let now = Sets::current().unwrap();
        assert!(now.inheritable.contains(cap) && now.ambient.contains(cap) && !now.effective.contains(cap));
        lucab_caps::raise(None, Kind::Effective, theirs).unwrap();
        lucab_caps::drop(None, Kind::Ambient, theirs).unwrap();
        lucab_caps::drop(None, Kind::Inheritable, theirs).unwrap();
    }
    assert_eq!(Sets::current().unwrap(), have);
}
