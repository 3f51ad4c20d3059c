//! Running another program in the middle of the walk, as hooks are.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use super::Walk;
use crate::fork::{self, Fork, Side};
use crate::plan::{Entry, Errand};
use crate::process::Exit;
use crate::record::{Detail, Record};
use crate::spawn::{Arrays, execute};
use crate::{Errno, Result, file, memfd, process};

/// How much of a failed program's output goes into the report.
const OUTPUT: usize = 200;

impl Walk<'_> {
    /// Runs a program and waits for its end. With `rest`, the steps after this one come first, as they will
    /// for the container's own program.
    pub(super) fn run_program(&mut self, number: u32, program: &Errand, rest: &[Entry]) -> Result<()> {
        let arrays = self.arrays.get(self.ran).ok_or(Errno::EINVAL)?;
        self.ran = self.ran.saturating_add(1);
        let input = memfd::create(c"cofferdam", memfd::Flags::CLOEXEC)?;
        self.write_input(input.as_fd(), program)?;
        let output = memfd::create(c"cofferdam", memfd::Flags::CLOEXEC)?;
        let fork = Fork { exit_signal: libc::SIGCHLD, ..Fork::default() };
        // SAFETY: the new process runs `program_child` only, which allocates and locks nothing and does not
        // return.
        let pidfd = match unsafe { fork::fork(self.call, &fork)? } {
            Side::Child => self.program_child(number, program, rest, arrays, [input.as_fd(), output.as_fd()]),
            Side::Maker { pidfd, .. } => pidfd,
        };
        let (detail, answer) = match process::wait_for(pidfd.as_fd(), program.timeout)? {
            Some(Exit::Code(0)) => return Ok(()),
            Some(exit) => (Detail::Ended(exit), Errno::ECHILD),
            None => (Detail::TimedOut, Errno::ETIMEDOUT),
        };
        self.detail = detail;
        let place = &mut self.output;
        let place = place.get_mut(..OUTPUT).unwrap_or_default();
        // SAFETY: pointer and length are those of one slice that we may write.
        let _ = unsafe { libc::pread(output.as_raw_fd(), place.as_mut_ptr().cast(), place.len(), 0) };
        Err(answer)
    }

    fn program_child(
        &mut self,
        number: u32,
        program: &Errand,
        rest: &[Entry],
        arrays: &Arrays,
        [input, output]: [BorrowedFd<'_>; 2],
    ) -> ! {
        self.inside_program = true;
        let outcome = process::dup_to(input, 0)
            .and_then(|()| process::dup_to(output, 1))
            .and_then(|()| process::dup_to(output, 2))
            .map_err(|errno| (number, errno))
            .and_then(|()| if program.rest { self.walk(number.saturating_add(1), rest) } else { Ok(()) })
            .and_then(|()| process::chdir(&program.directory).map_err(|errno| (number, errno)))
            // It inherits nothing beyond its three, whatever the child does.
            .and_then(|()| self.make_ready(&[]).map_err(|errno| (number, errno)))
            .and_then(|()| if program.rest { self.run_last(self.plan) } else { Ok(()) });
        let (number, errno) = match outcome {
            Err(failure) => failure,
            Ok(()) => (number, execute(&program.exec, arrays)),
        };
        // The first report is the one that counts; the one about the end of this process comes second.
        let name = program.exec.args.first().map_or(&[][..], |name| name.as_bytes());
        let _ = Record::new(number, errno as i32, 0, name).send(self.report());
        // SAFETY: takes no pointer, runs no handler, does not return.
        unsafe { libc::_exit(127) }
    }

    /// The two halves with this process's number between them.
    fn write_input(&self, to: BorrowedFd<'_>, program: &Errand) -> Result<()> {
        let mut digits = [0u8; 10];
        let number = file::decimal(self.pid.unsigned_abs(), &mut digits);
        for part in [&program.input.before, number, &program.input.after] {
            if !part.is_empty() {
                file::write_once(to, part)?;
            }
        }
        // SAFETY: takes no pointer.
        let start = unsafe { libc::lseek(to.as_raw_fd(), 0, libc::SEEK_SET) };
        if start == 0 { Ok(()) } else { Err(Errno::last()) }
    }
}
