//! Lists of numbers such as `0-3,7`, as `cpuset(7)` has them.

use crate::{Error, Result};

/// The highest number, so that a list of a few bytes cannot ask for gigabytes.
const HIGHEST: usize = 8191;

/// The numbers as bits, the lowest first.
pub(super) fn mask(field: &str, text: &str) -> Result<Vec<u64>> {
    let wrong = |part: &str| {
        let why = format!("`{part}` is no number or range of numbers up to {HIGHEST}, as in 0-3,7");
        Error::config(field, why)
    };
    let mut words: Vec<u64> = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.parse().ok().filter(|number: &usize| *number <= HIGHEST);
        let (first, last) = number(first).zip(number(last)).ok_or_else(|| wrong(part))?;
        if first > last {
            return Err(wrong(part));
        }
        if words.len() <= last / 64 {
            words.resize((last / 64).saturating_add(1), 0);
        }
        for number in first..=last {
            if let Some(word) = words.get_mut(number / 64) {
                *word |= 1 << (number % 64);
            }
        }
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_and_ranges_are_bits() {
        assert_eq!(mask("x", "0-3, 7").unwrap(), [0b1000_1111]);
        assert_eq!(mask("x", "64,1,1").unwrap(), [2, 1]);
        for bad in ["", ",", "1-", "-1", "3-2", "a", "8192", "0-99999999999999999999", "1,,2"] {
            let message = mask("the.field", bad).unwrap_err().to_string();
            assert!(message.starts_with("config.json: the.field: `"), "{message}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[0-9,-]{0,12}|\\PC{0,12}") {
            let _ = mask("x", &text);
        }
    }
}
