//! Tells from a line of the console that the guest's kernel is in trouble.

use std::fmt;

/// Why a guest cannot be trusted any more: the lab failed, whatever the tests said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The kernel panicked.
    Panic(String),
    /// The kernel faulted and went on.
    Oops(String),
    /// The kernel found itself inconsistent.
    Bug(String),
    /// A CPU was stuck.
    SoftLockup(String),
    /// RCU waited too long for a CPU or task.
    RcuStall(String),
    /// A task waited too long in the kernel.
    HungTask(String),
    /// Neither events nor console output for too long.
    Silence(String),
    /// PID 1 never said hello.
    NoBoot(String),
    /// More console output than any run has.
    Flood(String),
    /// A line on the channel that is not of the protocol.
    Malformed(String),
    /// QEMU ended on its own.
    Died(String),
}

impl Trouble {
    /// The kind, as reports have it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Panic(_) => "panic",
            Self::Oops(_) => "oops",
            Self::Bug(_) => "bug",
            Self::SoftLockup(_) => "soft-lockup",
            Self::RcuStall(_) => "rcu-stall",
            Self::HungTask(_) => "hung-task",
            Self::Silence(_) => "silence",
            Self::NoBoot(_) => "no-boot",
            Self::Flood(_) => "flood",
            Self::Malformed(_) => "malformed",
            Self::Died(_) => "died",
        }
    }

    /// The line of the console or what else there is to say.
    pub fn detail(&self) -> &str {
        let (Self::Panic(detail)
        | Self::Oops(detail)
        | Self::Bug(detail)
        | Self::SoftLockup(detail)
        | Self::RcuStall(detail)
        | Self::HungTask(detail)
        | Self::Silence(detail)
        | Self::NoBoot(detail)
        | Self::Flood(detail)
        | Self::Malformed(detail)
        | Self::Died(detail)) = self;
        detail
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::Panic(_) => "the guest's kernel panicked",
            Self::Oops(_) => "the guest's kernel oopsed",
            Self::Bug(_) => "the guest's kernel hit a bug",
            Self::SoftLockup(_) => "a CPU of the guest locked up",
            Self::RcuStall(_) => "RCU stalled in the guest",
            Self::HungTask(_) => "a task hung in the guest's kernel",
            Self::Silence(_) => "the guest fell silent",
            Self::NoBoot(_) => "the guest did not boot",
            Self::Flood(_) => "the guest flooded its console",
            Self::Malformed(_) => "the guest broke the protocol",
            Self::Died(_) => "QEMU ended",
        };
        write!(formatter, "{what}: {}", self.detail())
    }
}

