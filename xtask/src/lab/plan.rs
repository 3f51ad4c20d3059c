//! From tests to guests: tests with an equal boot configuration share one boot per kernel, and those that share a
//! cgroup layout as well share guests resumed from it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::select::cases;
use crate::protocol::{Case, TestInfo};

/// The major LSM of guests whose tests ask for none: that of the distribution's kernels.
const LSM: &str = "apparmor";

/// What a guest is booted with; tests with equal needs of this kind share a boot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootConfig {
    /// Whether there is a scratch disk, which takes machine q35.
    pub disk: bool,
    /// Whether the programs of systemd are in the image.
    pub systemd: bool,
    /// `security=NAME`.
    pub lsm: String,
    /// `lockdown=LEVEL`, with signed modules.
    pub lockdown: Option<String>,
}

impl Default for BootConfig {
    fn default() -> Self {
        Self { disk: false, systemd: false, lsm: LSM.to_owned(), lockdown: None }
    }
}

impl BootConfig {
    /// What is not as usual in a guest with this cgroup layout, for progress lines and log files.
    pub fn label(&self, layout: &str) -> String {
        let mut parts = vec![layout.to_owned()];
        if self.disk {
            parts.push("disk".into());
        }
        if self.systemd {
            parts.push("systemd".into());
        }
        if self.lsm != LSM {
            parts.push(self.lsm.clone());
        }
        parts.extend(self.lockdown.as_ref().map(|level| format!("lockdown-{level}")));
        parts.join("-")
    }
}

/// The cases that share a boot configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What their guest is booted with.
    pub config: BootConfig,
    /// The modules that any of the tests needs, sorted.
    pub modules: Vec<String>,
    /// Its cases by cgroup layout, the one with most cases first; never empty.
    pub layouts: Vec<Cases>,
}

/// The cases that share a cgroup layout.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cases {
    /// The layout.
    pub cgroup: String,
    /// Cases that run one after the other in one guest.
    pub shared: Vec<Case>,
    /// Cases with a guest of their own, resumed from a snapshot.
    pub fresh: Vec<Case>,
}

impl Group {
    fn count(&self) -> usize {
        self.layouts.iter().map(Cases::count).sum()
    }
}

impl Cases {
    fn count(&self) -> usize {
        self.shared.len() + self.fresh.len()
    }
}

/// A test that cannot run with the cgroup layout that the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excluded {
    /// The case.
    pub case: Case,
    /// Why.
    pub reason: String,
}

/// The groups of a run; the same for each kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The groups, the one with most cases first.
    pub groups: Vec<Group>,
    /// Cases that are reported as skipped without a boot.
    pub excluded: Vec<Excluded>,
}

/// What a guest needs to have the scratch disk and its file system; kernels have some of them built in.
const DISK_MODULES: [&str; 3] = ["virtio_pci", "virtio_blk", "ext4"];

impl Plan {
    /// Takes everything out for one reason.
    pub fn exclude_all(&mut self, reason: &str) {
        let layouts = self.groups.drain(..).flat_map(|group| group.layouts);
        let cases = layouts.flat_map(|cases| cases.shared.into_iter().chain(cases.fresh));
        self.excluded.extend(cases.map(|case| Excluded { case, reason: reason.to_owned() }));
    }
}

#[derive(Default)]
struct Building {
    modules: BTreeSet<String>,
    layouts: BTreeMap<String, Cases>,
}

/// Groups the tests; `cgroup` is the layout that the command line asks for.
pub fn plan(tests: &[TestInfo], cgroup: Option<&str>) -> Plan {
    let mut groups: BTreeMap<BootConfig, Building> = BTreeMap::new();
    let mut excluded = Vec::new();
    for test in tests {
        if let (Some(asked), Some(needed)) = (cgroup, test.needs.cgroup.as_deref())
            && asked != needed
        {
            let reason = format!("needs the cgroup layout {needed}; this run asked for {asked}");
            excluded.extend(cases(test).map(|case| Excluded { case, reason: reason.clone() }));
            continue;
        }
        let group = groups.entry(config(test)).or_default();
        group.modules.extend(test.needs.modules.iter().cloned());
        if test.needs.disk {
            group.modules.extend(DISK_MODULES.map(str::to_owned));
        }
        let layout = test.needs.cgroup.as_deref().or(cgroup).unwrap_or("v2");
        let layout = group.layouts.entry(layout.to_owned()).or_default();
        let list = if test.needs.fresh { &mut layout.fresh } else { &mut layout.shared };
        list.extend(cases(test));
    }
    let mut groups: Vec<Group> = groups
        .into_iter()
        .map(|(config, group)| {
            let named = |(cgroup, cases)| Cases { cgroup, ..cases };
            let mut layouts: Vec<Cases> = group.layouts.into_iter().map(named).collect();
            layouts.sort_by_key(|cases| Reverse(cases.count()));
            Group { config, modules: group.modules.into_iter().collect(), layouts }
        })
        .collect();
    groups.sort_by_key(|group| Reverse(group.count()));
    Plan { groups, excluded }
}

