//! The rules of `transition` against the running kernel, by threads that change themselves and end.
//!
//! Works for root and for an ordinary user alike: each case starts from what the thread has. What `execve`
//! makes of it is held against all kernels in the lab's guests.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use cofferdam_caps::{Cap, CapSet, Change, Rules, Securebits, Thread};
use proptest::prelude::*;

/// Few enough that two random sets often meet.
const SOME: [Cap; 8] = [
    Cap::CHOWN,
    Cap::KILL,
    Cap::SETUID,
    Cap::SETGID,
    Cap::SETPCAP,
    Cap::MKNOD,
    Cap::NET_RAW,
    Cap::CHECKPOINT_RESTORE,
];

fn cap() -> impl Strategy<Value = Cap> {
    prop_oneof![
        20 => prop::sample::select(&SOME[..]),
        1 => (0..64u8).prop_map(|number| Cap::from_number(number).unwrap()),
    ]
}

fn set() -> impl Strategy<Value = CapSet> {
    prop_oneof![
        4 => prop::collection::vec(cap(), 0..7).prop_map(CapSet::from_iter),
        3 => prop::collection::vec(cap(), 0..3).prop_map(|less| CapSet::ALL - CapSet::from_iter(less)),
        1 => Just(CapSet::ALL),
        1 => any::<u64>().prop_map(CapSet::from_bits),
    ]
}

fn id() -> impl Strategy<Value = Option<u32>> {
    prop_oneof![2 => Just(None), 3 => Just(Some(0)), 3 => Just(Some(1000)), 1 => Just(Some(1001)), 1 => Just(Some(u32::MAX))]
}

fn bits() -> impl Strategy<Value = Securebits> {
    prop_oneof![
        // One bit and perhaps its lock, so that locks do not end every case at once.
        6 => (0..8u32, any::<bool>()).prop_map(|(bit, more)| Securebits::from_bits_retain(1 << bit | u32::from(more))),
        1 => (0..0x2000u32).prop_map(Securebits::from_bits_retain),
        1 => (8..12u32).prop_map(|bit| Securebits::from_bits_retain(1 << bit)),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => (set(), set(), set(), any::<bool>()).prop_map(|(e, p, inheritable, fits)| Change::Three {
            effective: if fits { e & p } else { e },
            permitted: p,
            inheritable,
        }),
        2 => cap().prop_map(Change::DropBounding),
        3 => cap().prop_map(Change::RaiseAmbient),
        1 => cap().prop_map(Change::LowerAmbient),
        1 => Just(Change::ClearAmbient),
        2 => bits().prop_map(Change::Securebits),
        1 => any::<bool>().prop_map(Change::KeepCaps),
        1 => Just(Change::NoNewPrivs),
        3 => (id(), id(), id()).prop_map(|(real, effective, saved)| Change::Uids { real, effective, saved }),
        1 => (id(), id(), id()).prop_map(|(real, effective, saved)| Change::Gids { real, effective, saved }),
        1 => id().prop_map(|id| Change::FilesystemUid(id.unwrap_or(7))),
    ]
}

/// Makes the changes on a thread of their own and holds each answer and each state against the model.
fn differences(changes: Vec<Change>) -> Option<String> {
    let walk = move || {
        let rules = Rules::of_kernel().unwrap();
        let mut model = Thread::current().unwrap();
        for (number, change) in changes.iter().enumerate() {
            let expected = model.after(change, rules);
            let answer = change.apply();
            if answer != expected.as_ref().map(|_| ()).map_err(|errno| *errno) {
                return Some(format!("change {number} of {changes:#?} answers {answer:?}, from {model:#?}"));
            }
            let now = Thread::current().unwrap();
            let wanted = expected.unwrap_or_else(|_| model.clone());
            if now != wanted {
                return Some(format!(
                    "after change {number} of {changes:#?}: {now:#?}, expected {wanted:#?}"
                ));
            }
            model = now;
        }
        None
    };
    std::thread::spawn(walk).join().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_kernel_does_what_the_model_says(changes in prop::collection::vec(change(), 1..12)) {
        prop_assert_eq!(differences(changes), None);
    }
}
