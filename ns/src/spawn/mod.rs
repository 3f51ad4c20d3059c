//! A program in namespaces of its own, in the manner of [`std::process::Command`].

mod child;
mod stdio;

pub use child::{Child, Output};
pub use stdio::Stdio;

use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use cofferdam_sys::clone::Namespaces;
use cofferdam_sys::plan::{Exec, Plan, Step};

use crate::{Error, IdMaps, Isolation, Mapping, Namespace, NamespaceLimits, Parameter, Process, TimeOffsets};
use stdio::{Ends, Three};

/// A program, and the namespaces to run it in.
///
/// [`Spawn::spawn`] first makes a plan, then a child that walks it: nothing of the caller's code runs between
/// `clone3(2)` and `execve(2)`, nothing there allocates or takes a lock, and a failure comes back as the step and
/// the error number. So it may be called from any thread of any program. Descriptors other than 0, 1 and 2 are
/// not inherited, whether they are close-on-exec or not.
#[derive(Debug)]
pub struct Spawn {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    directory: Option<PathBuf>,
    isolation: Isolation,
    cgroup: Option<OwnedFd>,
    parameters: Vec<(String, String)>,
    steps: Vec<(String, Step)>,
    stdio: Three,
    end_with_parent: bool,
    kill_on_drop: bool,
}