fn config(test: &TestInfo) -> BootConfig {
    BootConfig {
        disk: test.needs.disk,
        systemd: test.needs.systemd,
        lsm: test.needs.lsm.clone().unwrap_or_else(|| LSM.to_owned()),
        lockdown: test.needs.lockdown.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Needs;

    fn test(name: &str, modes: &[&str], needs: Needs) -> TestInfo {
        TestInfo {
            suite: "integration".into(),
            name: name.into(),
            about: String::new(),
            modes: modes.iter().map(ToString::to_string).collect(),
            oci: true,
            needs,
        }
    }

    fn modules(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn equal_needs_share_a_guest_and_its_modules() {
        let tests = [
            test("a", &["full"], Needs { modules: modules(&["veth", "overlay"]), ..Needs::default() }),
            test("b", &["full", "control"], Needs { modules: modules(&["overlay"]), ..Needs::default() }),
        ];
        let plan = plan(&tests, None);
        assert_eq!(plan.groups.len(), 1);
        assert_eq!(plan.groups[0].modules, ["overlay", "veth"]);
        assert_eq!(plan.groups[0].layouts[0].shared.len(), 3);
        assert_eq!(plan.groups[0].config.label("v2"), "v2");
    }

    #[test]
    fn disk_lsm_and_lockdown_take_a_boot_of_their_own() {
        let tests = [
            test("a", &["full"], Needs::default()),
            test("b", &["full"], Needs { disk: true, ..Needs::default() }),
            test("c", &["full"], Needs { lsm: Some("apparmor".into()), ..Needs::default() }),
            test("d", &["full"], Needs { lockdown: Some("integrity".into()), ..Needs::default() }),
            test("e", &["full"], Needs { lsm: Some("selinux".into()), ..Needs::default() }),
        ];
        let labels: BTreeSet<String> =
            plan(&tests, None).groups.iter().map(|group| group.config.label("v2")).collect();
        let expected = ["v2", "v2-disk", "v2-selinux", "v2-lockdown-integrity"];
        assert_eq!(labels, expected.iter().map(ToString::to_string).collect());
        let disk = plan(&tests[1..2], None);
        assert_eq!(disk.groups[0].modules, ["ext4", "virtio_blk", "virtio_pci"]);
    }

    #[test]
    fn a_layout_takes_guests_of_its_own_and_no_boot() {
        let v1 = || Needs { cgroup: Some("v1".into()), ..Needs::default() };
        let tests = [
            test("a", &["full", "control"], v1()),
            test("b", &["full"], Needs::default()),
            test("c", &["full"], Needs { fresh: true, ..v1() }),
        ];
        let plan = plan(&tests, None);
        assert_eq!(plan.groups.len(), 1);
        let sizes = |cases: &Cases| (cases.cgroup.clone(), cases.shared.len(), cases.fresh.len());
        let sizes: Vec<_> = plan.groups[0].layouts.iter().map(sizes).collect();
        assert_eq!(sizes, [("v1".to_owned(), 2, 1), ("v2".to_owned(), 1, 0)]);
    }

    #[test]
    fn fresh_cases_are_apart_in_the_same_group() {
        let tests = [
            test("a", &["full"], Needs::default()),
            test("b", &["full", "control"], Needs { fresh: true, ..Needs::default() }),
        ];
        let plan = plan(&tests, None);
        assert_eq!(plan.groups.len(), 1);
        assert_eq!(plan.groups[0].layouts[0].fresh.len(), 2);
        assert_eq!(plan.groups[0].layouts[0].shared.len(), 1);
    }

    #[test]
    fn an_asked_layout_wins_and_excludes_what_needs_another() {
        let tests = [
            test("a", &["full"], Needs::default()),
            test("b", &["full"], Needs { cgroup: Some("v2".into()), ..Needs::default() }),
        ];
        let plan = plan(&tests, Some("v1"));
        assert_eq!(plan.groups.len(), 1);
        assert_eq!(plan.groups[0].layouts[0].cgroup, "v1");
        assert_eq!(plan.excluded.len(), 1);
        assert!(plan.excluded[0].reason.contains("needs the cgroup layout v2"));
    }
}
