//! The runtime's own types of the specification beside those of the crate `oci-spec`: what one takes the other
//! takes, and both write the same; what one refuses the other refuses, at the same place.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test")]

use cofferdam::spec::{self, Json as _};
use oci_spec::runtime as oracle;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Every field of the Linux part, once.
fn whole() -> Value {
    serde_json::from_str(include_str!("spec/whole.json")).unwrap()
}

/// What ours reads, written again; or the path of the fault.
fn ours(config: &Value) -> Result<Value, String> {
    spec::Spec::read(config.clone(), &spec::Place::ROOT)
        .map(|spec| spec.write())
        .map_err(|fault| fault.path().to_owned())
}

/// The same of the oracle.
fn theirs(config: &Value) -> Result<Value, String> {
    serde_path_to_error::deserialize::<_, oracle::Spec>(config)
        .map(|spec| serde_json::to_value(spec).unwrap())
        .map_err(|error| {
            let missing = error.inner().to_string();
            let missing = missing.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
            // It names the object that lacks a field; ours names the field.
            missing.map_or(error.path().to_string(), |field| format!("{}.{field}", error.path()))
        })
}

/// Nothing, an empty list and a list that is not there are the same to who reads a config; the order in a set of
/// capabilities is none.
fn plain(mut value: Value) -> Value {
    fn go(value: &mut Value, name: &str) {
        match value {
            Value::Object(map) => {
                for (name, value) in map.iter_mut() {
                    go(value, name);
                }
                map.retain(|_, value| {
                    !value.is_null()
                        && value.as_array().is_none_or(|list| !list.is_empty())
                        && value.as_object().is_none_or(|map| !map.is_empty())
                });
            }
            Value::Array(list) => {
                for value in list.iter_mut() {
                    go(value, "");
                }
                if ["bounding", "effective", "inheritable", "permitted", "ambient"].contains(&name) {
                    list.sort_by_key(Value::to_string);
                    list.dedup();
                }
            }
            _ => {}
        }
    }
    go(&mut value, "");
    value
}

#[test]
fn every_field_is_read_and_written() {
    let whole = whole();
    assert_eq!(plain(ours(&whole).unwrap()), plain(whole.clone()));
    assert_eq!(plain(theirs(&whole).unwrap()), plain(whole));
}

#[test]
fn each_word_is_one_of_the_oracle() {
    fn same<Ours, Theirs: serde::de::DeserializeOwned + serde::Serialize>(words: &[(&str, Ours)]) {
        for (word, _) in words {
            let theirs: Theirs = serde_json::from_value(json!(word)).unwrap_or_else(|_| panic!("{word}"));
            assert_eq!(serde_json::to_value(theirs).unwrap(), json!(word));
        }
    }
    same::<_, oracle::LinuxNamespaceType>(spec::LinuxNamespaceType::WORDS);
    same::<_, oracle::LinuxDeviceType>(spec::LinuxDeviceType::WORDS);
    same::<_, oracle::LinuxSeccompAction>(spec::LinuxSeccompAction::WORDS);
    same::<_, oracle::LinuxSeccompOperator>(spec::LinuxSeccompOperator::WORDS);
    same::<_, oracle::LinuxSeccompFilterFlag>(spec::LinuxSeccompFilterFlag::WORDS);
    same::<_, oracle::Arch>(spec::SeccompArch::WORDS);
    same::<_, oracle::IOPriorityClass>(spec::IoPriorityClass::WORDS);
    same::<_, oracle::LinuxSchedulerPolicy>(spec::SchedulerPolicy::WORDS);
    same::<_, oracle::LinuxPersonalityDomain>(spec::LinuxPersonalityDomain::WORDS);
    same::<_, oracle::MemoryPolicyModeType>(spec::MemoryPolicyMode::WORDS);
    same::<_, oracle::MemoryPolicyFlagType>(spec::MemoryPolicyFlag::WORDS);
    same::<_, oracle::ContainerState>(spec::ContainerState::WORDS);
    // The oracle has `SCHED_RESET_ON_FORK` and `SCHED_FLAG_D_L_OVERRUN` for these two of the specification.
    let others = ["SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_DL_OVERRUN"];
    let flags = spec::SchedulerFlag::WORDS.iter().filter(|(word, _)| !others.contains(word));
    same::<_, oracle::LinuxSchedulerFlag>(&flags.copied().collect::<Vec<_>>());
}

#[test]
fn a_state_is_the_oracles() {
    let state = json!({
        "ociVersion": "1.3.0", "fds": ["seccompFd"], "pid": 7, "metadata": "m",
        "state": { "ociVersion": "1.3.0", "id": "box", "status": "creating", "pid": 7, "bundle": "/b",
            "annotations": { "a": "b" } },
    });
    let ours = spec::from_slice::<spec::ContainerProcessState>(state.to_string().as_bytes()).unwrap();
    let theirs: oracle::ContainerProcessState = serde_json::from_value(state.clone()).unwrap();
    assert_eq!(ours.write(), state);
    assert_eq!(serde_json::to_value(theirs).unwrap(), state);
}

#[test]
fn a_name_twice_is_refused() {
    for text in [r#"{"ociVersion":"1.0.0","ociVersion":"1.0.1"}"#, r#"{"x":[{"a":1,"a":1}]}"#] {
        let fault = spec::from_slice::<spec::Spec>(text.as_bytes()).unwrap_err();
        assert!(fault.path() == "syntax" && fault.why().contains("twice at line 1"), "{fault}");
    }
}

