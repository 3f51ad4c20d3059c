//! Landlock: files, requirements, and containers.

use crate::crates::kernel::since;
use crate::crates::{child, ns};
use crate::registry::{Context, OrFail, Result, Test};
use cofferdam_lsm::ErrorKind;
use cofferdam_lsm::landlock::{
    FsAccess, Hardened, LogFlags, MountRule, NetAccess, Prepared, Ruleset, Scopes, hardened, landlock_abi,
};
use cofferdam_ns::{Isolation, Namespaces};
use cofferdam_sys::plan::{Plan, Step};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

pub(in crate::crates) const TESTS: &[Test] = &[
    Test::integration("lsm::landlock-files", "Files are read, written and made where allowed only", files),
    Test::integration("lsm::landlock-refer", "A rename between directories needs REFER on both", refer),
    Test::integration("lsm::landlock-truncate", "A file is truncated where allowed only", truncate),
    Test::integration("lsm::landlock-ioctl", "A device takes ioctl where allowed only", ioctl),
    Test::integration("lsm::landlock-log", "Log flags are taken or refused", log_flags),
    Test::integration(
        "lsm::landlock-best-effort",
        "Best effort reports what is missing, and what it has is enforced",
        best_effort,
    ),
    Test::integration("lsm::landlock-mounts", "A restricted process changes no mount", mounts),
    Test::integration("lsm::landlock-layers", "Sixteen layers can be stacked, the next is refused", layers),
    Test::integration(
        "lsm::landlock-all-threads",
        "All threads are restricted at once, or that is refused",
        all_threads,
    ),
    Test::integration("lsm::landlock-rootless", "A user without any privilege restricts a child", rootless),
    Test::integration(
        "lsm::landlock-container",
        "A ruleset from mounts holds in a container with a root of its own",
        container,
    ),
];

/// Runs on a thread of its own that obeys the ruleset.
pub(super) fn restricted<T: Send>(prepared: &Prepared, run: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            prepared.restrict_thread()?;
            run()
        });
        thread.join().unwrap_or_else(|_| fail!("the restricted thread panicked"))
    })
}

/// The ruleset in the kernel from that release on; before, it must be refused with the release's name.
pub(super) fn required(ruleset: &Ruleset, (major, minor): (u32, u32)) -> Result<Option<Prepared>> {
    match (ruleset.prepare(), since(major, minor)?) {
        (Ok(prepared), true) => Ok(Some(prepared)),
        (Ok(_), false) => fail!("a ruleset of {major}.{minor} was taken: {ruleset:?}"),
        (Err(error), true) => fail!("{error}"),
        (Err(error), false) => {
            ensure_eq!(error.kind(), ErrorKind::Unsupported, "the refusal: {error}");
            // Without any Landlock, the release that brought it is named.
            let wanted =
                if since(5, 13)? { format!("Linux {major}.{minor}") } else { "Linux 5.13".to_owned() };
            ensure!(error.to_string().contains(&wanted), "the error does not say {wanted}: {error}");
            Ok(None)
        }
    }
}

/// Fails unless it was refused with this error number.
pub(super) fn refused<T>(result: io::Result<T>, errno: nix::errno::Errno, what: &str) -> Result {
    match result {
        Ok(_) => fail!("{what}: it was not refused"),
        Err(error) => {
            ensure_eq!(error.raw_os_error(), Some(errno as i32), "{what}: {error}");
            Ok(())
        }
    }
}

const EACCES: nix::errno::Errno = nix::errno::Errno::EACCES;

/// Directories `a` and `b` with a file each.
fn two(ctx: &Context) -> Result {
    for name in ["a", "b"] {
        fs::create_dir(ctx.scratch().join(name))?;
        fs::write(ctx.scratch().join(name).join("file"), "text")?;
    }
    Ok(())
}

