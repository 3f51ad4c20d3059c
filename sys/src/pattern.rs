//! Regular expressions of the C library (`regex(3)`), for the one place that needs them.

use std::ffi::CStr;
use std::mem::MaybeUninit;

/// A compiled extended regular expression.
pub struct Pattern(libc::regex_t);

impl std::fmt::Debug for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pattern")
    }
}

impl Pattern {
    /// Compiles an expression (`regcomp(3)` with `REG_EXTENDED | REG_NOSUB`).
    ///
    /// # Errors
    /// The C library's words for what is wrong with it.
    pub fn new(expression: &CStr) -> Result<Self, String> {
        let mut compiled = MaybeUninit::<libc::regex_t>::zeroed();
        let flags = libc::REG_EXTENDED | libc::REG_NOSUB;
        // SAFETY: the expression is a C string, and the structure is valid for writing.
        let code = unsafe { libc::regcomp(compiled.as_mut_ptr(), expression.as_ptr(), flags) };
        if code == 0 {
            // SAFETY: the call succeeded, so the structure is filled.
            return Ok(Self(unsafe { compiled.assume_init() }));
        }
        let mut text = [0u8; 128];
        // SAFETY: the structure is the one of the failed call, which this call takes; the buffer's length is
        // given, and the text in it ends in NUL.
        unsafe { libc::regerror(code, compiled.as_ptr(), text.as_mut_ptr().cast(), text.len()) };
        Err(CStr::from_bytes_until_nul(&text).unwrap_or_default().to_string_lossy().into_owned())
    }

    /// Whether the expression is found in a text (`regexec(3)`).
    pub fn is_in(&self, text: &CStr) -> bool {
        // SAFETY: the expression is compiled, the text is a C string, and no matches are asked for.
        unsafe { libc::regexec(&raw const self.0, text.as_ptr(), 0, std::ptr::null_mut(), 0) == 0 }
    }
}

impl Drop for Pattern {
    fn drop(&mut self) {
        // SAFETY: compiled once and freed once.
        unsafe { libc::regfree(&raw mut self.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_found_in_texts() {
        let pattern = Pattern::new(c"^(web|db)-[0-9]+$").unwrap();
        assert!(pattern.is_in(c"web-17") && pattern.is_in(c"db-1"));
        assert!(!pattern.is_in(c"web-") && !pattern.is_in(c"my-web-1"));
        assert!(Pattern::new(c"a").unwrap().is_in(c"bab"));
        for bad in [c"(", c"[", c"*"] {
            assert!(!Pattern::new(bad).map(|_| ()).err().unwrap_or_else(|| "taken".into()).is_empty());
        }
        assert!(Pattern::new(c"(a").unwrap_err().contains('('));
    }
}
