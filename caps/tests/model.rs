//! The rules of `transition` against the running kernel, by threads that change themselves and end.
//!
//! Works for root and for an ordinary user alike: each case starts from what the thread has. What `execve`
//! makes of it is held against all kernels in the lab's guests.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use cofferdam_caps::{CapSet, Change, Credentials, Rules};
use common::{ambient, change, fitting, set};
use proptest::prelude::*;

/// Makes the changes on a thread of their own and holds each answer and each state against the model.
///
/// Those that are marked ask for no more than the thread has by then, so that they succeed.
fn differences(first: CapSet, marked: Vec<(bool, Change)>) -> Option<String> {
    let walk = move || {
        let rules = Rules::of_kernel().unwrap();
        let mut model = Credentials::current().unwrap();
        let mut changes: Vec<_> = ambient(&model, first).into_iter().map(|change| (false, change)).collect();
        changes.extend(marked);
        for (number, (fits, change)) in changes.iter().enumerate() {
            let change = &if *fits { fitting(*change, &model) } else { *change };
            let expected = model.after(change, rules);
            let answer = change.apply();
            if answer != expected.as_ref().map(|_| ()).map_err(|errno| *errno) {
                return Some(format!("change {number} of {changes:#?} answers {answer:?}, from {model:#?}"));
            }
            let now = Credentials::current().unwrap();
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
    fn the_kernel_does_what_the_model_says(
        first in set(),
        changes in prop::collection::vec((any::<bool>(), change()), 1..12),
    ) {
        prop_assert_eq!(differences(first, changes), None);
    }
}
