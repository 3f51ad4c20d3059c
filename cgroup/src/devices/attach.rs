//! Attaching the program to a cgroup, replacing it, and looking what is in force.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use cofferdam_sys::bpf::{self, Info};
use cofferdam_sys::{Errno, errno};

use super::{NAME, Rule, compile, failed, load};
use crate::{Cgroup, Error, ErrorKind, Result};

const KIND: u32 = bpf::ATTACH_CGROUP_DEVICE;

/// How often somebody may change the programs of a cgroup under us before that is an error.
const TRIES: u32 = 8;

/// A device program that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its number, unique for as long as it is loaded.
    pub id: u32,
    /// Its name: `cofferdam_dev` for one of ours.
    pub name: String,
    /// The kernel's digest of its instructions: equal for equal rules.
    pub tag: [u8; 8],
}

impl Program {
    /// Whether it was attached by this crate.
    pub fn is_own(&self) -> bool {
        self.name.as_bytes() == NAME.to_bytes()
    }

    fn of(info: &Info) -> Self {
        let name = CStr::from_bytes_until_nul(&info.name).unwrap_or_default();
        Self { id: info.id, name: name.to_string_lossy().into_owned(), tag: info.tag }
    }
}

impl Cgroup {
    /// Allows its processes, and those below, only the devices that `rules` allow, and reads back that it is
    /// so.
    ///
    /// An earlier list of this cgroup is replaced in one step: at every moment the old or the new one is in
    /// force, never none and never both. Programs of others, here and in the cgroups above, stay in force
    /// beside it.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] on a kernel without `CONFIG_CGROUP_BPF`; [`ErrorKind::System`] with
    /// `EPERM` without `CAP_SYS_ADMIN` in the initial user namespace; [`ErrorKind::Invalid`] for more rules
    /// than a program has room for; [`ErrorKind::Busy`] when others keep changing the programs.
    pub fn set_devices(&self, rules: &[Rule]) -> Result<()> {
        let new = load(&compile(rules)?)?;
        let what = || format!("attach the device program to {}", self.path().display());
        let mut tries = TRIES;
        loop {
            let own = self.own_programs()?;
            let replaced = own.first().map(|(fd, _)| fd.as_fd());
            match bpf::cgroup_attach(self.fd(), new.as_fd(), KIND, bpf::ATTACH_ALLOW_MULTI, replaced) {
                // The one to replace was replaced meanwhile.
                Err(Errno::ENOENT) if replaced.is_some() && tries > 0 => tries = tries.saturating_sub(1),
                Err(Errno::ENOENT) if replaced.is_some() => {
                    return Err(Error::new(ErrorKind::Busy, what()).with_hint("others keep changing it"));
                }
                Err(number) => return Err(attach_failed(what(), number)),
                Ok(()) => {
                    // More than one of ours only when two callers attached the first at once.
                    let surplus = own.iter().skip(1);
                    surplus.map(|(fd, _)| fd.as_fd()).try_for_each(|fd| self.detach(fd))?;
                    return self.expect_attached(new.as_fd());
                }
            }
        }
    }

    /// Takes its device list away again; the programs of others stay.
    ///
    /// # Errors
    /// As [`Cgroup::set_devices`].
    pub fn clear_devices(&self) -> Result<()> {
        self.own_programs()?.iter().try_for_each(|(fd, _)| self.detach(fd.as_fd()))
    }

    /// The device programs that are attached to it, and to the cgroups above when `effective`: a use of a
    /// device needs all of them to agree.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] on a kernel without `CONFIG_CGROUP_BPF`; [`ErrorKind::System`] with
    /// `EPERM` without `CAP_SYS_ADMIN` in the initial user namespace.
    pub fn device_programs(&self, effective: bool) -> Result<Vec<Program>> {
        Ok(self.programs(effective)?.into_iter().map(|(_, program)| program).collect())
    }

    /// Whether the list of exactly these rules is attached to it, by the kernel's own digest of the program.
    ///
    /// # Errors
    /// As [`Cgroup::set_devices`].
    pub fn has_devices(&self, rules: &[Rule]) -> Result<bool> {
        let tag = info(load(&compile(rules)?)?.as_fd())?.tag;
        Ok(self.own_programs()?.iter().any(|(_, program)| program.tag == tag))
    }

    fn own_programs(&self) -> Result<Vec<(OwnedFd, Program)>> {
        let mut programs = self.programs(false)?;
        programs.retain(|(_, program)| program.is_own());
        Ok(programs)
    }

    fn programs(&self, effective: bool) -> Result<Vec<(OwnedFd, Program)>> {
        let what = || format!("list the device programs of {}", self.path().display());
        let ids = bpf::cgroup_query(self.fd(), KIND, effective).map_err(|number| failed(what(), number))?;
        let mut programs = Vec::with_capacity(ids.len());
        for id in ids {
            match bpf::prog_by_id(id) {
                Ok(fd) => {
                    let program = Program::of(&info(fd.as_fd())?);
                    programs.push((fd, program));
                }
                // Detached meanwhile.
                Err(Errno::ENOENT) => {}
                Err(number) => return Err(failed(what(), number)),
            }
        }
        Ok(programs)
    }

    fn detach(&self, program: BorrowedFd<'_>) -> Result<()> {
        match bpf::cgroup_detach(self.fd(), program, KIND) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(number) => {
                let what = format!("take a device program off {}", self.path().display());
                Err(failed(what, number))
            }
        }
    }

    /// Reads back that a program is attached.
    fn expect_attached(&self, program: BorrowedFd<'_>) -> Result<()> {
        let id = info(program)?.id;
        let what = || format!("read back the device programs of {}", self.path().display());
        let ids = bpf::cgroup_query(self.fd(), KIND, false).map_err(|number| failed(what(), number))?;
        if ids.contains(&id) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Busy, format!("{}: {id} is not among them", what()))
            .with_hint("another caller has replaced it"))
    }
}

fn info(program: BorrowedFd<'_>) -> Result<Info> {
    bpf::prog_info(program).map_err(|number| failed("ask what a device program is".to_owned(), number))
}

fn attach_failed(what: String, number: Errno) -> Error {
    match number {
        Errno::E2BIG => Error::system(what, number).with_hint("it has 64 programs already"),
        Errno::EPERM => Error::system(what, number).with_hint(format!(
            "{}; or a program above or here was attached without BPF_F_ALLOW_MULTI",
            errno::describe(number)
        )),
        _ => failed(what, number),
    }
}
