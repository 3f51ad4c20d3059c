//! A compiled filter, and the three ways to install it.

use cofferdam_sys::plan::{Plan, Slot, Step};
use cofferdam_sys::seccomp::{self, CallData, FilterFlags, Instruction, Program};

use crate::compile::RETURN;
use crate::interpret::{self, Fault, Verdict};
use crate::{Answer, Error, ErrorKind, Kernel, Listener, Profile, compile};

/// A compiled filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    program: Program,
    flags: FilterFlags,
}

/// Sets `no_new_privs` for the calling thread and what it starts, for good (`prctl(2)`): no `execve(2)` gives
/// privileges any more, and filters can be installed without any.
///
/// # Errors
/// [`ErrorKind::Os`]; none in practice.
pub fn no_new_privs() -> Result<(), Error> {
    cofferdam_sys::process::set_no_new_privs()
        .map_err(|errno| Error::new(ErrorKind::Os(errno), "set no_new_privs"))
}

impl Filter {
    /// Compiles a profile; takes some 40 µs for one of 400 names and each architecture (see [`crate::Cache`]).
    ///
    /// # Errors
    /// As [`Profile::validate`]; [`ErrorKind::TooLong`] above 4096 instructions.
    pub fn compile(profile: &Profile) -> Result<Self, Error> {
        Ok(Self::from_parts(profile, compile::compile(profile)?.into()))
    }

    /// A filter whose program was compiled before.
    pub(crate) fn from_parts(profile: &Profile, program: Program) -> Self {
        Self { program, flags: profile.flags }
    }

    /// The program.
    pub fn program(&self) -> &[Instruction] {
        &self.program
    }

    /// What the filter says to a call, without asking the kernel.
    ///
    /// # Errors
    /// None for a filter that this crate compiled.
    pub fn ask(&self, call: &CallData) -> Result<Verdict, Fault> {
        interpret::run(&self.program, call)
    }

    /// Installs it on the calling thread, or with [`FilterFlags::TSYNC`] on all threads, for good.
    ///
    /// Needs [`no_new_privs`] or `CAP_SYS_ADMIN` in the caller's
    /// user namespace (`seccomp(2)`).
    ///
    /// # Errors
    /// [`ErrorKind::Os`]: `EACCES` without either, `EINVAL` for a flag or action that the kernel does not have.
    pub fn install(&self) -> Result<(), Error> {
        seccomp::set_filter(&self.program, self.flags_for(false)).map_err(|errno| self.refused(errno))
    }

    /// The same, and gives the supervisor's side for calls that are answered with
    /// [`crate::Answer::Notify`] (Linux 5.0).
    ///
    /// # Errors
    /// As [`Self::install`], and `EBUSY` when the thread has a filter with a listener already.
    pub fn install_with_listener(&self) -> Result<Listener, Error> {
        seccomp::set_filter_with_listener(&self.program, self.flags_for(true))
            .map(Listener::from)
            .map_err(|errno| self.refused(errno))
    }

    /// The step that installs it in a child; with a slot the listener's descriptor is put there.
    pub fn step(&self, listener: Option<Slot>) -> Step {
        let flags = self.flags_for(listener.is_some());
        Step::SystemCallFilter { program: self.program.clone(), flags, listener }
    }

    /// Checks that a kernel has every action and flag that the filter uses.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] with the action or flag and the kernel that brings it.
    pub fn check(&self, kernel: &Kernel) -> Result<(), Error> {
        let returns = self.program.iter().filter(|instruction| instruction.code == RETURN);
        kernel.check(returns.map(|instruction| Answer::from_value(instruction.operand).action()), self.flags)
    }

    /// The same with the running kernel.
    ///
    /// # Errors
    /// As [`Self::check`]; [`ErrorKind::Os`] when the kernel cannot be asked.
    pub fn check_kernel(&self) -> Result<(), Error> {
        self.check(&Kernel::ask()?)
    }

    /// Lets a child install it as the last thing before `execve(2)`, which it then must allow.
    ///
    /// The plan must have set `no_new_privs`, or the child must still have `CAP_SYS_ADMIN`.
    pub fn lower_last(&self, plan: &mut Plan) {
        plan.push_last("install the system call filter", self.step(None));
    }

    /// Without a listener nobody receives anything, and the kernel refuses the flag that is about it.
    fn flags_for(&self, listener: bool) -> FilterFlags {
        if listener { self.flags } else { self.flags - FilterFlags::WAIT_KILLABLE_RECV }
    }

    fn refused(&self, errno: cofferdam_sys::Errno) -> Error {
        let text = format!(
            "install a system call filter of {} instructions, flags {:?}",
            self.program.len(),
            self.flags
        );
        Error::new(ErrorKind::Os(errno), text)
    }
}
