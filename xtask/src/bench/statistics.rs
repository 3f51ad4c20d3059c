//! Medians and spreads of whole numbers.

/// What is said of a series of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub(super) struct Summary {
    /// The middle value; the lower one of two.
    pub median: u64,
    /// The smallest.
    pub least: u64,
    /// The value that nine tenths do not exceed.
    pub p90: u64,
}

/// Sums up; `None` of nothing.
pub(super) fn summary(values: &[u64]) -> Option<Summary> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let last = sorted.len().checked_sub(1)?;
    let at = |tenths: usize| sorted.get(last * tenths / 10).copied();
    Some(Summary { median: at(5)?, least: at(0)?, p90: at(9)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_what_was_measured() {
        assert_eq!(summary(&[]), None);
        assert_eq!(summary(&[7]), Some(Summary { median: 7, least: 7, p90: 7 }));
        let values: Vec<u64> = (1..=11).rev().collect();
        assert_eq!(summary(&values), Some(Summary { median: 6, least: 1, p90: 10 }));
    }
}
