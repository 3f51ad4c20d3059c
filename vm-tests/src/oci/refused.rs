//! What cannot be run is refused with a clear line, and nothing is left.

use crate::bundle::{Bundle, Ended};
use crate::registry::{Context, OrFail, Result, Test};
use serde_json::json;
use std::fs;
use std::process::Command;

pub(super) const TESTS: &[Test] = &[
    Test::oci("oci::program-absent", "A program that does not exist: the message names it", absent),
    Test::oci("oci::program-not-executable", "A program without the x bit is refused", not_executable),
    Test::oci("oci::config-absent", "A bundle without config.json is refused", no_config),
    Test::oci("oci::config-malformed", "A config.json that is no JSON is refused", malformed),
    Test::oci("oci::config-version", "An unknown major version of OCI is refused", version),
    Test::oci("oci::config-no-root", "A root directory that does not exist is refused", no_root),
    Test::oci("oci::config-mount-source", "A bind mount of what does not exist is refused", no_source),
    Test::oci("oci::id-refused", "An id with a slash or of dots is refused", ids),
];

/// A run that must fail before the container does anything.
fn refused(bundle: &Bundle, mention: &str) -> Result {
    let ended = bundle.start()?.end()?;
    judge(&ended, mention)?;
    bundle.nothing_left(&ended)
}

fn judge(ended: &Ended, mention: &str) -> Result {
    ensure!(ended.status != 0, "it was not refused; {ended}");
    ensure!(ended.status < 128, "the runtime died of a signal; {ended}");
    ensure!(ended.lines().is_empty(), "the probe ran; {ended}");
    ensure!(ended.stderr.contains(mention), "the message does not mention {mention:?}; {ended}");
    Ok(())
}

fn absent(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "absent");
    bundle.set("/process/args", json!(["/no-such-program"]));
    bundle.write()?;
    refused(&bundle, "/no-such-program")
}

/// crun 1.8 does not name the program.
fn not_executable(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "not-executable");
    bundle.file("/plain", 0o644, "#!/probe").set("/process/args", json!(["/plain"]));
    bundle.write()?;
    refused(&bundle, if ctx.own_runtime() { "/plain" } else { "ermission denied" })
}

fn no_config(ctx: &mut Context) -> Result {
    let bundle = Bundle::hardened(ctx, "no-config");
    bundle.write()?;
    fs::remove_file(bundle.dir().join("config.json"))?;
    refused(&bundle, "config.json")
}

fn malformed(ctx: &mut Context) -> Result {
    let bundle = Bundle::hardened(ctx, "malformed");
    bundle.write()?;
    fs::write(bundle.dir().join("config.json"), "{ \"ociVersion\": \"1.0.2\", ")?;
    refused(&bundle, "")
}

/// runc 1.1 does not look at the version, crun 1.8 does not repeat it.
fn version(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "version");
    bundle.set("/ociVersion", json!("2.0.0"));
    bundle.probe(&["exit", "0"]).write()?;
    let ended = bundle.start()?.end()?;
    if !ctx.own_runtime() && ended.status == 0 {
        skip!("this runtime does not look at ociVersion");
    }
    judge(&ended, if ctx.own_runtime() { "2.0.0" } else { "version" })?;
    bundle.nothing_left(&ended)
}

fn no_root(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "no-root");
    bundle.set("/root/path", json!("no-such-root"));
    bundle.write()?;
    refused(&bundle, "no-such-root")
}

fn no_source(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "no-source");
    bundle.bind(std::path::Path::new("/no-such-source"), "/data", &["bind"]).write()?;
    refused(&bundle, "/no-such-source")
}

fn ids(ctx: &mut Context) -> Result {
    let bundle = Bundle::hardened(ctx, "ids");
    bundle.write()?;
    for id in ["", "a/b", "..", "../escape", "/absolute", "a b"] {
        let output = Command::new(ctx.runtime()).args(["run", "--bundle"]).arg(bundle.dir()).arg(id).output();
        let output = output.or_fail("starting the runtime")?;
        ensure!(!output.status.success(), "the id {id:?} was not refused");
        ensure!(!output.stderr.is_empty(), "the id {id:?} was refused without a word");
        ensure!(output.stdout.is_empty(), "with the id {id:?} the probe ran");
    }
    Ok(())
}
