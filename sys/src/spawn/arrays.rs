//! What `execve(2)` takes: pointers to the strings of a plan, and to the few that the child completes.

use std::cell::Cell;
use std::ffi::{CStr, CString};

use crate::plan::{Entry, Exec, Plan, Step};
use crate::{file, passwd};

/// The arrays of pointers that `execve(2)` takes. Their strings live in the plan.
pub(crate) struct Arrays {
    pub(crate) argv: Vec<*const libc::c_char>,
    pub(crate) envp: Vec<*const libc::c_char>,
    /// Entries of the environment that the child completes.
    own_pid: Option<OwnPid>,
    home: Option<Home>,
}

/// `NAME=` and a place for the digits of the child's process id.
struct OwnPid {
    bytes: Box<[Cell<u8>]>,
    digits: usize,
}

impl OwnPid {
    fn new(name: &str) -> Self {
        let text = name.bytes().chain(*b"=").map(Cell::new);
        let place = std::iter::repeat_with(|| Cell::new(0)).take(12);
        Self { bytes: text.chain(place).collect(), digits: name.len().saturating_add(1) }
    }

    /// Writes the caller's number. Allocates nothing.
    fn complete(&self) {
        let mut digits = [0; 10];
        let number = file::decimal(std::process::id(), &mut digits);
        for (place, digit) in self.bytes.iter().skip(self.digits).zip(number) {
            place.set(*digit);
        }
    }
}

/// `HOME=/`, and a place for the directory that a [`Step::FindHome`] finds.
pub(crate) struct Home(Box<[Cell<u8>]>);

/// `HOME=`.
const HOME: &[u8] = b"HOME=";

impl Home {
    fn new() -> Self {
        let text = HOME.iter().chain(b"/").copied().map(Cell::new);
        // The bytes behind are 0 until the child writes there, and the last one always is.
        let place = std::iter::repeat_with(|| Cell::new(0)).take(passwd::LONGEST);
        Self(text.chain(place).collect())
    }

    /// Writes a directory. Allocates nothing.
    pub(crate) fn set(&self, directory: &[u8]) {
        let bytes = directory.iter().take(passwd::LONGEST);
        for (place, byte) in self.0.iter().skip(HOME.len()).zip(bytes) {
            place.set(*byte);
        }
    }
}

impl Arrays {
    fn new(exec: &Exec) -> Self {
        Self { argv: pointers(&exec.args), envp: pointers(&exec.env), own_pid: None, home: None }
    }

    pub(super) fn of_plan(plan: &Plan) -> Self {
        let own_pid = plan.own_pid().map(OwnPid::new);
        let finds = plan.entries().iter().any(|entry| matches!(entry.step, Step::FindHome { .. }));
        let mut arrays = Self { own_pid, home: finds.then(Home::new), ..Self::new(plan.exec()) };
        let entries = [
            arrays.own_pid.as_ref().map(|entry| entry.bytes.as_ptr()),
            arrays.home.as_ref().map(|home| home.0.as_ptr()),
        ];
        for entry in entries.into_iter().flatten() {
            // In front of the null.
            let last = arrays.envp.len().saturating_sub(1);
            arrays.envp.insert(last, entry.cast());
        }
        arrays
    }

    /// The entry that [`Step::FindHome`] completes.
    pub(crate) fn home(&self) -> Option<&Home> {
        self.home.as_ref()
    }

    /// Completes the entry that tells the child's own process id, where there is one.
    pub(crate) fn complete(&self) {
        if let Some(entry) = &self.own_pid {
            entry.complete();
        }
    }

    /// Those of a program on the way. The entry of `plan`, which must outlive them, is theirs too where they ask for it.
    pub(super) fn of_step(entry: &Entry, plan: &Arrays) -> Option<Self> {
        let Step::Run(program) = &entry.step else { return None };
        let mut arrays = Self::new(&program.exec);
        if let Some(home) = plan.home().filter(|_| program.home) {
            let last = arrays.envp.len().saturating_sub(1);
            arrays.envp.insert(last, home.0.as_ptr().cast());
        }
        Some(arrays)
    }
}

/// Each string, then null.
fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(CString::as_c_str).map(CStr::as_ptr).chain(std::iter::once(std::ptr::null())).collect()
}
