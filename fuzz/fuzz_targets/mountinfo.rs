//! Bytes as `/proc/PID/mountinfo`: the crates that read it take what is there, or name the line at fault.
#![no_main]

use cofferdam_cgroup::{Hierarchy, position::Positions};
use cofferdam_fuzz::one_line;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    match cofferdam_mountfs::mountinfo::parse(text) {
        Ok(mounts) => assert!(mounts.len() <= text.split(|byte| *byte == b'\n').count()),
        Err(error) => one_line(&error.to_string()),
    }
    let hierarchy = Hierarchy::of_mountinfo(text);
    if let Some(mount) = hierarchy.v2() {
        for position in hierarchy.v1().iter().filter_map(|mount| Positions::parse(text).v1(mount).cloned()) {
            drop(position.below(mount));
        }
    }
});
