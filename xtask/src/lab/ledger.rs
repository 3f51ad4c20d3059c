//! The books of one guest: each case that is asked for gets exactly one outcome.
//!
//! What the guest reports is checked against what was asked. A duplicate, an unknown or a missing
//! outcome is a fault of the lab, and the case it belongs to is recorded as failed.

use std::collections::HashMap;

use crate::protocol::{Case, Event, Outcome, Verdict};

/// The books of the cases given to one or, after a crash, several guests.
#[derive(Debug, Default)]
pub struct Ledger {
    asked: Vec<Case>,
    outcomes: HashMap<Case, Outcome>,
    running: Option<Case>,
    last: Option<Case>,
    seen: usize,
    faults: Vec<String>,
}

/// Whether the guest has more to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// More events are due.
    Continue,
    /// The guest has run everything it was given.
    Done,
}

impl Ledger {
    /// Opens the books for these cases.
    pub fn new(cases: &[Case]) -> Self {
        Self { asked: cases.to_vec(), ..Self::default() }
    }

    /// Enters one event of the guest.
    pub fn feed(&mut self, event: Event) -> Step {
        match event {
            Event::Started(case) => self.started(case),
            Event::Outcome(outcome) => self.outcome(outcome),
            Event::Done { outcomes } => {
                self.done(outcomes);
                return Step::Done;
            }
            Event::Fault { message } => self.interrupted(&format!("PID 1 cannot go on: {message}")),
            other => self.faults.push(format!("an event that no case can cause: {other:?}")),
        }
        Step::Continue
    }

    fn started(&mut self, case: Case) {
        if let Some(before) = self.running.take() {
            self.miss(before);
        }
        if !self.asked.contains(&case) {
            self.faults.push(format!("{} began, which was not asked for", name(&case)));
        } else if self.outcomes.contains_key(&case) {
            self.twice(&case, "began twice");
        } else {
            self.running = Some(case);
        }
    }

    fn outcome(&mut self, outcome: Outcome) {
        self.seen += 1;
        self.last = Some(outcome.case.clone());
        if self.running.as_ref() == Some(&outcome.case) {
            self.running = None;
            self.outcomes.insert(outcome.case.clone(), outcome);
        } else if self.outcomes.contains_key(&outcome.case) {
            let case = outcome.case;
            self.twice(&case, "reported an outcome twice");
        } else if self.asked.contains(&outcome.case) {
            self.fail(outcome.case, "reported an outcome before it began");
        } else {
            self.faults.push(format!("an outcome of {}, which was not asked for", name(&outcome.case)));
        }
    }

    /// The guest counted its outcomes; they and ours must agree, and none may be missing.
    fn done(&mut self, counted: usize) {
        if counted != self.seen {
            let seen = self.seen;
            self.faults.push(format!("the guest counted {counted} outcomes, {seen} arrived"));
        }
        self.seen = 0;
        if let Some(case) = self.running.take() {
            self.miss(case);
        }
        for case in self.remaining() {
            self.fail(case, "was never started");
        }
    }

    fn miss(&mut self, case: Case) {
        self.fail(case, "reported no outcome");
    }

    fn twice(&mut self, case: &Case, what: &str) {
        self.faults.push(format!("{} {what}", name(case)));
        if let Some(outcome) = self.outcomes.get_mut(case) {
            outcome.outcome = Verdict::Failed;
            outcome.reason = join(&format!("lab: the case {what}"), &outcome.reason);
        }
    }

    fn fail(&mut self, case: Case, what: &str) {
        self.faults.push(format!("{} {what}", name(&case)));
        self.record(case, format!("lab: the case {what}"));
    }

    fn record(&mut self, case: Case, reason: String) {
        let outcome = Outcome { case: case.clone(), outcome: Verdict::Failed, reason, ms: 0 };
        self.outcomes.insert(case, outcome);
    }

