//! The search tree over ranges of numbers.

use std::collections::HashMap;

use super::checks;
use super::decisions::{Decision, Range};
use super::emit::{Emit, Label, Word};

/// Emits the tree; the number of the call is loaded then.
pub(super) fn emit(emit: &mut Emit, ranges: &[Range]) -> Label {
    Tree { emit, leaves: HashMap::new() }.node(ranges)
}

struct Tree<'e, 'r> {
    emit: &'e mut Emit,
    /// Comparisons of arguments that were emitted already: `socket` and `socketpair` may share them.
    leaves: HashMap<&'r Decision, Label>,
}

impl<'r> Tree<'_, 'r> {
    fn node(&mut self, ranges: &'r [Range]) -> Label {
        match ranges {
            // All numbers are in some range, so that this is never asked for.
            [] => self.emit.answer(0),
            [one] => self.leaf(&one.decision),
            [around, one, same]
                if around.decision == same.decision && one.start.checked_add(1) == Some(same.start) =>
            {
                let no = self.leaf(&around.decision);
                let yes = self.leaf(&one.decision);
                self.emit.equal(one.start, yes, no, Some(Word::NUMBER))
            }
            _ => {
                let (left, right) = ranges.split_at(middle(ranges));
                let start = right.first().map_or(0, |range| range.start);
                let right = self.node(right);
                let left = self.node(left);
                self.emit.from(start, right, left, Some(Word::NUMBER))
            }
        }
    }

    fn leaf(&mut self, decision: &'r Decision) -> Label {
        match decision {
            Decision::Answer(value) => self.emit.answer(*value),
            Decision::Checks(rules, otherwise) => {
                if let Some(label) = self.leaves.get(decision) {
                    return *label;
                }
                let label = checks::emit(self.emit, rules, *otherwise);
                self.leaves.insert(decision, label);
                label
            }
        }
    }
}

/// Where to cut so that both sides weigh as much as can be; at least one range on either side.
fn middle(ranges: &[Range]) -> usize {
    let total: u64 = ranges.iter().map(|range| range.weight).sum();
    let mut best = (u64::MAX, 1);
    let mut left: u64 = 0;
    for (place, range) in (1..ranges.len()).zip(ranges) {
        left = left.saturating_add(range.weight);
        let difference = total.saturating_sub(left).abs_diff(left);
        if difference < best.0 {
            best = (difference, place);
        }
    }
    best.1
}
