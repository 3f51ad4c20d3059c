//! Drives one guest through its cases, and decides when it is lost.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::ledger::{Ledger, Step};
use super::limits::Limits;
use crate::protocol::{Command, Event};

/// What a guest, or the QEMU around it, gives to hear.
#[derive(Debug)]
pub enum Heard {
    /// The guest reports.
    Guest(Event),
    /// A line of the console, which is logged elsewhere.
    Console,
    /// The console or the channel shows that the guest is lost.
    Trouble(String),
    /// QEMU has ended; says how.
    Exited(String),
    /// Nothing, for as long as was asked.
    Nothing,
}

/// A guest that can be talked to; a trait so that the tests can be one.
pub trait Talk {
    /// Sends a command.
    ///
    /// # Errors
    /// The guest's channel is gone.
    fn send(&mut self, command: &Command) -> Result<()>;

    /// The next thing there is, waiting at most this long.
    fn next(&mut self, wait: Duration) -> Heard;
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The guest ran everything and waits.
    Done,
    /// The guest is lost; the books say why.
    Lost,
    /// The run is being cancelled.
    Cancelled,
}

/// What a session reports to while it runs.
pub trait Watch {
    /// Whether the run is being cancelled.
    fn cancelled(&self) -> bool;

    /// The books have changed.
    fn changed(&self, ledger: &Ledger);
}

/// How often the wish to cancel is looked at.
const TICK: Duration = Duration::from_millis(200);
/// For how long the console of a lost guest is still read.
const LAST_WORDS: Duration = Duration::from_millis(1500);
/// How long a guest that is done may take to end.
const GOODBYE: Duration = Duration::from_secs(10);

/// Runs what remains in the books.
pub fn run(guest: &mut impl Talk, ledger: &mut Ledger, limits: &Limits, watch: &impl Watch) -> End {
    let cases = ledger.remaining();
    let command = Command::Run { cases, limit_ms: limits.guest.case_ms };
    if let Err(error) = guest.send(&command) {
        ledger.interrupted(&format!("the guest takes no command: {error:#}"));
        return End::Lost;
    }
    let started = Instant::now();
    let mut heard_at = started;
    loop {
        if watch.cancelled() {
            return End::Cancelled;
        }
        let lost = match guest.next(TICK) {
            Heard::Guest(event) => {
                heard_at = Instant::now();
                let fault = matches!(event, Event::Fault { .. });
                let step = ledger.feed(event);
                watch.changed(ledger);
                match step {
                    Step::Done => return farewell(guest, ledger),
                    Step::Continue if fault => return End::Lost,
                    Step::Continue => None,
                }
            }
            Heard::Trouble(what) => Some(what),
            Heard::Exited(how) => Some(format!("QEMU ended: {how}")),
            Heard::Console | Heard::Nothing => None,
        };
        let lost = lost.or_else(|| overdue(started, heard_at, limits));
        if let Some(reason) = lost {
            ledger.interrupted(&reason);
            watch.changed(ledger);
            last_words(guest);
            return End::Lost;
        }
    }
}

fn overdue(started: Instant, heard_at: Instant, limits: &Limits) -> Option<String> {
    if heard_at.elapsed() > limits.silence() {
        return Some(format!("the guest fell silent: no event for {} s", limits.silence().as_secs()));
    }
    if started.elapsed() > limits.session {
        return Some(format!("the guest ran for more than {} s", limits.session.as_secs()));
    }
    None
}

/// Ends a guest that is done, and hears it out: console and channel arrive apart, so what the kernel said
/// about the last case may come after its outcome.
fn farewell(guest: &mut impl Talk, ledger: &mut Ledger) -> End {
    if let Err(error) = guest.send(&Command::Stop) {
        ledger.interrupted(&format!("the guest takes no command: {error:#}"));
        return End::Lost;
    }
    let until = Instant::now() + GOODBYE;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        match guest.next(left) {
            Heard::Guest(event) => {
                ledger.feed(event);
            }
            Heard::Trouble(what) => {
                ledger.interrupted(&what);
                last_words(guest);
                return End::Lost;
            }
            Heard::Exited(_) => break,
            Heard::Console | Heard::Nothing => {}
        }
    }
    End::Done
}

