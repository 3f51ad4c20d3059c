//! One handle for a cgroup on any layout: v2, v1, or both.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use crate::devices::Rule;
use crate::life::deadline;
use crate::v1::limits::unsupported;
use crate::{Branch, Cgroup, Controllers, Error, ErrorKind, Hierarchy, Limits, Result, Stats, v1};

/// A cgroup under one name in all hierarchies that it is needed in. Nothing is removed by dropping it.
///
/// On v2 that is one directory. On v1 it is one in each hierarchy whose controllers are needed, and in
/// `freezer`. On a hybrid layout it is one in v2, which gives birth ([`AnyCgroup::birthplace`]), freezing,
/// killing and the device program, and one in each v1 hierarchy whose controllers are needed.
#[derive(Debug)]
pub struct AnyCgroup {
    v2: Option<Branch>,
    v1: Vec<v1::Branch>,
}

impl AnyCgroup {
    /// Makes the cgroup `path`, whose last component must not be there yet, below the roots of the
    /// hierarchies that have `controllers`, by their v2 names.
    ///
    /// # Errors
    /// [`ErrorKind::NoController`] with those that no hierarchy has; otherwise as [`Branch::create`] and
    /// [`v1::Branch::create`]. What was made until then is removed.
    pub fn create(layout: &Hierarchy, path: &str, controllers: &Controllers) -> Result<Self> {
        let mut new = Self { v2: None, v1: Vec::new() };
        match new.grow(layout, path, controllers) {
            Ok(()) => Ok(new),
            Err(error) => Err(match new.delete() {
                Ok(()) => error,
                Err(cleanup) => error.with_cleanup(&cleanup),
            }),
        }
    }

    fn grow(&mut self, layout: &Hierarchy, path: &str, controllers: &Controllers) -> Result<()> {
        let on_v1 = controllers.iter().filter(|name| layout.v1_of(name).is_some()).collect::<Controllers>();
        let others = controllers.difference(&on_v1);
        let wanted: Vec<&v1::Mount> =
            layout.v1().iter().filter(|mount| needed(layout, mount, &on_v1)).collect();
        if layout.v2().is_some() {
            self.v2 = Some(Branch::create(&Cgroup::root(layout)?, path, &others)?);
        } else if !others.is_empty() {
            let what = format!("no mounted hierarchy has the controllers {others}");
            return Err(Error::new(ErrorKind::NoController, what).with_hint(match layout {
                Hierarchy::None => "mount one: mount -t cgroup2 none /sys/fs/cgroup",
                _ => "mount them (mount -t cgroup -o NAME none /sys/fs/cgroup/NAME), or boot with v2: from Linux \
                      6.12 a kernel may have some controllers for v2 only",
            }));
        }
        for mount in wanted {
            self.v1.push(v1::Branch::create(mount, path)?);
        }
        if self.v2.is_none() && self.v1.is_empty() {
            let what = format!("make the cgroup {path}: no hierarchy could hold it");
            return Err(Error::new(ErrorKind::Unsupported, what)
                .with_hint("mount a cgroup hierarchy with the controller `freezer`, or v2"));
        }
        Ok(())
    }

    /// Gives a cgroup of processes controllers that it was made without: on v2 they are enabled in its parents, on
    /// v1 it is made in their hierarchies too and its processes move into it. Those that no hierarchy has are left
    /// to who writes to them.
    ///
    /// # Errors
    /// As [`Cgroup::enable`] and [`v1::Branch::create`].
    pub fn extend(&mut self, layout: &Hierarchy, path: &str, controllers: &Controllers) -> Result<()> {
        let on_v1 = controllers.iter().filter(|name| layout.v1_of(name).is_some()).collect::<Controllers>();
        if self.v2.is_some() {
            let there = Cgroup::root(layout)?.controllers()?;
            let wanted = controllers.difference(&on_v1);
            let wanted = wanted.iter().filter(|name| there.contains(name)).collect::<Controllers>();
            crate::branch::enable_along(&Cgroup::root(layout)?, path, &wanted)?;
        }
        let missing: Vec<&v1::Mount> = layout
            .v1()
            .iter()
            .filter(|mount| needed(layout, mount, &on_v1))
            .filter(|mount| !self.v1().any(|group| *group.controllers() == mount.controllers))
            .collect();
        for mount in missing {
            let new = v1::Branch::create(mount, path)?;
            for pid in self.procs()? {
                match new.leaf().add(pid) {
                    // Ended meanwhile.
                    Err(error) if error.errno() == Some(cofferdam_sys::Errno::ESRCH) => {}
                    added => added?,
                }
            }
            self.v1.push(new);
        }
        Ok(())
    }

