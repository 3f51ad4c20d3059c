//! The shares of caches and memory bandwidth.

use super::*;
use crate::container::Rdt;

fn rdt(field: Value) -> Result<Rdt> {
    let mut config = config();
    config["linux"]["intelRdt"] = field;
    lowered(&config).map(|container| container.rdt.unwrap())
}

fn writes(rdt: &Rdt) -> Vec<String> {
    rdt.schemata.iter().map(ToString::to_string).collect()
}

#[test]
fn lines_are_written_in_the_order_of_the_specification() {
    let all = json!({ "closID": "gold", "l3CacheSchema": "L3:0=ff\nMB:0=90", "memBwSchema": "MB:0=20",
        "schemata": ["L2:0=f", "MB:0=30"], "enableMonitoring": true });
    let all = rdt(all).unwrap();
    assert_eq!((all.class.as_deref(), all.monitor), (Some("gold"), true));
    assert_eq!(writes(&all), ["L3:0=ff\nMB:0=20\n", "L2:0=f\nMB:0=30\n"]);
    let cache = rdt(json!({ "l3CacheSchema": "L3:0=ff\nMB:0=90" })).unwrap();
    assert_eq!((cache.class.clone(), cache.monitor), (None, false));
    assert_eq!(writes(&cache), ["L3:0=ff\nMB:0=90\n"]);
    assert!(writes(&rdt(json!({ "closID": "gold" })).unwrap()).is_empty());
    let old = rdt(json!({ "enableCMT": true, "enableMBM": true })).unwrap();
    assert!(old.monitor && old.events.len() == 2);
    assert!(!rdt(json!({ "enableCMT": false })).unwrap().monitor);
}

#[test]
fn what_is_wrong_is_refused_by_its_path() {
    for (field, words) in [
        (json!({ "l3CacheSchema": "L3" }), "linux.intelRdt.l3CacheSchema: "),
        (
            json!({ "memBwSchema": "L3:0=f" }),
            "linux.intelRdt.memBwSchema: must be one line that begins with MB:",
        ),
        (json!({ "memBwSchema": "MB:0=1\nMB:1=1" }), "linux.intelRdt.memBwSchema: "),
        (json!({ "schemata": ["L3:0=f", "x"] }), "linux.intelRdt.schemata[1]: "),
    ] {
        let error = rdt(field).unwrap_err();
        assert!(error.kind() == ErrorKind::Config && error.to_string().contains(words), "{error}");
    }
}