/// Waits for a guest that is going down, so that its log is whole.
fn last_words(guest: &mut impl Talk) {
    let until = Instant::now() + LAST_WORDS;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        if matches!(guest.next(left), Heard::Exited(_)) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::protocol::{Case, Outcome, Verdict};
    use crate::qemu::Accel;

    struct Fake(VecDeque<Heard>);

    impl Talk for Fake {
        fn send(&mut self, _: &Command) -> Result<()> {
            Ok(())
        }

        fn next(&mut self, wait: Duration) -> Heard {
            self.0.pop_front().unwrap_or_else(|| {
                std::thread::sleep(wait);
                Heard::Nothing
            })
        }
    }

    struct Blind(bool);

    impl Watch for Blind {
        fn cancelled(&self) -> bool {
            self.0
        }

        fn changed(&self, _: &Ledger) {}
    }

    fn case(test: &str) -> Case {
        Case { test: test.into(), mode: "full".into() }
    }

    fn session(heard: Vec<Heard>, cancelled: bool) -> (End, Vec<Outcome>, Vec<String>) {
        let mut ledger = Ledger::new(&[case("a")]);
        let mut limits = Limits::new(Accel::Kvm, Some(1));
        limits.session = Duration::from_secs(1);
        let end = run(&mut Fake(heard.into()), &mut ledger, &limits, &Blind(cancelled));
        let (outcomes, faults) = ledger.close();
        (end, outcomes, faults)
    }

    fn started() -> Heard {
        Heard::Guest(Event::Started(case("a")))
    }

    fn passed() -> [Heard; 2] {
        let outcome = Outcome { case: case("a"), outcome: Verdict::Passed, reason: String::new(), ms: 1 };
        [Heard::Guest(Event::Outcome(outcome)), Heard::Guest(Event::Done { outcomes: 1 })]
    }

    fn exited() -> Heard {
        Heard::Exited("exit status: 0".into())
    }

    #[test]
    fn a_good_guest_is_done() {
        let [outcome, done] = passed();
        let (end, outcomes, faults) = session(vec![started(), outcome, done, exited()], false);
        assert_eq!((end, outcomes[0].outcome), (End::Done, Verdict::Passed));
        assert!(faults.is_empty(), "{faults:?}");
    }

    #[test]
    fn a_panic_is_told_from_a_killed_qemu() {
        let (end, outcomes, _) =
            session(vec![started(), Heard::Trouble("the kernel panicked".into()), exited()], false);
        assert_eq!((end, outcomes[0].reason.as_str()), (End::Lost, "guest: the kernel panicked"));
        let (end, outcomes, faults) = session(vec![started(), exited()], false);
        assert_eq!((end, outcomes[0].outcome), (End::Lost, Verdict::Failed));
        assert!(faults[0].starts_with("QEMU ended"), "{faults:?}");
    }

    #[test]
    fn trouble_after_the_last_outcome_is_no_pass() {
        let [outcome, done] = passed();
        let late = Heard::Trouble("oops".into());
        let (end, outcomes, faults) =
            session(vec![started(), outcome, done, Heard::Console, late, exited()], false);
        assert_eq!((end, outcomes[0].outcome), (End::Lost, Verdict::Failed));
        assert_eq!(faults, ["oops (after a)"]);
    }

    #[test]
    fn a_second_outcome_after_the_end_is_no_pass() {
        let ([outcome, done], [again, _]) = (passed(), passed());
        let (_, outcomes, faults) = session(vec![started(), outcome, done, again, exited()], false);
        assert_eq!(outcomes[0].outcome, Verdict::Failed);
        assert_eq!(faults, ["a reported an outcome twice"]);
    }

    #[test]
    fn a_guest_that_does_nothing_is_given_up() {
        let (end, outcomes, faults) = session(vec![started()], false);
        assert_eq!((end, outcomes[0].outcome), (End::Lost, Verdict::Failed));
        assert!(faults[0].starts_with("the guest ran for more than"), "{faults:?}");
    }

    #[test]
    fn silence_is_found() {
        let limits = Limits::new(Accel::Tcg, None);
        let before = |time: Duration| Instant::now().checked_sub(time).unwrap();
        let long = limits.silence() + Duration::from_secs(1);
        assert!(overdue(before(long), before(long), &limits).unwrap().contains("fell silent"));
        assert_eq!(overdue(before(long), Instant::now(), &limits), None);
    }

    #[test]
    fn a_cancelled_run_is_no_pass() {
        let (end, outcomes, _) = session(vec![started()], true);
        assert_eq!((end, outcomes.len()), (End::Cancelled, 0));
    }
}