/// How a message of one kind begins, behind the time stamp.
type Pattern = (&'static str, fn(String) -> Trouble);

/// The first that fits counts.
const STARTS: [Pattern; 13] = [
    ("Kernel panic - not syncing", Trouble::Panic),
    ("watchdog: BUG: soft lockup", Trouble::SoftLockup),
    ("BUG: soft lockup", Trouble::SoftLockup),
    ("BUG: workqueue lockup", Trouble::SoftLockup),
    ("NMI watchdog: Watchdog detected hard LOCKUP", Trouble::SoftLockup),
    ("watchdog: Watchdog detected hard LOCKUP", Trouble::SoftLockup),
    ("BUG: unable to handle", Trouble::Oops),
    ("BUG: kernel NULL pointer dereference", Trouble::Oops),
    ("Oops: ", Trouble::Oops),
    ("Unable to handle kernel", Trouble::Oops),
    ("Internal error: Oops", Trouble::Oops),
    ("BUG: ", Trouble::Bug),
    ("kernel BUG at ", Trouble::Bug),
];

/// What a console line says about the kernel; nothing in nearly all cases, a warning among them.
pub fn classify(line: &str) -> Option<Trouble> {
    let message = message(line);
    if let Some((_, trouble)) = STARTS.iter().find(|(start, _)| message.starts_with(start)) {
        return Some(trouble(line.to_owned()));
    }
    let has = |part| message.contains(part);
    // What another program had begun to print may stand before a panic.
    if has("Kernel panic - not syncing: ") {
        return Some(Trouble::Panic(line.to_owned()));
    }
    if message.starts_with("rcu: ") || message.starts_with("INFO: rcu") {
        let stall = has("self-detected stall on CPU")
            || has("detected stalls on CPUs/tasks")
            || has("detected expedited stalls");
        return stall.then(|| Trouble::RcuStall(line.to_owned()));
    }
    if message.starts_with("INFO: task ") && has(" blocked for more than ") {
        return Some(Trouble::HungTask(line.to_owned()));
    }
    // Exceptions that have no word of their own end in an error code and the count of oopses: `: 0000 [#1]`.
    let counted = message
        .split_once(" [#")
        .is_some_and(|(_, rest)| rest.starts_with(|digit: char| digit.is_ascii_digit()));
    let exception = [
        "general protection fault",
        "divide error",
        "invalid opcode",
        "stack segment",
        "int3",
        "double fault",
        "bounds",
    ]
    .iter()
    .any(|name| message.starts_with(name));
    (counted && exception).then(|| Trouble::Oops(line.to_owned()))
}

/// The line without `[   12.345678]` and `[    T1]` in front.
fn message(line: &str) -> &str {
    let mut rest = line.trim_start();
    for _ in 0..2 {
        let Some((stamp, message)) = rest.strip_prefix('[').and_then(|inner| inner.split_once(']')) else {
            break;
        };
        let stamped = stamp
            .trim()
            .trim_start_matches(['T', 'C'])
            .chars()
            .all(|char| char.is_ascii_digit() || char == '.');
        if !stamped {
            break;
        }
        rest = message.trim_start();
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_classified() {
        let table = [
            ("[    2.115] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100", "panic"),
            ("[    2.115][    T1] Kernel panic - not syncing: VFS: Unable to mount root fs", "panic"),
            ("[    2.115] [    T1] Kernel panic - not syncing: x", "panic"),
            ("test output[    9.1] Kernel panic - not syncing: sysrq triggered crash", "panic"),
            ("[   26.0] watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [init:1]", "soft-lockup"),
            (
                "[  126.0] BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 33s!",
                "soft-lockup",
            ),
            ("[   26.0] NMI watchdog: Watchdog detected hard LOCKUP on cpu 1", "soft-lockup"),
            ("[    3.1] BUG: unable to handle page fault for address: ffffc90000000000", "oops"),
            ("[    3.1] BUG: kernel NULL pointer dereference, address: 0000000000000008", "oops"),
            ("[    3.1] Oops: 0002 [#1] PREEMPT SMP NOPTI", "oops"),
            (
                "[    3.1] Oops: general protection fault, probably for non-canonical address: 0000 [#1] SMP",
                "oops",
            ),
            (
                "[    3.1] general protection fault, probably for non-canonical address 0xdead: 0000 [#2] SMP",
                "oops",
            ),
            ("[    3.1] invalid opcode: 0000 [#1] SMP NOPTI", "oops"),
            ("[    3.1] divide error: 0000 [#1] SMP", "oops"),
            ("[    3.1] kernel BUG at mm/slub.c:4023!", "bug"),
            ("[    3.1] BUG: sleeping function called from invalid context at kernel/x.c:1", "bug"),
            ("[    3.1] BUG: KASAN: slab-out-of-bounds in foo", "bug"),
            ("BUG: scheduling while atomic: init/1/0x00000002", "bug"),
            ("[   60.0] rcu: INFO: rcu_sched self-detected stall on CPU", "rcu-stall"),
            ("[   60.0] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:", "rcu-stall"),
            (
                "[   60.0] rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 0-... }",
                "rcu-stall",
            ),
            ("[  242.0] INFO: task mount:123 blocked for more than 120 seconds.", "hung-task"),
        ];
        for (line, kind) in table {
            assert_eq!(
                classify(line).map(|trouble| trouble.name().to_owned()).as_deref(),
                Some(kind),
                "{line}"
            );
        }
    }

    #[test]
    fn ordinary_lines_are_left_alone() {
        let lines = [
            "",
            "[",
            "[    0.006] ACPI BIOS Error (bug): A valid RSDP was not found (20220331/tbxfroot-210)",
            "[    0.462] PCI: Fatal: No config space access function found",
            "[    1.0] WARNING: CPU: 0 PID: 1 at net/core/dev.c:1 x",
            "[    1.0] traps: probe[123] general protection fault ip:1 sp:2 error:0 in probe",
            "[    1.0] probe[99]: segfault at 0 ip 0 sp 0 error 4 in probe[400000+1000]",
            "[    1.0] Memory cgroup out of memory: Killed process 12 (hog)",
            "[    1.0] rcu: Hierarchical SRCU implementation.",
            "[    1.0] INFO: task list is empty",
            "thread 'main' panicked at src/main.rs:1",
            "the test looked for BUG: in the log",
            "[    1.0] invalid opcode: no count",
        ];
        for line in lines {
            assert_eq!(classify(line), None, "{line}");
        }
    }

    #[test]
    fn the_line_is_part_of_the_message() {
        let trouble = classify("[ 1.0] kernel BUG at a.c:1!").unwrap();
        assert_eq!(trouble.to_string(), "the guest's kernel hit a bug: [ 1.0] kernel BUG at a.c:1!");
    }
}
