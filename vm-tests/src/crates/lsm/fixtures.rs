//! The policies of `vm-tests/fixtures`, compiled where a compiler is, for guests where none is.

use crate::registry::Result;
use cofferdam_lsm::apparmor::{Policy, ProfileName};

/// Both profiles, compiled.
const PROFILES: &[u8] = include_bytes!("../../../fixtures/apparmor/profiles.bin");
/// The SELinux policy.
pub(super) const SELINUX: &[u8] = include_bytes!("../../../fixtures/selinux/policy.bin");

/// A name with every character that has a meaning in a profile.
pub(super) const ODD: &str = "gu[ar]ded {x,y}*?^\"\\@{HOME}";

/// The profile that denies writing.
pub(crate) const ENFORCING: &str = "cofferdam-test";
/// The same, which only complains.
const COMPLAINING: &str = "cofferdam-test-complain";

/// A profile's name.
pub(super) fn name(name: &str) -> Result<ProfileName> {
    Ok(ProfileName::new(name)?)
}

/// The profile that only complains.
pub(super) fn complaining() -> Result<ProfileName> {
    name(COMPLAINING)
}

/// Profiles that are loaded until this is dropped.
#[derive(Debug)]
pub(crate) struct Loaded(Policy);

impl Loaded {
    /// Loads both.
    pub(crate) fn load() -> Result<Self> {
        let policy = Policy::open()?;
        policy.replace(PROFILES)?;
        Ok(Self(policy))
    }

    /// The policy that they are part of.
    pub(super) fn policy(&self) -> &Policy {
        &self.0
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        for name in [ENFORCING, COMPLAINING] {
            let removed = ProfileName::new(name).and_then(|name| self.0.remove(&name));
            if let Err(error) = removed {
                eprintln!("{error}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::paths;
    use cofferdam_lsm::apparmor::{Parser, Profile};
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    /// A hardened profile under which some directories of a guest and of its containers are read-only.
    fn profile(name: &str, complain: bool) -> Profile {
        let scratch = Path::new(paths::SCRATCH);
        let mut profile = Profile::hardened(ProfileName::new(name).unwrap());
        profile.complain = complain;
        profile.read_only = vec![scratch.join("guarded"), scratch.join(ODD), "/guarded".into()];
        profile.hidden.push(scratch.join("hidden"));
        profile
    }

    /// The text of both.
    fn text() -> String {
        profile(ENFORCING, false).text().unwrap() + &profile(COMPLAINING, true).text().unwrap()
    }

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
    }

    fn bless() -> bool {
        std::env::var_os("COFFERDAM_BLESS").is_some()
    }

    /// The one that is installed, or another that the environment names.
    fn parser() -> std::result::Result<Parser, cofferdam_lsm::Error> {
        std::env::var_os("COFFERDAM_TEST_APPARMOR_PARSER")
            .map_or_else(Parser::find, |path| Ok(Parser::at(path)))
    }

    /// Whether it is the version that made the fixture: another one may well number its states differently.
    fn made_the_fixture(parser: &Parser) -> bool {
        let output = Command::new(parser.program()).arg("--version").output();
        output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("version 3.0.8"))
    }

    #[test]
    fn fixtures_of_apparmor_are_the_generated_profiles() {
        let text = text();
        if bless() {
            fs::write(fixture("apparmor/profiles"), &text).unwrap();
            let features = fixture("apparmor/features-5.10");
            let compiled = parser().unwrap().compile(&text, Some(&features)).unwrap();
            fs::write(fixture("apparmor/profiles.bin"), compiled).unwrap();
        }
        assert_eq!(fs::read_to_string(fixture("apparmor/profiles")).unwrap(), text);
        match parser() {
            Ok(parser) => {
                let compiled = parser.compile(&text, Some(&fixture("apparmor/features-5.10"))).unwrap();
                assert!(
                    compiled == PROFILES || !made_the_fixture(&parser) || bless(),
                    "the compiled profiles are not those of the fixture"
                );
            }
            Err(error) => eprintln!("not compared with what is compiled: {error}"),
        }
    }

    #[test]
    fn fixtures_of_selinux_are_the_compiled_policy() {
        let program =
            std::env::var("COFFERDAM_TEST_CHECKPOLICY").unwrap_or("/usr/bin/checkpolicy".to_owned());
        if !Path::new(&program).exists() {
            eprintln!("not compared with what is compiled: no {program}");
            return;
        }
        let output = std::env::temp_dir().join(format!("policy-{}", std::process::id()));
        let mut command = Command::new(program);
        command.args(["-U", "allow", "-c", "30", "-o"]).arg(&output).arg(fixture("selinux/policy.conf"));
        let printed = command.output().unwrap();
        assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
        let compiled = fs::read(&output).unwrap();
        fs::remove_file(&output).unwrap();
        assert!(compiled == SELINUX, "the compiled policy is not that of the fixture");
    }
}
