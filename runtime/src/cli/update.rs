//! `update`.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Parser;
use serde_json::{Map, Value, json};

use super::arguments;
use super::context::{Context, id};
use crate::spec::{self, Json, LinuxResources, Place};
use crate::{Error, ErrorKind, Result};

#[derive(Debug, Parser)]
#[command(
    name = "cofferdam update",
    about = "Change the limits of a container",
    allow_negative_numbers = true
)]
struct Update {
    /// A file with the limits as JSON, as linux.resources has them; `-` for standard input.
    #[arg(short, long, value_name = "FILE")]
    resources: Option<PathBuf>,
    /// Memory in bytes, or with a unit as 512m; -1 for no limit.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    memory: Option<i64>,
    /// Memory that is kept from reclaim, in bytes.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    memory_reservation: Option<i64>,
    /// Memory and swap together in bytes; -1 for no limit.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    memory_swap: Option<i64>,
    /// Processes; -1 for no limit.
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pids_limit: Option<i64>,
    /// Relative share of the processors.
    #[arg(long, visible_alias = "cpu-share", value_name = "SHARES")]
    cpu_shares: Option<u64>,
    /// Microseconds of processor time in a period; -1 for no limit.
    #[arg(long, value_name = "US", allow_hyphen_values = true)]
    cpu_quota: Option<i64>,
    /// The period in microseconds.
    #[arg(long, value_name = "US")]
    cpu_period: Option<u64>,
    /// Microseconds beyond the quota that may be saved up.
    #[arg(long, value_name = "US")]
    cpu_burst: Option<u64>,
    /// Run only when nothing else does (0 or 1).
    #[arg(long, value_name = "N")]
    cpu_idle: Option<i64>,
    /// The processors to use, as 0-2,7.
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,
    /// The memory nodes to use.
    #[arg(long, value_name = "LIST")]
    cpuset_mems: Option<String>,
    /// Realtime limits of cgroup v1.
    #[arg(long, hide = true)]
    cpu_rt_period: Option<u64>,
    /// Realtime limits of cgroup v1.
    #[arg(long, hide = true)]
    cpu_rt_runtime: Option<i64>,
    /// Limits of the kernel's memory, which Linux has no more: ignored, with a warning.
    #[arg(long, hide = true, value_parser = bytes)]
    kernel_memory: Option<i64>,
    /// Limits of the kernel's memory, which Linux has no more: ignored, with a warning.
    #[arg(long, hide = true, value_parser = bytes)]
    kernel_memory_tcp: Option<i64>,
    /// Refused: shares of caches are not set by this build.
    #[arg(long, hide = true)]
    l3_cache_schema: Option<String>,
    /// Refused: shares of memory bandwidth are not set by this build.
    #[arg(long, hide = true)]
    mem_bw_schema: Option<String>,
    /// Relative share of block devices.
    #[arg(long, value_name = "WEIGHT")]
    blkio_weight: Option<u16>,
    /// The container's name.
    id: String,
}

pub(super) fn act(context: &Context, words: &[OsString]) -> Result<u8> {
    let update: Update = arguments(words)?;
    let id = id(&update.id)?;
    if update.l3_cache_schema.is_some() || update.mem_bw_schema.is_some() {
        return Err(Error::new(ErrorKind::Unsupported, "--l3-cache-schema, --mem-bw-schema: not supported"));
    }
    if update.kernel_memory.is_some() || update.kernel_memory_tcp.is_some() {
        context.warn("--kernel-memory, --kernel-memory-tcp: ignored, Linux has no such limit since 5.16");
    }
    let resources = match &update.resources {
        Some(path) => read(path)?,
        None => update.flags()?,
    };
    context.runtime()?.update(&id, &resources).map(|()| 0)
}

