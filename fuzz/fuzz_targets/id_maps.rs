//! Bytes as id maps in their three forms: what is taken is within 32 bits and survives being written again,
//! what is refused is refused in one line.
#![no_main]

use cofferdam_fuzz::one_line;
use cofferdam_ns::{IdMap, IdMaps, subid};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match IdMap::parse_kernel(text) {
        Err(error) => one_line(&error.to_string()),
        Ok(maps) => {
            for map in &maps {
                let _ = map.to_outside(u32::MAX);
            }
            if let Err(error) = (IdMaps { uid: maps.clone(), gid: maps }).validate() {
                one_line(&error.to_string());
            }
        }
    }
    if let Err(error) = IdMap::parse_list(text) {
        one_line(&error.to_string());
    }
    match subid::parse(text, Some("user"), 1000) {
        Err(error) => one_line(&error.to_string()),
        Ok(ranges) => {
            for range in ranges {
                let _ = range.map().to_outside(0);
            }
        }
    }
});
