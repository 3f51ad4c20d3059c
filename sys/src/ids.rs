//! The caller's user and group (`credentials(7)`).

/// `uid_t geteuid(void)`: the effective user id, as the caller's user namespace numbers it.
pub fn effective_uid() -> u32 {
    // SAFETY: takes no pointer and cannot fail.
    unsafe { libc::geteuid() }
}

/// `gid_t getegid(void)`: the effective group id, as the caller's user namespace numbers it.
pub fn effective_gid() -> u32 {
    // SAFETY: takes no pointer and cannot fail.
    unsafe { libc::getegid() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_those_of_proc() {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let second = |name: &str| -> u32 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        assert_eq!((effective_uid(), effective_gid()), (second("Uid:"), second("Gid:")));
    }
}
