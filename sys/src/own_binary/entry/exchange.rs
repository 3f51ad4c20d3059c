//! The read-only copy of the own file in the place of the file that the program was executed from, without
//! executing it again.
//!
//! The kernel lets a process say which file its `/proc/PID/exe` is (`PR_SET_MM_MAP`, for which it takes
//! `CAP_CHECKPOINT_RESTORE` or `CAP_SYS_ADMIN` in the own user namespace), once nothing is mapped any more of
//! the one that it was. So the copy is mapped over it: other mount, same inode, same pages. Nothing was
//! written to them yet, so that nothing is lost: in a static program, as one that was loaded by another is
//! relocated before its entry. What else that call sets is set to what it was.
//!
//! No structure is the value of a function here: it would be copied, with a function of the C library.

use super::{CLOSE, CWD, call, call_with_six};

const OPENAT: usize = 257;
const MMAP: usize = 9;
const BRK: usize = 12;
const PRCTL: usize = 157;

/// `O_RDONLY | O_CLOEXEC`.
const CLOEXEC: usize = 0o2_000_000;
/// `MAP_PRIVATE | MAP_FIXED`.
const PRIVATE_FIXED: usize = 0x12;
const PR_SET_MM: usize = 35;
const PR_SET_MM_MAP: usize = 14;

const AT_PHDR: usize = 3;
const AT_PHNUM: usize = 5;
const AT_BASE: usize = 7;
const AT_EXECFN: usize = 31;

const PT_LOAD: u32 = 1;
const PT_PHDR: u32 = 6;
/// `PF_X`.
const EXECUTABLE: u32 = 1;
/// `PF_W`.
const WRITABLE: u32 = 2;

/// `Elf64_Phdr`.
#[repr(C)]
struct Segment {
    kind: u32,
    flags: u32,
    offset: usize,
    address: usize,
    physical: usize,
    in_file: usize,
    in_memory: usize,
    align: usize,
}

/// `struct prctl_mm_map`.
#[repr(C)]
struct Memory {
    code: [usize; 2],
    data: [usize; 2],
    heap: [usize; 2],
    stack: usize,
    arguments: [usize; 2],
    environment: [usize; 2],
    vector: usize,
    vector_size: u32,
    program: u32,
}

const _: () = assert!(size_of::<Segment>() == 56 && size_of::<Memory>() == 104);

/// What the kernel says behind the environment.
struct Told {
    segments: *const Segment,
    count: usize,
    /// Where a loader is, which has relocated the program by now.
    loader: usize,
    /// The string behind the last of the environment.
    name: usize,
}

/// Makes the file of a mount the program's own. `false` where the kernel or the caller's rights do not allow it.
///
/// # Safety
/// `stack` and `envp` are as the kernel left them at the program's start, nothing was written to the program's
/// memory since, and `tree` is a mount of the program's own file.
pub(super) unsafe fn own_file(tree: usize, stack: *const usize, envp: *const usize) -> bool {
    // SAFETY: as promised by the caller, for all of these.
    unsafe {
        let mut told = Told { segments: std::ptr::null(), count: 0, loader: 0, name: 0 };
        listen(envp, &mut told);
        if told.count == 0 || told.loader != 0 || told.name == 0 || tree > 99 {
            return false;
        }
        let file = open(tree);
        if file < 0 {
            return false;
        }
        let file = file.cast_unsigned();
        // The arguments, the environment and the program's name are one behind the other; the heap is empty.
        let heap = call(BRK, 0, 0, 0, 0, 0).cast_unsigned();
        let environment = if *envp == 0 { told.name } else { *envp };
        let argument = if *stack == 0 { environment } else { *stack.wrapping_add(1) };
        let mut memory = Memory {
            code: [usize::MAX, 0],
            data: [0, 0],
            heap: [heap, heap],
            stack: stack.addr(),
            arguments: [argument, environment],
            environment: [environment, told.name],
            vector: 0,
            vector_size: 0,
            #[expect(clippy::cast_possible_truncation, reason = "a descriptor")]
            program: file as u32,
        };
        let done = map(&told, file, &mut memory) && {
            let (place, size) = ((&raw const memory).addr(), size_of::<Memory>());
            call(PRCTL, PR_SET_MM, PR_SET_MM_MAP, place, size, 0) == 0
        };
        call(CLOSE, file, 0, 0, 0, 0);
        done
    }
}

