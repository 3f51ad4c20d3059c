//! Comparisons of arguments: 64 bits in two words, since BPF has 32.

use super::decisions::Checks;
use super::emit::{Emit, Label, Word};
use crate::{Compare, Condition, Width};

/// Rules in their order, then the answer when none holds.
pub(super) fn emit(emit: &mut Emit, checks: &Checks, otherwise: u32) -> Label {
    let mut next = emit.answer(otherwise);
    for rule in checks.rules.iter().rev() {
        let mut all = emit.answer(rule.value);
        for condition in rule.conditions.iter().rev() {
            all = compare(emit, condition, checks.short, all, next);
        }
        next = all;
    }
    next
}

fn compare(emit: &mut Emit, condition: &Condition, short: bool, yes: Label, no: Label) -> Label {
    let low_only = short || condition.width == Width::Low;
    let argument = condition.argument;
    let halves = |value: u64| (upper(value), lower(value));
    match condition.compare {
        Compare::Eq(value) => masked(emit, argument, low_only, u64::MAX, value, (yes, no)),
        Compare::Ne(value) => masked(emit, argument, low_only, u64::MAX, value, (no, yes)),
        Compare::MaskedEq { mask, value } => masked(emit, argument, low_only, mask, value, (yes, no)),
        Compare::Gt(value) => ordered(emit, argument, low_only, halves(value), Emit::above, (yes, no)),
        Compare::Le(value) => ordered(emit, argument, low_only, halves(value), Emit::above, (no, yes)),
        Compare::Ge(value) => ordered(emit, argument, low_only, halves(value), Emit::from, (yes, no)),
        Compare::Lt(value) => ordered(emit, argument, low_only, halves(value), Emit::from, (no, yes)),
    }
}

/// Both halves are equal in the bits of the mask; a half that has none is not looked at.
fn masked(
    emit: &mut Emit,
    argument: u8,
    low_only: bool,
    mask: u64,
    value: u64,
    (yes, no): (Label, Label),
) -> Label {
    let mut next = half(emit, Word::low(argument), lower(mask), lower(value), (yes, no));
    if !low_only {
        next = half(emit, Word::high(argument), upper(mask), upper(value), (next, no));
    }
    next
}

fn half(emit: &mut Emit, word: Word, mask: u32, value: u32, (yes, no): (Label, Label)) -> Label {
    match mask {
        0 => yes,
        u32::MAX => {
            let compare = emit.equal(value, yes, no, Some(word));
            emit.load(word, compare)
        }
        _ => {
            let compare = emit.equal(value & mask, yes, no, None);
            let masked = emit.mask(mask, compare);
            emit.load(word, masked)
        }
    }
}

type Order = fn(&mut Emit, u32, Label, Label, Option<Word>) -> Label;

/// The upper half decides unless it is equal; then the lower one does, by `order`.
fn ordered(
    emit: &mut Emit,
    argument: u8,
    low_only: bool,
    (high, low): (u32, u32),
    order: Order,
    (yes, no): (Label, Label),
) -> Label {
    let compare = order(emit, low, yes, no, Some(Word::low(argument)));
    let lower = emit.load(Word::low(argument), compare);
    if low_only {
        return lower;
    }
    let word = Some(Word::high(argument));
    let equal = emit.equal(high, lower, no, word);
    let above = emit.above(high, yes, equal, word);
    emit.load(Word::high(argument), above)
}

fn lower(value: u64) -> u32 {
    u32::try_from(value & 0xffff_ffff).unwrap_or(u32::MAX)
}

fn upper(value: u64) -> u32 {
    u32::try_from(value >> 32).unwrap_or(u32::MAX)
}
