//! What the targets share.

/// A message is one line, whatever the input was.
///
/// # Panics
/// When it is not, which is a finding.
pub fn one_line(message: &str) {
    assert!(!message.is_empty() && message.lines().count() == 1, "{message:?}");
}

/// A scratch folder in memory, one for a process.
///
/// # Panics
/// When it cannot be made.
pub fn scratch() -> std::path::PathBuf {
    let shared = std::path::Path::new("/dev/shm");
    let base = if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() };
    let dir = base.join(format!("cofferdam-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a scratch folder");
    dir
}
