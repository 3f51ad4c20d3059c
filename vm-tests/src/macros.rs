//! What a test asserts with: each gives the place and the values.

/// Fails the test unless the condition holds: `ensure!(a < b, "why it should, {a} {b}")`.
#[macro_export]
macro_rules! ensure {
    ($condition:expr $(,)?) => {
        if !$condition {
            return Err($crate::registry::Failure::failed(concat!("does not hold: ", stringify!($condition))));
        }
    };
    ($condition:expr, $($format:tt)+) => {
        if !$condition {
            return Err($crate::registry::Failure::failed(format!($($format)+)));
        }
    };
}

/// Fails the test unless both values are equal, and shows both: `ensure_eq!(found, wanted, "what")`.
#[macro_export]
macro_rules! ensure_eq {
    ($left:expr, $right:expr $(,)?) => {
        $crate::ensure_eq!($left, $right, "{}", stringify!($left))
    };
    ($left:expr, $right:expr, $($format:tt)+) => {
        match (&$left, &$right) {
            (left, right) => if *left != *right {
                return Err($crate::registry::Failure::failed(format!(
                    "{}: found {left:?}, wanted {right:?}", format_args!($($format)+)
                )));
            }
        }
    };
}

/// Fails the test at once: `fail!("what was found")`.
#[macro_export]
macro_rules! fail {
    ($($format:tt)+) => {
        return Err($crate::registry::Failure::failed(format!($($format)+)))
    };
}

/// Ends the test as skipped: `skip!("this kernel has no PSI")`.
#[macro_export]
macro_rules! skip {
    ($($format:tt)+) => {
        return Err($crate::registry::Failure::skipped(format!($($format)+)))
    };
}
