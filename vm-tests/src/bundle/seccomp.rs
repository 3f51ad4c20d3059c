//! The hardened profile as `linux.seccomp`.

use cofferdam_seccomp::{Answer, Compare, Condition, Profile, Rule, Width};
use serde_json::{Value, json};

/// The profile as far as the specification can say it.
///
/// It has no conjunction of comparisons of one argument (`ioctl`), and where several rules hold it leaves open which
/// one decides: the last rule of each conditional call, which gives a kinder error, is left to the default.
pub(super) fn hardened() -> Value {
    let profile = Profile::hardened();
    let rules = profile.rules.iter().filter(|rule| rule.names != ["ioctl"]).filter_map(rule);
    let ioctl = json!({ "names": ["ioctl"], "action": "SCMP_ACT_ALLOW" });
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": rules.chain(std::iter::once(ioctl)).collect::<Vec<_>>(),
    })
}

fn rule(rule: &Rule) -> Option<Value> {
    let args = rule.conditions.iter().map(condition).collect::<Option<Vec<_>>>()?;
    let mut value = json!({ "names": rule.names, "action": rule.answer.action().to_string() });
    let object = value.as_object_mut()?;
    if let Answer::Errno(number) = rule.answer {
        object.insert("errnoRet".to_owned(), json!(number));
    }
    if !args.is_empty() {
        object.insert("args".to_owned(), json!(args));
    }
    Some(value)
}

fn condition(condition: &Condition) -> Option<Value> {
    let bits: u64 = if condition.width == Width::Low { 0xffff_ffff } else { u64::MAX };
    let (mask, value) = match condition.compare {
        Compare::Eq(value) => (bits, value),
        Compare::MaskedEq { mask, value } if mask != 0 => (mask & bits, value),
        _ => return None,
    };
    Some(json!({ "index": condition.argument, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_can_be_said() {
        let text = hardened().to_string();
        for name in ["read", "clone3", "ioctl", "socket", "io_uring_setup"] {
            assert!(text.contains(&format!("\"{name}\"")), "{name}");
        }
        assert!(text.contains(r#""op":"SCMP_CMP_MASKED_EQ","value":2114060288,"valueTwo":0"#), "{text}");
    }
}