#[test]
fn null_is_nothing() {
    let whole = whole();
    for path in paths(&whole) {
        let (mut null, mut without) = (whole.clone(), whole.clone());
        let (end, above) = path.split_last().unwrap();
        // An item of a list that is null is something else than a shorter list.
        let Step::Field(name) = end else { continue };
        *at(&mut null, &path) = Value::Null;
        at(&mut without, above).as_object_mut().unwrap().remove(name);
        let entry = above.last().is_some_and(|step| matches!(step, Step::Field(name)
            if ["annotations", "sysctl", "unified", "rdma", "netDevices", "timeOffsets"].contains(&name.as_str())));
        if !entry {
            assert_eq!(ours(&null), ours(&without), "{path:?}");
        }
    }
}

/// From a value to one in it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Field(String),
    Item(usize),
}

/// The way to each value below.
fn paths(value: &Value) -> Vec<Vec<Step>> {
    let below = |step: Step, value: &Value| {
        let rest = paths(value).into_iter().map(|rest| [vec![step.clone()], rest].concat());
        std::iter::once(vec![step.clone()]).chain(rest).collect::<Vec<_>>()
    };
    match value {
        Value::Object(map) => map.iter().flat_map(|(name, v)| below(Step::Field(name.clone()), v)).collect(),
        Value::Array(list) => list.iter().enumerate().flat_map(|(n, v)| below(Step::Item(n), v)).collect(),
        _ => Vec::new(),
    }
}

fn at<'v>(value: &'v mut Value, path: &[Step]) -> &'v mut Value {
    path.iter().fold(value, |value, step| match step {
        Step::Field(name) => &mut value[name.as_str()],
        Step::Item(number) => &mut value[*number],
    })
}

/// What ours leaves to a later check, which knows the kernel's names, and the oracle checks at once.
fn later(path: &[Step]) -> bool {
    let field = |name: &str| path.contains(&Step::Field(name.to_owned()));
    field("capabilities") || field("execCPUAffinity") || field("rlimits") && field("type")
}

/// A value to put in place of another; no list, which the oracle takes for a struct too.
fn other() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-70_000i64..70_000).prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        (0u64..5_000_000_000).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!({})),
        Just(json!({ "unknown": { "a": [1] } })),
    ]
}

/// A config with the user that ours takes for one that is missing: the schema of the specification does not require
/// `process.user`, and callers leave it out; the oracle wants it.
fn with_user(config: &Value) -> Value {
    let mut config = config.clone();
    if let Some(process) = config.get_mut("process").and_then(Value::as_object_mut)
        && process.get("user").is_none_or(Value::is_null)
    {
        process.insert("user".to_owned(), json!({ "uid": 0, "gid": 0 }));
    }
    config
}

/// Both take a config and write the same, or refuse it at the same place.
fn agree(config: &Value, about: &dyn std::fmt::Debug) {
    match (ours(config), theirs(&with_user(config))) {
        (Ok(ours), Ok(theirs)) => assert_eq!(plain(ours), plain(theirs), "{about:?}"),
        (Err(ours), Err(theirs)) => assert_eq!(same_style(&ours), theirs, "{about:?}"),
        (ours, theirs) => panic!("{about:?}: ours {:?}, theirs {:?}", ours.err(), theirs.err()),
    }
}

#[test]
fn a_value_that_is_missing_is_missed_alike() {
    let whole = whole();
    for path in paths(&whole) {
        let mut config = whole.clone();
        let (end, above) = path.split_last().unwrap();
        match (at(&mut config, above), end) {
            (Value::Object(map), Step::Field(name)) => drop(map.remove(name)),
            (Value::Array(list), Step::Item(number)) => drop(list.remove(*number)),
            _ => unreachable!("a path is of the value"),
        }
        agree(&config, &path);
    }
}

#[test]
fn a_number_beyond_each_bound_is_taken_or_refused_alike() {
    let bounds = [0u64, 1 << 16, 1 << 31, 1 << 32, 1 << 63].map(i128::from);
    let numbers = bounds.iter().flat_map(|bound| [*bound - 1, *bound, -*bound, -*bound - 1]);
    let numbers = numbers.map(|number| number.to_string().parse::<serde_json::Number>().unwrap());
    let numbers: Vec<Value> = numbers.map(Value::Number).collect();
    let whole = whole();
    for path in paths(&whole).into_iter().filter(|path| !later(path)) {
        let mut config = whole.clone();
        if at(&mut config, &path).is_number() {
            for number in &numbers {
                *at(&mut config, &path) = number.clone();
                agree(&config, &(&path, number));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_value_is_taken_or_refused_alike(which: prop::sample::Index, value in other()) {
        let mut config = whole();
        let all: Vec<_> = paths(&config).into_iter().filter(|path| !later(path)).collect();
        let path = which.get(&all);
        prop_assume!(!value.is_null());
        *at(&mut config, path) = value;
        agree(&config, path);
    }
}

/// Ours quotes the names that a config chooses, as the messages of later checks do.
fn same_style(path: &str) -> String {
    path.replace("[\"", ".").replace("\"]", "")
}
