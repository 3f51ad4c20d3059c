//! From rules to instructions.
//!
//! ```text
//! r3 = type, r2 = the ways of use that no rule has decided yet, r4 = major, r5 = minor
//! from the last rule to the first, when type, major and minor fit:
//!     deny:  if r2 has a way in common with the rule, the answer is no
//!     allow: take the rule's ways out of r2; if none is left, the answer is yes
//! the answer is no
//! ```

use cofferdam_sys::bpf::Instruction;

use super::{Access, Kind, Rule};
use crate::{Error, ErrorKind, Result};

/// The kernel's `struct bpf_cgroup_dev_ctx`: access in the upper and type in the lower half of a word, then
/// major and minor.
const ACCESS_TYPE: i16 = 0;
const MAJOR: i16 = 4;
const MINOR: i16 = 8;

/// `BPF_DEVCG_DEV_BLOCK` and `BPF_DEVCG_DEV_CHAR`.
const BLOCK: u32 = 1;
const CHAR: u32 = 2;

/// As many as a kernel takes in one program from a caller without `CAP_BPF`; far more rules than sane.
const MOST: usize = 4096;

/// The register that holds the answer, and those of the comment above.
const ANSWER: u8 = 0;
const CONTEXT: u8 = 1;
const LEFT: u8 = 2;
const TYPE: u8 = 3;
const MAJOR_REGISTER: u8 = 4;
const MINOR_REGISTER: u8 = 5;

/// Instruction classes, sizes and operations of `bpf(2)`, put together.
pub(super) mod code {
    /// `dst = *(u32 *)(src + off)`.
    pub(crate) const LOAD_WORD: u8 = 0x61;
    /// `dst = src`.
    pub(crate) const MOVE: u8 = 0xbf;
    /// `dst = imm`.
    pub(crate) const SET: u8 = 0xb7;
    /// `dst &= imm`.
    pub(crate) const AND: u8 = 0x57;
    /// `dst >>= imm`.
    pub(crate) const SHIFT_RIGHT: u8 = 0x77;
    /// `if (u32)dst != (u32)imm goto +off`.
    pub(crate) const JUMP_NOT_EQUAL: u8 = 0x56;
    /// `if (u32)dst & imm goto +off`.
    pub(crate) const JUMP_SET: u8 = 0x46;
    /// `goto +off`.
    pub(crate) const JUMP: u8 = 0x05;
    /// `return r0`.
    pub(crate) const EXIT: u8 = 0x95;
}

/// Assembles the program of an ordered list of rules; the last that fits wins, nothing fits is no.
///
/// # Errors
/// [`ErrorKind::Invalid`] for more rules than a program has room for, about 500.
pub fn compile(rules: &[Rule]) -> Result<Vec<Instruction>> {
    let mut program = vec![
        load(LEFT, ACCESS_TYPE),
        Instruction { code: code::MOVE, registers: TYPE | (LEFT << 4), offset: 0, immediate: 0 },
        with_immediate(code::AND, TYPE, 0xffff),
        with_immediate(code::SHIFT_RIGHT, LEFT, 16),
        load(MAJOR_REGISTER, MAJOR),
        load(MINOR_REGISTER, MINOR),
    ];
    for rule in rules.iter().rev() {
        program.extend(block(rule));
        if program.len() > MOST {
            let what = format!("{} device rules are more than one program has room for", rules.len());
            return Err(Error::new(ErrorKind::Invalid, what).with_hint("use wildcards"));
        }
    }
    program.extend(answer(false));
    Ok(program)
}

/// The instructions of one rule, which go on behind themselves when it does not decide.
fn block(rule: &Rule) -> Vec<Instruction> {
    let access = i32::from(rule.access.bits());
    let decision = if rule.allow {
        let others = i32::from(Access::ALL.bits()) & !access;
        let [set, exit] = answer(true);
        // A bit that no rule can name stays set, and the answer is no.
        vec![
            with_immediate(code::AND, LEFT, others | !i32::from(Access::ALL.bits())),
            jump_not_zero(2),
            set,
            exit,
        ]
    } else {
        let [set, exit] = answer(false);
        let skip = Instruction { code: code::JUMP, registers: 0, offset: 2, immediate: 0 };
        let hit = Instruction { code: code::JUMP_SET, registers: LEFT, offset: 1, immediate: access };
        vec![hit, skip, set, exit]
    };
    let kind = rule.kind.map(|kind| match kind {
        Kind::Block => BLOCK,
        Kind::Char => CHAR,
    });
    let wanted = [(TYPE, kind), (MAJOR_REGISTER, rule.major), (MINOR_REGISTER, rule.minor)];
    let conditions: Vec<(u8, u32)> =
        wanted.into_iter().filter_map(|(register, value)| Some((register, value?))).collect();
    let count = conditions.len();
    let mut block: Vec<Instruction> = conditions
        .into_iter()
        .enumerate()
        .map(|(place, (register, value))| {
            // Over the conditions that follow and the decision.
            let over = count.saturating_sub(place).saturating_sub(1).saturating_add(decision.len());
            Instruction {
                code: code::JUMP_NOT_EQUAL,
                registers: register,
                offset: i16::try_from(over).unwrap_or(i16::MAX),
                immediate: value.cast_signed(),
            }
        })
        .collect();
    block.extend(decision);
    block
}

/// The end of the program with an answer.
fn answer(yes: bool) -> [Instruction; 2] {
    [
        with_immediate(code::SET, ANSWER, yes.into()),
        Instruction { code: code::EXIT, registers: 0, offset: 0, immediate: 0 },
    ]
}

fn load(register: u8, offset: i16) -> Instruction {
    Instruction { code: code::LOAD_WORD, registers: register | (CONTEXT << 4), offset, immediate: 0 }
}

fn with_immediate(code: u8, register: u8, immediate: i32) -> Instruction {
    Instruction { code, registers: register, offset: 0, immediate }
}

fn jump_not_zero(offset: i16) -> Instruction {
    Instruction { code: code::JUMP_NOT_EQUAL, registers: LEFT, offset, immediate: 0 }
}
