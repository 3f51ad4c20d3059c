//! `linux.intelRdt`.

use cofferdam_cgroup::Schemata;

use crate::container::Rdt;
use crate::spec::Linux;
use crate::{Error, Result};

const FIELD: &str = "linux.intelRdt";

pub(super) fn lower(linux: &Linux) -> Result<Option<Rdt>> {
    let Some(rdt) = &linux.intel_rdt else { return Ok(None) };
    let read = |field: &str, text: &str| {
        Schemata::parse(text).map_err(|error| Error::config(&format!("{FIELD}.{field}"), error))
    };
    let cache = read("l3CacheSchema", rdt.l3_cache_schema.as_deref().unwrap_or_default())?;
    let bandwidth = rdt.mem_bw_schema.as_deref().unwrap_or_default();
    if !bandwidth.is_empty() && (!bandwidth.starts_with("MB:") || bandwidth.contains('\n')) {
        return Err(Error::config(&format!("{FIELD}.memBwSchema"), "must be one line that begins with MB:"));
    }
    let bandwidth = read("memBwSchema", bandwidth)?;
    // The specification: what the first says of bandwidth gives way to the second.
    let first = if bandwidth.is_empty() { cache } else { cache.without("MB").and(bandwidth) };
    let mut whole = Schemata::default();
    for (number, line) in rdt.schemata.iter().enumerate() {
        whole = whole.and(read(&format!("schemata[{number}]"), line)?);
    }
    let measured = |wanted: Option<bool>, field: &'static str, event: &'static str| {
        (wanted == Some(true)).then_some((field, event))
    };
    let events = [
        measured(rdt.enable_cmt, "enableCMT", "llc_occupancy"),
        measured(rdt.enable_mbm, "enableMBM", "mbm_total_bytes"),
    ];
    let events: Vec<_> = events.into_iter().flatten().collect();
    Ok(Some(Rdt {
        class: rdt.clos_id.clone().filter(|class| !class.is_empty()),
        // In two writes, as the kernel takes a resource once in each.
        schemata: [first, whole].into_iter().filter(|lines| !lines.is_empty()).collect(),
        monitor: rdt.enable_monitoring == Some(true) || !events.is_empty(),
        events,
    }))
}