    /// Opens a cgroup that somebody else has made in some hierarchies, as a service manager does, and makes it in the
    /// others that `controllers`, by their v2 names, and freezing need.
    ///
    /// # Errors
    /// As [`AnyCgroup::open`] and [`v1::Branch::create`]. What was made by then stays.
    pub fn complete(layout: &Hierarchy, path: &str, controllers: &Controllers) -> Result<Self> {
        let mut all = Self::open(layout, path)?;
        for mount in layout.v1().iter().filter(|mount| needed(layout, mount, controllers)) {
            if !all.v1().any(|group| *group.controllers() == mount.controllers) {
                all.v1.push(v1::Branch::create(mount, path)?);
            }
        }
        Ok(all)
    }

    /// Opens a cgroup in all hierarchies where it is.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it is in none.
    pub fn open(layout: &Hierarchy, path: &str) -> Result<Self> {
        let names = crate::node::components(path)?.join("/");
        let mut found = Self { v2: None, v1: Vec::new() };
        let mut missing = None;
        if layout.v2().is_some() {
            match Cgroup::root(layout)?.open(std::path::Path::new(&names)) {
                Ok(leaf) => found.v2 = Some(Branch::of(leaf)),
                Err(error) if error.kind() == ErrorKind::NotFound => missing = Some(error),
                Err(error) => return Err(error),
            }
        }
        for mount in layout.v1() {
            match v1::Branch::open(mount, &names) {
                Ok(branch) => found.v1.push(branch),
                Err(error) if error.kind() == ErrorKind::NotFound => missing = Some(error),
                Err(error) => return Err(error),
            }
        }
        match missing {
            Some(error) if found.v2.is_none() && found.v1.is_empty() => Err(error),
            _ => Ok(found),
        }
    }

    /// Its part in the v2 hierarchy, where there is one.
    pub fn v2(&self) -> Option<&Cgroup> {
        self.v2.as_ref().map(Branch::leaf)
    }

    /// Its parts in v1 hierarchies.
    pub fn v1(&self) -> impl Iterator<Item = &v1::Group> {
        self.v1.iter().map(v1::Branch::leaf)
    }

    /// Its part in v2, for what only v2 has: pressure, events, delegation, `memory.reclaim`.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] with `what`, on a layout without v2.
    pub fn require_v2(&self, what: &str) -> Result<&Cgroup> {
        self.v2().ok_or_else(|| unsupported(what))
    }

