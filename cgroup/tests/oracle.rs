//! Against `cgroups-rs`, an independent implementation by path: what we write it reads equal, and what it
//! writes we read equal, on v2 and on v1.
//!
//! `cargo xtask test` runs this in a guest with v2; on a host with v1 hierarchies, as root:
//! `cargo test -p cofferdam-cgroup --test oracle -- --ignored`.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use cgroups_rs::cpu::CpuController;
use cgroups_rs::memory::MemController;
use cgroups_rs::pid::PidController;
use cgroups_rs::{Cgroup as Theirs, MaxValue, hierarchies};
use cofferdam_cgroup::{AnyCgroup, Controllers, CpuMax, Hierarchy, Limits};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Limits that both sides know, in the words of v2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Values {
    pids: Option<u32>,
    /// Of 4096 bytes, so that the kernel does not round.
    pages: Option<u32>,
    low_pages: u32,
    /// Shares on v1, a weight on v2.
    share: u64,
    quota_us: Option<u32>,
    period_us: u64,
}

fn values() -> impl Strategy<Value = Values> {
    use prop::option::of;
    let memory = (of(512u32..1 << 20), 1u32..512);
    (of(1u32..4_000_000), memory, 2u64..=10_000, of(1000u32..500_000), 1000u64..=1_000_000).prop_map(
        |(pids, (pages, low_pages), share, quota_us, period_us)| Values {
            pids,
            pages,
            low_pages,
            share,
            quota_us,
            period_us,
        },
    )
}

/// A cgroup for both sides, removed at the end.
struct Both {
    ours: Option<AnyCgroup>,
    theirs: Theirs,
    v2: bool,
    memory: bool,
}

impl Both {
    fn new(test: &str) -> Self {
        let layout = Hierarchy::detect().unwrap();
        let v2 = matches!(layout, Hierarchy::Unified(_));
        // From Linux 6.12 on some kernels have it on v2 alone, where the other side does not look.
        let memory = v2 || layout.v1_of("memory").is_some();
        let controllers: Controllers =
            ["cpu", "pids"].into_iter().chain(memory.then_some("memory")).collect();
        let path = format!("cofferdam-{test}-{}", std::process::id());
        let ours = AnyCgroup::create(&layout, &path, &controllers).unwrap();
        Self { ours: Some(ours), theirs: Theirs::load(hierarchies::auto(), &path), v2, memory }
    }

    fn ours(&self) -> &AnyCgroup {
        self.ours.as_ref().unwrap()
    }

    fn we_write(&self, values: &Values) {
        let bytes = |pages: u32| u64::from(pages) * 4096;
        let max = |value: Option<u64>| value.unwrap_or(u64::MAX);
        let limits = Limits {
            pids_max: Some(max(values.pids.map(u64::from))),
            memory_max: self.memory.then(|| max(values.pages.map(bytes))),
            memory_low: self.memory.then(|| bytes(values.low_pages)),
            cpu_weight: self.v2.then_some(values.share),
            cpu_shares: (!self.v2).then_some(values.share),
            cpu_max: Some(CpuMax { quota_us: values.quota_us.map(u64::from), period_us: values.period_us }),
            ..Limits::default()
        };
        self.ours().apply(&limits).unwrap();
    }

    fn we_read(&self) -> Values {
        let limits = self.ours().limits().unwrap();
        let finite = |value: Option<u64>| value.filter(|value| *value != u64::MAX);
        let pages = |bytes: u64| u32::try_from(bytes / 4096).unwrap();
        let cpu = limits.cpu_max.unwrap();
        Values {
            pids: finite(limits.pids_max).map(|max| u32::try_from(max).unwrap()),
            pages: finite(limits.memory_max).map(pages),
            low_pages: limits.memory_low.map_or(0, pages),
            share: if self.v2 { limits.cpu_weight } else { limits.cpu_shares }.unwrap(),
            quota_us: cpu.quota_us.map(|quota| u32::try_from(quota).unwrap()),
            period_us: cpu.period_us,
        }
    }

    fn they_write(&self, values: &Values) {
        let pids: &PidController = self.theirs.controller_of().unwrap();
        let max = values.pids.map_or(MaxValue::Max, |max| MaxValue::Value(max.into()));
        pids.set_pid_max(max).unwrap();
        let cpu: &CpuController = self.theirs.controller_of().unwrap();
        cpu.set_shares(values.share).unwrap();
        // It writes the quota first, which the period in force may not allow.
        cpu.set_cfs_quota(-1).unwrap();
        cpu.set_cfs_period(values.period_us).unwrap();
        cpu.set_cfs_quota(values.quota_us.map_or(-1, i64::from)).unwrap();
        if self.memory {
            let memory: &MemController = self.theirs.controller_of().unwrap();
            memory.set_limit(values.pages.map_or(-1, |pages| i64::from(pages) * 4096)).unwrap();
            memory.set_soft_limit(i64::from(values.low_pages) * 4096).unwrap();
        }
    }

    fn they_read(&self) -> Values {
        let pids: &PidController = self.theirs.controller_of().unwrap();
        let cpu: &CpuController = self.theirs.controller_of().unwrap();
        let memory: Option<&MemController> = self.theirs.controller_of();
        let memory = memory.filter(|_| self.memory).map(MemController::memory_stat);
        // No limit is -1 on v2, and nearly the largest number on v1.
        let limited = 0..i64::MAX - (1 << 16);
        let pages = |bytes: i64| limited.contains(&bytes).then(|| u32::try_from(bytes / 4096).unwrap());
        Values {
            pids: match pids.get_pid_max().unwrap() {
                MaxValue::Max => None,
                MaxValue::Value(max) => Some(u32::try_from(max).unwrap()),
            },
            pages: memory.as_ref().and_then(|memory| pages(memory.limit_in_bytes)),
            low_pages: memory.and_then(|memory| pages(memory.soft_limit_in_bytes)).unwrap_or(0),
            share: cpu.shares().unwrap(),
            quota_us: u32::try_from(cpu.cfs_quota().unwrap()).ok(),
            period_us: cpu.cfs_period().unwrap(),
        }
    }

    /// What is left to compare where nobody limits memory.
    fn expected(&self, values: Values) -> Values {
        if self.memory { values } else { Values { pages: None, low_pages: 0, ..values } }
    }
}

impl Drop for Both {
    fn drop(&mut self) {
        self.ours.take().unwrap().delete().unwrap();
    }
}

fn check(test: &str, one: impl Fn(&Both, &Values), other: impl Fn(&Both) -> Values) {
    let both = Both::new(test);
    let mut runner = TestRunner::new(Config { cases: 200, failure_persistence: None, ..Config::default() });
    runner
        .run(&values(), |values| {
            one(&both, &values);
            prop_assert_eq!(other(&both), both.expected(values));
            Ok(())
        })
        .unwrap();
}

#[test]
#[ignore = "changes control groups as root: `cargo xtask test` runs it in a guest"]
fn they_read_what_we_write() {
    check("we-write", Both::we_write, Both::they_read);
}

#[test]
#[ignore = "changes control groups as root: `cargo xtask test` runs it in a guest"]
fn we_read_what_they_write() {
    check("they-write", Both::they_write, Both::we_read);
}

#[test]
#[ignore = "changes control groups as root: `cargo xtask test` runs it in a guest"]
fn we_read_what_we_write() {
    check("we-both", Both::we_write, Both::we_read);
}
