//! `events`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use clap::Parser;
use cofferdam_cgroup::Stats;
use cofferdam_cgroup::stats::IoStats;
use serde_json::{Map, Value, json};

use super::arguments;
use super::context::{Context, id};
use super::state::print_text;
use crate::{ContainerId, Error, ErrorKind, Result};

#[derive(Debug, Parser)]
#[command(name = "cofferdam events", about = "Print what a container uses")]
struct Events {
    /// Print once.
    #[arg(long)]
    stats: bool,
    /// The time between two lines, as 5s, 500ms or 1m.
    #[arg(long, value_name = "TIME", default_value = "5s")]
    interval: String,
    /// The container's name.
    id: String,
}

pub(super) fn act(context: &Context, words: &[OsString]) -> Result<u8> {
    let events: Events = arguments(words)?;
    let id = id(&events.id)?;
    let interval = interval(&events.interval)?;
    let runtime = context.runtime()?;
    let mut killed = None;
    for number in 0u64.. {
        let stats = match runtime.stats(&id) {
            // The container has ended, or was deleted, since the last line.
            Err(error) if number > 0 && error.kind() != ErrorKind::System => break,
            other => other?,
        };
        let now = stats.memory.as_ref().map(|memory| memory.oom_kill);
        if !events.stats && killed.is_some() && now > killed {
            print_text(&line("oom", &id, None))?;
        }
        killed = now.or(killed);
        print_text(&line("stats", &id, Some(&data(&stats))))?;
        if events.stats {
            break;
        }
        std::thread::sleep(interval);
    }
    Ok(0)
}

/// One event. Scripts look for its first fields in this order.
fn line(kind: &str, id: &ContainerId, data: Option<&Value>) -> String {
    let data = data.map(|data| format!(",\"data\":{data}")).unwrap_or_default();
    format!("{{\"type\":\"{kind}\",\"id\":{}{data}}}", Value::from(id.as_str()))
}

/// The fields that engines read, in the conventional shape and units: nanoseconds and bytes.
fn data(stats: &Stats) -> Value {
    let nanoseconds = |us: u64| us.saturating_mul(1000);
    let cpu = stats.cpu.unwrap_or_default();
    json!({
        "cpu": {
            "usage": {
                "total": nanoseconds(cpu.usage_us),
                "kernel": nanoseconds(cpu.system_us),
                "user": nanoseconds(cpu.user_us),
            },
            "throttling": {
                "periods": cpu.periods.unwrap_or(0),
                "throttledPeriods": cpu.throttled_periods.unwrap_or(0),
                "throttledTime": nanoseconds(cpu.throttled_us.unwrap_or(0)),
            },
        },
        "memory": stats.memory.as_ref().map(|memory| json!({
            "cache": memory.stat.file,
            "usage": { "usage": memory.current, "max": memory.peak.unwrap_or(0), "failcnt": memory.oom },
            "swap": { "usage": memory.swap_current.unwrap_or(0), "max": memory.swap_peak.unwrap_or(0) },
            "raw": memory.stat.fields().into_iter().collect::<BTreeMap<_, _>>(),
        })),
        "pids": stats.pids.as_ref().map(|pids| json!({ "current": pids.current })),
        "blkio": {
            "ioServiceBytesRecursive": blkio(stats, |io| [io.rbytes, io.wbytes, io.dbytes]),
            "ioServicedRecursive": blkio(stats, |io| [io.rios, io.wios, io.dios]),
        },
        "hugetlb": stats.hugetlb.iter().map(|huge| (huge.size.clone(), json!({
            "usage": huge.current, "max": huge.peak.unwrap_or(0), "failcnt": huge.refused,
        }))).collect::<Map<_, _>>(),
        "intel_rdt": {},
    })
}

/// One entry for each disk and kind of work.
fn blkio(stats: &Stats, values: fn(&IoStats) -> [u64; 3]) -> Vec<Value> {
    let of_disk = |io: &IoStats| {
        let device = io.device;
        ["Read", "Write", "Discard"].into_iter().zip(values(io)).map(move |(op, value)| {
            json!({ "major": device.major, "minor": device.minor, "op": op, "value": value })
        })
    };
    stats.io.iter().flat_map(of_disk).collect()
}

/// A number with `ms`, `s`, `m` or `h`.
fn interval(text: &str) -> Result<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = match unit {
        "ms" => Some(1),
        "s" => Some(1000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let ms = number.parse::<u64>().ok().zip(scale).and_then(|(number, scale)| number.checked_mul(scale));
    ms.filter(|ms| *ms > 0).map(Duration::from_millis).ok_or_else(|| {
        let what = format!("--interval: `{}` is no time above 0", text.escape_debug());
        Error::new(ErrorKind::Usage, what).with_hint("as 500ms, 5s or 1m")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_have_a_unit() {
        assert_eq!(interval("5s").unwrap(), Duration::from_secs(5));
        assert_eq!(interval("250ms").unwrap(), Duration::from_millis(250));
        for bad in ["", "5", "0s", "-1s", "s", "1d", "99999999999999999999s", "18446744073709551615h"] {
            assert_eq!(interval(bad).unwrap_err().kind(), ErrorKind::Usage, "{bad}");
        }
    }
}
