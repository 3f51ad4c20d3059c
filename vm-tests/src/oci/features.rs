//! `features`: what it announces, held against what this guest has.

use crate::bundle::{At, Bundle, HOST_ID, IDS};
use crate::guest::cgroups::Layout;
use crate::registry::{Context, OrFail, Result, Test};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::chown;

pub(super) const TESTS: &[Test] =
    &[Test::oci("oci::features", "features announces what this kernel and this layout have", features)
        .facilities(&["cgroup:pids"])];

/// What the runtime announces.
pub(super) fn announced(ctx: &Context, bundle: &Bundle) -> Result<Value> {
    let ended = bundle.order(&["features"])?;
    if ended.status != 0 && !ctx.own_runtime() {
        skip!("this runtime has no command features");
    }
    Ok(serde_json::from_str(&ended.success()?.stdout)?)
}

fn features(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "features");
    let announced = announced(ctx, &bundle)?;
    let linux = announced.at("linux");
    if ctx.own_runtime() {
        namespaces(&linux)?;
        capabilities(&linux)?;
        actions(&linux)?;
    }
    let versions: &[&str] = match ctx.layout() {
        Layout::V2 => &["v2"],
        Layout::V1 => &["v1"],
        Layout::Hybrid => &["v1", "v2"],
    };
    for version in versions {
        ensure_eq!(linux.at("cgroup").at(version), true, "cgroup {version} in {linux}");
    }
    idmap(ctx, &linux.at("mountExtensions").at("idmap").at("enabled"), &mut bundle)
}

/// Others list what their libraries know.
fn namespaces(linux: &Value) -> Result {
    let names: Vec<_> = fs::read_dir("/proc/self/ns")?.collect::<std::io::Result<_>>()?;
    let names: Vec<_> = names.iter().map(fs::DirEntry::file_name).collect();
    let kind = |name: &str| match name.trim_end_matches("_for_children") {
        "mnt" => "mount".to_owned(),
        "net" => "network".to_owned(),
        same => same.to_owned(),
    };
    let wanted: BTreeSet<String> = names.iter().filter_map(|name| name.to_str()).map(kind).collect();
    ensure_eq!(words(&linux.at("namespaces")), wanted, "the namespaces");
    Ok(())
}

fn capabilities(linux: &Value) -> Result {
    let last: usize = fs::read_to_string("/proc/sys/kernel/cap_last_cap")?.trim().parse()?;
    ensure_eq!(words(&linux.at("capabilities")).len(), last + 1, "the number of capabilities");
    Ok(())
}

fn actions(linux: &Value) -> Result {
    let text = fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail")?;
    let action = |name: &str| match name {
        "user_notif" => "SCMP_ACT_NOTIFY".to_owned(),
        name => format!("SCMP_ACT_{}", name.to_uppercase()),
    };
    let mut wanted: BTreeSet<String> = text.split_whitespace().map(action).collect();
    // The old name of KILL_THREAD.
    wanted.insert("SCMP_ACT_KILL".to_owned());
    ensure_eq!(words(&linux.at("seccomp").at("actions")), wanted, "the actions of seccomp");
    Ok(())
}

/// A volume with a map of ids works, or is refused where the runtime does not announce it.
fn idmap(ctx: &Context, announced: &Value, bundle: &mut Bundle) -> Result {
    if ctx.own_runtime() {
        ensure_eq!(announced, &json!(ctx.has("mount_setattr")?), "whether mounts can have maps of ids");
    }
    let volume = ctx.scratch().join("volume");
    fs::create_dir(&volume)?;
    chown(&volume, Some(7), Some(8)).or_fail("giving the volume away")?;
    bundle.bind(&volume, "/data", &["bind", "ro", "nosuid", "nodev", "noexec"]);
    let ids = json!([{ "containerID": 0, "hostID": HOST_ID, "size": IDS }]);
    if let Some(mount) = bundle.list("/mounts").last_mut().and_then(Value::as_object_mut) {
        mount.insert("uidMappings".to_owned(), ids.clone());
        mount.insert("gidMappings".to_owned(), ids);
    }
    bundle.probe(&["show", "stat", "/data"]).write()?;
    let ended = bundle.start()?.end()?;
    bundle.nothing_left(&ended)?;
    if ctx.has("tmpfs_idmap")? {
        let found = ended.success()?.value("stat")?;
        ensure_eq!((found.at("uid"), found.at("gid")), (json!(7), json!(8)), "the owner from inside");
    } else {
        // The kernel has no maps, or none for the file system that the volume is on.
        ensure!(ended.status != 0 && ended.lines().is_empty(), "it was not refused; {ended}");
    }
    Ok(())
}

fn words(list: &Value) -> BTreeSet<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
