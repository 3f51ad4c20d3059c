//! `events`.

use std::ffi::OsString;
use std::time::Duration;

use clap::Parser;
use serde_json::{Value, json};

use super::arguments;
use super::context::{Context, id};
use super::state::print_text;
use crate::{Error, ErrorKind, Result};

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
    loop {
        let line = json!({ "type": "stats", "id": id.as_str(), "data": data(&runtime.stats(&id)?) });
        print_text(&line.to_string())?;
        if events.stats {
            return Ok(0);
        }
        std::thread::sleep(interval);
        if runtime.state(&id)?.pid == 0 {
            return Ok(0);
        }
    }
}

/// The fields that engines read, in the conventional shape and units: nanoseconds and bytes.
fn data(stats: &cofferdam_cgroup::Stats) -> Value {
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
            "usage": { "usage": memory.current, "max": memory.peak.unwrap_or(0) },
            "swap": { "usage": memory.swap_current.unwrap_or(0) },
        })),
        "pids": stats.pids.as_ref().map(|pids| json!({ "current": pids.current })),
    })
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
