//! One thread's own privileges.

use super::super::child::{Sleeper, plan};
use super::super::kernel::since;
use super::{host, on_a_thread};
use crate::registry::{Context, OrFail, Result};
use cofferdam_caps::{
    Cap, CapSet, Change, Credentials, ErrorKind, Securebits, Sets, Status, last_cap, thread,
};
use cofferdam_sys::Errno;
use cofferdam_sys::plan::Step;

fn kill() -> CapSet {
    Cap::KILL.into()
}

pub(super) fn status_of_a_task(_: &mut Context) -> Result {
    let sets = Sets { inheritable: kill(), ambient: kill(), ..Sets::rooted(kill().with(Cap::CHOWN)) };
    let mut lowered = plan(&[])?;
    sets.lower(&super::user(), true, last_cap()?, &mut lowered)?;
    let steps: Vec<(&str, Step)> =
        lowered.entries().iter().map(|entry| (entry.about.as_ref(), entry.step.clone())).collect();
    let sleeper = Sleeper::start(&host(), None, steps)?;
    let status = Status::of(sleeper.pid().unsigned_abs())?;
    ensure_eq!(status.sets, sets.after_execve(false, true), "the sets of another process");
    ensure_eq!(status.uids.effective, 1000, "its user");
    ensure_eq!(status.groups, [1001], "its groups");
    ensure!(status.no_new_privs, "its no_new_privs");
    let pid = sleeper.pid().unsigned_abs();
    drop(sleeper);
    let error = Status::of(pid).err().or_fail("an error for a process that is gone")?;
    ensure_eq!(error.kind(), ErrorKind::Os(Errno::ENOENT), "{error}");

    // One thread among others, by its own id.
    on_a_thread(|| {
        thread::set_no_new_privs()?;
        Sets { bounding: Sets::current()?.bounding, ..Sets::default() }.apply()?;
        let tid = rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs();
        let status = Status::of(tid)?;
        ensure!(status.no_new_privs && status.sets.permitted.is_empty(), "its own status: {status:?}");
        ensure_eq!(Sets::current()?, status.sets, "what it has");
        let process = Status::of(std::process::id())?;
        ensure!(!process.no_new_privs && !process.sets.permitted.is_empty(), "the process: {process:?}");
        Ok(())
    })
}

pub(super) fn apply_to_one_thread(_: &mut Context) -> Result {
    let before = Sets::current()?;
    for wanted in [
        Sets { inheritable: kill(), ambient: kill(), ..Sets::rooted(kill()) },
        Sets::rooted(CapSet::HARDENED),
        Sets { effective: CapSet::EMPTY, ..before },
        Sets::default(),
    ] {
        on_a_thread(|| {
            wanted.apply()?;
            ensure_eq!(Sets::current()?, wanted, "the sets of the thread");
            // Again, from where nothing but itself is possible.
            wanted.apply()?;
            Ok(())
        })?;
        ensure_eq!(Sets::current()?, before, "the sets of its sibling");
    }
    Ok(())
}

pub(super) fn apply_all_or_nothing(_: &mut Context) -> Result {
    on_a_thread(|| {
        let poor = Sets { bounding: Sets::current()?.bounding, ..Sets::rooted(kill()) };
        poor.apply()?;
        let tries = [
            (Sets::rooted(kill()), "CAP_SETPCAP in the permitted set"),
            (
                Sets { permitted: kill().with(Cap::CHOWN), ..poor },
                "cannot get CAP_CHOWN into its permitted set",
            ),
            (Sets { inheritable: Cap::CHOWN.into(), ..poor }, "without CAP_SETPCAP only what is permitted"),
            (Sets { effective: Cap::CHOWN.into(), ..poor }, "which the permitted set has not"),
        ];
        for (wanted, reason) in tries {
            let error = wanted.apply().err().or_fail("an error")?;
            ensure!(error.to_string().contains(reason), "{wanted:?}: {error}");
            ensure_eq!(Sets::current()?, poor, "the sets after {error}");
        }
        Ok(())
    })
}

pub(super) fn inheritable_without_bounding(_: &mut Context) -> Result {
    on_a_thread(|| {
        let wanted = Sets { inheritable: kill(), ..Sets::rooted(Cap::CHOWN.into()) };
        wanted.apply()?;
        ensure_eq!(Sets::current()?, wanted, "the sets");
        Ok(())
    })
}

