//! Named profiles, and arithmetic on sets as text.

use std::str::FromStr;

use crate::suggest::nearest;
use crate::{Cap, CapSet, Error, ErrorKind};

impl CapSet {
    /// The most that a hardened container gets: nothing that reaches beyond its own user namespace.
    pub const HARDENED: CapSet = CapSet::of(&[
        Cap::CHOWN,
        Cap::DAC_OVERRIDE,
        Cap::FOWNER,
        Cap::FSETID,
        Cap::SETUID,
        Cap::SETGID,
        Cap::SETPCAP,
        Cap::KILL,
        Cap::NET_BIND_SERVICE,
        Cap::SYS_CHROOT,
        Cap::SETFCAP,
    ]);

    /// What the `spec` command of OCI runtimes prints.
    pub const OCI_DEFAULT: CapSet = CapSet::of(&[Cap::AUDIT_WRITE, Cap::KILL, Cap::NET_BIND_SERVICE]);

    /// What Docker gives without `--cap-add`.
    pub const DOCKER_DEFAULT: CapSet =
        CapSet::HARDENED.union(CapSet::of(&[Cap::AUDIT_WRITE, Cap::MKNOD, Cap::NET_RAW]));

    /// The profiles by the names that text may use; `DEFAULT` is what engines call Docker's.
    pub const PROFILES: [(&str, CapSet); 6] = [
        ("ALL", CapSet::ALL),
        ("NONE", CapSet::EMPTY),
        ("HARDENED", CapSet::HARDENED),
        ("OCI_DEFAULT", CapSet::OCI_DEFAULT),
        ("DOCKER_DEFAULT", CapSet::DOCKER_DEFAULT),
        ("DEFAULT", CapSet::DOCKER_DEFAULT),
    ];

    /// Changes the set as a text says: `+NAME` or `NAME` adds, `-NAME` takes away, from left to right.
    ///
    /// A name is a capability or one of [`CapSet::PROFILES`]. Case does not matter, and blanks around commas
    /// are left out.
    ///
    /// ```
    /// use cofferdam_caps::{Cap, CapSet};
    ///
    /// let set = CapSet::HARDENED.adjust("-SETFCAP,+NET_RAW")?;
    /// assert!(set.contains(Cap::NET_RAW) && !set.contains(Cap::SETFCAP));
    ///
    /// let error = CapSet::EMPTY.adjust("DEFAULT,+NET_ADMN").unwrap_err();
    /// assert_eq!(error.to_string(), "`NET_ADMN` is no capability and no profile; did you mean NET_ADMIN?");
    /// # Ok::<(), cofferdam_caps::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::UnknownName`] with the item at fault and the near name.
    pub fn adjust(self, text: &str) -> Result<Self, Error> {
        if text.trim().is_empty() {
            return Ok(self);
        }
        text.split(',').map(str::trim).try_fold(self, |set, item| {
            let (add, name) = match item.strip_prefix('-') {
                Some(name) => (false, name),
                None => (true, item.strip_prefix('+').unwrap_or(item)),
            };
            let operand = Self::by_name(name)?;
            Ok(if add { set.union(operand) } else { set.difference(operand) })
        })
    }

    /// The set that engines make of a default and their `--cap-add` and `--cap-drop`, as Docker does.
    ///
    /// The order of the options does not count. `ALL` among what is added is every capability but the dropped
    /// ones; otherwise `ALL` among what is dropped leaves what is added alone; otherwise what is dropped goes
    /// from the default, and then what is added comes to it. So one that is both added and dropped is there,
    /// except beside an added `ALL`.
    ///
    /// ```
    /// use cofferdam_caps::{Cap, CapSet};
    ///
    /// let web = CapSet::DOCKER_DEFAULT.add_drop(["NET_BIND_SERVICE"], ["ALL"])?;
    /// assert_eq!(web, Cap::NET_BIND_SERVICE.into());
    /// # Ok::<(), cofferdam_caps::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::UnknownName`] with the option at fault and the near name; a profile other than `ALL` is
    /// no name here, as for engines.
    pub fn add_drop<'a>(
        self,
        add: impl IntoIterator<Item = &'a str>,
        drop: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, Error> {
        let (add, add_all) = Self::options("--cap-add", add)?;
        let (drop, drop_all) = Self::options("--cap-drop", drop)?;
        Ok(if add_all {
            Self::ALL.difference(drop)
        } else if drop_all {
            add
        } else {
            self.difference(drop).union(add)
        })
    }

    /// The capabilities that are named, and whether `ALL` is among the names.
    fn options<'a>(option: &str, names: impl IntoIterator<Item = &'a str>) -> Result<(Self, bool), Error> {
        let (mut caps, mut all) = (Self::EMPTY, false);
        for name in names {
            if name.eq_ignore_ascii_case("ALL") {
                all = true;
            } else {
                caps = caps.with(name.parse().map_err(|error: Error| error.within(option))?);
            }
        }
        Ok((caps, all))
    }

    fn by_name(name: &str) -> Result<Self, Error> {
        let profile = Self::PROFILES.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        if let Some((_, set)) = profile {
            return Ok(set);
        }
        name.parse().map(|cap| Self::of(&[cap])).map_err(|_| {
            let what = format!("`{}` is no capability and no profile", name.escape_default());
            let profiles = Self::PROFILES.map(|(name, _)| name);
            let hint = match nearest(name, Cap::names().chain(profiles)) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("capabilities(7) lists the names; the profiles are {}", profiles.join(", ")),
            };
            Error::new(ErrorKind::UnknownName, what).with_hint(hint)
        })
    }
}

