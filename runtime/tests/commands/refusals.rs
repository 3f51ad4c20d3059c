//! What engines ask for and a host refuses: a warning in the log where the specification allows it, and the
//! container runs with less.

use std::fs;

use serde_json::{Value, json};

use super::bundle::Bundle;

/// Runs a script with a log of warnings as JSON; gives what it printed, and the messages.
fn run(bundle: &Bundle) -> (String, Vec<String>) {
    bundle.write();
    let log = bundle.path("log");
    let words = ["--log", log.to_str().unwrap(), "--log-format", "json", "run", bundle.id()];
    let text = bundle.order(&words).good();
    let entries = fs::read_to_string(&log).unwrap();
    let messages = entries.lines().map(|line| {
        let entry: Value = serde_json::from_str(line).unwrap();
        assert_eq!(entry["level"], "warning", "{entry}");
        entry["msg"].as_str().unwrap().to_owned()
    });
    (text, messages.collect())
}

fn may(capability: u32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    u64::from_str_radix(line.trim(), 16).unwrap() & (1 << capability) != 0
}

/// `CAP_SYS_RESOURCE`.
const RESOURCE: u32 = 24;

#[test]
fn a_lower_oom_score() {
    let Some(mut bundle) = Bundle::new() else { return };
    bundle.config["process"]["oomScoreAdj"] = json!(-999);
    bundle.script("cat /proc/self/oom_score_adj");
    let own = fs::read_to_string("/proc/self/oom_score_adj").unwrap();
    let (text, warnings) = run(&bundle);
    if may(RESOURCE) {
        assert_eq!((text.as_str(), warnings), ("-999\n", vec![]));
    } else {
        assert_eq!(text, own);
        assert!(warnings[0].contains("process.oomScoreAdj: -999 is refused"), "{warnings:?}");
    }
}

#[test]
fn higher_limits() {
    let Some(mut bundle) = Bundle::new() else { return };
    let (_, hard) = limit("Max open files");
    let more = hard.saturating_mul(2);
    bundle.config["process"]["rlimits"] = json!([{ "type": "RLIMIT_NOFILE", "soft": more, "hard": more }]);
    bundle.script("ulimit -Hn; ulimit -Sn");
    let (text, warnings) = run(&bundle);
    if may(RESOURCE) {
        assert_eq!((text, warnings), (format!("{more}\n{more}\n"), vec![]));
    } else {
        assert_eq!(text, format!("{hard}\n{hard}\n"));
        assert!(warnings[0].contains("process.rlimits: "), "{warnings:?}");
        assert!(warnings[0].contains("CAP_SYS_RESOURCE"), "{warnings:?}");
    }
}

/// The soft and the hard limit of this process.
fn limit(name: &str) -> (u64, u64) {
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    let mut words = line.split_whitespace().map(|word| word.parse().unwrap_or(u64::MAX));
    (words.next().unwrap(), words.next().unwrap())
}

#[test]
fn capabilities_that_the_caller_has_not() {
    let Some(mut bundle) = Bundle::new() else { return };
    let wanted = json!(["CAP_CHOWN", "CAP_SYS_RESOURCE"]);
    bundle.config["process"]["capabilities"] =
        json!({ "bounding": wanted, "effective": wanted, "permitted": wanted });
    bundle.script(
        "while read name value; do [ $name = CapEff: ] && echo $value; done < /proc/self/status; true",
    );
    let (text, warnings) = run(&bundle);
    let effective = u64::from_str_radix(text.trim(), 16).unwrap();
    if may(RESOURCE) {
        assert_eq!((effective, warnings), (1 | 1 << RESOURCE, vec![]));
    } else {
        assert_eq!(effective, 1);
        assert!(warnings[0].contains("process.capabilities: left out"), "{warnings:?}");
        assert!(warnings[0].contains("CAP_SYS_RESOURCE"), "{warnings:?}");
    }
}

#[test]
fn a_process_that_joins_is_told_too() {
    let Some(mut bundle) = Bundle::new() else { return };
    if may(RESOURCE) {
        eprintln!("skipped: nothing is refused to a caller with CAP_SYS_RESOURCE");
        return;
    }
    bundle.config["process"]["args"] = json!(["sleep", "1000"]);
    bundle.start();
    let process = json!({ "args": ["cat", "/proc/self/oom_score_adj"], "cwd": "/", "env": ["PATH=/bin"],
        "user": { "uid": 0, "gid": 0 }, "oomScoreAdj": -1000,
        "capabilities": { "bounding": ["CAP_SYS_RESOURCE"] } });
    fs::write(bundle.path("process.json"), process.to_string()).unwrap();
    let ended = bundle.order(&["exec", "--process", "process.json", bundle.id()]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("process.oomScoreAdj: -1000 is refused"), "{ended:?}");
    assert!(ended.stderr.contains("process.capabilities: left out"), "{ended:?}");
}
