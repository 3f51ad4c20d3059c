//! Limits of the cgroup, in whichever version the guest has their controller.

use crate::guest::cgroups::root_of;
use crate::registry::{OrFail, Result};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// What v1 reads where there is no limit: `u64::MAX` in whole pages, as a signed number.
const UNLIMITED: &str = "9223372036854771712";

/// Takes the limits out of `linux.resources` whose controller the guest has nowhere.
pub(super) fn fit(resources: &mut Value) {
    keep(resources, |controller| root_of(controller).is_some());
}

fn keep(resources: &mut Value, there: impl Fn(&str) -> bool) {
    if let Some(limits) = resources.as_object_mut() {
        // Each of these is named as its controller is.
        limits.retain(|name, _| !["pids", "memory", "cpu"].contains(&name.as_str()) || there(name));
    }
}

/// A file of cgroup v2 of the cgroup `path`, or what says the same on v1.
pub(super) fn read(path: &str, file: &str) -> Result<String> {
    let (controller, _) = file.split_once('.').or_fail(file)?;
    let root = root_of(controller).or_fail(format_args!("a hierarchy with {controller}"))?;
    let dir = root.join(path);
    let one = |name: &str| Ok(fs::read_to_string(dir.join(name)).or_fail(name)?.trim().to_owned());
    if of_v2(&root) {
        return one(file);
    }
    let found = match file {
        "memory.max" => one("memory.limit_in_bytes")?,
        "memory.swap.max" => swap(&one("memory.memsw.limit_in_bytes")?, &one("memory.limit_in_bytes")?)?,
        "cpu.weight" => weight(one("cpu.shares")?.parse()?).to_string(),
        "cpu.max" => format!("{} {}", one("cpu.cfs_quota_us")?, one("cpu.cfs_period_us")?),
        _ => one(file)?,
    };
    Ok(if found == UNLIMITED { "max".to_owned() } else { found })
}

/// v1 limits memory and swap together.
fn swap(both: &str, memory: &str) -> Result<String> {
    if both == UNLIMITED {
        return Ok(both.to_owned());
    }
    Ok(both.parse::<u64>()?.checked_sub(memory.parse()?).or_fail("the swap of memory and swap")?.to_string())
}

/// The range of shares, 2 to 262144, onto the range of weights, 1 to 10000, in a straight line.
fn weight(shares: u64) -> u64 {
    1 + shares.saturating_sub(2).saturating_mul(9_999) / 262_142
}

/// Whether a root is one of v2.
fn of_v2(root: &Path) -> bool {
    root.join("cgroup.controllers").exists()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_the_limits_without_a_controller_are_left_out() {
        let all = json!({ "pids": 1, "memory": 2, "cpu": 3, "devices": [] });
        let kept = |there: &[&str]| {
            let mut resources = all.clone();
            keep(&mut resources, |name| there.contains(&name));
            resources
        };
        assert_eq!(kept(&["pids", "memory", "cpu"]), all);
        assert_eq!(kept(&["pids"]), json!({ "pids": 1, "devices": [] }));
    }
}