impl Spawn {
    /// A program, by path or by a name that is looked up in the child's `PATH`.
    ///
    /// It shares all namespaces, the environment and the standard descriptors until something else is said.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            env: std::env::vars_os().collect(),
            directory: None,
            isolation: Isolation::default(),
            cgroup: None,
            parameters: Vec::new(),
            steps: Vec::new(),
            stdio: Three::default(),
            end_with_parent: false,
            kill_on_drop: false,
        }
    }

    /// One argument more.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.retain(|(known, _)| known != name.as_ref());
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Forgets the caller's environment, and what was set so far.
    #[must_use]
    pub fn env_clear(mut self) -> Self {
        self.env.clear();
        self
    }

    /// Its working directory, entered after all other steps.
    #[must_use]
    pub fn current_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Its standard input.
    #[must_use]
    pub fn stdin(mut self, stdio: impl Into<Stdio>) -> Self {
        self.stdio.stdin = stdio.into();
        self
    }

    /// Its standard output.
    #[must_use]
    pub fn stdout(mut self, stdio: impl Into<Stdio>) -> Self {
        self.stdio.stdout = stdio.into();
        self
    }

    /// Its standard error.
    #[must_use]
    pub fn stderr(mut self, stdio: impl Into<Stdio>) -> Self {
        self.stdio.stderr = stdio.into();
        self
    }

    /// Namespaces that it gets anew, besides those that were said before.
    #[must_use]
    pub fn unshare(mut self, namespaces: Namespaces) -> Self {
        self.isolation.new |= namespaces;
        self
    }

    /// A namespace that it joins.
    #[must_use]
    pub fn join(mut self, namespace: Namespace) -> Self {
        self.isolation.join.push(namespace);
        self
    }

    /// A process whose namespaces of these kinds it joins; see [`Process::foreign_namespaces`].
    #[must_use]
    pub fn join_process(mut self, process: Process, kinds: Namespaces) -> Self {
        self.isolation.join_process = Some((process, kinds));
        self
    }

    /// The ids of a new user namespace, in which it is root when 0 is mapped.
    #[must_use]
    pub fn ids(mut self, maps: IdMaps) -> Self {
        self.isolation.new |= Namespaces::USER;
        self.isolation.ids = Some(maps);
        self
    }

    /// How those ids are written.
    #[must_use]
    pub fn mapping(mut self, mapping: Mapping) -> Self {
        self.isolation.mapping = mapping;
        self
    }

    /// The clocks of a new time namespace.
    #[must_use]
    pub fn clocks(mut self, clocks: TimeOffsets) -> Self {
        self.isolation.new |= Namespaces::TIME;
        self.isolation.clocks = Some(clocks);
        self
    }

    /// How many namespaces may be made inside its new user namespace.
    #[must_use]
    pub fn limits(mut self, limits: NamespaceLimits) -> Self {
        self.isolation.limits = limits;
        self
    }

    /// The v2 cgroup that it is born in: its directory.
    #[must_use]
    pub fn cgroup(mut self, directory: OwnedFd) -> Self {
        self.cgroup = Some(directory);
        self
    }

    /// Sets a kernel parameter of one of its own namespaces, see [`Parameter`].
    #[must_use]
    pub fn sysctl(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.push((name.into(), value.into()));
        self
    }

    /// Its host name, in a UTS namespace of its own.
    #[must_use]
    pub fn hostname(mut self, name: impl Into<Vec<u8>>) -> Self {
        self.isolation.new |= Namespaces::UTS;
        self.step("set the host name", Step::HostName(name.into()))
    }

    /// One step more that the child takes once it is in its namespaces.
    #[must_use]
    pub fn step(mut self, about: impl Into<String>, step: Step) -> Self {
        self.steps.push((about.into(), step));
        self
    }

    /// Has orphans below it become its children (`PR_SET_CHILD_SUBREAPER`, `prctl(2)`).
    #[must_use]
    pub fn subreaper(self) -> Self {
        self.step("take orphans", Step::ChildSubreaper)
    }

    /// Has the kernel kill it when the *thread* that calls [`Spawn::spawn`] ends (`PR_SET_PDEATHSIG`).
    ///
    /// Not for a thread of a pool that ends when it is idle.
    #[must_use]
    pub fn end_with_parent(mut self, end: bool) -> Self {
        self.end_with_parent = end;
        self
    }

    /// Kills and reaps it when its [`Child`] is dropped.
    #[must_use]
    pub fn kill_on_drop(mut self, kill: bool) -> Self {
        self.kill_on_drop = kill;
        self
    }

    /// All of the isolation at once, for what has no method here.
    #[must_use]
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = isolation;
        self
    }

    /// What the child will do, one line a step; nothing is done yet.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] for what does not fit together, names the kernel cannot take included.
    pub fn plan(&self) -> Result<Plan, Error> {
        self.isolation.validate()?;
        let mut plan = Plan::new(self.exec()?);
        self.isolation.lower(&mut plan);
        for (name, value) in &self.parameters {
            let parameter = Parameter::parse(name)?;
            let kind = parameter.namespace();
            if !self.isolation.new.contains(kind.flag()) {
                return Err(Error::invalid(format!(
                    "{name} needs a new {kind} namespace, or it would be the host's"
                )));
            }
            parameter.lower(value, &mut plan)?;
        }
        for (about, step) in &self.steps {
            plan.push(about.clone(), step.clone());
        }
        if let Some(directory) = &self.directory {
            let path = c_string(directory.as_os_str())?;
            plan.push("enter the working directory", Step::ChangeDirectory(path));
        }
        if self.end_with_parent {
            // Late: a change of ids would clear it.
            plan.push("end with the parent", Step::ParentDeathSignal(SIGKILL));
        }
        Ok(plan)
    }

    /// Makes the child and comes back when it executes its program.
    ///
    /// # Errors
    /// The step that failed, with the error number; no process is left then.
    pub fn spawn(self) -> Result<Child, Error> {
        let mut plan = self.plan()?;
        let ends = Ends::open(self.stdio, &mut plan)?;
        let isolation = self.isolation;
        let mut spawning = isolation.spawn(&plan, self.cgroup.as_ref().map(AsFd::as_fd))?;
        isolation.map_ids(&spawning)?;
        spawning.release()?;
        let child = spawning.finish()?;
        // With it goes our copy of the child's ends, whose closing the other ends wait for.
        drop(plan);
        Ok(Child::new(child, ends, self.kill_on_drop))
    }

    /// Runs it to its end, and gives what it wrote; its standard input is empty unless something else is said.
    ///
    /// # Errors
    /// As [`Spawn::spawn`] and [`Child::wait_with_output`].
    pub fn output(mut self) -> Result<Output, Error> {
        if matches!(self.stdio.stdin, Stdio::Inherit) {
            self.stdio.stdin = Stdio::Null;
        }
        self.stdio.stdout = Stdio::Piped;
        self.stdio.stderr = Stdio::Piped;
        self.spawn()?.wait_with_output()
    }

    fn exec(&self) -> Result<Exec, Error> {
        /// Where a shell looks when there is no `PATH`.
        const DEFAULT: &str = "/usr/local/bin:/usr/bin:/bin";
        let path = self.env.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_bytes());
        let candidates = Exec::search(self.program.as_bytes(), path.unwrap_or(DEFAULT.as_bytes()));
        let env = self.env.iter().map(|(name, value)| {
            c_string(&OsString::from_iter([name.as_os_str(), OsStr::new("="), value.as_os_str()]))
        });
        let args = std::iter::once(&self.program).chain(&self.args);
        Ok(Exec {
            candidates: candidates.ok_or_else(nul)?,
            args: args.map(|arg| c_string(arg)).collect::<Result<_, _>>()?,
            env: env.collect::<Result<_, _>>()?,
        })
    }
}

/// `SIGKILL`, the same on every architecture.
const SIGKILL: i32 = 9;

fn c_string(text: &OsStr) -> Result<CString, Error> {
    CString::new(text.as_bytes()).map_err(|_| nul())
}

fn nul() -> Error {
    Error::invalid("a program, argument, variable or directory holds NUL")
}

#[cfg(test)]
mod tests;
