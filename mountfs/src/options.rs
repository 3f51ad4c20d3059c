//! The option words of `mount(8)` and of the OCI runtime specification.

use std::ffi::OsString;
use std::path::Path;

use cofferdam_sys::mount::{ATIME_MASK, MountAttrs};

use crate::mount::{Attributes, Kind, Mount, Propagation, PropagationKind};
use crate::{Error, ErrorKind, Idmap, IdmapSource, Result};

/// The options that give an attribute, and those that take it.
const ATTRS: [(&str, &str, MountAttrs); 6] = [
    ("ro", "rw", MountAttrs::RDONLY),
    ("nosuid", "suid", MountAttrs::NOSUID),
    ("nodev", "dev", MountAttrs::NODEV),
    ("noexec", "exec", MountAttrs::NOEXEC),
    ("nodiratime", "diratime", MountAttrs::NODIRATIME),
    ("nosymfollow", "symfollow", MountAttrs::NOSYMFOLLOW),
];

/// The options of the kernel's access-time field; `None` is its default, which comes first.
const ATIMES: [(&str, Option<MountAttrs>); 6] = [
    ("relatime", None),
    ("noatime", Some(MountAttrs::NOATIME)),
    ("strictatime", Some(MountAttrs::STRICTATIME)),
    ("atime", None),
    ("norelatime", None),
    ("nostrictatime", None),
];

/// Options that ask for what is so anyway.
const NOTHING: [&str; 7] = ["", "defaults", "async", "loud", "nomand", "noiversion", "nolazytime"];

/// Options of the superblock, which `fsconfig(2)` takes as flags of any file system.
const SUPERBLOCK: [&str; 3] = ["sync", "dirsync", "lazytime"];

/// Options that are known and not done, each with what to do instead.
const UNSUPPORTED: [(&str, &str); 5] = [
    ("remount", "say all options in one mount"),
    ("mand", "leave it out: Linux 5.15 removed mandatory locks"),
    ("iversion", "leave it out"),
    ("silent", "leave it out"),
    ("loop", "attach the loop device first, and name it as the source"),
];

impl Mount {
    /// Reads a mount as an entry of `fstab(5)` or of an OCI configuration says it.
    ///
    /// Each option is one word: a comma belongs to it (see [`split_options`]). The type `bind` is the
    /// same as the option `bind`. Words that no table has go to the file system as they are; a bind has
    /// no file system to take them, and is refused. An empty source means none.
    ///
    /// # Errors
    /// [`ErrorKind::UnsupportedOption`] with the option's name for what is not done,
    /// [`ErrorKind::InvalidInput`] for what makes no sense.
    pub fn from_options<O: AsRef<str>>(
        fstype: &str,
        source: impl AsRef<Path>,
        target: impl AsRef<Path>,
        options: impl IntoIterator<Item = O>,
    ) -> Result<Self> {
        let (source, target) = (source.as_ref(), target.as_ref());
        let mut words = Words { bind: (fstype == "bind").then_some(false), ..Words::default() };
        for option in options {
            words.take(option.as_ref()).map_err(|error| error.of_mount(target))?;
        }
        let kind = match words.bind {
            Some(recursive) => match words.data.first() {
                Some((option, _)) => return Err(not_of_a_bind(option).of_mount(target)),
                None => Kind::Bind { source: source.to_owned(), recursive },
            },
            None if fstype.is_empty() || fstype == "none" => {
                return Err(Error::invalid("a mount without a type")
                    .with_hint("name a file system, or say bind or rbind")
                    .of_mount(target));
            }
            None => Kind::Fs { fstype: fstype.to_owned(), source: named(source), data: words.data },
        };
        let Words { attrs, recursive_attrs, propagation, idmap, copy_up, .. } = words;
        if copy_up && !matches!(&kind, Kind::Fs { fstype, .. } if fstype == "tmpfs") {
            return Err(Error::invalid("the option \"tmpcopyup\" is for a tmpfs")
                .with_hint("mount a tmpfs, or leave the option out")
                .of_mount(target));
        }
        let target = target.to_owned();
        Ok(Self { kind, target, attrs, recursive_attrs, propagation, idmap, copy_up })
    }

    /// The options as words that [`Mount::from_options`] reads back; maps of a mount's own have no word, and
    /// are said as the container's.
    pub fn options(&self) -> Vec<String> {
        let mut words = Vec::new();
        if let Kind::Bind { recursive, .. } = &self.kind {
            words.push(if *recursive { "rbind" } else { "bind" }.to_owned());
        }
        words.extend(attribute_words(self.attrs).map(str::to_owned));
        words.extend(attribute_words(self.recursive_attrs).map(|word| format!("r{word}")));
        words.extend(self.propagation.map(|propagation| propagation.to_string()));
        words.extend(self.idmap.as_ref().map(idmap_word));
        words.extend(self.copy_up.then(|| COPY_UP.to_owned()));
        if let Kind::Fs { data, .. } = &self.kind {
            words.extend(data.iter().map(|(key, value)| match value {
                Some(value) => format!("{key}={value}"),
                None => key.clone(),
            }));
        }
        words
    }
}

/// Splits a list as `fstab(5)` has it: at commas that are not between double quotes.
pub fn split_options(list: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    list.split(move |letter| {
        quoted ^= letter == '"';
        letter == ',' && !quoted
    })
}