impl FromStr for CapSet {
    type Err = Error;

    /// Reads `ALL,-SYS_ADMIN` or `CHOWN,KILL`: [`CapSet::adjust`] on the empty set.
    fn from_str(text: &str) -> Result<Self, Error> {
        Self::EMPTY.adjust(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn profiles_hold_what_they_should() {
        assert_eq!(CapSet::DOCKER_DEFAULT.len(), 14);
        // `capsh --print` in a container of Docker's.
        assert_eq!(CapSet::DOCKER_DEFAULT.bits(), 0xa804_25fb);
        assert_eq!(CapSet::HARDENED.len(), 11);
        for cap in [Cap::MKNOD, Cap::NET_RAW, Cap::AUDIT_WRITE, Cap::SYS_ADMIN, Cap::SYS_PTRACE] {
            assert!(!CapSet::HARDENED.contains(cap));
        }
        assert_eq!(CapSet::OCI_DEFAULT.to_string(), "CAP_KILL,CAP_NET_BIND_SERVICE,CAP_AUDIT_WRITE");
        for (name, set) in CapSet::PROFILES {
            assert_eq!(name.parse::<CapSet>().unwrap(), set);
        }
    }

    #[test]
    fn arithmetic_as_text() {
        let parse = |text: &str| text.parse::<CapSet>().unwrap();
        assert_eq!(parse("ALL,-SYS_ADMIN"), CapSet::ALL.without(Cap::SYS_ADMIN));
        assert_eq!(parse("DEFAULT,+NET_ADMIN"), CapSet::DOCKER_DEFAULT.with(Cap::NET_ADMIN));
        assert_eq!(parse("all , -cap_sys_admin,+sys_admin"), CapSet::ALL);
        assert_eq!(parse("-SYS_ADMIN"), CapSet::EMPTY);
        assert_eq!(parse("SYS_ADMIN,-ALL,KILL"), CapSet::from(Cap::KILL));
        assert_eq!(parse(" "), CapSet::EMPTY);
        for text in ["ALL,,KILL", ",", "ALL -KILL", "--KILL", "-", "KIL"] {
            assert_eq!(text.parse::<CapSet>().unwrap_err().kind(), ErrorKind::UnknownName, "{text}");
        }
    }

    #[test]
    fn errors_name_the_token_and_the_near_name() {
        let error = |text: &str| text.parse::<CapSet>().unwrap_err().to_string();
        assert_eq!(
            error("ALL,-SYSADMIN"),
            "`SYSADMIN` is no capability and no profile; did you mean SYS_ADMIN?"
        );
        assert_eq!(error("HARDEND"), "`HARDEND` is no capability and no profile; did you mean HARDENED?");
        assert_eq!(
            error("ALL,WHAT"),
            "`WHAT` is no capability and no profile; capabilities(7) lists the names; \
             the profiles are ALL, NONE, HARDENED, OCI_DEFAULT, DOCKER_DEFAULT, DEFAULT"
        );
        let error = CapSet::EMPTY.add_drop(["KILL"], ["NET_RWA"]).unwrap_err();
        assert_eq!(error.to_string(), "--cap-drop: `NET_RWA` is no capability; did you mean CAP_NET_RAW?");
    }

    #[test]
    fn options_are_read_as_docker_reads_them() {
        let base = CapSet::DOCKER_DEFAULT;
        let set =
            |add: &[&str], drop: &[&str]| base.add_drop(add.iter().copied(), drop.iter().copied()).unwrap();
        assert_eq!(set(&[], &[]), base);
        assert_eq!(
            set(&["NET_ADMIN"], &["chown", "CAP_KILL"]),
            base.adjust("-CHOWN,-KILL,NET_ADMIN").unwrap()
        );
        assert_eq!(set(&["all"], &["SYS_ADMIN"]), CapSet::ALL.without(Cap::SYS_ADMIN));
        assert_eq!(set(&["KILL"], &["ALL"]), Cap::KILL.into());
        assert_eq!(set(&[], &["ALL"]), CapSet::EMPTY);
        // What is added to all and dropped is dropped, and otherwise it is added.
        assert_eq!(set(&["ALL"], &["ALL"]), CapSet::ALL);
        assert_eq!(set(&["ALL", "KILL"], &["KILL"]), CapSet::ALL.without(Cap::KILL));
        assert_eq!(set(&["KILL"], &["KILL"]), base);
        assert!(base.add_drop(["DEFAULT"], []).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[-+A-Za-z_0-9, ]{0,40}") {
            let _ = text.parse::<CapSet>();
        }
    }
}
