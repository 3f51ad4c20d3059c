//! Bytes as `config.json`: read, checked and lowered. What is refused is refused in one line, and what is
//! taken is lowered to the same every time.
#![no_main]

use cofferdam::{ContainerId, bundle::Bundle, lower};
use cofferdam_fuzz::one_line;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|config: &[u8]| {
    let Ok(id) = "fuzz".parse::<ContainerId>() else { return };
    let bundle = match Bundle::from_slice("/nonexistent/bundle".into(), config) {
        Ok(bundle) => bundle,
        Err(error) => return one_line(&error.to_string()),
    };
    match (lower(&bundle, &id), lower(&bundle, &id)) {
        (Ok(one), Ok(two)) => assert_eq!(format!("{one:?}"), format!("{two:?}")),
        (Err(one), Err(two)) => {
            one_line(&one.to_string());
            assert_eq!(one.to_string(), two.to_string());
        }
        (one, two) => panic!("{one:?} and then {two:?}"),
    }
});
