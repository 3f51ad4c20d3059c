//! The rules of `transition` held against the kernel.
//!
//! A case is a list of changes that a thread makes to itself, each compared with the model in its answer and in
//! all that the thread has afterwards; then it executes a program, which reports what it has.

use super::{copy, execute, on_a_thread, rules};
use crate::registry::{Context, OrFail, Result};
use cofferdam_caps::{Cap, CapSet, Change, Credentials, FileCaps, Program, Rules, Securebits};
use std::fmt::Debug;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

/// Few enough that two random sets often meet, and all that a change asks for.
const SOME: [Cap; 7] =
    [Cap::CHOWN, Cap::KILL, Cap::SETUID, Cap::SETGID, Cap::SETPCAP, Cap::MKNOD, Cap::CHECKPOINT_RESTORE];

/// Makes the changes to the calling thread; fails at the first difference from the model.
fn walk(case: &dyn Debug, changes: &[Change], rules: Rules) -> Result<Credentials> {
    let mut model = Credentials::current()?;
    for change in changes {
        let expected = model.after(change, rules);
        let answer = change.apply();
        ensure_eq!(answer.err(), expected.as_ref().err().copied(), "{change:?} from {model:?} in {case:#?}");
        let now = Credentials::current()?;
        ensure_eq!(now, expected.unwrap_or(model), "what is there after {change:?} in {case:#?}");
        model = now;
    }
    Ok(model)
}

/// A thread's changes, and the program that it then executes.
#[derive(Debug, Clone)]
struct Case {
    groups: Vec<u32>,
    changes: Vec<Change>,
    program: Program,
}

impl Case {
    /// Runs the case with the file at `path` as its program.
    fn run(&self, path: &Path, rules: Rules) -> Result {
        self.prepare(path)?;
        on_a_thread(|| {
            cofferdam_sys::cred::setgroups(&self.groups)?;
            let before = walk(self, &self.changes, rules)?;
            let expected = before.execve(&self.program, rules);
            let found = execute(path.to_str().or_fail("a path in UTF-8")?)?;
            ensure_eq!(found, expected, "what the program has, from {before:#?} in {self:#?}");
            Ok(())
        })
    }

    fn prepare(&self, path: &Path) -> Result {
        let Program { set_user_id, set_group_id, caps, .. } = self.program;
        chown(path, Some(set_user_id.unwrap_or(0)), Some(set_group_id.unwrap_or(0)))?;
        let bits = set_user_id.map_or(0, |_| 0o4000) | set_group_id.map_or(0, |_| 0o2000);
        fs::set_permissions(path, Permissions::from_mode(0o755 | bits))?;
        let file = File::open(path)?;
        match caps {
            Some(caps) => caps.write(&file)?,
            None => drop(FileCaps::remove(&file)?),
        }
        ensure_eq!(Program::of(&file)?, self.program, "the program's file");
        Ok(())
    }
}

