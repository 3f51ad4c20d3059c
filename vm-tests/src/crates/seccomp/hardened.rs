//! The hardened profile against programs that need something and programs that want too much.

use super::{KILLED, ask, end};
use crate::registry::{Context, OrFail, Result, Test};
use cofferdam_seccomp::{Arch, Filter, Profile};
use std::fs;

pub(in super::super) const TESTS: &[Test] = &[
    Test::integration("seccomp::runs-programs", "Programs run under the hardened profile", runs_programs),
    Test::integration(
        "seccomp::families",
        "No address family but four can be had, and none is loaded",
        families,
    ),
    Test::integration("seccomp::namespaces", "No call makes a namespace", namespaces),
    Test::integration("seccomp::argument-width", "Bits above an int hide nothing", width),
    Test::integration("seccomp::device-nodes", "No call makes a device node", device_nodes),
    Test::integration("seccomp::stays", "A filter survives execve and new threads", stays),
];

fn hardened() -> Result<Filter> {
    Ok(Filter::compile(&Profile::hardened())?)
}

fn runs_programs(ctx: &mut Context) -> Result {
    let file = ctx.scratch().join("file");
    let write = format!("write:{}=text", file.display());
    let facts = ask(
        &hardened()?,
        &[
            "spawn:3",
            "allocate:8",
            "spin:5",
            "thread:native:getuid",
            &write,
            "list:/proc/self/ns",
            "file:/proc/self/stat",
        ],
    )?;
    ensure_eq!(facts.get("spawn:3")?, "3", "processes that it could start");
    ensure_eq!(facts.get("thread:native:getuid")?, "0", "a thread");
    ensure_eq!(facts.get(&write)?, "", "writing a file");
    ensure_eq!(fs::read_to_string(&file)?, "text", "the file");
    Ok(())
}

/// The modules that are loaded; none on a kernel without.
fn modules() -> String {
    let text = fs::read_to_string("/proc/modules").unwrap_or_default();
    text.lines().filter_map(|line| line.split(' ').next()).collect::<Vec<_>>().join(" ")
}

fn families(_: &mut Context) -> Result {
    let before = modules();
    let facts: Vec<String> = (0..48).map(|family| format!("call:native:socket={family},3,0")).collect();
    let asked: Vec<&str> = facts.iter().map(String::as_str).collect();
    let found = ask(&hardened()?, &asked)?;
    for (family, fact) in asked.iter().enumerate() {
        let answer = found.get(fact)?;
        match family {
            // Raw sockets: the filter lets them pass, and here the caller may have them.
            1 | 2 | 10 | 16 => ensure!(answer != "!EPERM", "{fact}: {answer}"),
            _ => ensure_eq!(answer, "!EAFNOSUPPORT", "{fact}"),
        }
    }
    let protocols = [
        "call:native:socket=2,1,132",
        "call:native:socket=2,1,262",
        "call:native:socket=16,3,9",
        "call:native:socketpair=30,1,0",
    ];
    let found = ask(&hardened()?, &protocols)?;
    for fact in protocols {
        ensure_eq!(found.get(fact)?, "!EAFNOSUPPORT", "{fact}");
    }
    ensure_eq!(modules(), before, "the loaded modules");
    Ok(())
}

const NAMESPACES: [u64; 8] =
    [0x80, 0x2_0000, 0x200_0000, 0x400_0000, 0x800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000];

fn namespaces(_: &mut Context) -> Result {
    let facts: Vec<String> = NAMESPACES.iter().map(|flag| format!("call:native:unshare={flag:#x}")).collect();
    let mut asked: Vec<&str> = facts.iter().map(String::as_str).collect();
    asked.extend([
        "call:native:clone",
        "call:native:setns",
        "call:native:clone3",
        "call:native:unshare=0x400",
    ]);
    let found = ask(&hardened()?, &asked)?;
    for fact in &facts {
        ensure_eq!(found.get(fact)?, "!EPERM", "{fact}");
    }
    // All flags at once, which the kernel would find contradictory.
    ensure_eq!(found.get("call:native:clone")?, "!EPERM", "clone");
    ensure_eq!(found.get("call:native:setns")?, "!EPERM", "setns");
    ensure_eq!(found.get("call:native:clone3")?, "!ENOSYS", "clone3, which C libraries fall back from");
    ensure_eq!(found.get("call:native:unshare=0x400")?, "0", "unshare(CLONE_FILES)");
    Ok(())
}

fn width(_: &mut Context) -> Result {
    let refused = [
        ("call:native:socket=0x100000028,1,0", "!EAFNOSUPPORT"),
        ("call:native:socket=0xffffffff00000026,5,0", "!EAFNOSUPPORT"),
        ("call:native:unshare=0x110000000", "!EPERM"),
        ("call:native:personality=0x100040000", "!EPERM"),
        ("call:native:ioctl=0,0x100005412", "!EPERM"),
        ("call:native:ioctl=0,0xffffffff0000541c", "!EPERM"),
    ];
    // The same value with something above is still a value that is allowed.
    let allowed = ["call:native:socket=0x100000001,1,0", "call:native:personality=0xffffffffffffffff"];
    let asked: Vec<&str> = refused.iter().map(|(fact, _)| *fact).chain(allowed).collect();
    let found = ask(&hardened()?, &asked)?;
    for (fact, wanted) in refused {
        ensure_eq!(found.get(fact)?, wanted, "{fact}");
    }
    for fact in allowed {
        ensure!(!found.get(fact)?.starts_with('!'), "{fact}: {found:?}");
    }
    Ok(())
}

fn device_nodes(_: &mut Context) -> Result {
    // Without a path the kernel gives EFAULT to what the filter lets pass.
    let cases = [
        ("call:native:mknodat=0x0,0", "!EFAULT"),
        ("call:native:mknodat=0x1000,0", "!EFAULT"),
        ("call:native:mknodat=0xc000,0", "!EFAULT"),
        ("call:native:mknodat=0x2000,0x103", "!EPERM"),
        ("call:native:mknodat=0x6000,0x801", "!EPERM"),
        ("call:native:mknodat=0x16000,0x801", "!EPERM"),
    ];

    let asked: Vec<&str> = cases.iter().map(|(fact, _)| *fact).collect();
    let found = ask(&hardened()?, &asked)?;
    for (fact, wanted) in cases {
        ensure_eq!(found.get(fact)?, wanted, "{fact}");
    }
    Ok(())
}

fn stays(_: &mut Context) -> Result {
    let facts =
        ask(&hardened()?, &["file:/proc/self/status", "thread:native:ptrace", "call:native:seccomp"])?;
    ensure_eq!(facts.status("Seccomp")?, "2", "the mode");
    // Since Linux 5.9; the number counts one filter, not one a thread.
    ensure_eq!(facts.status("Seccomp_filters")?, "1", "the filters");
    ensure_eq!(facts.status("NoNewPrivs")?, "1", "no_new_privs");
    ensure_eq!(facts.get("thread:native:ptrace")?, "!EPERM", "a refused call on a new thread");
    ensure_eq!(
        facts.get("call:native:seccomp")?,
        "!EINVAL",
        "seccomp itself, which can only confine further"
    );
    let native = Arch::native().or_fail("a table")?;
    if native == Arch::X86_64 {
        ensure_eq!(
            end(&hardened()?, "call:i386:getuid")?,
            KILLED,
            "the end of who uses another architecture"
        );
    }
    Ok(())
}
