//! What a compiled filter says, without asking the kernel: an interpreter of classic BPF.
//!
//! For tests, for questions such as "what would this filter do with `openat2`?", and for the exact cost of a
//! call, which is the number of instructions.

use std::fmt;

use cofferdam_sys::seccomp::{CallData, Instruction};

use crate::Answer;

/// What came of running a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// What the filter returned.
    pub value: u32,
    /// How many instructions it took.
    pub instructions: usize,
}

impl Verdict {
    /// What the kernel makes of the value.
    pub fn answer(self) -> Answer {
        Answer::from_value(self.value)
    }
}

/// Why a program is none that the kernel would take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It ran past its last instruction.
    End,
    /// It read outside of `struct seccomp_data`, or not at a multiple of 4.
    Offset(u32),
    /// An instruction that seccomp does not have.
    Instruction(u16),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::End => f.write_str("the program ran past its last instruction"),
            Fault::Offset(offset) => write!(f, "the program reads at offset {offset}, where no data is"),
            Fault::Instruction(code) => {
                write!(f, "the program has the instruction {code:#x}, which seccomp does not have")
            }
        }
    }
}

impl std::error::Error for Fault {}

/// Runs a filter on one call.
///
/// Knows every instruction that the kernel takes in a seccomp filter, not only those that this crate emits.
///
/// # Errors
/// [`Fault`] for a program that the kernel would refuse.
pub fn run(program: &[Instruction], call: &CallData) -> Result<Verdict, Fault> {
    let mut machine = Machine { data: words(call), a: 0, x: 0, memory: [0; 16] };
    let mut place = 0usize;
    let mut instructions = 0usize;
    loop {
        let instruction = *program.get(place).ok_or(Fault::End)?;
        instructions = instructions.saturating_add(1);
        match machine.step(instruction)? {
            Next::Jump(skip) => place = place.saturating_add(1).saturating_add(skip),
            Next::Return(value) => return Ok(Verdict { value, instructions }),
        }
    }
}

enum Next {
    Jump(usize),
    Return(u32),
}

struct Machine {
    data: [u32; 16],
    a: u32,
    x: u32,
    memory: [u32; 16],
}

/// The words of `struct seccomp_data` as a little-endian machine has them.
fn words(call: &CallData) -> [u32; 16] {
    let mut words = [0u32; 16];
    let halves = |value: u64| [low(value), low(value >> 32)];
    let rest = std::iter::once(call.instruction_pointer).chain(call.arguments).flat_map(halves);
    let all = [call.number.cast_unsigned(), call.arch].into_iter().chain(rest);
    for (place, word) in words.iter_mut().zip(all) {
        *place = word;
    }
    words
}

fn low(value: u64) -> u32 {
    u32::try_from(value & 0xffff_ffff).unwrap_or(u32::MAX)
}

impl Machine {
    fn step(&mut self, instruction: Instruction) -> Result<Next, Fault> {
        let k = instruction.operand;
        let code = instruction.code;
        let operand = if code & 0x08 == 0 { k } else { self.x };
        match code {
            // Load: a word of the data, a constant, memory, the length.
            0x20 => self.a = self.word(k)?,
            0x00 => self.a = k,
            0x01 => self.x = k,
            0x60 => self.a = *self.memory(k)?,
            0x61 => self.x = *self.memory(k)?,
            0x80 => self.a = 64,
            0x81 => self.x = 64,
            // Store and transfer.
            0x02 => *self.memory(k)? = self.a,
            0x03 => *self.memory(k)? = self.x,
            0x07 => self.x = self.a,
            0x87 => self.a = self.x,
            // Arithmetic.
            0x04 | 0x0c => self.a = self.a.wrapping_add(operand),
            0x14 | 0x1c => self.a = self.a.wrapping_sub(operand),
            0x24 | 0x2c => self.a = self.a.wrapping_mul(operand),
            // Division by zero ends a program with 0.
            0x34 | 0x3c => match self.a.checked_div(operand) {
                Some(value) => self.a = value,
                None => return Ok(Next::Return(0)),
            },
            0x44 | 0x4c => self.a |= operand,
            0x54 | 0x5c => self.a &= operand,
            0xa4 | 0xac => self.a ^= operand,
            0x64 | 0x6c => self.a = self.a.checked_shl(operand).unwrap_or(0),
            0x74 | 0x7c => self.a = self.a.checked_shr(operand).unwrap_or(0),
            0x84 => self.a = self.a.wrapping_neg(),
            // Jumps and the end.
            0x05 => return Ok(Next::Jump(usize::try_from(k).unwrap_or(usize::MAX))),
            0x15 | 0x1d => return Ok(jump(instruction, self.a == operand)),
            0x25 | 0x2d => return Ok(jump(instruction, self.a > operand)),
            0x35 | 0x3d => return Ok(jump(instruction, self.a >= operand)),
            0x45 | 0x4d => return Ok(jump(instruction, self.a & operand != 0)),
            0x06 => return Ok(Next::Return(k)),
            0x16 => return Ok(Next::Return(self.a)),
            _ => return Err(Fault::Instruction(code)),
        }
        Ok(Next::Jump(0))
    }

    fn word(&self, offset: u32) -> Result<u32, Fault> {
        let place = usize::try_from(offset / 4).map_err(|_| Fault::Offset(offset))?;
        if !offset.is_multiple_of(4) {
            return Err(Fault::Offset(offset));
        }
        self.data.get(place).copied().ok_or(Fault::Offset(offset))
    }

    fn memory(&mut self, place: u32) -> Result<&mut u32, Fault> {
        usize::try_from(place).ok().and_then(|place| self.memory.get_mut(place)).ok_or(Fault::Offset(place))
    }
}

fn jump(instruction: Instruction, taken: bool) -> Next {
    Next::Jump(usize::from(if taken { instruction.jump_true } else { instruction.jump_false }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(code: u16, jump_true: u8, jump_false: u8, operand: u32) -> Instruction {
        Instruction { code, jump_true, jump_false, operand }
    }

    #[test]
    fn data_is_where_the_kernel_has_it() {
        let call = CallData {
            number: 7,
            arch: 9,
            instruction_pointer: 1,
            arguments: [0, 0, 0, 0, 0, 0xa_0000_000b],
        };
        for (offset, wanted) in [(0, 7), (4, 9), (8, 1), (56, 11), (60, 10)] {
            let program = [op(0x20, 0, 0, offset), op(0x16, 0, 0, 0)];
            assert_eq!(run(&program, &call).unwrap(), Verdict { value: wanted, instructions: 2 });
        }
    }

    #[test]
    fn jumps_go_where_they_should() {
        let program = [op(0x15, 1, 0, 0), op(0x06, 0, 0, 1), op(0x06, 0, 0, 2)];
        assert_eq!(run(&program, &CallData::default()).unwrap().value, 2);
    }

    #[test]
    fn wrong_programs_are_faults() {
        let call = CallData::default();
        assert_eq!(run(&[], &call), Err(Fault::End));
        assert_eq!(run(&[op(0x20, 0, 0, 64)], &call), Err(Fault::Offset(64)));
        assert_eq!(run(&[op(0x20, 0, 0, 2)], &call), Err(Fault::Offset(2)));
        assert_eq!(run(&[op(0x28, 0, 0, 0)], &call), Err(Fault::Instruction(0x28)));
        assert_eq!(run(&[op(0x05, 0, 0, u32::MAX)], &call), Err(Fault::End));
    }
}