/// Random numbers that are the same in every run from the same seed (`SplitMix64`).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.next().is_multiple_of(count)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> Result<T> {
        let place = usize::try_from(self.next() % u64::try_from(from.len())?)?;
        from.get(place).copied().or_fail("something to pick")
    }

    fn set(&mut self) -> Result<CapSet> {
        let mut some = CapSet::EMPTY;
        for _ in 0..self.next() % 5 {
            some = some.with(self.pick(&SOME)?);
        }
        Ok(match self.next() % 5 {
            0 => CapSet::ALL,
            1 | 2 => CapSet::ALL - some,
            _ => some,
        })
    }

    fn id(&mut self) -> Result<Option<u32>> {
        self.pick(&[None, Some(0), Some(0), Some(1000), Some(1000), Some(1001)])
    }

    fn change(&mut self) -> Result<Change> {
        let cap = self.pick(&SOME)?;
        Ok(match self.next() % 16 {
            0..4 => {
                let (permitted, effective) = (self.set()?, self.set()?);
                let effective = if self.one_in(6) { effective } else { effective & permitted };
                Change::Three { effective, permitted, inheritable: self.set()? }
            }
            4 | 5 => Change::RaiseAmbient(cap),
            6 => Change::LowerAmbient(cap),
            7 => Change::ClearAmbient,
            8 | 9 => Change::DropBounding(cap),
            10 | 11 => {
                let bit = 1u32 << (self.next() % 13);
                Change::Securebits(Securebits::from_bits_retain(bit | u32::from(self.one_in(4))))
            }
            12 => Change::KeepCaps(self.one_in(2)),
            13 if self.one_in(3) => Change::NoNewPrivs,
            13 => Change::FilesystemUid(self.id()?.unwrap_or(7)),
            14 => Change::Gids { real: self.id()?, effective: self.id()?, saved: self.id()? },
            _ => Change::Uids { real: self.id()?, effective: self.id()?, saved: self.id()? },
        })
    }

    fn program(&mut self) -> Result<Program> {
        let caps = FileCaps {
            permitted: self.set()?,
            inheritable: self.set()?,
            effective: self.one_in(2),
            // Root id 0 comes back as version 2.
            rootid: self.pick(&[None, None, None, Some(1000)])?,
        };
        Ok(Program {
            set_user_id: self.pick(&[None, None, Some(0), Some(1000)])?,
            set_group_id: self.pick(&[None, None, None, Some(0), Some(1001)])?,
            caps: self.one_in(2).then_some(caps),
            nosuid: false,
        })
    }

    /// What threads do before they execute a program, each of it now and then.
    fn case(&mut self) -> Result<Case> {
        let mut changes = vec![];
        if self.one_in(2) {
            changes.push(Change::KeepCaps(true));
        }
        changes.push(Change::Three {
            effective: CapSet::ALL,
            permitted: CapSet::ALL,
            inheritable: self.set()?,
        });
        for _ in 0..self.next() % 3 {
            changes.push(Change::DropBounding(self.pick(&SOME)?));
        }
        if self.one_in(3) {
            changes.push(Change::Securebits(self.pick(&[Securebits::NOROOT, Securebits::NO_SETUID_FIXUP])?));
        }
        if self.one_in(4) {
            changes.push(Change::Gids { real: self.id()?, effective: self.id()?, saved: None });
        }
        if !self.one_in(3) {
            changes.push(Change::Uids { real: self.id()?, effective: self.id()?, saved: self.id()? });
        }
        for _ in 0..self.next() % 3 {
            changes.push(Change::RaiseAmbient(self.pick(&SOME)?));
        }
        if self.one_in(3) {
            changes.push(self.change()?);
        }
        if self.one_in(3) {
            changes.push(Change::NoNewPrivs);
        }
        let groups = self.pick(&[&[][..], &[1001], &[0, 5]])?.to_vec();
        Ok(Case { groups, changes, program: self.program()? })
    }
}

pub(super) fn changes(_: &mut Context) -> Result {
    let rules = rules()?;
    let mut random = Random(1);
    for _ in 0..100 {
        // An ambient capability is there rarely by chance, and much is about what becomes of it.
        let mut list = if random.one_in(2) { vec![INHERIT, RAISE] } else { vec![] };
        for _ in 0..=random.next() % 10 {
            list.push(random.change()?);
        }
        on_a_thread(|| walk(&list, &list, rules).map(drop))?;
    }
    Ok(())
}