fn files(ctx: &mut Context) -> Result {
    two(ctx)?;
    let access = FsAccess::READ | (FsAccess::WRITE & FsAccess::of_abi(1));
    let ruleset =
        Ruleset::new().handle_fs(access | FsAccess::EXECUTE).allow_path(ctx.scratch().join("a"), access);
    let Some(prepared) = required(&ruleset, (5, 13))? else { return Ok(()) };
    let at = |path: &str| ctx.scratch().join(path);
    restricted(&prepared, || {
        ensure_eq!(fs::read_to_string(at("a/file"))?, "text", "what may be read");
        fs::write(at("a/new"), "x")?;
        fs::create_dir(at("a/dir"))?;
        fs::remove_dir(at("a/dir"))?;
        refused(fs::read(at("b/file")), EACCES, "reading")?;
        refused(fs::write(at("b/file"), "x"), EACCES, "writing")?;
        refused(fs::write(at("b/new"), "x"), EACCES, "making a file")?;
        refused(fs::create_dir(at("b/dir")), EACCES, "making a directory")?;
        refused(fs::remove_file(at("b/file")), EACCES, "removing a file")?;
        refused(fs::read_dir(at("b")), EACCES, "listing a directory")?;
        // Looking is not handled, and no way around: an open descriptor is.
        ensure_eq!(fs::metadata(at("b/file"))?.len(), 4, "the length of the file");
        refused(std::process::Command::new(crate::guest::paths::INIT).spawn(), EACCES, "executing")
    })?;
    ensure_eq!(fs::read_to_string(at("b/file"))?, "text", "what the other threads read");
    fs::write(at("b/new"), "x")?;
    Ok(())
}

fn refer(ctx: &mut Context) -> Result {
    two(ctx)?;
    fs::create_dir(ctx.scratch().join("c"))?;
    let made = FsAccess::MAKE_REG | FsAccess::REMOVE_FILE;
    let ruleset = Ruleset::new()
        .handle_fs(made | FsAccess::REFER)
        .allow_path(ctx.scratch().join("a"), made | FsAccess::REFER)
        .allow_path(ctx.scratch().join("b"), made | FsAccess::REFER)
        .allow_path(ctx.scratch().join("c"), made);
    let Some(prepared) = required(&ruleset, (5, 19))? else { return Ok(()) };
    let at = |path: &str| ctx.scratch().join(path);
    restricted(&prepared, || {
        fs::rename(at("a/file"), at("b/moved"))?;
        fs::rename(at("b/moved"), at("b/again"))?;
        refused(fs::rename(at("b/again"), at("c/file")), nix::errno::Errno::EXDEV, "a rename without REFER")
    })
}

fn truncate(ctx: &mut Context) -> Result {
    two(ctx)?;
    let ruleset = Ruleset::new()
        .handle_fs(FsAccess::TRUNCATE)
        .allow_path(ctx.scratch().join("a/file"), FsAccess::TRUNCATE);
    let Some(prepared) = required(&ruleset, (6, 2))? else { return Ok(()) };
    let at = |path: &str| ctx.scratch().join(path);
    restricted(&prepared, || {
        fs::write(at("a/file"), "")?;
        refused(fs::write(at("b/file"), ""), EACCES, "truncating")?;
        // Writing alone is not handled.
        fs::OpenOptions::new().write(true).open(at("b/file"))?;
        Ok(())
    })
}

fn ioctl(_: &mut Context) -> Result {
    let access = FsAccess::IOCTL_DEV | FsAccess::READ_FILE;
    let ruleset = Ruleset::new()
        .handle_fs(access)
        .allow_path("/dev/ptmx", access)
        .allow_path("/dev/pts", access)
        .allow_path("/dev/null", FsAccess::READ_FILE)
        .allow_path("/dev/console", FsAccess::READ_FILE);
    let Some(prepared) = required(&ruleset, (6, 10))? else { return Ok(()) };
    let size = |path: &str| -> Result<io::Result<()>> {
        let device = fs::File::open(path).or_fail(path)?;
        Ok(rustix::termios::tcgetwinsize(&device).map(drop).map_err(Into::into))
    };
    restricted(&prepared, || {
        size("/dev/ptmx")?.or_fail("TIOCGWINSZ of a terminal that may be asked")?;
        // The driver of /dev/null would say ENOTTY.
        refused(size("/dev/null")?, EACCES, "TIOCGWINSZ of /dev/null")?;
        refused(size("/dev/console")?, EACCES, "TIOCGWINSZ of /dev/console")
    })?;
    refused(size("/dev/null")?, nix::errno::Errno::ENOTTY, "TIOCGWINSZ of /dev/null, unrestricted")
}

fn log_flags(ctx: &mut Context) -> Result {
    let ruleset = Ruleset::new().handle_fs(FsAccess::MAKE_SOCK).log(LogFlags::all());
    if let Some(prepared) = required(&ruleset, (6, 15))? {
        restricted(&prepared, || {
            let socket = std::os::unix::net::UnixListener::bind(ctx.scratch().join("socket"));
            refused(socket, EACCES, "making a socket")
        })?;
    }
    Ok(())
}