pub(super) fn keep_caps(_: &mut Context) -> Result {
    let leave_root = Change::Uids { real: Some(1000), effective: Some(1000), saved: Some(1000) };
    on_a_thread(|| {
        leave_root.apply()?;
        ensure!(
            Sets::current()?.permitted.is_empty(),
            "capabilities of a former root: {:?}",
            Sets::current()?
        );
        Ok(())
    })?;
    on_a_thread(|| {
        let before = Sets::current()?;
        thread::set_keep_caps(true)?;
        leave_root.apply()?;
        let after = Sets::current()?;
        ensure_eq!(after.permitted, before.permitted, "what was kept");
        ensure!(after.effective.is_empty(), "what is effective: {:?}", after.effective);
        Sets { bounding: after.bounding, ..Sets::rooted(kill()) }.apply()?;
        ensure_eq!(Sets::current()?.effective, kill(), "what was made effective again");
        Ok(())
    })
}

pub(super) fn locked_secure_bits(_: &mut Context) -> Result {
    let locked = Securebits::KEEP_CAPS_LOCKED | Securebits::NOROOT | Securebits::NOROOT_LOCKED;
    on_a_thread(|| {
        thread::set_securebits(locked)?;
        ensure_eq!(Credentials::current()?.securebits, locked, "the bits");
        let refused = [
            (locked - Securebits::NOROOT, "the thread has NOROOT locked"),
            (locked - Securebits::NOROOT_LOCKED, "nothing takes the lock NOROOT_LOCKED away"),
            (
                locked | Securebits::from_bits_retain(1 << 30),
                "the running kernel has no secure bit 0x40000000",
            ),
        ];
        for (bits, reason) in refused {
            let error = thread::set_securebits(bits).err().or_fail("an error")?;
            ensure!(error.to_string().contains(reason), "{bits}: {error}");
        }
        let error = thread::set_keep_caps(true).err().or_fail("an error")?;
        ensure!(error.to_string().contains("KEEP_CAPS_LOCKED"), "{error}");
        Sets { bounding: Sets::current()?.bounding, ..Sets::default() }.apply()?;
        let error = thread::set_securebits(locked | Securebits::NO_SETUID_FIXUP).err().or_fail("an error")?;
        ensure!(error.to_string().contains("CAP_SETPCAP"), "{error}");
        ensure_eq!(Credentials::current()?.securebits, locked, "the bits afterwards");
        Ok(())
    })
}

pub(super) fn secure_bits_for_interpreters(_: &mut Context) -> Result {
    let wanted = Securebits::EXEC_RESTRICT_FILE | Securebits::EXEC_RESTRICT_FILE_LOCKED;
    on_a_thread(|| {
        Sets { bounding: Sets::current()?.bounding, ..Sets::default() }.apply()?;
        let answer = thread::set_securebits(wanted);
        if since(6, 14)? {
            answer?;
            ensure_eq!(Credentials::current()?.securebits, wanted, "the bits");
        } else {
            let error = answer.err().or_fail("an error before Linux 6.14")?.to_string();
            ensure!(error.contains("the running kernel has no secure bit EXEC_RESTRICT_FILE"), "{error}");
            ensure!(Credentials::current()?.securebits.is_empty(), "the bits afterwards");
        }
        Ok(())
    })
}

pub(super) fn ambient_closed(_: &mut Context) -> Result {
    on_a_thread(|| {
        let have = Sets::current()?;
        Sets { inheritable: kill(), ..have }.apply()?;
        thread::set_securebits(Securebits::NO_CAP_AMBIENT_RAISE)?;
        let wanted = Sets { inheritable: kill(), ambient: kill(), ..have };
        let error = wanted.apply().err().or_fail("an error")?;
        ensure!(error.to_string().contains("NO_CAP_AMBIENT_RAISE"), "{error}");
        ensure_eq!(Change::RaiseAmbient(Cap::KILL).apply(), Err(Errno::EPERM), "the kernel's own answer");
        thread::set_securebits(Securebits::empty())?;
        wanted.apply()?;
        ensure_eq!(Sets::current()?, wanted, "the sets without the bit");
        Ok(())
    })
}