/// The options that were read so far.
#[derive(Default)]
struct Words {
    bind: Option<bool>,
    attrs: Attributes,
    recursive_attrs: Attributes,
    propagation: Option<Propagation>,
    idmap: Option<Idmap>,
    copy_up: bool,
    data: Vec<(String, Option<String>)>,
}

impl Words {
    fn take(&mut self, word: &str) -> Result<()> {
        let name = word.split_once('=').map_or(word, |(name, _)| name);
        if let Some((_, instead)) = UNSUPPORTED.iter().find(|(unsupported, _)| *unsupported == name) {
            let about = format!("the option {word:?} is not supported");
            return Err(Error::new(ErrorKind::UnsupportedOption, about).with_hint(*instead));
        }
        if NOTHING.contains(&word) {
        } else if word == "bind" || word == "rbind" {
            self.bind = Some(word == "rbind");
        } else if let Some(idmap) = idmap(word) {
            self.idmap = Some(idmap);
        } else if word == COPY_UP {
            self.copy_up = true;
        } else if let Some(propagation) = propagation(word) {
            self.propagation = Some(propagation);
        } else if attribute(word, &mut self.attrs) {
        } else if let Some(word) = word.strip_prefix('r')
            && attribute(word, &mut self.recursive_attrs)
        {
        } else {
            self.data.push(parameter(word)?);
        }
        Ok(())
    }
}

/// The option that has a tmpfs begin with what it covers.
const COPY_UP: &str = "tmpcopyup";

/// Reads `idmap`, `ridmap`, or either with the path of a user namespace.
fn idmap(word: &str) -> Option<Idmap> {
    let (name, path) = match word.split_once('=') {
        Some((name, path)) => (name, Some(path)),
        None => (word, None),
    };
    let recursive = match name {
        "idmap" => false,
        "ridmap" => true,
        _ => return None,
    };
    let maps = match path {
        None => IdmapSource::Container,
        Some(path) => IdmapSource::Namespace(path.into()),
    };
    Some(Idmap { maps, recursive })
}

fn idmap_word(idmap: &Idmap) -> String {
    let name = if idmap.recursive { "ridmap" } else { "idmap" };
    match &idmap.maps {
        IdmapSource::Namespace(path) => format!("{name}={}", path.display()),
        IdmapSource::Container | IdmapSource::Maps(_) => name.to_owned(),
    }
}

/// Applies a word to attributes; `false` when it is no attribute's.
fn attribute(word: &str, attrs: &mut Attributes) -> bool {
    for (give, take, attr) in ATTRS {
        if word == give {
            attrs.give(attr);
            return true;
        }
        if word == take {
            attrs.take(attr);
            return true;
        }
    }
    match ATIMES.iter().find(|(name, _)| *name == word) {
        Some((_, Some(attr))) => attrs.give(*attr),
        Some((_, None)) => attrs.default_atime(),
        None => return false,
    }
    true
}

/// The words for attributes, in the order of the tables.
fn attribute_words(attrs: Attributes) -> impl Iterator<Item = &'static str> {
    let plain = ATTRS.into_iter().filter_map(move |(give, take, attr)| {
        if attrs.set.contains(attr) {
            Some(give)
        } else if attrs.clear & attr.bits() != 0 {
            Some(take)
        } else {
            None
        }
    });
    let given = |attr: Option<MountAttrs>| attr.is_some_and(|attr| attrs.set.contains(attr));
    let atime = match ATIMES.iter().find(|(_, attr)| given(*attr)) {
        Some((name, _)) => Some(*name),
        None if attrs.clear & ATIME_MASK != 0 => Some("relatime"),
        None => None,
    };
    plain.chain(atime)
}

/// A file system's own parameter. The quotes that protect commas in a list are not part of a value.
fn parameter(word: &str) -> Result<(String, Option<String>)> {
    let (key, value) = match word.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (word, None),
    };
    if key.is_empty() || word.contains('\0') {
        return Err(Error::invalid(format!("the option {word:?} has no name or holds a NUL byte"))
            .with_hint("write it as name or name=value"));
    }
    let bare = |value: &str| {
        let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        inner.unwrap_or(value).to_owned()
    };
    Ok((key.to_owned(), value.map(bare)))
}

fn not_of_a_bind(option: &str) -> Error {
    let about = format!("the option {option:?} is for file systems, and a bind is none");
    let hint = if SUPERBLOCK.contains(&option) {
        "set it where the source is mounted on the host"
    } else {
        "correct the option, or leave it out"
    };
    Error::invalid(about).with_hint(hint)
}

fn named(source: &Path) -> Option<OsString> {
    (!source.as_os_str().is_empty()).then(|| source.as_os_str().to_owned())
}

/// The propagation that a word stands for.
pub(crate) fn propagation(word: &str) -> Option<Propagation> {
    let (kind, recursive) = match word {
        "private" => (PropagationKind::Private, false),
        "rprivate" => (PropagationKind::Private, true),
        "slave" => (PropagationKind::Slave, false),
        "rslave" => (PropagationKind::Slave, true),
        "shared" => (PropagationKind::Shared, false),
        "rshared" => (PropagationKind::Shared, true),
        "unbindable" => (PropagationKind::Unbindable, false),
        "runbindable" => (PropagationKind::Unbindable, true),
        _ => return None,
    };
    Some(Propagation { kind, recursive })
}

#[cfg(test)]
mod tests;