fn best_effort(ctx: &mut Context) -> Result {
    two(ctx)?;
    let ruleset = Ruleset::new()
        .handle_fs(FsAccess::all())
        .handle_net(NetAccess::all())
        .scope(Scopes::all())
        .allow_path(ctx.scratch().join("a"), FsAccess::all());
    let (prepared, report) = ruleset.prepare_best_effort()?;
    ensure_eq!(report.abi, landlock_abi()?, "the ABI of the report");
    ensure_eq!(report.is_complete(), since(7, 2)?, "whether all is enforced: {report}");
    ensure_eq!(report.is_nothing(), !since(5, 13)?, "whether nothing is enforced: {report}");
    for (name, (major, minor)) in [
        ("LANDLOCK_ACCESS_FS_REFER", (5, 19)),
        ("LANDLOCK_ACCESS_FS_TRUNCATE", (6, 2)),
        ("LANDLOCK_ACCESS_NET_BIND_TCP", (6, 7)),
        ("LANDLOCK_SCOPE_SIGNAL", (6, 12)),
        ("LANDLOCK_ACCESS_NET_CONNECT_SEND_UDP", (7, 2)),
    ] {
        let missing = report.missing.iter().find(|missing| missing.name == name);
        ensure_eq!(missing.is_none(), since(major, minor)?, "whether {name} is enforced");
    }
    let at = |path: &str| ctx.scratch().join(path);
    let enforced = !report.is_nothing();
    restricted(&prepared, || {
        fs::write(at("a/new"), "x")?;
        let written = fs::write(at("b/new"), "x");
        ensure_eq!(written.is_err(), enforced, "whether a file outside is refused: {report}");
        Ok(())
    })
}

fn mounts(ctx: &mut Context) -> Result {
    let ruleset = Ruleset::new().handle_fs(FsAccess::MAKE_CHAR);
    let Some(prepared) = required(&ruleset, (5, 13))? else { return Ok(()) };
    restricted(&prepared, || {
        let flags = nix::mount::MsFlags::MS_BIND;
        let bound = nix::mount::mount(Some(ctx.scratch()), ctx.scratch(), None::<&str>, flags, None::<&str>);
        ensure_eq!(bound.err(), Some(nix::errno::Errno::EPERM), "a bind mount");
        let gone = nix::mount::umount2("/dev/shm", nix::mount::MntFlags::empty());
        ensure_eq!(gone.err(), Some(nix::errno::Errno::EPERM), "an unmount");
        Ok(())
    })
}

fn layers(_: &mut Context) -> Result {
    let ruleset = Ruleset::new().handle_fs(FsAccess::MAKE_CHAR);
    let Some(prepared) = required(&ruleset, (5, 13))? else { return Ok(()) };
    restricted(&prepared, || {
        for layer in 2..=16 {
            prepared.restrict_thread().or_fail(format_args!("layer {layer}"))?;
        }
        let error = prepared.restrict_thread().err().or_fail("the refusal of layer 17")?;
        ensure_eq!(error.kind(), ErrorKind::Os(cofferdam_sys::Errno::E2BIG), "layer 17: {error}");
        Ok(())
    })
}

/// The process of the case is restricted for good: it ends with the case.
fn all_threads(ctx: &mut Context) -> Result {
    let ruleset = Ruleset::new().handle_fs(FsAccess::MAKE_SOCK);
    let Some(prepared) = required(&ruleset, (5, 13))? else { return Ok(()) };
    let path = ctx.scratch().join("socket");
    let make = || std::os::unix::net::UnixListener::bind(&path).map(drop);
    let (go, wait) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        // There before the restriction.
        let other = scope.spawn(move || {
            let _ = wait.recv();
            make()
        });
        let restricted = prepared.restrict_process();
        go.send(())?;
        let socket = other.join().unwrap_or_else(|_| Err(io::Error::other("the other thread panicked")));
        if since(7, 0)? {
            restricted?;
            refused(socket, EACCES, "a socket that another thread makes")
        } else {
            let error = restricted.err().or_fail("a refusal")?;
            ensure_eq!(error.kind(), ErrorKind::Unsupported, "the refusal: {error}");
            ensure!(error.to_string().contains("Linux 7.0"), "the error does not name the release: {error}");
            socket.or_fail("a socket, after the refusal")
        }
    })
}

/// The steps of a plan, to be put into another.
fn steps(plan: &Plan) -> Vec<(&str, Step)> {
    plan.entries().iter().map(|entry| (&*entry.about, entry.step.clone())).collect()
}

