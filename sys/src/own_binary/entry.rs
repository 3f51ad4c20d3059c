//! The entry point `cofferdam_entry`, for a program that is linked with `-e cofferdam_entry`.
//!
//! It comes before the C library's `_start` and takes a read-only copy of the own file for its own
//! ([`exchange`]), or executes it as [`super::execute_sealed`] does, at a point where the program has touched a
//! handful of pages: executing it again there costs a tenth of what it costs once its libraries are set up. Only for the commands that put a process into a container, which are known
//! by a word of the command line. Whatever fails here is left to [`super::is_sealed`] and what follows on it.
//!
//! In a static program nothing is relocated yet. So: no table of pointers, no call into another crate, no
//! `memcpy`; words are compared as numbers.

pub(super) mod close;
mod exchange;

use std::arch::{asm, global_asm};

// At the entry rsp points to argc, argv, null, envp, null and is a multiple of 16; rdx is the dynamic loader's.
global_asm!(
    ".globl cofferdam_entry",
    ".type cofferdam_entry, @function",
    "cofferdam_entry:",
    ".cfi_startproc",
    ".cfi_undefined rip",
    "mov rdi, rsp",
    "push rdx",
    "sub rsp, 8",
    "call {early}",
    "add rsp, 8",
    "pop rdx",
    "jmp _start",
    ".cfi_endproc",
    ".size cofferdam_entry, . - cofferdam_entry",
    early = sym early,
);

const OPEN_TREE: usize = 428;
const MOUNT_SETATTR: usize = 442;
const FACCESSAT2: usize = 439;
const EXECVEAT: usize = 322;
const CLOSE: usize = 3;

/// `AT_FDCWD`.
const CWD: usize = (-100_isize).cast_unsigned();
const AT_EMPTY_PATH: usize = 0x1000;
const AT_EACCESS: usize = 0x200;
const W_OK: usize = 2;
/// `OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC`.
const CLONE_CLOEXEC: usize = 1 | 0o2_000_000;

/// `struct mount_attr`.
#[repr(C)]
struct Attributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// # Safety
/// The argument is the stack as the kernel left it at the program's start.
unsafe extern "C" fn early(stack: *const usize) {
    // SAFETY: argc, then as many pointers to strings and null, then those of the environment.
    let (argv, envp) = unsafe {
        let count = *stack;
        let argv = stack.wrapping_add(1);
        if !names_a_starter(argv) {
            return;
        }
        (argv, argv.wrapping_add(count).wrapping_add(1))
    };
    let own = c"/proc/self/exe".as_ptr().addr();
    let empty = c"".as_ptr().addr();
    // SAFETY: the path is a C string that the kernel reads.
    let answer = unsafe { call(FACCESSAT2, CWD, own, W_OK, AT_EACCESS, 0) };
    if answer != 0 {
        return;
    }
    // SAFETY: as above; a new descriptor comes back.
    let tree = unsafe { call(OPEN_TREE, CWD, own, CLONE_CLOEXEC, 0, 0) };
    if tree < 0 {
        return;
    }
    let tree = tree.cast_unsigned();
    // `MOUNT_ATTR_RDONLY`.
    let attributes = Attributes { set: 1, clear: 0, propagation: 0, user_namespace: 0 };
    let (place, size) = ((&raw const attributes).addr(), size_of::<Attributes>());
    // SAFETY: the structure is valid for the call and its size is given; the strings and arrays are the
    // kernel's own, which end in null; nothing was written to the program's memory yet.
    unsafe {
        let made = call(MOUNT_SETATTR, tree, empty, AT_EMPTY_PATH, place, size);
        // Were it writable all the same, this would be done over and over again.
        if made == 0 && call(FACCESSAT2, tree, empty, W_OK, AT_EACCESS | AT_EMPTY_PATH, 0) != 0 {
            if exchange::own_file(tree, stack, envp) {
                return close::beside(tree);
            }
            call(EXECVEAT, tree, empty, argv.addr(), envp.addr(), AT_EMPTY_PATH);
        }
        call(CLOSE, tree, 0, 0, 0, 0);
    }
}

/// Whether one of the words behind the first is a command that puts a process into a container. Another
/// command that has such a word for a name pays for it with the time, and with nothing else.
///
/// # Safety
/// The argument is an array of C strings that ends in null.
unsafe fn names_a_starter(argv: *const usize) -> bool {
    const CREATE: u64 = u64::from_le_bytes(*b"create\0\0");
    const RUN: u64 = u64::from_le_bytes(*b"run\0\0\0\0\0");
    const EXEC: u64 = u64::from_le_bytes(*b"exec\0\0\0\0");
    const RESTORE: u64 = u64::from_le_bytes(*b"restore\0");
    let mut argv = argv;
    loop {
        // SAFETY: not beyond the null, at which the loop ends. A string is read up to its NUL.
        let word = unsafe {
            if *argv == 0 || *argv.wrapping_add(1) == 0 {
                return false;
            }
            argv = argv.wrapping_add(1);
            first_eight(std::ptr::with_exposed_provenance(*argv))
        };
        if word == CREATE || word == RUN || word == EXEC || word == RESTORE {
            return true;
        }
    }
}

/// A string of up to seven bytes as a number, its NUL and what is missing as 0; one that is longer as 0.
///
/// # Safety
/// The argument is a C string.
unsafe fn first_eight(text: *const u8) -> u64 {
    let mut word: u64 = 0;
    let mut shift = 0;
    let mut text = text;
    while shift < 64 {
        // SAFETY: not beyond the NUL.
        let byte = unsafe { *text };
        if byte == 0 {
            return word;
        }
        #[expect(clippy::cast_lossless, reason = "the function for it is another crate's")]
        let byte = byte as u64;
        word |= byte << shift;
        shift += 8;
        text = text.wrapping_add(1);
    }
    0
}

/// A system call without the C library, whose `errno` has no place yet.
///
/// # Safety
/// As for the call itself.
#[expect(clippy::many_single_char_names, reason = "the arguments have no names of their own")]
unsafe fn call(number: usize, a: usize, b: usize, c: usize, d: usize, e: usize) -> isize {
    // SAFETY: the caller's promise.
    unsafe { call_with_six(number, [a, b, c, d, e, 0]) }
}

/// # Safety
/// As [`call`].
#[inline(always)]
#[expect(clippy::inline_always, reason = "the array stays in registers")]
#[expect(clippy::many_single_char_names, reason = "the arguments have no names of their own")]
unsafe fn call_with_six(number: usize, [a, b, c, d, e, f]: [usize; 6]) -> isize {
    let value: isize;
    // SAFETY: the kernel keeps every register but rax, rcx and r11; the rest is the caller's promise.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => value,
            in("rdi") a,
            in("rsi") b,
            in("rdx") c,
            in("r10") d,
            in("r8") e,
            in("r9") f,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_by_a_word() {
        let starter = |words: &[&std::ffi::CStr]| {
            let pointers: Vec<usize> =
                words.iter().map(|word| word.as_ptr().expose_provenance()).chain([0]).collect();
            // SAFETY: an array of C strings that ends in null.
            unsafe { names_a_starter(pointers.as_ptr()) }
        };
        assert!(starter(&[c"cofferdam", c"--root", c"/x", c"run", c"box"]));
        assert!(starter(&[c"cofferdam", c"exec"]) && starter(&[c"cofferdam", c"create"]));
        assert!(!starter(&[]) && !starter(&[c"run"]));
        assert!(!starter(&[c"cofferdam", c"state", c"running", c"ru", c"", c"execexec", c"createcreate"]));
    }
}