    /// The directory that `clone3(2)` takes to have a child born in its v2 part; the parts in v1 are entered
    /// afterwards, by [`AnyCgroup::admit`].
    pub fn birthplace(&self) -> Option<BorrowedFd<'_>> {
        self.v2().map(Cgroup::fd)
    }

    /// Moves a child that was born in [`AnyCgroup::birthplace`] into the parts in v1 too. It must not run
    /// anything of its own before that.
    ///
    /// # Errors
    /// As [`v1::Group::add`].
    pub fn admit(&self, pid: i32) -> Result<()> {
        self.v1().try_for_each(|group| group.add(pid))
    }

    /// Moves a process with all its threads into all its parts; pid 0 is the caller.
    ///
    /// # Errors
    /// As [`Cgroup::add`] and [`v1::Group::add`]; the process may be in some parts then.
    pub fn add(&self, pid: i32) -> Result<()> {
        self.v2().map_or(Ok(()), |v2| v2.add(pid))?;
        self.admit(pid)
    }

    /// The processes in it, as the caller's PID namespace numbers them.
    ///
    /// # Errors
    /// As [`Cgroup::procs`].
    pub fn procs(&self) -> Result<Vec<i32>> {
        match (self.v2(), self.v1.first()) {
            (Some(v2), _) => v2.procs(),
            (None, Some(v1)) => v1.leaf().procs(),
            (None, None) => Ok(Vec::new()),
        }
    }

    /// Writes limits, each where its controller is; the first that the kernel refuses ends it.
    ///
    /// # Errors
    /// As [`Cgroup::apply`]; [`ErrorKind::Unsupported`] with the name of what v1 has not, where it is v1 that
    /// has the controller: see [`v1::limit_writes`].
    pub fn apply(&self, limits: &Limits) -> Result<()> {
        let (of_v1, of_v2) = limits.split(|controller| self.v1_of(controller).is_some());
        let Some(v2) = self.v2() else {
            return v1::limits::apply(&v1::limit_writes(limits)?, |controller| self.v1_of(controller));
        };
        // What cannot be had is refused before anything is written.
        let writes = v1::limit_writes(&of_v1)?;
        v2.apply(&of_v2)?;
        v1::limits::apply(&writes, |controller| self.v1_of(controller))
    }

    /// Reads the limits that are in force for it alone, in the names of v2.
    ///
    /// # Errors
    /// As [`Cgroup::limits`].
    pub fn limits(&self) -> Result<Limits> {
        let mut limits = self.v2().map_or_else(|| Ok(Limits::default()), Cgroup::limits)?;
        self.v1().try_for_each(|group| v1::read::add(group, &mut limits))?;
        Ok(limits)
    }

    /// Allows its processes only the devices that `rules` allow: by a program where there is v2 (see
    /// [`Cgroup::set_devices`]), by `devices.allow` and `devices.deny` otherwise.
    ///
    /// On v1 the kernel takes one line at a time; processes that are there are frozen meanwhile.
    ///
    /// # Errors
    /// As [`Cgroup::set_devices`]; [`ErrorKind::NoController`] on v1 without `devices`;
    /// [`ErrorKind::Unsupported`] for rules that v1 cannot express: see [`v1::device_writes`].
    pub fn set_devices(&self, rules: &[Rule]) -> Result<()> {
        if let Some(v2) = self.v2() {
            return v2.set_devices(rules);
        }
        let group = self.v1_of("devices").ok_or_else(|| {
            let what = "device rules: no hierarchy with the controller devices";
            Error::new(ErrorKind::NoController, what)
                .with_hint("name `devices` among the controllers when the cgroup is made")
        })?;
        // Refused as a whole before anything is written.
        v1::device_writes(rules)?;
        if group.procs()?.is_empty() {
            return group.set_devices(rules);
        }
        self.freeze()?;
        let result = group.set_devices(rules);
        let thawed = self.thaw();
        match (result, thawed) {
            (Err(error), Err(cleanup)) => Err(error.with_cleanup(&cleanup)),
            (result, thawed) => result.and(thawed),
        }
    }

    /// Stops every process in it and below, and waits until all have stopped.
    ///
    /// # Errors
    /// As [`Cgroup::freeze`]; [`ErrorKind::NoController`] on v1 without `freezer`.
    pub fn freeze(&self) -> Result<()> {
        match self.v2() {
            Some(v2) => v2.freeze(),
            None => self.freezer()?.freeze(),
        }
    }

    /// Lets its processes run again.
    ///
    /// # Errors
    /// As [`AnyCgroup::freeze`].
    pub fn thaw(&self) -> Result<()> {
        match self.v2() {
            Some(v2) => v2.thaw(),
            None => self.freezer()?.thaw(),
        }
    }

    /// Whether all of its processes are stopped.
    ///
    /// # Errors
    /// As reading the state.
    pub fn frozen(&self) -> Result<bool> {
        match self.v2() {
            Some(v2) => Ok(v2.events()?.frozen == Some(true)),
            None => self.freezer()?.frozen(),
        }
    }

    /// Whether a process lives in it or below.
    ///
    /// # Errors
    /// As reading the state.
    pub fn populated(&self) -> Result<bool> {
        if let Some(v2) = self.v2()
            && v2.events()?.populated
        {
            return Ok(true);
        }
        for group in self.v1() {
            if group.populated()? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Kills every process in it and below; frozen ones too.
    ///
    /// On v2 as [`Cgroup::kill`]. On v1 there is nothing as `cgroup.kill`: processes are frozen, signalled and
    /// thawed until none is left.
    ///
    /// # Errors
    /// As [`Cgroup::kill`]; [`ErrorKind::Busy`] on v1 when processes are left after ten seconds.
    pub fn kill(&self) -> Result<()> {
        if let Some(v2) = self.v2() {
            v2.kill()?;
            // Who came only to a part in v1 is not in v2's.
            return self.v1().try_for_each(|group| group.files().signal_all().map(drop));
        }
        // In the freezer first: a process that is frozen does not die in any other hierarchy.
        let freezer = self.v1_of("freezer");
        freezer.map_or(Ok(()), |group| group.kill(true))?;
        self.v1().try_for_each(|group| group.kill(false))
    }

    /// Waits until no process lives in it or below; `Busy` after `timeout`.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] with the processes that are left.
    pub fn wait_empty(&self, timeout: Duration) -> Result<()> {
        let end = deadline(timeout);
        self.v2().map_or(Ok(()), |v2| v2.wait_empty(timeout))?;
        self.v1().try_for_each(|group| group.wait_empty(end.saturating_duration_since(Instant::now())))
    }

    /// Removes it as [`AnyCgroup::delete`] does when nothing is in it, and gives it back when something is: a
    /// process, or a cgroup below.
    ///
    /// # Errors
    /// As [`Cgroup::delete`]; what could be removed is.
    pub fn delete_empty(self) -> Result<Option<Self>> {
        let mut left = Self { v2: None, v1: Vec::new() };
        if let Some(v2) = self.v2 {
            left.v2 = v2.delete_empty()?;
        }
        for v1 in self.v1 {
            left.v1.extend(v1.delete_empty()?);
        }
        Ok(if left.v2.is_none() && left.v1.is_empty() { None } else { Some(left) })
    }

    /// Removes it and the cgroups below in all hierarchies, then the parents that were made for it and are
    /// empty; waits up to ten seconds for processes that are dying. Nothing is killed.
    ///
    /// # Errors
    /// As [`Cgroup::delete`], after all parts were tried.
    pub fn delete(self) -> Result<()> {
        let v2 = self.v2.map_or(Ok(()), Branch::delete);
        self.v1.into_iter().map(v1::Branch::delete).fold(v2, |before, this| match (before, this) {
            (Err(error), Err(cleanup)) => Err(error.with_cleanup(&cleanup)),
            (before, this) => before.and(this),
        })
    }

    /// Reads what it has used. What v1 does not count is 0 or `None`.
    ///
    /// # Errors
    /// As [`Cgroup::stats`].
    pub fn stats(&self) -> Result<Stats> {
        let mut stats = self.v2().map_or_else(|| Ok(Stats::default()), Cgroup::stats)?;
        self.v1().try_for_each(|group| v1::stats::add(group, &mut stats))?;
        Ok(stats)
    }

    fn v1_of(&self, controller: &str) -> Option<&v1::Group> {
        let name = v1::name_of(controller);
        self.v1().find(|group| group.controllers().contains(name))
    }

    fn freezer(&self) -> Result<&v1::Group> {
        self.v1_of("freezer").ok_or_else(|| {
            Error::new(ErrorKind::NoController, "no hierarchy with the controller freezer is mounted")
                .with_hint("mount -t cgroup -o freezer none /sys/fs/cgroup/freezer")
        })
    }
}

/// Whether the cgroup has a part in a v1 hierarchy: for a controller, or to freeze where v2 cannot.
fn needed(layout: &Hierarchy, mount: &v1::Mount, controllers: &Controllers) -> bool {
    let freezes = layout.v2().is_none() && mount.controllers.contains("freezer");
    freezes || controllers.iter().any(|name| mount.controllers.contains(v1::name_of(name)))
}
