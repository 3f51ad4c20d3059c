//! What the kernel was booted with.

use std::io;

/// The parsed `/proc/cmdline`.
#[derive(Debug, Clone, Default)]
pub struct Cmdline {
    words: Vec<String>,
}

impl Cmdline {
    /// Reads `/proc/cmdline`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read() -> io::Result<Self> {
        Ok(Self::parse(&std::fs::read_to_string("/proc/cmdline")?))
    }

    /// Takes a command line apart. Quotes are not understood: the lab uses none.
    pub fn parse(text: &str) -> Self {
        Self { words: text.split_whitespace().map(str::to_owned).collect() }
    }

    /// The value of the last `key=value`.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.words.iter().rev().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    /// Whether the runtime in the image is this project's own (`lab.runtime=`).
    pub fn own_runtime(&self) -> bool {
        self.value("lab.runtime") != Some("foreign")
    }

    /// Whether `lab.break=` (a comma-separated list) names this defence.
    pub fn broken(&self, defence: &str) -> bool {
        self.value("lab.break").is_some_and(|list| list.split(',').any(|name| name == defence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found() {
        let line =
            Cmdline::parse("console=ttyS0 quiet security=tomoyo security=selinux lab.break=masks,bounding\n");
        assert_eq!(line.value("security"), Some("selinux"));
        assert!(line.broken("masks") && line.broken("bounding") && !line.broken("mask"));
        assert!(line.own_runtime());
        assert_eq!(line.value("quiet"), None);
    }

    #[test]
    fn a_foreign_runtime_is_told_apart() {
        assert!(!Cmdline::parse("lab.runtime=foreign").own_runtime());
    }
}