    /// The guest went down or silent: the case that ran, or the one that had just ended, has failed.
    pub fn interrupted(&mut self, reason: &str) {
        self.seen = 0;
        if let Some(case) = self.running.take() {
            self.faults.push(format!("{reason} (during {})", name(&case)));
            self.record(case, format!("guest: {reason}"));
        } else if let Some(case) = self.last.take() {
            self.faults.push(format!("{reason} (after {})", name(&case)));
            if let Some(outcome) = self.outcomes.get_mut(&case) {
                outcome.outcome = Verdict::Failed;
                outcome.reason = join(&format!("guest: right after this case: {reason}"), &outcome.reason);
            }
        } else {
            self.faults.push(reason.to_owned());
        }
    }

    /// A new guest goes on with what remains.
    pub fn rebooted(&mut self) {
        self.seen = 0;
        self.last = None;
    }

    /// Something went wrong that does not end the guest, such as a warning of the kernel.
    pub fn note(&mut self, reason: &str) {
        match self.running.clone() {
            Some(case) => self.faults.push(format!("{reason} (during {})", name(&case))),
            None => self.faults.push(reason.to_owned()),
        }
    }

    /// Records every case without an outcome as failed; no further guest will run them.
    pub fn give_up(&mut self, reason: &str) {
        self.running = None;
        for case in self.remaining() {
            self.record(case, format!("lab: not run: {reason}"));
        }
    }

    /// The cases without an outcome, in order.
    pub fn remaining(&self) -> Vec<Case> {
        self.asked.iter().filter(|case| !self.outcomes.contains_key(case)).cloned().collect()
    }

    /// The case that runs now.
    pub fn running(&self) -> Option<&Case> {
        self.running.as_ref()
    }

    /// How many cases have an outcome, and how many of those failed.
    pub fn progress(&self) -> (usize, usize) {
        let failed = self.outcomes.values().filter(|outcome| outcome.outcome == Verdict::Failed).count();
        (self.outcomes.len(), failed)
    }

    /// Whether anything but a pass or a skip was recorded.
    pub fn clean(&self) -> bool {
        self.faults.is_empty() && self.progress().1 == 0
    }

    /// The faults so far.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// Closes the books: the outcomes in the order of the cases, and the faults of the lab.
    pub fn close(mut self) -> (Vec<Outcome>, Vec<String>) {
        let outcomes = self.asked.iter().filter_map(|case| self.outcomes.remove(case)).collect();
        (outcomes, self.faults)
    }
}

fn name(case: &Case) -> String {
    if case.mode == "full" { case.test.clone() } else { format!("{} [{}]", case.test, case.mode) }
}

