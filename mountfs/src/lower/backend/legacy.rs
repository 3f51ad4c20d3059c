//! `mount(2)` alone: each mount is made on a stage that only the child sees, and moved from there.

use std::ffi::{CStr, CString};

use cofferdam_sys::mount::{MountAttrs, MountFlags};
use cofferdam_sys::open::{Open, Resolve};
use cofferdam_sys::plan::{Absent, At, Step};

use super::super::attach::PROC;
use super::super::steps::{Entry, say};
use super::{Backend, Change, NewFs, remount};
use crate::{Attributes, Error, Result};

/// Read-only said at the start would make the file system itself read-only, and with it every other mount
/// of it.
pub(super) const LATE: MountAttrs = MountAttrs::RDONLY;

/// Flags that belong to the file system and are words for `fsconfig(2)`.
const WORDS: [(&CStr, MountFlags); 3] = [
    (c"sync", MountFlags::SYNCHRONOUS),
    (c"dirsync", MountFlags::DIRSYNC),
    (c"lazytime", MountFlags::LAZYTIME),
];

/// All paths of this way lead through `/proc/self/fd`, which must be what it seems to be.
pub(super) fn begin(backend: Backend) -> Vec<Entry> {
    let open = Step::OpenIn {
        dir: At::Cwd,
        path: c"/proc".into(),
        flags: Open::PATH | Open::DIRECTORY,
        resolve: Resolve::NO_SYMLINKS,
        absent: Absent::Fail,
        out: backend.source,
    };
    vec![
        ("stage: open the host's procfs".to_owned(), open),
        (
            "stage: the host's /proc is a procfs".to_owned(),
            Step::RequireFilesystem { fd: backend.source.into(), magic: PROC },
        ),
        ("stage: close".to_owned(), Step::Close(backend.source)),
        ("stage: make it".to_owned(), Step::Stage { out: backend.stage }),
    ]
}

pub(super) fn filesystem(backend: Backend, about: &str, fs: &NewFs<'_>) -> Result<Vec<Entry>> {
    let (mut flags, _) = Attributes::set(fs.attrs).as_flags();
    let mut source = c"none".to_owned();
    let mut data: Vec<u8> = Vec::new();
    for (key, value) in fs.data {
        if key.as_c_str() == c"source" {
            source = value.clone().unwrap_or_default();
            continue;
        }
        if let Some((_, flag)) = WORDS.iter().find(|(word, _)| *word == key.as_c_str()) {
            flags |= *flag;
            continue;
        }
        if !data.is_empty() {
            data.push(b',');
        }
        let key = key.to_bytes();
        let value = value.as_ref().map(|value| value.to_bytes());
        if key.contains(&b',') || value.is_some_and(|value| value.contains(&b',')) {
            let about = format!("{about}: the parameter {} holds a comma", String::from_utf8_lossy(key));
            return Err(Error::invalid(about)
                .with_hint("mount(2) cannot take it: use a kernel with fsopen(2), Linux 5.2"));
        }
        data.extend_from_slice(key);
        if let Some(value) = value {
            data.push(b'=');
            data.extend_from_slice(value);
        }
    }
    if data.len() > 4095 {
        let about = format!("{about}: its parameters are {} bytes long", data.len());
        return Err(Error::invalid(about).with_hint("mount(2) takes 4095: use shorter paths"));
    }
    let data = CString::new(data).map_err(|_| Error::invalid(say(about, "a NUL byte")))?;
    let (stage, out) = (backend.stage, backend.mount);
    let step = Step::StageFilesystem { stage, fstype: fs.fstype.into(), source, flags, data, out };
    Ok(vec![(say(about, "create"), step)])
}

pub(super) fn copy(backend: Backend, from: &At, recursive: bool) -> Step {
    Step::StageCopy { stage: backend.stage, from: from.clone(), recursive, out: backend.mount }
}

pub(super) fn copy_path(backend: Backend, about: &str, path: &CStr, recursive: bool) -> Vec<Entry> {
    let open = Step::OpenIn {
        dir: At::Cwd,
        path: path.into(),
        flags: Open::PATH,
        resolve: Resolve::empty(),
        absent: Absent::Fail,
        out: backend.source,
    };
    vec![
        (say(about, "open it"), open),
        (about.to_owned(), copy(backend, &backend.source.into(), recursive)),
        (say(about, "close"), Step::Close(backend.source)),
    ]
}

/// On the stage a mount is in the namespace already: all changes come first here too.
pub(super) fn attach(
    _: Backend,
    about: &str,
    mount: &At,
    to: At,
    changes: impl Iterator<Item = Change>,
) -> Vec<Entry> {
    let changes = changes.flat_map(|change| remount(about, mount, change));
    let attach = (say(about, "attach"), Step::StageAttach { from: mount.clone(), to });
    changes.chain([attach]).collect()
}
