//! Guests whose QEMU is a shell script: how each way to fail is told apart.

use super::*;
use crate::protocol::Case;
use crate::qemu::tests::{Fake, HELLO, fake};

const WAIT: Duration = Duration::from_secs(10);

fn hello_then(script: &str) -> Fake {
    fake(&format!("{HELLO}{script}"))
}

/// Boots, lets the script after the hello begin, and collects what happens besides ordinary console lines until
/// the guest is over or the lab gives up on it.
fn story(script: &str) -> Vec<String> {
    // The script waits for a word: channel and console are two ways, and what comes by one right after the
    // hello may be seen before it.
    let fake = hello_then(&format!("read -r word <&0; {script}"));
    let mut vm = Vm::boot(&fake.config).unwrap();
    vm.send(&Command::Ping).unwrap();
    let mut story = Vec::new();
    loop {
        match vm.next(WAIT) {
            VmEvent::Console(_) => {}
            VmEvent::Guest(event) => story.push(serde_json::to_string(&event).unwrap()),
            VmEvent::Trouble(trouble) => {
                story.push(trouble.name().into());
                if matches!(trouble, Trouble::Silence(_)) {
                    return story;
                }
            }
            VmEvent::Exited(how) => {
                story.push(how);
                return story;
            }
            VmEvent::Idle => return story,
        }
    }
}

fn fails(fake: &Fake) -> Failure {
    Vm::boot(&fake.config).unwrap_err()
}

fn alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn a_guest_obeys_and_ends() {
    let fake = hello_then(
        "while read -r command; do case \"$command\" in\n\
         *ping*) echo console line >&2; echo '{\"event\":\"pong\"}' >&0;;\n\
         *stop*) exit 0;;\n\
         esac; done",
    );
    let mut vm = Vm::boot(&fake.config).unwrap();
    assert_eq!(vm.hello(), &Hello { release: "6.0".into(), init_ms: 7 });
    vm.send(&Command::Ping).unwrap();
    let mut seen = Vec::new();
    while seen.len() < 2 {
        seen.push(vm.next(WAIT));
    }
    assert!(seen.contains(&VmEvent::Guest(Event::Pong)), "{seen:?}");
    assert!(seen.contains(&VmEvent::Console("console line".into())), "{seen:?}");
    assert_eq!(vm.next(Duration::from_millis(10)), VmEvent::Idle);
    assert_eq!((vm.tail(), vm.ready_ms() < 2000), (vec!["console line".to_owned()], true));
    assert_eq!(vm.stop(), "exit status: 0");
    assert_eq!(std::fs::read_to_string(&fake.config.log).unwrap(), "console line\n");
}

#[test]
fn ends_after_hello_are_told_apart() {
    let started =
        serde_json::to_string(&Event::Started(Case { test: "t".into(), mode: "full".into() })).unwrap();
    let table: [(&str, &[&str]); 6] = [
        ("exit 3", &["exit status: 3"]),
        ("kill -9 $$", &["signal: 9 (SIGKILL)"]),
        ("echo '[ 1.0] Kernel panic - not syncing: x' >&2; exit 0", &["panic", "exit status: 0"]),
        (
            "echo '[ 9.0] rcu: INFO: rcu_sched self-detected stall on CPU' >&2",
            &["rcu-stall", "exit status: 0"],
        ),
        ("echo '{\"event\":' >&0", &["malformed", "exit status: 0"]),
        ("exec sleep 1000", &["silence"]),
    ];
    for (script, expected) in table {
        assert_eq!(story(script), expected, "{script}");
    }
    let events = story(&format!("echo '{started}' >&0; echo '{started}' >&0"));
    assert_eq!(events, [started.as_str(), started.as_str(), "exit status: 0"]);
}

#[test]
fn a_flood_is_told_and_its_end_is_still_seen() {
    let script = "head -c 6000000 /dev/zero | tr '\\0' '\\n' >&2; echo '[ 1.0] Oops: 0000 [#1]' >&2";
    assert_eq!(story(script), ["flood", "oops", "exit status: 0"]);
}

#[test]
fn ends_before_hello_are_told_apart() {
    let table = [
        ("echo 'qemu: no such kernel' >&2; exit 1", "died", "exit status: 1"),
        ("echo '[ 1.0] Kernel panic - not syncing: no init' >&2; exec sleep 1000", "panic", "no init"),
        ("echo '{\"event\":\"pong\"}' >&0; exec sleep 1000", "malformed", "Pong"),
        (
            "echo '{\"event\":\"fault\",\"message\":\"no cgroup\"}' >&0; exec sleep 1000",
            "no-boot",
            "no cgroup",
        ),
        (&HELLO.replace("\"protocol\":2", "\"protocol\":9"), "malformed", "version 9"),
    ];
    for (script, kind, part) in table {
        let failure = fails(&fake(script));
        assert_eq!(failure.trouble.name(), kind, "{failure}");
        assert!(failure.to_string().contains(part), "{failure}");
    }
    let failure = fails(&fake("echo 'qemu: no such kernel' >&2; exit 1"));
    assert!(failure.to_string().contains("    qemu: no such kernel"), "{failure}");
}

#[test]
fn a_late_guest_gets_one_more_chance() {
    let late = fake("echo x >>boots\nexec sleep 1000");
    let failure = fails(&late);
    assert_eq!(failure.trouble.name(), "no-boot", "{failure}");
    let boots =
        |fake: &Fake| std::fs::read_to_string(fake.folder.path().join("boots")).unwrap().lines().count();
    assert_eq!(boots(&late), 2);
    let second =
        fake(&format!("echo x >>boots\n[ $(wc -l <boots) = 1 ] && exec sleep 1000\n{HELLO}exec sleep 1000"));
    Vm::boot(&second.config).unwrap();
    assert_eq!(boots(&second), 2);
}

#[test]
fn a_dropped_guest_is_dead_even_with_a_stray_child() {
    let fake = hello_then("exec 3>&0\nsleep 3 & exec sleep 1000");
    let vm = Vm::boot(&fake.config).unwrap();
    let pid = vm.child.id();
    assert!(alive(pid));
    let begun = Instant::now();
    drop(vm);
    assert!(!alive(pid));
    assert!(begun.elapsed() < Duration::from_secs(2), "the stray child held the lab up");
}

#[test]
fn a_program_that_cannot_start_is_named() {
    let mut fake = fake("");
    fake.config.qemu = crate::qemu::Qemu::fake("/nonexistent/qemu");
    let failure = fails(&fake);
    assert!(failure.to_string().contains("/nonexistent/qemu"), "{failure}");
    fake.config.log = "/proc/nonexistent/log".into();
    let failure = fails(&fake);
    assert!(failure.to_string().contains("console log /proc/nonexistent/log"), "{failure}");
}
