//! Network devices that are moved into the container.

use super::*;

fn with(devices: &Value) -> Value {
    let mut config = config();
    config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "network" }));
    config["linux"]["netDevices"] = devices.clone();
    config
}

#[test]
fn devices_are_lowered_with_their_names() {
    let devices = json!({ "eth0": { "name": "net%d" }, "eth1": {}, "eth2": { "name": "" } });
    let moves = lowered(&with(&devices)).unwrap().net_devices;
    let names: Vec<_> = moves.iter().map(|one| (one.device.as_str(), one.name.exact())).collect();
    assert_eq!(names[0], ("eth0", None));
    assert_eq!(names[1], ("eth1", Some(&moves[1].device)));
    assert_eq!(names[2], ("eth2", Some(&moves[2].device)));
}

#[test]
fn what_is_wrong_is_refused_by_its_path() {
    for (devices, words) in [
        (json!({ "a/b": {} }), "linux.netDevices[\"a/b\"]: "),
        (json!({ "eth0": { "name": "way-too-long-a-name" } }), "linux.netDevices[\"eth0\"].name: "),
        (json!({ "eth0": { "name": "x%d%d" } }), "linux.netDevices[\"eth0\"].name: "),
        (json!({ "eth0": { "name": "x" }, "eth1": { "name": "x" } }), "a second device that is to be x"),
        (json!({ "eth0": {}, "eth1": { "name": "eth0" } }), "a second device that is to be eth0"),
    ] {
        let error = lowered(&with(&devices)).unwrap_err();
        assert!(error.kind() == ErrorKind::Config && error.to_string().contains(words), "{error}");
    }
    let (kind, text) = refused(|c| c["linux"]["netDevices"] = json!({ "eth0": {} }));
    assert_eq!(kind, ErrorKind::Config);
    assert!(text.starts_with("config.json: linux.netDevices: unable to move network devices without a NET"));
}
