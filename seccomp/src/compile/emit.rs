//! Instructions, emitted from the last to the first.
//!
//! BPF jumps only forwards, so what a jump leads to is there before the jump is. A conditional jump reaches
//! 255 instructions far; beyond that an unconditional one, or a copy of the answer, is put right behind it.

use std::collections::HashMap;

use cofferdam_sys::seccomp::Instruction;

/// An emitted instruction, counted from the end of the program.
pub(super) type Label = usize;

/// A 32-bit word of `struct seccomp_data`, by its offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word(u32);

impl Word {
    /// The number of the call.
    pub(super) const NUMBER: Word = Word(0);
    /// `AUDIT_ARCH_*`.
    pub(super) const ARCH: Word = Word(4);

    /// The lower half of an argument.
    ///
    /// Every architecture that there is a table for is little-endian.
    pub(super) fn low(argument: u8) -> Word {
        Word(16 + 8 * u32::from(argument))
    }

    /// The upper half of an argument.
    pub(super) fn high(argument: u8) -> Word {
        Word(20 + 8 * u32::from(argument))
    }
}

/// `BPF_LD | BPF_W | BPF_ABS`.
pub(crate) const LOAD: u16 = 0x20;
/// `BPF_ALU | BPF_AND | BPF_K`.
pub(crate) const AND: u16 = 0x54;
/// `BPF_JMP | BPF_JA`.
pub(crate) const JUMP: u16 = 0x05;
/// `BPF_JMP | BPF_JEQ | BPF_K`.
pub(crate) const JUMP_EQUAL: u16 = 0x15;
/// `BPF_JMP | BPF_JGT | BPF_K`.
pub(crate) const JUMP_ABOVE: u16 = 0x25;
/// `BPF_JMP | BPF_JGE | BPF_K`.
pub(crate) const JUMP_FROM: u16 = 0x35;
/// `BPF_RET | BPF_K`.
pub(crate) const RETURN: u16 = 0x06;

/// How far a conditional jump reaches, with room for the jumps that may be put behind it.
const REACH: usize = 253;

/// A program that is being emitted.
#[derive(Debug, Default)]
pub(super) struct Emit {
    /// From the last instruction to the first.
    reversed: Vec<Instruction>,
    /// The last place of each answer.
    answers: HashMap<u32, Label>,
}

impl Emit {
    /// The program in order.
    pub(super) fn finish(mut self) -> Vec<Instruction> {
        self.reversed.reverse();
        self.reversed
    }

    fn push(&mut self, code: u16, jump_true: u8, jump_false: u8, operand: u32) -> Label {
        self.reversed.push(Instruction { code, jump_true, jump_false, operand });
        self.reversed.len().saturating_sub(1)
    }

    /// How many instructions lie between the next one to be emitted and a label.
    fn distance(&self, label: Label) -> usize {
        self.reversed.len().saturating_sub(1).saturating_sub(label)
    }

    /// An answer within reach.
    pub(super) fn answer(&mut self, value: u32) -> Label {
        if let Some(label) = self.answers.get(&value).copied().filter(|label| self.distance(*label) < REACH) {
            return label;
        }
        let label = self.push(RETURN, 0, 0, value);
        self.answers.insert(value, label);
        label
    }

    /// Loads a word and goes on at a label.
    pub(super) fn load(&mut self, word: Word, next: Label) -> Label {
        self.go_to(next);
        self.push(LOAD, 0, 0, word.0)
    }

    /// Takes the bits of a mask and goes on at a label.
    pub(super) fn mask(&mut self, mask: u32, next: Label) -> Label {
        self.go_to(next);
        self.push(AND, 0, 0, mask)
    }

    /// Jumps where the next instruction is to be followed by another one than that behind it.
    fn go_to(&mut self, label: Label) {
        if self.distance(label) > 0 {
            self.bring_near(label);
        }
    }

    /// Puts here what leads to a label: a copy when it is an answer, else a jump.
    fn bring_near(&mut self, label: Label) -> Label {
        if let Some(Instruction { code: RETURN, operand, .. }) = self.reversed.get(label).copied() {
            let near = self.push(RETURN, 0, 0, operand);
            self.answers.insert(operand, near);
            return near;
        }
        let distance = u32::try_from(self.distance(label)).unwrap_or(u32::MAX);
        self.push(JUMP, 0, 0, distance)
    }

    /// Goes on at `yes` when the loaded word is the operand.
    ///
    /// `loaded` is the word that was loaded and not changed since: a label that begins by loading the same
    /// is entered behind that.
    pub(super) fn equal(&mut self, operand: u32, yes: Label, no: Label, loaded: Option<Word>) -> Label {
        self.compare(JUMP_EQUAL, operand, yes, no, loaded)
    }

    /// Goes on at `yes` when the loaded word is above the operand.
    pub(super) fn above(&mut self, operand: u32, yes: Label, no: Label, loaded: Option<Word>) -> Label {
        self.compare(JUMP_ABOVE, operand, yes, no, loaded)
    }

    /// Goes on at `yes` when the loaded word is the operand or above.
    pub(super) fn from(&mut self, operand: u32, yes: Label, no: Label, loaded: Option<Word>) -> Label {
        self.compare(JUMP_FROM, operand, yes, no, loaded)
    }

    fn compare(&mut self, code: u16, operand: u32, yes: Label, no: Label, loaded: Option<Word>) -> Label {
        let mut yes = self.behind_load(yes, loaded);
        let mut no = self.behind_load(no, loaded);
        // A jump that is put here for one moves the other one instruction away: REACH has room for that.
        if self.distance(yes) > REACH {
            yes = self.bring_near(yes);
        }
        if self.distance(no) > REACH {
            no = self.bring_near(no);
        }
        let (jump_true, jump_false) = (self.offset(yes), self.offset(no));
        self.push(code, jump_true, jump_false, operand)
    }

    fn offset(&self, label: Label) -> u8 {
        u8::try_from(self.distance(label)).unwrap_or(u8::MAX)
    }

    fn behind_load(&self, label: Label, loaded: Option<Word>) -> Label {
        let repeated = loaded.is_some_and(|word| {
            self.reversed.get(label).is_some_and(|next| next.code == LOAD && next.operand == word.0)
        });
        // What follows a load is emitted before it, so that there is a label below.
        if repeated { label.saturating_sub(1) } else { label }
    }
}
