//! Overlays of directories: `overlay` of the kernel (`Documentation/filesystems/overlayfs.rst`).

use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use cofferdam_sys::Errno;
use cofferdam_sys::mount::MountAttrs;
use cofferdam_sys::open::{Dir, Open, Resolve, openat2};
use cofferdam_sys::plan::At;

use crate::context::Context;
use crate::place::{c_string, host_path};
use crate::prepare::value;
use crate::tree::{Parameters, Tree};
use crate::{Error, ErrorKind, Host, Result, probe};

/// An overlay: directories on top of one another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overlay {
    /// The layers below, the topmost first. Nothing is written to them.
    pub lower: Vec<PathBuf>,
    /// Where changes go; without it the overlay is read-only and needs two layers.
    pub upper: Option<Upper>,
    /// Its other parameters: `volatile` (Linux 5.10), `userxattr` (5.11), `metacopy=on`, `redirect_dir=on`,
    /// `index=off`, `xino=auto` and so on.
    pub options: Vec<(String, Option<String>)>,
}

/// The writable layer of an [`Overlay`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upper {
    /// The layer.
    pub dir: PathBuf,
    /// An empty directory of the same file system, for the kernel's own use.
    pub work: PathBuf,
}

impl Overlay {
    /// A read-only overlay of these layers, the topmost first.
    pub fn new<P: Into<PathBuf>>(lower: impl IntoIterator<Item = P>) -> Self {
        Self { lower: lower.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// Adds a writable layer.
    #[must_use]
    pub fn writable(self, dir: impl Into<PathBuf>, work: impl Into<PathBuf>) -> Self {
        Self { upper: Some(Upper { dir: dir.into(), work: work.into() }), ..self }
    }

    /// Adds a parameter, such as `volatile`, or `metacopy` with `on`.
    #[must_use]
    pub fn option(mut self, name: &str, value: Option<&str>) -> Self {
        self.options.push((name.to_owned(), value.map(str::to_owned)));
        self
    }

    /// Reads the parameters of `mount -t overlay`: `lowerdir=A:B`, `upperdir`, `workdir` and the others.
    ///
    /// # Errors
    /// Without layers, and for an upper directory without a work directory.
    pub fn from_parameters(data: &[(String, Option<String>)]) -> Result<Self> {
        let mut overlay = Self::default();
        let (mut upper, mut work) = (None, None);
        for (name, value) in data {
            let path = || value.clone().map(PathBuf::from);
            match name.as_str() {
                "lowerdir" => overlay.lower = layers(value.as_deref().unwrap_or_default())?,
                "lowerdir+" => overlay.lower.extend(path()),
                "upperdir" => upper = path(),
                "workdir" => work = path(),
                _ => overlay.options.push((name.clone(), value.clone())),
            }
        }
        overlay.upper = match (upper, work) {
            (Some(dir), Some(work)) => Some(Upper { dir, work }),
            (None, None) => None,
            _ => {
                return Err(Error::invalid("an overlay with one of upperdir and workdir")
                    .with_hint("say both, or none for a read-only overlay"));
            }
        };
        if overlay.lower.is_empty() {
            return Err(Error::invalid("an overlay without lowerdir").with_hint("name at least one layer"));
        }
        Ok(overlay)
    }

    /// Opens it where the caller may: a mount that no namespace has. Otherwise the child makes it, by path.
    pub(crate) fn tree(&self, host: Host, about: &str) -> Result<Tree> {
        if host.has_detached() {
            match self.make(about) {
                Err(error) if error.errno() == Some(Errno::EPERM) => {}
                made => {
                    return Ok(Tree::Detached { tree: At::from(made?), recursive: false });
                }
            }
        }
        Ok(Tree::New { fstype: c"overlay".to_owned(), data: self.parameters(about)?, keep: None })
    }

    /// Its parameters by path, for a child.
    fn parameters(&self, about: &str) -> Result<Parameters> {
        let mut lower = Vec::new();
        for layer in &self.lower {
            let path = host_path(&format!("{about}: the layer"), layer)?;
            if !lower.is_empty() {
                lower.push(b':');
            }
            lower.extend(escape(path.to_bytes()));
        }
        let mut data = vec![
            (c"source".to_owned(), Some(c"overlay".to_owned())),
            (c"lowerdir".to_owned(), Some(value(about, "lowerdir", &lower)?)),
        ];
        if let Some(upper) = &self.upper {
            for (name, path) in [(c"upperdir", &upper.dir), (c"workdir", &upper.work)] {
                host_path(&format!("{about}: the layer"), path)?;
                let text = value(about, &name.to_string_lossy(), path.as_os_str().as_bytes())?;
                data.push((name.to_owned(), Some(text)));
            }
        }
        for (name, text) in &self.options {
            let text = text.as_ref().map(|text| value(about, name, text.as_bytes())).transpose()?;
            data.push((c_string(about, name)?, text));
        }
        Ok(data)
    }

    /// Makes it. Each layer is opened once and named by its descriptor, so that a path of any length is fine.
    fn make(&self, about: &str) -> Result<OwnedFd> {
        let context = Context::begin(c"overlay", about)?;
        // The kernel looks the names up when it makes the file system: all stay open until then.
        let mut layers = Vec::new();
        let mut open = |path: &Path| -> Result<CString> {
            let about = format!("{about}: the layer");
            let name = host_path(&about, path)?;
            let flags = Open::PATH | Open::DIRECTORY;
            let fd = openat2(Dir::Cwd, &name, flags, 0, Resolve::empty())
                .map_err(|errno| Error::system(format!("{about} {}", path.display()), errno))?;
            let by_fd = c_string(&about, format!("/proc/self/fd/{}", fd.as_raw_fd()))?;
            layers.push(fd);
            Ok(by_fd)
        };
        let lower = self.lower.iter().map(|path| open(path)).collect::<Result<Vec<_>>>()?;
        context.set(c"source", c"overlay")?;
        set_layers(&context, &lower)?;
        if let Some(upper) = &self.upper {
            context.set(c"upperdir", &open(&upper.dir)?)?;
            context.set(c"workdir", &open(&upper.work)?)?;
        }
        for (name, text) in &self.options {
            let key = c_string(about, name)?;
            match text {
                Some(text) => context.set(&key, &value(about, name, text.as_bytes())?)?,
                None => context.flag(&key)?,
            }
        }
        context.create(MountAttrs::empty())
    }
}

/// One by one where the kernel takes them so (`lowerdir+`, Linux 6.7), else in one list.
fn set_layers(context: &Context<'_>, layers: &[CString]) -> Result<()> {
    let list = layers.iter().map(|layer| layer.to_bytes()).collect::<Vec<_>>().join(&b':');
    if list.len() <= 255 {
        return context.set(c"lowerdir", &c_string("lowerdir", list)?);
    }
    let about = format!("{}: {} layers", context.about(), layers.len());
    if !probe::overlay_layers_one_by_one().map_err(|errno| Error::system(about.clone(), errno))? {
        return Err(Error::new(ErrorKind::UnsupportedKernel, about)
            .with_hint("more layers than fit into one value need lowerdir+, Linux 6.7"));
    }
    layers.iter().try_for_each(|layer| context.set(c"lowerdir+", layer))
}

/// A layer as `lowerdir` has it: a colon and a backslash are part of a name behind a backslash.
fn escape(path: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(path.len());
    for byte in path {
        if matches!(byte, b':' | b'\\') {
            escaped.push(b'\\');
        }
        escaped.push(*byte);
    }
    escaped
}

/// The layers of a `lowerdir`.
fn layers(list: &str) -> Result<Vec<PathBuf>> {
    let (mut layers, mut layer, mut escaped) = (Vec::new(), String::new(), false);
    for letter in list.chars() {
        match letter {
            ':' if !escaped => layers.push(std::mem::take(&mut layer)),
            '\\' if !escaped => {
                escaped = true;
                continue;
            }
            letter => layer.push(letter),
        }
        escaped = false;
    }
    layers.push(layer);
    if layers.iter().any(String::is_empty) {
        return Err(Error::new(ErrorKind::UnsupportedOption, format!("an empty layer in lowerdir={list}"))
            .with_hint("data-only layers (::) are not supported: leave them out"));
    }
    Ok(layers.into_iter().map(PathBuf::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(words: &[(&str, Option<&str>)]) -> Result<Overlay> {
        let own = |(name, value): &(&str, Option<&str>)| ((*name).to_owned(), value.map(str::to_owned));
        Overlay::from_parameters(&words.iter().map(own).collect::<Vec<_>>())
    }

    #[test]
    fn parameters_are_read() {
        let words = [
            ("lowerdir", Some("/a:/b\\:c")),
            ("upperdir", Some("/u")),
            ("workdir", Some("/w")),
            ("volatile", None),
            ("metacopy", Some("on")),
        ];
        let wanted = Overlay::new(["/a", "/b:c"]).writable("/u", "/w").option("volatile", None);
        assert_eq!(read(&words).unwrap(), wanted.option("metacopy", Some("on")));
    }

    #[test]
    fn what_makes_no_overlay_is_refused() {
        let error = |words: &[(&str, Option<&str>)]| read(words).unwrap_err();
        insta::assert_snapshot!(error(&[("volatile", None)]), @"an overlay without lowerdir");
        let half = error(&[("lowerdir", Some("/a")), ("upperdir", Some("/u"))]);
        insta::assert_snapshot!(half, @"an overlay with one of upperdir and workdir");
        let data = error(&[("lowerdir", Some("/a::/b"))]);
        assert_eq!(data.kind(), ErrorKind::UnsupportedOption);
    }

    proptest! {
        #[test]
        fn layers_come_back(paths in proptest::collection::vec("/[a-z:\\\\]{1,9}", 1..5)) {
            let escaped: Vec<Vec<u8>> = paths.iter().map(|path| escape(path.as_bytes())).collect();
            let list = String::from_utf8(escaped.join(&b':')).unwrap();
            let found = layers(&list).unwrap();
            let wanted: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
            prop_assert_eq!(found, wanted);
        }
    }
}
