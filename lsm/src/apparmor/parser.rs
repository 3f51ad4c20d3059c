//! `apparmor_parser(8)`, where it is installed.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::{Error, ErrorKind};

/// Where distributions have it. `PATH` is not asked: what it finds would run with the caller's rights.
const PLACES: [&str; 4] = [
    "/usr/sbin/apparmor_parser",
    "/sbin/apparmor_parser",
    "/usr/bin/apparmor_parser",
    "/bin/apparmor_parser",
];

/// How much of its complaints is passed on.
const COMPLAINT: usize = 4096;

/// The compiler of AppArmor policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parser {
    program: PathBuf,
}

impl Parser {
    /// The installed one.
    ///
    /// # Errors
    /// [`ErrorKind::NoTool`] when there is none.
    pub fn find() -> Result<Self, Error> {
        PLACES.iter().map(Path::new).find(|path| path.is_file()).map(Self::at).ok_or_else(|| {
            Error::new(ErrorKind::NoTool, format!("no apparmor_parser in {}", PLACES.join(", ")))
                .with_hint("install the package `apparmor`, or load policy that was compiled elsewhere")
        })
    }

    /// The one at this path.
    pub fn at(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into() }
    }

    /// Where it is.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Compiles profiles and loads them into the kernel, in place of those of the same names.
    ///
    /// # Errors
    /// [`ErrorKind::Tool`] with what it printed, [`ErrorKind::Os`] when it cannot be started.
    pub fn load(&self, profiles: &str) -> Result<(), Error> {
        self.run(&["--replace".as_ref(), "--skip-cache".as_ref()], profiles).map(drop)
    }

    /// Compiles profiles for [`super::Policy::replace`].
    ///
    /// `features` is a file that describes the kernel it is for, as parts of a system are compiled on another;
    /// without it the running kernel is asked.
    ///
    /// # Errors
    /// As [`Parser::load`].
    pub fn compile(&self, profiles: &str, features: Option<&Path>) -> Result<Vec<u8>, Error> {
        let mut words = vec!["--skip-kernel-load".as_ref(), "--skip-cache".as_ref(), "--stdout".as_ref()];
        if let Some(features) = features {
            words.extend(["--features-file".as_ref(), features.as_os_str()]);
        }
        self.run(&words, profiles)
    }

    fn run(&self, words: &[&std::ffi::OsStr], input: &str) -> Result<Vec<u8>, Error> {
        let what = || format!("run {}", self.program.display());
        let mut command = Command::new(&self.program);
        command.args(words).env_clear().env("LC_ALL", "C").current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| Error::io(what(), &error))?;
        let pipe = child.stdin.take();
        // From a thread: it may print before it has read everything.
        let output = std::thread::scope(|scope| {
            scope.spawn(move || {
                if let Some(mut pipe) = pipe {
                    // It has ended early; its status says more.
                    let _ = pipe.write_all(input.as_bytes());
                }
            });
            child.wait_with_output()
        });
        let output = output.map_err(|error| Error::io(what(), &error))?;
        if output.status.success() { Ok(output.stdout) } else { Err(failure(&what(), &output)) }
    }
}

fn failure(what: &str, output: &Output) -> Error {
    let bytes = output.stderr.get(..COMPLAINT).unwrap_or(&output.stderr);
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let said = if lines.is_empty() { "it printed nothing".to_owned() } else { lines.join(" / ") };
    Error::new(ErrorKind::Tool, format!("{what}: {}: {said}", output.status))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A program of our own in its place.
    fn script(name: &str, text: &str) -> Parser {
        let path = std::env::temp_dir().join(format!("apparmor-parser-{}-{name}", std::process::id()));
        // Another thread of this test may fork while the file is open for writing (ETXTBSY): a shell reads it.
        std::fs::write(&path, format!("#!/bin/sh\n{text}")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Parser::at(path)
    }

    fn removed(parser: &Parser) {
        std::fs::remove_file(parser.program()).unwrap();
    }

    #[test]
    fn it_gets_the_profile_and_no_environment() {
        let parser = script("good", "echo \"$@\"; cat; env | sort");
        let output = parser.compile("profile x { }\n", Some(Path::new("/f"))).unwrap();
        let text = String::from_utf8(output).unwrap();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("--skip-kernel-load --skip-cache --stdout --features-file /f"));
        assert_eq!(lines.next(), Some("profile x { }"));
        // The shell sets the others itself.
        let own = ["LC_ALL=C", "PWD=/", "OLDPWD=/", "SHLVL=0", "SHLVL=1", "_=/usr/bin/env"];
        assert!(lines.all(|line| own.contains(&line)), "{text}");
        removed(&parser);
    }

    #[test]
    fn what_it_complains_of_is_passed_on() {
        let parser = script("bad", "echo 'AppArmor parser error at line 1:' >&2; echo ' syntax' >&2; exit 1");
        let error = parser.load(&"x".repeat(1 << 20)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tool);
        let text = error.to_string();
        assert!(text.ends_with("exit status: 1: AppArmor parser error at line 1: / syntax"), "{text}");
        removed(&parser);
    }

    #[test]
    fn one_that_is_not_there_is_named() {
        let error = Parser::at("/nowhere/apparmor_parser").load("").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Os(cofferdam_sys::Errno::ENOENT));
        assert!(error.to_string().starts_with("run /nowhere/apparmor_parser: "), "{error}");
        match Parser::find() {
            Ok(parser) => assert!(parser.program().is_file()),
            Err(error) => assert_eq!(error.kind(), ErrorKind::NoTool),
        }
    }
}
