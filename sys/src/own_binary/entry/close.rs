//! The last descriptor of the copy is closed beside the start of the C library, by a thread that does nothing else.
//!
//! With it goes a mount, for which the kernel waits until no processor looks at it any more: 80 microseconds on
//! an idle machine, and a time slice and more on a busy one.

use std::arch::asm;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{CLOSE, call};
use crate::Result;
use crate::call::check;
use crate::errno::Errno;

const CLONE: usize = 56;
const EXIT: usize = 60;

/// `CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM`: a thread;
/// `CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID`: its number is written down, and taken away when it has ended.
const THREAD: usize = 0x100 | 0x200 | 0x400 | 0x800 | 0x1_0000 | 0x4_0000 | 0x10_0000 | 0x20_0000;

/// The number of the thread; 0 when there is none any more.
static THREAD_ID: AtomicU32 = AtomicU32::new(0);

/// Closes a descriptor in a thread of its own, or here where none can be made.
///
/// # Safety
/// Nobody else has the descriptor.
pub(super) unsafe fn beside(descriptor: usize) {
    let place = (&raw const THREAD_ID).addr();
    let answer: isize;
    // SAFETY: the new thread is on the stack of this one and does not touch it: two calls are all that it makes.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "mov eax, {close}",
            "mov rdi, r12",
            "syscall",
            "mov eax, {exit}",
            "xor edi, edi",
            "syscall",
            "ud2",
            "2:",
            close = const CLOSE,
            exit = const EXIT,
            inlateout("rax") CLONE => answer,
            in("rdi") THREAD,
            in("rsi") 0_usize,
            in("rdx") place,
            in("r10") place,
            in("r8") 0_usize,
            in("r12") descriptor,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
        if answer < 0 {
            call(CLOSE, descriptor, 0, 0, 0, 0);
        }
    }
}

/// Waits until the descriptor is closed (`futex(2)`).
///
/// # Errors
/// None that the kernel is known to give here.
pub(in crate::own_binary) fn wait() -> Result<()> {
    loop {
        let number = THREAD_ID.load(Ordering::Acquire);
        if number == 0 {
            return Ok(());
        }
        // SAFETY: the word is a static; no time is given, so that the call waits until it is woken.
        let value = unsafe {
            libc::syscall(
                libc::SYS_futex,
                THREAD_ID.as_ptr(),
                libc::FUTEX_WAIT,
                number,
                std::ptr::null::<u8>(),
            )
        };
        match check(value) {
            Ok(_) | Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::IntoRawFd;

    #[test]
    fn a_thread_closes_it() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let number = std::os::fd::OwnedFd::from(writer).into_raw_fd();
        // SAFETY: the descriptor was given up just now.
        unsafe { beside(number.try_into().unwrap()) };
        wait().unwrap();
        assert_eq!(std::io::Read::read(&mut reader, &mut [0]).unwrap(), 0);
        assert_eq!(THREAD_ID.load(Ordering::Acquire), 0);
    }
}
