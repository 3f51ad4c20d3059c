//! Random sets, ids, bits and changes.

use cofferdam_caps::{Cap, CapSet, Change, Credentials, Securebits, Sets};
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

pub(crate) fn set() -> impl Strategy<Value = CapSet> {
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

pub(crate) fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => (set(), set(), set())
            .prop_map(|(effective, permitted, inheritable)| Change::Three { effective, permitted, inheritable }),
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

/// What makes a thread interesting: these capabilities inheritable and ambient, as far as it has them.
pub(crate) fn ambient(thread: &Credentials, caps: CapSet) -> Vec<Change> {
    let Sets { effective, permitted, inheritable, .. } = thread.sets;
    let inherit = Change::Three { effective, permitted, inheritable: inheritable | (caps & permitted) };
    std::iter::once(inherit).chain((caps & permitted).iter().map(Change::RaiseAmbient)).collect()
}

/// The change with no more in it than the thread has, so that it succeeds.
pub(crate) fn fitting(change: Change, thread: &Credentials) -> Change {
    match change {
        Change::Three { effective, permitted, inheritable } => {
            let permitted = permitted & thread.sets.permitted;
            let inheritable = inheritable & (thread.sets.inheritable | permitted);
            Change::Three { effective: effective & permitted, permitted, inheritable }
        }
        other => other,
    }
}