impl Update {
    /// The single flags as the config would say them.
    fn flags(&self) -> Result<LinuxResources> {
        let mut whole = Map::new();
        let mut put = |section: &str, field: &str, value: Option<Value>| {
            if let (Some(value), Some(section)) =
                (value, whole.entry(section).or_insert_with(|| json!({})).as_object_mut())
            {
                section.insert(field.to_owned(), value);
            }
        };
        put("memory", "limit", self.memory.map(Value::from));
        put("memory", "reservation", self.memory_reservation.map(Value::from));
        put("memory", "swap", self.memory_swap.map(Value::from));
        put("pids", "limit", self.pids_limit.map(Value::from));
        put("cpu", "shares", self.cpu_shares.map(Value::from));
        put("cpu", "quota", self.cpu_quota.map(Value::from));
        put("cpu", "period", self.cpu_period.map(Value::from));
        put("cpu", "burst", self.cpu_burst.map(Value::from));
        put("cpu", "idle", self.cpu_idle.map(Value::from));
        put("cpu", "cpus", self.cpuset_cpus.clone().map(Value::from));
        put("cpu", "mems", self.cpuset_mems.clone().map(Value::from));
        put("cpu", "realtimePeriod", self.cpu_rt_period.map(Value::from));
        put("cpu", "realtimeRuntime", self.cpu_rt_runtime.map(Value::from));
        put("blockIO", "weight", self.blkio_weight.map(Value::from));
        whole.retain(|_, section| section.as_object().is_some_and(|section| !section.is_empty()));
        if whole.is_empty() {
            return Err(Error::new(ErrorKind::Usage, "update: no limit is given")
                .with_hint("name limits by options, or by --resources FILE"));
        }
        LinuxResources::read(Value::Object(whole), &Place::ROOT)
            .map_err(|error| Error::new(ErrorKind::Usage, format!("update: {error}")))
    }
}

/// A number of bytes: plain, or with a unit of powers of 1024 such as `512m`, `1G`, `2KiB`.
fn bytes(text: &str) -> std::result::Result<i64, String> {
    let end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let lower = unit.to_ascii_lowercase();
    let power = match lower.strip_suffix("ib").or(lower.strip_suffix('b')).unwrap_or(&lower) {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return Err(format!("`{unit}` is no unit: one of k, m, g, t")),
    };
    let number: i64 = number.trim().parse().map_err(|_| format!("`{number}` is no whole number"))?;
    number.checked_mul(1024_i64.pow(power)).ok_or_else(|| "is too much".to_owned())
}

fn read(path: &Path) -> Result<LinuxResources> {
    let fail = |why: &dyn std::fmt::Display| {
        Error::new(ErrorKind::Config, format!("--resources {}: {why}", path.display()))
    };
    let mut text = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().read_to_end(&mut text).map_err(|error| fail(&error))?;
    } else {
        text = std::fs::read(path).map_err(|error| fail(&error))?;
    }
    spec::from_slice(&text).map_err(|fault| fail(&fault))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(words: &[&str]) -> Result<Value> {
        let words: Vec<&str> = ["update"].iter().chain(words).copied().collect();
        let update = Update::try_parse_from(words).unwrap();
        update.flags().map(|resources| serde_json::to_value(resources).unwrap())
    }

    #[test]
    fn bytes_have_units() {
        for (text, wanted) in [("7", 7), ("-1", -1), ("2k", 2048), ("1MiB", 1 << 20), ("3gb", 3 << 30)] {
            assert_eq!(bytes(text), Ok(wanted), "{text}");
        }
        for bad in ["", "x", "1x", "k", "1.5g", "99999999999t", "1ii"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn flags_are_the_fields_of_the_config() {
        let found = flags(&["--memory", "-1", "box", "--pids-limit", "-1", "--cpu-share=7"]).unwrap();
        assert_eq!(found["memory"], json!({ "limit": -1 }));
        assert_eq!(found["pids"], json!({ "limit": -1 }));
        assert_eq!(found["cpu"], json!({ "shares": 7 }));
        assert_eq!(flags(&["box"]).unwrap_err().kind(), ErrorKind::Usage);
    }
}
