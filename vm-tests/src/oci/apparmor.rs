//! `process.apparmorProfile`: enforced, or the start is refused.

use crate::bundle::{At, Bundle, Ended};
use crate::crates::lsm::fixtures::{ENFORCING, Loaded};
use crate::probe::Line;
use crate::registry::{Context, Failure, OrFail, Result, Test};
use serde_json::json;

pub(super) const TESTS: &[Test] = &[
    Test::oci("oci::lsm-apparmor", "A profile that denies a write denies it inside", profile).lsm("apparmor"),
    Test::oci("oci::lsm-unknown-profile", "A profile that is not loaded is refused by its name", unknown)
        .lsm("apparmor"),
    Test::oci("oci::lsm-inactive", "Where AppArmor is not active a profile is refused", inactive)
        .lsm("selinux"),
];

/// Reads its own label, then writes where the profile denies it, and where nothing does.
fn bundle(ctx: &Context, id: &str, profile: Option<&str>) -> Bundle {
    let mut bundle = Bundle::hardened(ctx, id);
    for place in ["/guarded", "/data"] {
        bundle.mount("tmpfs", "tmpfs", place, &["nosuid", "nodev", "mode=1777", "size=1m"]);
    }
    if let Some(profile) = profile {
        bundle.set("/process/apparmorProfile", json!(profile));
    }
    let label = ["show", "read", "/proc/self/attr/apparmor/current"];
    let (guarded, data) = (["show", "write", "/guarded/x", "x"], ["show", "write", "/data/x", "x"]);
    bundle.probe(&[&label[..], &["+"], &guarded, &["+"], &data].concat());
    bundle
}

/// The label that a container has seen, and what came of both writes.
fn run(bundle: &Bundle) -> Result<(String, [Line; 2])> {
    let ended = bundle.run()?.success()?;
    let label = ended.value("read")?.as_str().or_fail("the label")?.trim_end().to_owned();
    let writes: Vec<Line> = ended.lines().into_iter().filter(|line| line.step == "write").collect();
    let writes = writes.try_into().map_err(|_| Failure::failed(format!("two writes; {ended}")))?;
    Ok((label, writes))
}

fn profile(ctx: &mut Context) -> Result {
    let _loaded = Loaded::load()?;
    let (label, [guarded, data]) = run(&bundle(ctx, "confined", Some(ENFORCING)))?;
    ensure_eq!(label, format!("{ENFORCING} (enforce)"), "the label from inside");
    ensure_eq!(guarded.errno.as_deref(), Some("EACCES"), "writing where it is denied");
    ensure!(data.ok, "writing where nothing denies it: {data:?}");
    let (label, [guarded, _]) = run(&bundle(ctx, "free", None))?;
    ensure_eq!(label, "unconfined", "the label without a profile");
    ensure!(guarded.ok, "writing without a profile: {guarded:?}");
    let announced = super::features::announced(ctx, &Bundle::hardened(ctx, "announced"))?;
    ensure_eq!(announced.at("linux").at("apparmor").at("enabled"), true, "what features announces");
    Ok(())
}

/// The runtime must fail before the container does anything.
fn refused(bundle: &Bundle, mention: Option<&str>) -> Result {
    bundle.write()?;
    let ended: Ended = bundle.start()?.end()?;
    ensure!(ended.status != 0 && ended.status < 128, "it was not refused; {ended}");
    ensure!(ended.lines().is_empty(), "the probe ran; {ended}");
    if let Some(mention) = mention {
        ensure!(ended.stderr.contains(mention), "the message does not mention {mention:?}; {ended}");
    }
    bundle.nothing_left(&ended)
}

/// The words of other runtimes are their own.
fn unknown(ctx: &mut Context) -> Result {
    let bundle = bundle(ctx, "unknown", Some("no-such-profile"));
    refused(&bundle, ctx.own_runtime().then_some("no profile of that name is loaded"))
}

fn inactive(ctx: &mut Context) -> Result {
    let bundle = bundle(ctx, "inactive", Some("no-such-profile"));
    refused(&bundle, ctx.own_runtime().then_some("process.apparmorProfile: AppArmor is not active"))
}