fn rootless(ctx: &mut Context) -> Result {
    two(ctx)?;
    for name in ["a", "b"] {
        fs::set_permissions(ctx.scratch().join(name), Permissions::from_mode(0o777))?;
    }
    let access = FsAccess::MAKE_REG;
    let ruleset = Ruleset::new().handle_fs(access).allow_path(ctx.scratch().join("a"), access);
    let Some(prepared) = required(&ruleset, (5, 13))? else { return Ok(()) };
    let user = |restrict: bool| -> Result<child::Facts> {
        let mut plan = child::plan(&[])?;
        plan.push("leave all groups", Step::Groups(vec![]));
        plan.push("be no group", Step::Gid(1000));
        plan.push("be nobody", Step::Uid(1000));
        if restrict {
            prepared.lower(&mut plan)?;
        }
        let facts =
            ["file:/proc/self/status", "write:/run/lab/scratch/a/x=x", "write:/run/lab/scratch/b/x=x"];
        child::ask(&Isolation::default(), None, steps(&plan), &facts)
    };
    let facts = user(true)?;
    ensure_eq!(facts.status("Uid")?, "1000 1000 1000 1000", "the user");
    ensure_eq!(facts.status("CapEff")?, "0000000000000000", "its capabilities");
    ensure_eq!(facts.status("NoNewPrivs")?, "1", "no_new_privs");
    ensure_eq!(facts.get("write:/run/lab/scratch/a/x=x")?, "", "making a file where it is allowed");
    ensure_eq!(facts.get("write:/run/lab/scratch/b/x=x")?, "!EACCES", "making a file elsewhere");
    let control = user(false)?;
    ensure_eq!(control.get("write:/run/lab/scratch/b/x=x")?, "", "making a file elsewhere, unrestricted");
    Ok(())
}

fn container(ctx: &mut Context) -> Result {
    let root = ctx.scratch().join("root");
    for name in ["proc", "dev", "data", "etc"] {
        fs::create_dir_all(root.join(name))?;
        chown(root.join(name), Some(100_000), Some(100_000))?;
    }
    chown(&root, Some(100_000), Some(100_000))?;
    fs::copy(crate::guest::paths::INIT, root.join("init"))?;
    let rules =
        [MountRule::new("/").execute(), MountRule::new("/data").write(), MountRule::new("/dev").devices()];
    let Hardened { ruleset, wider } = hardened(&rules)?;
    // Both may be executed from as the root may.
    ensure_eq!(wider.len(), 2, "what is wider than asked for: {wider:?}");
    let ask = |restrict: bool| -> Result<(child::Facts, bool)> {
        let (prepared, report) = ruleset.prepare_best_effort_for_root(Path::new("/"))?;
        let new = Namespaces::USER | Namespaces::MOUNT | Namespaces::PID | Namespaces::NET;
        let isolation = Isolation { new, ids: Some(ns::mapped()), ..Isolation::default() };
        let mut fs = cofferdam_mountfs::RootFs::new(&root);
        fs.user_namespace = true;
        fs.mounts = vec![cofferdam_mountfs::Mount::from_options("proc", "proc", "/proc", ["nosuid"])?];
        let made = fs.prepare(&cofferdam_mountfs::Host::probe()?)?;
        let facts = [
            "list:/",
            "write:/data/x=x",
            "write:/dev/null=x",
            "write:/etc/x=x",
            "write:/proc/self/comm=x",
            "spawn:1",
        ];
        let mut plan = child::plan(&[&["facts"], &facts[..]].concat())?;
        isolation.lower(&mut plan);
        made.lower(&mut plan)?;
        if restrict {
            prepared.lower(&mut plan)?;
        }
        Ok((child::ask_with(&isolation, None, plan)?, !report.is_nothing()))
    };
    let (control, _) = ask(false)?;
    ensure_eq!(control.get("write:/etc/x=x")?, "", "writing in the container's root, unrestricted");
    ensure_eq!(control.get("write:/proc/self/comm=x")?, "", "writing to procfs, unrestricted");
    let (facts, enforced) = ask(true)?;
    ensure_eq!(facts.get("spawn:1")?, "1", "executing from the root");
    ensure_eq!(enforced, since(5, 13)?, "whether Landlock is there");
    ensure!(facts.get("list:/")?.contains("data"), "the root is listed: {facts:?}");
    ensure_eq!(facts.get("write:/data/x=x")?, "", "writing on the mount that is written to");
    ensure_eq!(facts.get("write:/dev/null=x")?, "", "writing to a device");
    let wanted = if enforced { "!EACCES" } else { "" };
    ensure_eq!(facts.get("write:/etc/x=x")?, wanted, "writing in the container's root");
    ensure_eq!(facts.get("write:/proc/self/comm=x")?, wanted, "writing to procfs");
    Ok(())
}
