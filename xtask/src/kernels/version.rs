//! The order of Debian versions (deb-version(7)).

use std::cmp::Ordering;

/// Compares two versions the way dpkg does.
pub fn compare(left: &str, right: &str) -> Ordering {
    let ((left_epoch, left), (right_epoch, right)) = (epoch(left), epoch(right));
    let ((left_upstream, left_revision), (right_upstream, right_revision)) =
        (revision(left), revision(right));
    left_epoch
        .cmp(&right_epoch)
        .then_with(|| compare_part(left_upstream, right_upstream))
        .then_with(|| compare_part(left_revision, right_revision))
}

fn epoch(version: &str) -> (u64, &str) {
    match version.split_once(':') {
        Some((number, rest)) => (number.parse().unwrap_or(0), rest),
        None => (0, version),
    }
}

fn revision(version: &str) -> (&str, &str) {
    version.rsplit_once('-').unwrap_or((version, ""))
}

/// Compares by turns a stretch without digits and a number, until one differs or both have ended.
fn compare_part<'a>(mut left: &'a str, mut right: &'a str) -> Ordering {
    while !(left.is_empty() && right.is_empty()) {
        let (texts, numbers);
        (texts, left, right) = split_both(left, right, |byte| !byte.is_ascii_digit());
        (numbers, left, right) = split_both(left, right, |byte| byte.is_ascii_digit());
        let order = compare_text(texts).then_with(|| compare_number(numbers));
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

/// The leading stretches of both that belong, and what is left of each.
fn split_both<'a>(
    left: &'a str,
    right: &'a str,
    belongs: impl Fn(u8) -> bool,
) -> ((&'a str, &'a str), &'a str, &'a str) {
    let (left_head, left_tail) = split(left, &belongs);
    let (right_head, right_tail) = split(right, &belongs);
    ((left_head, right_head), left_tail, right_tail)
}

fn split(text: &str, belongs: impl Fn(u8) -> bool) -> (&str, &str) {
    let end = text.bytes().position(|byte| !belongs(byte)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// `~` sorts before the end of the text, letters before all other characters.
fn compare_text((left, right): (&str, &str)) -> Ordering {
    let weight = |byte: Option<u8>| match byte {
        Some(b'~') => -1,
        None => 0,
        Some(letter) if letter.is_ascii_alphabetic() => i32::from(letter),
        Some(other) => i32::from(other) + 256,
    };
    let (mut left, mut right) = (left.bytes(), right.bytes());
    loop {
        let (one, other) = (left.next(), right.next());
        match weight(one).cmp(&weight(other)) {
            Ordering::Equal if one.is_none() && other.is_none() => return Ordering::Equal,
            Ordering::Equal => {}
            order => return order,
        }
    }
}

/// Compares runs of digits of any length without parsing them.
fn compare_number((left, right): (&str, &str)) -> Ordering {
    let (left, right) = (left.trim_start_matches('0'), right.trim_start_matches('0'));
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_that_of_dpkg() {
        let ascending = [
            "1.0~rc1-1",
            "1.0-1",
            "5.10.251-5",
            "5.10.262-1",
            "6.1.9-1",
            "6.1.172-1~deb11u1",
            "6.1.172-1",
            "6.12.90-1",
            "6.12.90-2",
            "6.12.107-1",
            "7.3.4-1~bpo13+1",
            "7.3.4-1",
            "7.3.4-1+b1",
            "7.3.4a-1",
            "7.3.4+x-1",
            "1:0.1-1",
        ];
        for pair in ascending.windows(2) {
            assert_eq!(compare(pair[0], pair[1]), Ordering::Less, "{pair:?}");
            assert_eq!(compare(pair[1], pair[0]), Ordering::Greater, "{pair:?}");
        }
    }

    #[test]
    fn zeros_and_a_missing_revision_are_equal() {
        assert_eq!(compare("1.01", "1.1"), Ordering::Equal);
        assert_eq!(compare("0:2.0-0", "2.0"), Ordering::Equal);
        assert_eq!(compare("1.0", "1.0."), Ordering::Less);
    }
}
