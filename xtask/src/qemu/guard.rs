//! Starts QEMU so that it cannot outlive this program, not even when this program is killed with SIGKILL.
//!
//! The kernel sends a child the signal of `PR_SET_PDEATHSIG` when the *thread* that forked it ends. So one thread,
//! which lives as long as the process, forks all guests; and each child sets the signal itself before it becomes
//! QEMU: it runs this program again, in the role of [`intercept`], and from there executes QEMU in its own place.
//! Setting the signal between fork and exec would need `unsafe`.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitCode};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid};

/// The first argument of this program in the role of a child that becomes QEMU.
const ROLE: &str = "become-a-guest-of";

/// Becomes QEMU when this process was started for that; to be called first thing in `main`.
///
/// Returns the exit status of `main` when QEMU could not be started, and nothing in every other role.
pub fn intercept() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != ROLE {
        return None;
    }
    let owner = arguments.next()?.to_str()?.parse().ok()?;
    let argv: Vec<OsString> = arguments.collect();
    let why = become_guest(Pid::from_raw(owner), &argv);
    // Standard error is the console's socket, so this line ends up in the tail of the console log.
    eprintln!("{why}");
    Some(ExitCode::from(127))
}

/// Executes `argv` in the place of this process, which then dies with `owner`; returns only on failure, and why.
fn become_guest(owner: Pid, argv: &[OsString]) -> String {
    let Some((program, arguments)) = argv.split_first() else {
        return "no program to start".into();
    };
    if let Err(errno) = set_pdeathsig(Signal::SIGKILL) {
        return format!("setting the signal for the end of the owner: {errno}");
    }
    // The signal is not sent for an owner that was dead already.
    if getppid() != owner {
        return "the program that wanted this guest is gone".into();
    }
    let error = Command::new(program).args(arguments).exec();
    format!("cannot start {}: {error}", program.display())
}

/// A command that becomes `argv` through [`intercept`].
pub fn command(argv: &[OsString]) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg(ROLE).arg(std::process::id().to_string()).args(argv);
    #[cfg(test)]
    tests::through_the_test_program(&mut command);
    // Ctrl-C in a terminal goes to a whole process group; a guest must end by this program's decision.
    command.process_group(0);
    command
}

/// What the thread that forks is asked to do, and where its answer goes.
type Request = (Command, Sender<io::Result<Child>>);

/// Starts a command of [`command`] from the one thread whose end is the end of this process.
///
/// # Errors
///
/// Those of [`Command::spawn`].
pub fn spawn(command: Command) -> io::Result<Child> {
    static FORKER: OnceLock<Mutex<Option<Sender<Request>>>> = OnceLock::new();
    let gone = || io::Error::other("the thread that starts guests is gone");
    let (answer, answered) = channel();
    let forker = FORKER.get_or_init(|| Mutex::new(start_forker().ok()));
    let forker = forker.lock().unwrap_or_else(PoisonError::into_inner).clone();
    forker.ok_or_else(gone)?.send((command, answer)).map_err(|_| gone())?;
    answered.recv().map_err(|_| gone())?
}

fn start_forker() -> io::Result<Sender<Request>> {
    let (requests, waiting): (Sender<Request>, Receiver<Request>) = channel();
    std::thread::Builder::new().name("guest-starter".into()).spawn(move || {
        for (mut command, answer) in waiting {
            // Nobody waits any more when the asking thread is gone; the child then is killed here.
            if let Err(unheard) = answer.send(command.spawn())
                && let Ok(mut child) = unheard.0
            {
                child.kill().ok();
                child.wait().ok();
            }
        }
    })?;
    Ok(requests)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::process::Stdio;

    /// Where a child that is the test program finds the arguments of its role, one a line.
    const ARGUMENTS: &str = "COFFERDAM_GUARD_ARGUMENTS";

    /// The test program has a `main` of its own: the role is played by a test of it instead.
    pub(super) fn through_the_test_program(command: &mut Command) {
        let arguments: Vec<String> = command.get_args().map(|arg| arg.to_str().unwrap().to_owned()).collect();
        *command = Command::new("/proc/self/exe");
        command.args(["--exact", "--nocapture", "--quiet", "qemu::guard::tests::role"]);
        command.env(ARGUMENTS, arguments.join("\n"));
    }

    #[test]
    fn role() {
        let Ok(arguments) = std::env::var(ARGUMENTS) else { return };
        let mut arguments = arguments.split('\n').skip(1);
        let owner = Pid::from_raw(arguments.next().unwrap().parse().unwrap());
        let argv: Vec<OsString> = arguments.map(OsString::from).collect();
        panic!("{}", become_guest(owner, &argv));
    }

    fn argv(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    /// Plays this program between its start and its end by SIGKILL: starts a child, says its id, and waits.
    #[test]
    fn owner_for_the_kill_test() {
        if std::env::var_os("COFFERDAM_GUARD_OWNER").is_none() {
            return;
        }
        // The asking thread ends at once; the child must not end with it.
        let mut child =
            std::thread::spawn(|| spawn(command(&argv(&["sleep", "1000"]))).unwrap()).join().unwrap();
        println!("child {}.", child.id());
        child.wait().unwrap();
    }

    #[test]
    fn a_guest_dies_with_a_killed_owner_and_not_with_a_thread() {
        let mut owner = Command::new("/proc/self/exe")
            .args(["--exact", "--nocapture", "qemu::guard::tests::owner_for_the_kill_test"])
            .env("COFFERDAM_GUARD_OWNER", "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let mut out = owner.stdout.take().unwrap();
        let child: i32 = loop {
            let mut byte = [0];
            out.read_exact(&mut byte).unwrap();
            said.push(byte[0].into());
            if let Some(id) = said.split_once("child ").and_then(|(_, rest)| rest.strip_suffix('.')) {
                break id.parse().unwrap();
            }
        };
        let name = || std::fs::read_to_string(format!("/proc/{child}/comm")).unwrap_or_default();
        wait_until(|| name().trim() == "sleep");
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert_eq!(name().trim(), "sleep", "the child ended with the thread that asked for it");
        owner.kill().unwrap();
        owner.wait().unwrap();
        let running = || {
            let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            name().trim() == "sleep" && !stat.contains(") Z ")
        };
        wait_until(|| !running());
    }

    fn wait_until(done: impl Fn() -> bool) {
        for _ in 0..500 {
            if done() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("waited for nothing");
    }

    #[test]
    fn a_late_child_does_not_start() {
        // If it did start, this process would become `false` and fail.
        let why = become_guest(Pid::from_raw(1), &argv(&["false"]));
        assert!(why.contains("gone"), "{why}");
    }
}
