//! The labels that a mount gives its files.

use super::Context;

/// Which label a mount option sets (`mount(8)`, "context").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MountLabel {
    /// `context`: of every file, whatever the file system stores.
    Every,
    /// `fscontext`: of the file system itself.
    FileSystem,
    /// `defcontext`: of files without one.
    Default,
    /// `rootcontext`: of the root directory.
    Root,
}

impl MountLabel {
    /// The option's key, for `fsconfig(2)`.
    pub fn key(self) -> &'static str {
        match self {
            MountLabel::Every => "context",
            MountLabel::FileSystem => "fscontext",
            MountLabel::Default => "defcontext",
            MountLabel::Root => "rootcontext",
        }
    }

    /// The option for the data of `mount(2)`: quoted, as the commas of a level would end it.
    ///
    /// For `fsconfig(2)` take [`MountLabel::key`] and the context's text instead: there are no quotes there.
    pub fn option(self, context: &Context) -> String {
        format!("{}=\"{context}\"", self.key())
    }

    /// Adds the option to others.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] when the same label is among them already, or `context` is asked for with
    /// `fscontext` or `defcontext`, which the kernel takes as contradictions.
    pub fn add_to(self, options: &str, context: &Context) -> Result<String, crate::Error> {
        let excluded: &[&str] = match self {
            MountLabel::Every => &["context", "fscontext", "defcontext"],
            MountLabel::FileSystem => &["context", "fscontext"],
            MountLabel::Default => &["context", "defcontext"],
            MountLabel::Root => &["rootcontext"],
        };
        for option in split(options) {
            let key = option.split('=').next().unwrap_or_default();
            if excluded.contains(&key) {
                let what = format!(
                    "mount options: `{}` is there, and {} is added",
                    crate::error::shown(option),
                    self.key()
                );
                return Err(crate::Error::invalid(what));
            }
        }
        let option = self.option(context);
        Ok(if options.is_empty() { option } else { format!("{options},{option}") })
    }
}

/// Options between commas that are not quoted.
fn split(options: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    options.split(move |character| {
        if character == '"' {
            quoted = !quoted;
        }
        character == ',' && !quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_quoted() {
        let context = "u:object_r:t:s0:c1,c2".parse().unwrap();
        assert_eq!(MountLabel::Every.option(&context), "context=\"u:object_r:t:s0:c1,c2\"");
        let all = MountLabel::Root.add_to("size=1m,mode=700", &context).unwrap();
        assert_eq!(all, "size=1m,mode=700,rootcontext=\"u:object_r:t:s0:c1,c2\"");
        assert_eq!(MountLabel::Default.add_to("", &context).unwrap(), "defcontext=\"u:object_r:t:s0:c1,c2\"");
    }

    #[test]
    fn contradictions_are_refused() {
        let context = "u:object_r:t".parse().unwrap();
        for options in ["context=a:b:c", "ro,context=\"a:b:c:s0,s1\",nosuid", "defcontext=a:b:c"] {
            assert!(MountLabel::Every.add_to(options, &context).is_err(), "{options}");
        }
        // A comma within quotes begins no option.
        let fine = MountLabel::Every.add_to("rootcontext=\"a:b:c:s0,context=x\"", &context);
        assert!(fine.is_ok());
        assert!(MountLabel::FileSystem.add_to("defcontext=a:b:c", &context).is_ok());
    }
}
