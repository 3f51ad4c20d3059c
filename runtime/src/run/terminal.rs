//! The container's terminal: a pseudo-terminal of its own devpts, whose master goes to the engine.

use cofferdam_sys::mount::OpenTree;
use cofferdam_sys::plan::{At, PathIn, Plan, Slot, Step, TooManySlots};

use crate::container::Terminal;

/// What comes beside the master on the console socket. Engines read it and do not look at it.
const BESIDE: &[u8] = b"/dev/ptmx";

/// The steps before the pivot: `/dev/console` is made while the root can still be written.
pub(crate) fn in_root(
    terminal: Terminal,
    uid: u32,
    console: Option<&At>,
    root: &At,
    plan: &mut Plan,
) -> Result<(), TooManySlots> {
    let slave = open(terminal, uid, console, root, plan)?;
    let about = |what: &str| format!("process.terminal: {what}");
    let (target, mount) = (plan.slot()?, plan.slot()?);
    if let Some(path) = PathIn::new(b"dev/console") {
        plan.push(about("make /dev/console"), Step::EnsureFile { root: root.clone(), path, out: target });
        let tree = Step::OpenTree {
            dir: slave.into(),
            path: c"".into(),
            flags: OpenTree::CLONE | OpenTree::EMPTY_PATH,
            out: mount,
        };
        plan.push(about("copy it for /dev/console"), tree);
        let attach = Step::MoveMount { from: mount.into(), to: target.into() };
        plan.push(about("bind it on /dev/console"), attach);
        plan.push(about("close /dev/console"), Step::Close(target));
        plan.push(about("close the copy"), Step::Close(mount));
    }
    plan.push(about("close it"), Step::Close(slave));
    Ok(())
}

/// The steps of a process that joins a container.
pub(crate) fn in_container(
    terminal: Terminal,
    uid: u32,
    console: Option<&At>,
    plan: &mut Plan,
) -> Result<(), TooManySlots> {
    let slave = open(terminal, uid, console, &At::Cwd, plan)?;
    plan.push("process.terminal: close it", Step::Close(slave));
    Ok(())
}

/// Opens a terminal, sends its master away, and makes it 0, 1, 2 and the controlling one.
fn open(
    terminal: Terminal,
    uid: u32,
    console: Option<&At>,
    root: &At,
    plan: &mut Plan,
) -> Result<Slot, TooManySlots> {
    let about = |what: &str| format!("process.terminal: {what}");
    let (master, slave) = (plan.slot()?, plan.slot()?);
    let open = Step::OpenTerminal { dir: root.clone(), path: c"dev/pts/ptmx".into(), master, slave };
    plan.push(about("open a new one of the container's /dev/pts"), open);
    if let Some((rows, columns)) = terminal.size {
        plan.push(about("set its size"), Step::TerminalSize { fd: slave.into(), rows, columns });
    }
    if terminal.plain_newlines {
        plan.push(about("leave newlines as they are"), Step::TerminalNewlines { fd: slave.into() });
    }
    if uid != 0 {
        plan.push(about("give it to the user"), Step::TerminalOwner { fd: slave.into(), uid });
    }
    if let Some(socket) = console {
        let send = Step::SendDescriptor {
            socket: socket.clone(),
            descriptor: master.into(),
            payload: BESIDE.into(),
        };
        plan.push(about("send its other end to the console socket"), send);
    }
    plan.push(about("close its other end"), Step::Close(master));
    plan.push(about("make it the controlling one"), Step::ControllingTerminal { fd: slave.into() });
    for to in 0..=2 {
        let number = format!("make it descriptor {to}");
        plan.push(about(&number), Step::Duplicate { from: slave.into(), to });
    }
    Ok(slave)
}
