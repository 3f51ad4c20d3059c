//! What is worked out for a thread, without a kernel.

use super::*;
use proptest::prelude::*;

const RULES: Rules = Rules::LINUX_5_10;

fn set(text: &str) -> CapSet {
    text.parse().unwrap()
}

fn root() -> Credentials {
    Credentials { sets: Sets::rooted(CapSet::ALL), ..Credentials::default() }
}

fn shown(sets: &Sets, thread: &Credentials) -> String {
    match sets.changes_from(thread, RULES) {
        Ok(changes) => changes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_order_is_the_one_that_works() {
    let wanted = Sets {
        permitted: set("KILL"),
        inheritable: set("KILL,BPF"),
        ambient: set("KILL"),
        bounding: set("ALL,-BPF,-CHOWN"),
        ..Sets::default()
    };
    assert_eq!(
        shown(&wanted, &root()).replace(&CapSet::ALL.to_string(), "ALL"),
        "set the sets to effective ALL, permitted ALL, inheritable CAP_KILL,CAP_BPF\n\
         drop CAP_CHOWN from the bounding set\n\
         drop CAP_BPF from the bounding set\n\
         set the sets to effective NONE, permitted CAP_KILL, inheritable CAP_KILL,CAP_BPF\n\
         raise CAP_KILL in the ambient set"
    );
    assert_eq!(shown(&root().sets, &root()), "");
}

#[test]
fn what_is_out_of_reach_is_said_before_anything_is_done() {
    let user =
        Credentials { uids: Quad::all(1000), sets: Sets::rooted(set("KILL")), ..Credentials::default() };
    assert_eq!(
        shown(&Sets::rooted(set("KILL,BPF")), &user),
        "the thread cannot get CAP_BPF into its permitted set, which never grows; \
         leave it out, or start from a thread that has it"
    );
    assert_eq!(
        shown(&Sets::default(), &user),
        "the thread may not drop CAP_KILL from the bounding set; it needs CAP_SETPCAP in the permitted set"
    );
    let locked = Credentials { securebits: Securebits::NO_CAP_AMBIENT_RAISE, ..root() };
    let ambient = Sets { inheritable: set("KILL"), ambient: set("KILL"), ..locked.sets };
    assert!(shown(&ambient, &locked).contains("NO_CAP_AMBIENT_RAISE of the thread forbids it"));
    let impossible = Sets { effective: set("BPF"), ..Sets::rooted(set("KILL")) };
    assert!(shown(&impossible, &root()).contains("which the permitted set has not"));
    let inherit = Sets { inheritable: set("BPF"), ..user.sets };
    assert!(shown(&inherit, &user).contains("without CAP_SETPCAP only what is permitted"));
}

#[test]
fn reasons_against_secure_bits_are_told_apart() {
    let why = |bits, now| why_not(bits, &Credentials { securebits: now, ..root() }, RULES);
    let locked = Securebits::NOROOT | Securebits::NOROOT_LOCKED;
    assert!(
        why(Securebits::EXEC, Securebits::empty()).contains("the running kernel has no secure bit EXEC_")
    );
    assert_eq!(why(Securebits::NOROOT_LOCKED, locked), "the thread has NOROOT locked");
    assert_eq!(why(Securebits::NOROOT, locked), "nothing takes the lock NOROOT_LOCKED away");
    assert!(why(Securebits::NOROOT, Securebits::empty()).contains("CAP_SETPCAP"));
}

fn any_thread() -> impl Strategy<Value = Credentials> {
    (any::<[u64; 5]>(), 0..256u32).prop_map(|([e, p, i, b, a], bits)| {
        let set = |bits: u64| CapSet::from_bits(bits) & CapSet::ALL;
        let (permitted, inheritable) = (set(p), set(i));
        let sets = Sets {
            effective: set(e) & permitted,
            permitted,
            inheritable,
            bounding: set(b),
            ambient: set(a) & permitted & inheritable,
        };
        Credentials { sets, securebits: Securebits::from_bits_retain(bits), ..Credentials::default() }
    })
}

proptest! {
    #[test]
    fn changes_lead_to_what_was_asked_for(from in any_thread(), to in any_thread(), less: bool) {
        // Half of the cases ask for no more than is there, so that they succeed.
        let wanted = if less {
            let permitted = to.sets.permitted & from.sets.permitted;
            let inheritable = to.sets.inheritable & (from.sets.inheritable | permitted);
            Sets {
                effective: to.sets.effective & permitted,
                permitted,
                inheritable,
                bounding: to.sets.bounding & from.sets.bounding,
                ambient: to.sets.ambient & permitted & inheritable,
            }
        } else {
            to.sets
        };
        let end = wanted.changes_from(&from, RULES).map(|changes| {
            changes.iter().try_fold(from.clone(), |thread, change| thread.after(change, RULES)).unwrap()
        });
        if let Ok(end) = end {
            prop_assert_eq!(end.sets, wanted);
        }
    }
}
