//! The values of cgroup v1 as those of v2, and back.

/// `cpu.weight` for the `cpu.shares` of cgroup v1: 2 to 262144 onto 1 to 10000, with 1024 at 100.
///
/// The curve that runc (from 1.3.2) and crun (from 1.23) take, which keeps the default of v1 the default of
/// v2: the power of ten with exponent `(L * L + 125 * L) / 612 - 7 / 34` for `L` the binary logarithm,
/// rounded up. Their older releases used the straight line `1 + ((shares - 2) * 9999) / 262142`, which
/// makes 39 of 1024. Shares outside of their range count as its ends.
pub fn weight_of_shares(shares: u64) -> u64 {
    /// Less than the step between two shares, more than the error of the logarithm.
    const ROUNDING: f64 = 1e-6;
    let shares = u32::try_from(shares.clamp(2, 262_144)).unwrap_or(262_144);
    let logarithm = f64::from(shares).log2();
    let exponent = (logarithm * logarithm + 125.0 * logarithm) / 612.0 - 7.0 / 34.0;
    let weight = (10f64.powf(exponent) - ROUNDING).ceil().clamp(1.0, 10_000.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 1 and 10000")]
    let weight = weight as u64;
    weight
}

/// `cpu.shares` for a `cpu.weight`: the shares that [`weight_of_shares`] takes to that weight.
///
/// Several do; the least is taken, but for two: 100, the default of v2, is 1024, the default of v1, and the
/// most is the most.
pub fn shares_of_weight(weight: u64) -> u64 {
    let weight = match weight {
        100 => return 1024,
        10_000.. => return 262_144,
        weight => weight.max(1),
    };
    // The curve never falls, so the least that reaches the weight is found by halving.
    let (mut low, mut high) = (2u64, 262_144u64);
    while low < high {
        let middle = low.midpoint(high);
        if weight_of_shares(middle) < weight {
            low = middle.saturating_add(1);
        } else {
            high = middle;
        }
    }
    low
}

/// `io.weight` for a weight of v1's blkio or of BFQ: 10 to 1000 onto 1 to 10000, in a straight line.
pub fn weight_of_blkio_weight(weight: u64) -> u64 {
    let above = weight.clamp(10, 1000).saturating_sub(10);
    above.saturating_mul(9999).div_euclid(990).saturating_add(1)
}

/// A weight of v1's blkio for an `io.weight`: 1 to 10000 onto 10 to 1000, in a straight line.
pub fn blkio_weight_of_weight(weight: u64) -> u64 {
    let above = weight.clamp(1, 10_000).saturating_sub(1);
    // Rounded up, so that going to v2 and back changes nothing.
    above.saturating_mul(990).div_ceil(9999).saturating_add(10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shares_become_weights_as_elsewhere() {
        // The ends and the default that the curve was made for, and two values worked out apart.
        for (shares, weight) in
            [(0, 1), (2, 1), (102, 17), (1024, 100), (2048, 174), (262_144, 10_000), (u64::MAX, 10_000)]
        {
            assert_eq!(weight_of_shares(shares), weight);
        }
    }

    #[test]
    fn every_weight_has_shares() {
        for weight in 1..=10_000 {
            assert_eq!(weight_of_shares(shares_of_weight(weight)), weight, "{}", shares_of_weight(weight));
        }
        assert_eq!(shares_of_weight(100), 1024);
        assert_eq!((shares_of_weight(0), shares_of_weight(u64::MAX)), (2, 262_144));
    }

    #[test]
    fn blkio_weights_go_there_and_back() {
        for weight in 10..=1000 {
            assert_eq!(blkio_weight_of_weight(weight_of_blkio_weight(weight)), weight);
        }
        assert_eq!((weight_of_blkio_weight(10), weight_of_blkio_weight(1000)), (1, 10_000));
        assert_eq!((weight_of_blkio_weight(0), blkio_weight_of_weight(u64::MAX)), (1, 1000));
    }

    proptest! {
        #[test]
        fn more_shares_never_weigh_less(a in any::<u64>(), b in 0u64..300_000) {
            prop_assert!((1..=10_000).contains(&weight_of_shares(a)));
            prop_assert!(weight_of_shares(b) <= weight_of_shares(b + 1));
        }
    }
}
