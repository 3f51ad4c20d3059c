//! From a profile to a program of classic BPF.
//!
//! ```text
//! ld arch → compare with each architecture → ld number → search tree over ranges of numbers
//!                                                          → answer, or comparisons of arguments → answer
//! ```
//! Neighbouring numbers with the same answer are one range, so that an allow-list of 300 calls is a tree of
//! some 80 leaves; numbers of x32 and those newer than the profile are ranges like others and cost nothing.
//! The tree is balanced by weight: hot calls stand higher.

mod checks;
mod decisions;
mod emit;
mod tree;
mod weight;

use cofferdam_sys::seccomp::{Instruction, MAX_INSTRUCTIONS};

use crate::{Arch, Error, ErrorKind, Profile};
pub(crate) use emit::RETURN;
use emit::{Emit, Word};

/// Compiles a profile.
pub(crate) fn compile(profile: &Profile) -> Result<Vec<Instruction>, Error> {
    profile.validate()?;
    let listed = profile.architectures()?;
    let mut emit = Emit::default();

    // Backwards, so that every jump knows where it goes. The first architecture comes to stand next to its
    // comparison.
    let mut blocks: Vec<(u32, emit::Label)> = Vec::new();
    let mut groups: Vec<Vec<Arch>> = Vec::new();
    for arch in listed {
        match groups.iter_mut().find(|group| group.first().is_some_and(|first| first.audit() == arch.audit()))
        {
            // x86-64 and x32 share a value and a tree.
            Some(group) => group.push(arch),
            None => groups.push(vec![arch]),
        }
    }
    for group in groups.iter().rev() {
        let ranges = decisions::ranges(profile, group);
        let tree = tree::emit(&mut emit, &ranges);
        let entry = emit.load(Word::NUMBER, tree);
        blocks.push((group.first().map_or(0, |arch| arch.audit()), entry));
    }
    let mut next = emit.answer(profile.bad_arch.value());
    // As listed: the last of the reversed blocks is the first architecture.
    for (audit, block) in blocks {
        next = emit.equal(audit, block, next, None);
    }
    emit.load(Word::ARCH, next);

    let program = emit.finish();
    if program.len() > MAX_INSTRUCTIONS {
        return Err(Error::new(
            ErrorKind::TooLong,
            format!(
                "the profile comes to {} instructions; the kernel takes {MAX_INSTRUCTIONS}",
                program.len()
            ),
        ));
    }
    Ok(program)
}

#[cfg(test)]
mod tests;
