//! What is to happen to each number, as ranges that cover all of them.

use std::collections::BTreeMap;

use super::weight;
use crate::arch::X32_BIT;
use crate::{Arch, Condition, Profile, multiplex};

/// What happens to a call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Decision {
    /// The filter's value, whatever the arguments.
    Answer(u32),
    /// The first rule that holds, else the value.
    Checks(Checks, u32),
}

/// Rules with conditions on one call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Checks {
    /// In the profile's order.
    pub(super) rules: Vec<Check>,
    /// Whether the architecture's arguments have 32 bits.
    pub(super) short: bool,
}

/// One rule with conditions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Check {
    /// All of which must hold.
    pub(super) conditions: Vec<Condition>,
    /// The filter's value then.
    pub(super) value: u32,
}

/// Numbers from `start` to the next range's start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) start: u32,
    pub(super) decision: Decision,
    /// How often its calls are made, roughly.
    pub(super) weight: u64,
}

/// The ranges of all numbers for architectures that a filter sees as one; the first starts at 0.
pub(super) fn ranges(profile: &Profile, group: &[Arch]) -> Vec<Range> {
    let has = |arch: Arch| group.contains(&arch);
    let mut marks: BTreeMap<u32, Decision> = BTreeMap::new();
    // Numbers of the other half of x86-64 are answered as foreign unless that half is listed too.
    let foreign = Decision::Answer(profile.bad_arch.value());
    if has(Arch::X32) && !has(Arch::X86_64) {
        marks.insert(0, foreign.clone());
    }
    if has(Arch::X86_64) && !has(Arch::X32) {
        marks.insert(X32_BIT, foreign);
    }
    let mut calls: BTreeMap<u32, Decision> = BTreeMap::new();
    let mut last = Decision::Answer(profile.default.value());
    for arch in group {
        let (unnamed, newer) = unnamed(profile, *arch);
        let numbers = arch.numbers();
        marks.insert(numbers.start, unnamed.clone());
        if let Some((from, newer)) = newer {
            marks.insert(from, newer.clone());
            if numbers.end != u32::MAX && numbers.end != X32_BIT {
                // The private numbers of 32-bit ARM.
                marks.insert(numbers.end, unnamed);
            }
            last = newer;
        }
        calls.extend(decisions(profile, *arch));
    }
    // The number -1 is no call of x32, nor of anybody.
    marks.insert(u32::MAX, last);
    cut(&marks, calls, group)
}

/// What happens to numbers that no rule names, and from which number on to newer ones.
fn unnamed(profile: &Profile, arch: Arch) -> (Decision, Option<(u32, Decision)>) {
    let default = Decision::Answer(profile.default.value());
    let newer = profile.newer.filter(|_| !profile.default.lets_pass());
    let from = profile.newest(arch).and_then(|newest| newest.checked_add(1));
    (default, newer.zip(from).map(|(answer, from)| (from, Decision::Answer(answer.value()))))
}

/// What happens to the calls that rules name.
fn decisions(profile: &Profile, arch: Arch) -> BTreeMap<u32, Decision> {
    let default = profile.default.value();
    let mut calls: BTreeMap<u32, Decision> = BTreeMap::new();
    let mut add = |number: u32, conditions: &[Condition], value: u32| {
        if conditions.is_empty() {
            // The first one stays; one with conditions gives way.
            match calls.get(&number) {
                Some(Decision::Answer(_)) => {}
                _ => drop(calls.insert(number, Decision::Answer(value))),
            }
            return;
        }
        let empty = Checks { rules: Vec::new(), short: arch.has_short_arguments() };
        let entry = calls.entry(number).or_insert(Decision::Checks(empty, default));
        if let Decision::Checks(checks, _) = entry {
            checks.rules.push(Check { conditions: conditions.to_vec(), value });
        }
    };
    for rule in profile.rules.iter().filter(|rule| rule.answer != profile.default) {
        for name in &rule.names {
            if let Some(number) = arch.number(name) {
                add(number, &rule.conditions, rule.answer.value());
            }
            let hidden = multiplex::of(arch, name).filter(|_| rule.conditions.is_empty());
            if let Some((entry, number)) =
                hidden.and_then(|entry| entry.number(arch).map(|number| (entry, number)))
            {
                add(number, &[entry.condition()], rule.answer.value());
            }
        }
    }
    calls
}

/// Lays calls over marks and joins neighbours that are decided alike.
fn cut(marks: &BTreeMap<u32, Decision>, calls: BTreeMap<u32, Decision>, group: &[Arch]) -> Vec<Range> {
    let mut points: BTreeMap<u32, Decision> = marks.clone();
    for (number, decision) in calls {
        if let Some(after) = number.checked_add(1) {
            let behind = marks.range(..=after).next_back().map(|(_, decision)| decision.clone());
            if let Some(behind) = behind {
                points.entry(after).or_insert(behind);
            }
        }
        points.insert(number, decision);
    }
    let mut ranges: Vec<Range> = Vec::new();
    for (start, decision) in points {
        if ranges.last().is_none_or(|last| last.decision != decision) {
            ranges.push(Range { start, decision, weight: 0 });
        }
    }
    weight::weigh(&mut ranges, group);
    ranges
}
