//! The near name of one that is unknown.

/// The known name that a reader of `text` would think of first, if there is one.
///
/// Underscores are forgotten easily, prefixes too (`PTRACE`); beyond that, two slips of the pen.
pub(crate) fn nearest<'a>(text: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let bare = |name: &str| name.replace(['_', '-'], "").to_ascii_uppercase();
    let wanted = bare(text);
    let wanted = wanted.strip_prefix("CAP").filter(|rest| rest.len() > 2).unwrap_or(&wanted);
    let slips = |name: &str| {
        let name_bare = bare(name);
        if name_bare == wanted {
            return Some(0);
        }
        if wanted.len() >= 4 && name_bare.ends_with(wanted) {
            return Some(1);
        }
        // Of a short name two slips leave nothing.
        let most = if wanted.len() < 6 { 1 } else { 2 };
        Some(strsim::osa_distance(&name_bare, wanted)).filter(|slips| *slips <= most)
    };
    known.filter_map(|name| Some((slips(name)?, name))).min_by_key(|(slips, _)| *slips).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;
    use crate::Cap;

    #[test]
    fn slips_are_understood() {
        let near = |text: &str| nearest(text, Cap::names());
        for (text, wanted) in [
            ("NET_ADMN", "NET_ADMIN"),
            ("SYSADMIN", "SYS_ADMIN"),
            ("CAP_SYS_PTARCE", "SYS_PTRACE"),
            ("ptrace", "SYS_PTRACE"),
            ("CHWON", "CHOWN"),
            ("KIL", "KILL"),
            ("setpcaps", "SETPCAP"),
        ] {
            assert_eq!(near(text), Some(wanted), "{text}");
        }
        for text in ["", "X", "CAP_", "FOO_BAR_BAZ", "DOCKER"] {
            assert_eq!(near(text), None, "{text}");
        }
    }
}