const LEAVE_ROOT: Change = Change::Uids { real: Some(1000), effective: Some(1000), saved: Some(1000) };
const ONLY_EFFECTIVE: Change = Change::Uids { real: Some(1000), effective: Some(0), saved: Some(0) };
const ONLY_REAL: Change = Change::Uids { real: Some(0), effective: Some(1000), saved: Some(1000) };
const LEAVE_GROUP: Change = Change::Gids { real: Some(1001), effective: Some(0), saved: Some(0) };
const INHERIT: Change = Change::Three {
    effective: CapSet::ALL,
    permitted: CapSet::ALL,
    inheritable: CapSet::of(&[Cap::KILL, Cap::CHOWN]),
};
const LESS: Change = Change::Three {
    effective: CapSet::EMPTY,
    permitted: CapSet::of(&[Cap::KILL]),
    inheritable: CapSet::EMPTY,
};
const KEEP: Change = Change::KeepCaps(true);
const RAISE: Change = Change::RaiseAmbient(Cap::KILL);
const NO_ROOT: Change = Change::Securebits(Securebits::NOROOT);
const NO_FIXUP: Change = Change::Securebits(Securebits::NO_SETUID_FIXUP);

const PLAIN: Program = Program::PLAIN;
const ROOTS: Program = Program { set_user_id: Some(0), ..PLAIN };
const GROUPS: Program = Program { set_group_id: Some(1001), ..PLAIN };
const CAPABLE: Program = Program { caps: Some(FileCaps::effective(CapSet::of(&[Cap::CHOWN]))), ..PLAIN };
const NOTHING: Program = Program { caps: Some(FileCaps::effective(CapSet::EMPTY)), ..PLAIN };

/// One case for each rule that has a sentence in the manual, or a line in the kernel.
const RULES: &[(&[Change], Program)] = &[
    (&[], PLAIN),
    (&[NO_ROOT], PLAIN),
    (&[NO_ROOT], CAPABLE),
    (&[LEAVE_ROOT], PLAIN),
    (&[LEAVE_ROOT], ROOTS),
    (&[LEAVE_ROOT, Change::NoNewPrivs], ROOTS),
    (&[NO_ROOT, LEAVE_ROOT], ROOTS),
    (&[NO_FIXUP, LEAVE_ROOT], PLAIN),
    (&[KEEP, LEAVE_ROOT], PLAIN),
    (&[INHERIT, KEEP, LEAVE_ROOT, RAISE], PLAIN),
    (&[INHERIT, RAISE, KEEP, LEAVE_ROOT], PLAIN),
    (&[INHERIT, RAISE, NO_FIXUP, LEAVE_ROOT], PLAIN),
    (&[INHERIT, KEEP, LEAVE_ROOT, RAISE], NOTHING),
    (&[INHERIT, KEEP, LEAVE_ROOT, RAISE], GROUPS),
    (&[INHERIT, KEEP, LEAVE_ROOT, RAISE, Change::NoNewPrivs], CAPABLE),
    (&[INHERIT, Change::DropBounding(Cap::KILL), LEAVE_ROOT], ROOTS),
    (&[Change::DropBounding(Cap::CHOWN)], CAPABLE),
    // Where the real and the effective id differ, kernels do.
    (&[INHERIT, ONLY_EFFECTIVE, RAISE], PLAIN),
    (&[INHERIT, KEEP, ONLY_REAL, RAISE], PLAIN),
    (&[ONLY_EFFECTIVE, Change::NoNewPrivs], PLAIN),
    (&[ONLY_REAL, LESS, Change::NoNewPrivs], PLAIN),
    (&[INHERIT, RAISE, LEAVE_GROUP], PLAIN),
    (&[ONLY_EFFECTIVE], CAPABLE),
];

pub(super) fn fixed(ctx: &mut Context) -> Result {
    let (path, rules) = (copy(ctx)?, rules()?);
    for (changes, program) in RULES {
        let case = Case { groups: vec![1001], changes: changes.to_vec(), program: *program };
        case.run(&path, rules)?;
    }
    Ok(())
}

pub(super) fn random(ctx: &mut Context) -> Result {
    let (path, rules) = (copy(ctx)?, rules()?);
    let mut random = Random(2);
    for _ in 0..10 {
        random.case()?.run(&path, rules)?;
    }
    Ok(())
}