fn join(first: &str, second: &str) -> String {
    if second.is_empty() { first.to_owned() } else { format!("{first}\n{second}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(test: &str) -> Case {
        Case { test: test.into(), mode: "full".into() }
    }

    fn passed(test: &str) -> Event {
        Event::Outcome(Outcome { case: case(test), outcome: Verdict::Passed, reason: String::new(), ms: 1 })
    }

    fn run(asked: &[&str], events: Vec<Event>) -> (Vec<(String, Verdict)>, Vec<String>) {
        let asked: Vec<Case> = asked.iter().map(|name| case(name)).collect();
        let mut ledger = Ledger::new(&asked);
        for event in events {
            ledger.feed(event);
        }
        let (outcomes, faults) = ledger.close();
        (outcomes.into_iter().map(|outcome| (outcome.case.test, outcome.outcome)).collect(), faults)
    }

    #[test]
    fn a_clean_run_has_no_fault() {
        let (outcomes, faults) = run(
            &["a", "b"],
            vec![
                Event::Started(case("a")),
                passed("a"),
                Event::Started(case("b")),
                passed("b"),
                Event::Done { outcomes: 2 },
            ],
        );
        assert_eq!(outcomes, [("a".into(), Verdict::Passed), ("b".into(), Verdict::Passed)]);
        assert!(faults.is_empty(), "{faults:?}");
    }

    #[test]
    fn a_second_outcome_fails_the_case_and_the_lab() {
        let events = vec![Event::Started(case("a")), passed("a"), passed("a"), Event::Done { outcomes: 2 }];
        let (outcomes, faults) = run(&["a"], events);
        assert_eq!(outcomes, [("a".into(), Verdict::Failed)]);
        assert_eq!(faults, ["a reported an outcome twice"]);
    }

    #[test]
    fn a_missing_outcome_fails_the_case_and_the_lab() {
        let events = vec![
            Event::Started(case("a")),
            Event::Started(case("b")),
            passed("b"),
            Event::Done { outcomes: 1 },
        ];
        let (outcomes, faults) = run(&["a", "b"], events);
        assert_eq!(outcomes[0], ("a".into(), Verdict::Failed));
        assert_eq!(outcomes[1], ("b".into(), Verdict::Passed));
        assert_eq!(faults, ["a reported no outcome"]);
        let (outcomes, faults) = run(&["a"], vec![Event::Started(case("a")), Event::Done { outcomes: 0 }]);
        assert_eq!(outcomes, [("a".into(), Verdict::Failed)]);
        assert_eq!(faults, ["a reported no outcome"]);
    }

    #[test]
    fn a_case_that_never_starts_fails() {
        let (outcomes, faults) = run(&["a"], vec![Event::Done { outcomes: 0 }]);
        assert_eq!(outcomes, [("a".into(), Verdict::Failed)]);
        assert_eq!(faults, ["a was never started"]);
    }

    #[test]
    fn unknown_cases_are_faults() {
        let events = vec![
            Event::Started(case("x")),
            passed("x"),
            Event::Started(case("a")),
            passed("a"),
            Event::Done { outcomes: 2 },
        ];
        let (outcomes, faults) = run(&["a"], events);
        assert_eq!(outcomes, [("a".into(), Verdict::Passed)]);
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults.iter().all(|fault| fault.contains('x')));
    }

    #[test]
    fn an_outcome_before_its_start_is_no_pass() {
        let (outcomes, faults) = run(&["a"], vec![passed("a"), Event::Done { outcomes: 1 }]);
        assert_eq!(outcomes, [("a".into(), Verdict::Failed)]);
        assert_eq!(faults, ["a reported an outcome before it began"]);
    }

    #[test]
    fn the_counts_must_agree() {
        let events = vec![Event::Started(case("a")), passed("a"), Event::Done { outcomes: 5 }];
        let (_, faults) = run(&["a"], events);
        assert_eq!(faults, ["the guest counted 5 outcomes, 1 arrived"]);
    }

    #[test]
    fn a_crash_fails_the_running_case_and_leaves_the_rest() {
        let mut ledger = Ledger::new(&[case("a"), case("b"), case("c")]);
        ledger.feed(Event::Started(case("a")));
        ledger.feed(passed("a"));
        ledger.feed(Event::Started(case("b")));
        ledger.interrupted("kernel panic: oh");
        assert_eq!(ledger.remaining(), [case("c")]);
        assert!(!ledger.clean());
        ledger.feed(Event::Started(case("c")));
        ledger.feed(passed("c"));
        assert_eq!(ledger.feed(Event::Done { outcomes: 1 }), Step::Done);
        let (outcomes, faults) = ledger.close();
        assert_eq!(outcomes[1].reason, "guest: kernel panic: oh");
        assert_eq!(outcomes[2].outcome, Verdict::Passed);
        assert_eq!(faults, ["kernel panic: oh (during b)"]);
    }

    #[test]
    fn a_crash_between_cases_fails_the_one_before() {
        let mut ledger = Ledger::new(&[case("a"), case("b")]);
        ledger.feed(Event::Started(case("a")));
        ledger.feed(passed("a"));
        ledger.interrupted("kernel panic: late");
        assert_eq!(ledger.remaining(), [case("b")]);
        let (outcomes, faults) = ledger.close();
        assert_eq!(outcomes[0].outcome, Verdict::Failed);
        assert_eq!(faults, ["kernel panic: late (after a)"]);
    }

    #[test]
    fn giving_up_fails_what_is_left() {
        let mut ledger = Ledger::new(&[case("a")]);
        ledger.give_up("the guest went down 5 times");
        let (outcomes, _) = ledger.close();
        assert_eq!(outcomes[0].outcome, Verdict::Failed);
    }

    #[test]
    fn a_fault_of_pid_1_fails_the_running_case() {
        let (outcomes, faults) =
            run(&["a"], vec![Event::Started(case("a")), Event::Fault { message: "no cgroup".into() }]);
        assert_eq!(outcomes, [("a".into(), Verdict::Failed)]);
        assert_eq!(faults, ["PID 1 cannot go on: no cgroup (during a)"]);
    }
}
