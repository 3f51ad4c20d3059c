//! A generated profile for containers.

use std::path::{Path, PathBuf};

use super::ProfileName;
use crate::Error;
use crate::error::shown;

/// A profile as plain data; [`Profile::text`] is what `apparmor_parser` reads.
///
/// Paths are those that the container sees. What a rule does not name is decided by the mounts, permissions and
/// capabilities of the container, as without AppArmor.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one rule of the profile, and none depends on another"
)]
pub struct Profile {
    /// Its name.
    pub name: ProfileName,
    /// Allow and log what it does not allow. What it denies by name, [`Profile::read_only`] and the like, is
    /// refused even so.
    pub complain: bool,
    /// The capabilities that may be used, such as `chown`; `None` for all that the process has.
    pub capabilities: Option<Vec<String>>,
    /// The address families that sockets may have, such as `inet`; `None` for all.
    pub families: Option<Vec<String>>,
    /// Allow `mount(2)`, `umount(2)` and `pivot_root(2)`.
    pub mounts: bool,
    /// Allow writing below `/sys/fs/cgroup`, as an init system in a container does.
    pub cgroups: bool,
    /// Allow writing the kernel parameters of `/proc/sys/net`, as a container with a network of its own may.
    pub network_parameters: bool,
    /// The profiles whose processes may send it signals, besides its own.
    pub signalled_by: Vec<ProfileName>,
    /// What may be read, and neither written, made, removed nor renamed: each path with all below it.
    pub read_only: Vec<PathBuf>,
    /// What may not be touched at all: each path with all below it.
    pub hidden: Vec<PathBuf>,
}

impl Profile {
    /// What a container needs at most: no mounts, no capability that reaches the kernel itself, ordinary sockets,
    /// signals and tracing among its own processes only, and no write to what steers the whole machine.
    pub fn hardened(name: ProfileName) -> Self {
        let own = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect());
        Self {
            name,
            complain: false,
            capabilities: own(&CAPABILITIES),
            families: own(&FAMILIES),
            mounts: false,
            cgroups: false,
            network_parameters: false,
            // Who starts and ends containers is rarely confined itself; a confined one is to be added.
            signalled_by: vec![ProfileName::unconfined()],
            read_only: Vec::new(),
            hidden: HIDDEN.iter().map(PathBuf::from).collect(),
        }
    }

    /// The profile in the language of `apparmor.d(5)`.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] for a path that is not absolute or cannot be written there, and for a
    /// capability or family that is no word.
    pub fn text(&self) -> Result<String, Error> {
        let mut text = String::new();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
        if !self.name.as_str().bytes().all(plain) {
            let name = shown(self.name.as_str());
            return Err(Error::invalid(format!("AppArmor profile `{name}`: the name of a generated one has letters, digits and ._+- only"))
                .with_hint("a name with a slash would attach the profile to programs, one with a colon goes to another namespace"));
        }
        let name = quoted(self.name.as_str());
        let flags = if self.complain { ", complain" } else { "" };
        let mut line = |rule: &str| {
            text.push_str(rule);
            text.push('\n');
        };
        line(&format!("profile {name} flags=(attach_disconnected, mediate_deleted{flags}) {{"));
        line("  file,");
        words("capability", self.capabilities.as_deref(), &mut line)?;
        words("network", self.families.as_deref(), &mut line)?;
        if self.mounts {
            line("  mount,\n  umount,\n  pivot_root,");
        }
        for peer in &self.signalled_by {
            line(&format!("  signal (receive) peer={},", quoted(peer.as_str())));
        }
        line(&format!("  signal (send, receive) peer={name},"));
        line(&format!("  ptrace (trace, read, tracedby, readby) peer={name},"));
        // Of procfs, a process's own directory is left to the permissions of its files.
        if self.network_parameters {
            line("  deny \"/proc/[^0-9s]**\" wlk,");
            all_but("/proc/s", "ys/net/", &mut line);
        } else {
            line("  deny \"/proc/[^0-9]**\" wlk,");
        }
        if self.cgroups {
            all_but("/sys/", "fs/cgroup/", &mut line);
        } else {
            line("  deny \"/sys/**\" wlk,");
        }
        for path in &self.read_only {
            denied(path, "wlk", &mut line)?;
        }
        for path in &self.hidden {
            denied(path, "rwlkmx", &mut line)?;
        }
        line("}");
        Ok(text)
    }
}

/// The capabilities of a hardened container.
const CAPABILITIES: [&str; 11] = [
    "chown",
    "dac_override",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "net_bind_service",
    "sys_chroot",
    "setfcap",
];

