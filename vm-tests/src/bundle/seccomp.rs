//! The hardened profile as `linux.seccomp`.

use cofferdam_seccomp::{Answer, Compare, Condition, Profile, Rule};
use serde_json::{Value, json};

/// The profile in the specification's words; what is not allowed by its arguments fails as the default does.
pub(super) fn hardened() -> Value {
    // The crate's tests show that it has such rules; without any, no container would start.
    let rules = Profile::hardened().masked_rules().unwrap_or_default();
    let syscalls: Vec<Value> = rules.iter().map(rule).collect();
    json!({ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": syscalls })
}

fn rule(rule: &Rule) -> Value {
    let args: Vec<Value> = rule.conditions.iter().filter_map(condition).collect();
    let mut value = json!({ "names": rule.names, "action": rule.answer.action().to_string(), "args": args });
    if let Answer::Errno(number) = rule.answer {
        *super::place(&mut value, "/errnoRet") = json!(number);
    }
    value
}

fn condition(condition: &Condition) -> Option<Value> {
    let Compare::MaskedEq { mask, value } = condition.compare else { return None };
    Some(json!({ "index": condition.argument, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ" }))
}
