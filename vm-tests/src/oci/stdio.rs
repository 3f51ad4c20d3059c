//! Standard input, output and error.

use crate::bundle::Bundle;
use crate::registry::{Context, Result, Test};
use serde_json::json;

pub(super) const TESTS: &[Test] = &[
    Test::oci("oci::stdin", "Standard input arrives, up to its end", stdin),
    Test::oci("oci::output", "Output and errors are told apart", output),
];

fn stdin(ctx: &mut Context) -> Result {
    let ended =
        Bundle::hardened(ctx, "stdin").stdin(b"one\ntwo").probe(&["show", "stdin"]).run()?.success()?;
    ensure_eq!(ended.value("stdin")?, json!("one\ntwo"), "the input");
    let ended = Bundle::hardened(ctx, "no-stdin").probe(&["show", "stdin"]).run()?.success()?;
    ensure_eq!(ended.value("stdin")?, json!(""), "an empty input");
    Ok(())
}

fn output(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "output");
    let ended = bundle.probe(&["to-stderr", "complaint", "+", "show", "args", "text"]).run()?.success()?;
    ensure_eq!(ended.stderr, "complaint\n", "the errors");
    ensure_eq!(ended.value("args")?, json!(["text"]), "the output");
    ensure!(!ended.stdout.contains("complaint"), "errors are among the output; {ended}");
    Ok(())
}
