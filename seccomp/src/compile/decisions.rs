//! What is to happen to each number, as ranges that cover all of them.

use std::collections::BTreeMap;

use super::weight;
use crate::arch::{Finder, X32_BIT};
use crate::{Arch, Condition, Profile, Rule, multiplex};

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
    let mut calls: Vec<(u32, Decision)> = Vec::new();
    let mut last = Decision::Answer(profile.default.value());
    for arch in group {
        let resolved = resolve(profile, *arch);
        let (unnamed, newer) = unnamed(profile, *arch, &resolved);
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
        decide(profile, *arch, &resolved, &mut calls);
    }
    // The number -1 is no call of x32, nor of anybody.
    marks.insert(u32::MAX, last);
    calls.sort_by_key(|(number, _)| *number);
    cut(&marks, calls, group)
}

/// The number of each name of each rule, in their order.
fn resolve(profile: &Profile, arch: Arch) -> Vec<Option<u32>> {
    let mut finder = Finder::new(arch);
    profile.rules.iter().flat_map(|rule| &rule.names).map(|name| finder.number(name)).collect()
}

/// What happens to numbers that no rule names, and from which number on to newer ones.
fn unnamed(profile: &Profile, arch: Arch, resolved: &[Option<u32>]) -> (Decision, Option<(u32, Decision)>) {
    let default = Decision::Answer(profile.default.value());
    let newer = profile.newer.filter(|_| !profile.default.lets_pass());
    let newest = resolved.iter().flatten().filter(|number| arch.numbers().contains(number)).max();
    let from = newest.and_then(|newest| newest.checked_add(1));
    (default, newer.zip(from).map(|(answer, from)| (from, Decision::Answer(answer.value()))))
}

/// A rule that is about a call.
struct About<'p> {
    number: u32,
    rule: &'p Rule,
    /// For a call that hides in this one: what stands in place of the rule's conditions, which are none.
    hidden: Option<Condition>,
}

/// Adds what happens to the calls that rules name.
fn decide(profile: &Profile, arch: Arch, resolved: &[Option<u32>], calls: &mut Vec<(u32, Decision)>) {
    let names = profile.rules.iter().flat_map(|rule| rule.names.iter().map(move |name| (rule, name)));
    let mut about: Vec<About<'_>> = Vec::with_capacity(resolved.len());
    for ((rule, name), number) in names.zip(resolved).filter(|((rule, _), _)| rule.answer != profile.default)
    {
        about.extend(number.map(|number| About { number, rule, hidden: None }));
        let entry = multiplex::of(arch, name).filter(|_| rule.conditions.is_empty());
        about.extend(entry.and_then(|entry| {
            let hidden = Some(entry.condition());
            entry.number(arch).map(|number| About { number, rule, hidden })
        }));
    }
    // Stable: of rules on one call the order is the profile's.
    about.sort_by_key(|about| about.number);
    for same in about.chunk_by(|one, other| one.number == other.number) {
        calls.extend(same.first().map(|first| (first.number, decision(same, arch, profile))));
    }
}

/// What rules on one call come to.
fn decision(same: &[About<'_>], arch: Arch, profile: &Profile) -> Decision {
    let unconditional = same.iter().find(|about| about.hidden.is_none() && about.rule.conditions.is_empty());
    if let Some(about) = unconditional {
        return Decision::Answer(about.rule.answer.value());
    }
    let check = |about: &About<'_>| Check {
        conditions: about.hidden.map_or_else(|| about.rule.conditions.clone(), |hidden| vec![hidden]),
        value: about.rule.answer.value(),
    };
    let rules = same.iter().map(check).collect();
    Decision::Checks(Checks { rules, short: arch.has_short_arguments() }, profile.default.value())
}

/// Lays calls over marks and joins neighbours that are decided alike.
fn cut(marks: &BTreeMap<u32, Decision>, calls: Vec<(u32, Decision)>, group: &[Arch]) -> Vec<Range> {
    let mut ranges: Vec<Range> = Vec::new();
    let mut add = |start: u32, decision: Decision| {
        if ranges.last().is_none_or(|last| last.decision != decision) {
            ranges.push(Range { start, decision, weight: 0 });
        }
    };
    // Both in the order of numbers.
    let mut marks = marks.iter().peekable();
    let mut calls = calls.into_iter().peekable();
    let mut around = None;
    // Where the numbers go on as `around` says: behind a call.
    let mut behind = None;
    loop {
        let mark = marks.peek().map(|(number, _)| **number);
        let call = calls.peek().map(|(number, _)| *number);
        let Some(next) = mark.into_iter().chain(call).chain(behind).min() else { break };
        if let Some((_, decision)) = marks.next_if(|(number, _)| **number == next) {
            around = Some(decision);
        }
        behind = None;
        if let Some((_, decision)) = calls.next_if(|(number, _)| *number == next) {
            behind = next.checked_add(1);
            add(next, decision);
        } else if let Some(decision) = around {
            add(next, decision.clone());
        }
    }
    weight::weigh(&mut ranges, group);
    ranges
}
