//! What makes a kernel seem older is really there: under its filter, probes answer as on an old kernel.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "../examples/enosys/filter.rs"]
mod filter;

use cofferdam_sys::probe::PROBES;

/// The filter holds for one thread, so each set of calls has a thread of its own.
fn under(numbers: Vec<libc::c_long>, look: impl FnOnce() + Send + 'static) {
    std::thread::spawn(move || {
        filter::install(&numbers).unwrap();
        look();
    })
    .join()
    .unwrap();
}

/// A probe that is named after its call answers that it is absent where the call is unknown.
#[test]
fn a_probe_answers_no_when_its_call_is_unknown() {
    let mut asked = 0;
    for probe in PROBES {
        let Some((_, number)) = filter::CALLS.iter().find(|(name, _)| *name == probe.name) else { continue };
        under(vec![*number], || assert_eq!((probe.ask)(), Ok(false), "{}", probe.name));
        asked += 1;
    }
    assert!(asked >= 3, "no probe has the name of its call any more");
}

/// The other side: a filter for a call that no probe uses changes no answer.
#[test]
fn other_probes_answer_as_before() {
    let before: Vec<_> = PROBES.iter().map(|probe| (probe.ask)()).collect();
    under(vec![libc::SYS_fspick], move || {
        for (probe, before) in PROBES.iter().zip(before) {
            assert_eq!((probe.ask)(), before, "{}", probe.name);
        }
    });
}

#[test]
fn calls_that_are_not_named_go_on() {
    under(vec![libc::SYS_openat2, libc::SYS_clone3], || {
        assert!(filter::is_refused(libc::SYS_openat2) && filter::is_refused(libc::SYS_clone3));
        assert!(!filter::is_refused(libc::SYS_pidfd_open));
        // A thread is made by clone3 where it can be, and by clone where it cannot.
        std::thread::spawn(|| assert!(filter::is_refused(libc::SYS_clone3))).join().unwrap();
    });
}

#[test]
fn names_and_numbers_are_unique() {
    for (at, (name, number)) in filter::CALLS.iter().enumerate() {
        let twice = filter::CALLS.iter().skip(at + 1).any(|(other, twin)| other == name || twin == number);
        assert!(!twice, "{name}");
    }
}
