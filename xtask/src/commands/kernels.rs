//! `cargo xtask kernels`.

use anyhow::Result;

use crate::cli::Kernels;
use crate::kernels::command::{Request, command};
use crate::kernels::{KernelSpec, Options};

/// Lists the kernels, and fetches them when asked to.
///
/// # Errors
/// A kernel that is wanted cannot be had.
pub(super) fn run(args: &Kernels) -> Result<u8> {
    let specs = args.kernels.iter().map(|text| text.parse()).collect::<Result<Vec<KernelSpec>, _>>()?;
    let options = Options { mirror: args.source.mirror.clone(), offline: args.source.offline };
    command(&Request { fetch: args.fetch, json: args.json, specs, options })?;
    Ok(0)
}