/// # Safety
/// The argument is the environment as the kernel left it.
unsafe fn listen(envp: *const usize, told: &mut Told) {
    let mut next = envp;
    // SAFETY: not beyond the null that ends the environment, and then in pairs not beyond the one that ends
    // the auxiliary vector.
    unsafe {
        while *next != 0 {
            next = next.wrapping_add(1);
        }
        next = next.wrapping_add(1);
        while *next != 0 {
            let value = *next.wrapping_add(1);
            if *next == AT_PHDR {
                told.segments = std::ptr::with_exposed_provenance(value);
            } else if *next == AT_PHNUM {
                told.count = value;
            } else if *next == AT_BASE {
                told.loader = value;
            } else if *next == AT_EXECFN {
                told.name = value;
            }
            next = next.wrapping_add(2);
        }
    }
}

/// Opens `/proc/self/fd/N`, for an N of at most two digits.
///
/// # Safety
/// None: the path is a C string that the kernel reads.
unsafe fn open(tree: usize) -> isize {
    const ZERO: usize = b'0' as usize;
    const BEGIN: usize = usize::from_le_bytes(*b"/proc/se");
    const END: usize = usize::from_le_bytes(*b"lf/fd/\0\0");
    let (tens, ones) = (tree / 10, tree % 10);
    let digits = if tens == 0 { ZERO + ones } else { (ZERO + tens) | ((ZERO + ones) << 8) };
    let path: [usize; 3] = [BEGIN, END | (digits << 48), 0];
    // SAFETY: the string ends in the last word.
    unsafe { call(OPENAT, CWD, (&raw const path).addr(), CLOEXEC, 0, 0) }
}

/// Maps each segment anew, and takes down where code and data are, as the kernel does.
///
/// # Safety
/// As [`own_file`].
unsafe fn map(told: &Told, file: usize, memory: &mut Memory) -> bool {
    const PAGE: usize = 4096;
    let mut base = 0;
    let mut number = 0;
    while number < told.count {
        // SAFETY: the kernel tells how many there are. Where one is mapped over, it is the same again.
        let segment = unsafe { &*told.segments.wrapping_add(number) };
        number += 1;
        if segment.kind == PT_PHDR {
            base = told.segments.addr().wrapping_sub(segment.address);
        }
        if segment.kind != PT_LOAD {
            continue;
        }
        let begin = base.wrapping_add(segment.address);
        let end = begin.wrapping_add(segment.in_file);
        let (first, last) = (begin & !(PAGE - 1), end.wrapping_add(PAGE - 1) & !(PAGE - 1));
        // PF_R, PF_W, PF_X are 4, 2, 1; PROT_READ, PROT_WRITE, PROT_EXEC the other way round.
        let flags = segment.flags;
        let protection = ((flags >> 2) & 1) | (flags & 2) | ((flags & 1) << 2);
        let (length, offset) = (last.wrapping_sub(first), segment.offset & !(PAGE - 1));
        let clears = flags & WRITABLE != 0 && segment.in_memory > segment.in_file;
        if flags & EXECUTABLE != 0 {
            memory.code = [least(memory.code[0], begin), most(memory.code[1], end)];
        }
        memory.data = [most(memory.data[0], begin), most(memory.data[1], end)];
        // SAFETY: the same content where the kernel had mapped it; what is beyond the file's part of the last
        // page is cleared, as the kernel had.
        unsafe {
            let protection = protection as usize;
            if call_with_six(MMAP, [first, length, protection, PRIVATE_FIXED, file, offset]) < 0 {
                return false;
            }
            if clears {
                clear(end, last);
            }
        }
    }
    base != 0
}

fn least(a: usize, b: usize) -> usize {
    if a < b { a } else { b }
}

fn most(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

/// # Safety
/// What is between the two addresses is the caller's to write.
unsafe fn clear(begin: usize, end: usize) {
    // SAFETY: as promised; the direction flag is clear (System V ABI).
    unsafe {
        std::arch::asm!(
            "rep stosb",
            inout("rcx") end.wrapping_sub(begin) => _,
            inout("rdi") begin => _,
            in("al") 0_u8,
            options(nostack, preserves_flags),
        );
    }
}