/// The address families of ordinary programs.
const FAMILIES: [&str; 4] = ["unix", "inet", "inet6", "netlink"];

/// What tells of, or reaches into, the whole machine.
const HIDDEN: [&str; 6] = [
    "/proc/kcore",
    "/proc/keys",
    "/proc/sysrq-trigger",
    "/proc/timer_list",
    "/sys/firmware",
    "/sys/kernel/security",
];

/// One rule a word, or one for all.
fn words(rule: &str, words: Option<&[String]>, line: &mut impl FnMut(&str)) -> Result<(), Error> {
    let Some(words) = words else {
        line(&format!("  {rule},"));
        return Ok(());
    };
    for word in words {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if word.is_empty() || !word.bytes().all(plain) {
            return Err(Error::invalid(format!("AppArmor profile: `{}` is no {rule}", shown(word))));
        }
        line(&format!("  {rule} {word},"));
    }
    Ok(())
}

/// Denies writing to what begins with `prefix`, but for what goes on with `exception`.
///
/// A denial beats what is allowed, so the exception is everything that differs from it at one character.
fn all_but(prefix: &str, exception: &str, line: &mut impl FnMut(&str)) {
    let mut same = String::from(prefix);
    for next in exception.chars() {
        line(&format!("  deny \"{same}[^{next}]**\" wlk,"));
        same.push(next);
    }
}

/// Denies a path and all below it.
fn denied(path: &Path, rights: &str, line: &mut impl FnMut(&str)) -> Result<(), Error> {
    let refuse = |why: &str| {
        Error::invalid(format!("AppArmor profile: path `{}` {why}", shown(&path.to_string_lossy())))
    };
    let text = path.to_str().ok_or_else(|| refuse("is not UTF-8"))?;
    if !text.starts_with('/') || text.split('/').any(|part| part == "..") {
        return Err(refuse("is not absolute, or has `..`"));
    }
    if text.chars().any(char::is_control) {
        return Err(refuse("has a control character"));
    }
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.is_empty() {
        return Err(refuse("is the root itself, without which nothing runs"));
    }
    let escaped = escape(&format!("/{}", parts.join("/")));
    line(&format!("  deny \"{escaped}\" {rights},"));
    line(&format!("  deny \"{escaped}/**\" {rights},"));
    Ok(())
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", escape(text))
}

/// Takes their meaning from the characters that have one between quotes.
///
/// A variable is `@{NAME}`, so `@` is plain once no brace follows it bare.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '{' | '}' | '^' | '\\' | '"') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn profile() -> Profile {
        Profile::hardened(ProfileName::new("test").unwrap())
    }

    #[test]
    fn the_hardened_profile_is_this() {
        insta::assert_snapshot!(profile().text().unwrap());
    }

    #[test]
    fn each_exception_is_one_rule() {
        let mut open = profile();
        open.complain = true;
        open.capabilities = None;
        open.families = None;
        open.mounts = true;
        open.cgroups = true;
        open.network_parameters = true;
        open.read_only = vec!["/data/a \"b\" [c]*{d,e}^?\\@{HOME}/".into()];
        open.hidden = vec![];
        insta::assert_snapshot!(open.text().unwrap());
    }

    #[test]
    fn what_cannot_be_written_is_refused_by_name() {
        for path in ["data", "", "/", "/./", "/a/../b", "/a\nb"] {
            let mut bad = profile();
            bad.read_only = vec![path.into()];
            assert!(bad.text().is_err(), "{path:?}");
        }
        let mut bad = profile();
        bad.capabilities = Some(vec!["chown, capability sys_admin".into()]);
        assert_eq!(
            bad.text().unwrap_err().to_string(),
            "AppArmor profile: `chown, capability sys_admin` is no capability"
        );
        let mut bad = profile();
        bad.name = ProfileName::new("/bin/sh").unwrap();
        assert!(bad.text().unwrap_err().to_string().starts_with("AppArmor profile `/bin/sh`: the name of"));
        let mut bad = profile();
        bad.families = Some(vec![String::new()]);
        assert!(bad.text().is_err());
    }

    proptest! {
        /// A path or name cannot end its quotes, begin a pattern, or begin a line.
        #[test]
        fn no_text_has_a_meaning(text in "\\PC{1,30}") {
            let escaped = escape(&text);
            let mut rest = escaped.chars();
            while let Some(next) = rest.next() {
                prop_assert!(!"*?[]{}^\"\n".contains(next), "{}", escaped);
                if next == '\\' {
                    rest.next();
                }
            }
        }
    }
}
