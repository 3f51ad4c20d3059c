//! The shared libraries of a dynamic program, so that a runtime of the host runs in a guest that has none.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use object::LittleEndian;
use object::elf::{
    DT_NEEDED, DT_NULL, DT_RPATH, DT_RUNPATH, DT_STRSZ, DT_STRTAB, EM_X86_64, FileHeader64, PT_DYNAMIC,
    PT_INTERP, PT_LOAD,
};
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _};

use crate::fail;

/// Where every loader looks without being told.
const DEFAULT: [&str; 6] =
    ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"];

/// A file to pack: its path in the guest, the file here, its mode.
pub type Packed = (String, PathBuf, u32);

/// What a program or library asks of the loader.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Dynamic {
    pub(super) interpreter: Option<String>,
    pub(super) needed: Vec<String>,
    search: Vec<String>,
}

/// The loader and all libraries that `program` needs; nothing for a static program.
///
/// # Errors
///
/// When `program` does not exist or is no x86-64 program, or a library is missing.
pub fn closure(program: &Path) -> Result<Vec<Packed>> {
    let data = fs::read(program)
        .map_err(|error| fail::usage(format!("the program {} cannot be read: {error}", program.display())))?;
    let dynamic = parse(&data)
        .map_err(|why| fail::usage(format!("{} cannot run in a guest: {why}", program.display())))?;
    let Some(interpreter) = &dynamic.interpreter else { return Ok(Vec::new()) };
    let path = PathBuf::from(interpreter);
    if !path.is_file() {
        return Err(missing(program, interpreter));
    }
    let mut found = BTreeMap::from([(file_name(interpreter), (interpreter.clone(), path, 0o755))]);
    let configured = configured(Path::new("/etc/ld.so.conf"), 0);
    let mut waiting = vec![(program.to_owned(), dynamic)];
    while let Some((user, dynamic)) = waiting.pop() {
        for name in &dynamic.needed {
            if found.contains_key(&file_name(name)) {
                continue;
            }
            let folders = folders(&user, &dynamic.search, &configured);
            let (path, own) = locate(name, &folders).ok_or_else(|| missing(program, name))?;
            found.insert(file_name(name), (guest_path(&path), path.clone(), 0o755));
            waiting.push((path, own));
        }
    }
    Ok(found.into_values().collect())
}

fn missing(program: &Path, name: &str) -> anyhow::Error {
    fail::usage(format!(
        "{} needs the shared library {name}, which this machine does not have: install the package that has it, or name a static program",
        program.display()
    ))
}

fn file_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

/// Folders in the loader's order: those the user names, those of ld.so.conf, the default ones.
fn folders(user: &Path, search: &[String], configured: &[PathBuf]) -> Vec<PathBuf> {
    let origin = user.parent().unwrap_or(Path::new("/")).to_string_lossy().into_owned();
    let named = search.iter().map(|folder| folder.replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin));
    let mut folders: Vec<PathBuf> = named.map(PathBuf::from).collect();
    folders.extend(configured.iter().cloned());
    folders.extend(DEFAULT.map(PathBuf::from));
    folders
}

/// The first file of that name that is a library for this machine; one of another word size is passed over.
fn locate(name: &str, folders: &[PathBuf]) -> Option<(PathBuf, Dynamic)> {
    // A name with a slash is a path and is not searched for.
    let candidates: Vec<PathBuf> = if name.contains('/') {
        vec![name.into()]
    } else {
        folders.iter().map(|folder| folder.join(name)).collect()
    };
    candidates.into_iter().find_map(|path| {
        let dynamic = parse(&fs::read(&path).ok()?).ok()?;
        Some((path, dynamic))
    })
}

/// The guest has no ld.so.cache, so what lies outside the loader's default folders is moved into one of them.
fn guest_path(path: &Path) -> String {
    let text = path.to_string_lossy();
    let default = path.parent().is_some_and(|folder| DEFAULT.iter().any(|known| Path::new(known) == folder));
    if default { text.into_owned() } else { format!("/lib/x86_64-linux-gnu/{}", file_name(&text)) }
}

/// The folders of ld.so.conf(5), includes followed.
fn configured(file: &Path, depth: u8) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    // Includes that include each other end somewhere.
    let Some(text) = fs::read_to_string(file).ok().filter(|_| depth < 8) else { return folders };
    for line in text.lines().map(|line| line.split('#').next().unwrap_or_default().trim()) {
        match line.strip_prefix("include ") {
            Some(pattern) => {
                for included in matches(file, pattern.trim()) {
                    folders.extend(configured(&included, depth + 1));
                }
            }
            None if line.starts_with('/') => folders.push(line.into()),
            None => {}
        }
    }
    folders
}

/// Files that match the last component of an include pattern, which holds at most one `*` in practice.
fn matches(file: &Path, pattern: &str) -> Vec<PathBuf> {
    let pattern = file.parent().unwrap_or(Path::new("/")).join(pattern);
    let (Some(folder), Some(name)) = (pattern.parent(), pattern.file_name().and_then(|name| name.to_str()))
    else {
        return Vec::new();
    };
    let (start, end) = name.split_once('*').unwrap_or((name, ""));
    let fits = |entry: &str| {
        if name.contains('*') {
            entry.len() >= start.len() + end.len() && entry.starts_with(start) && entry.ends_with(end)
        } else {
            entry == name
        }
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_str().is_some_and(fits))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

/// Reads what an ELF file asks of the loader; the error is the reason.
pub(super) fn parse(data: &[u8]) -> Result<Dynamic, String> {
    if !data.starts_with(b"\x7fELF") {
        return Err("it is not an ELF program (name the program itself, not a script that starts it)".into());
    }
    let damaged = |why: object::Error| format!("it is no 64-bit x86 program, or a damaged one: {why}");
    let header = FileHeader64::<LittleEndian>::parse(data).map_err(damaged)?;
    let endian = header.endian().map_err(damaged)?;
    if header.e_machine.get(endian) != EM_X86_64 {
        return Err("it is a program for another machine than x86-64".into());
    }
    let segments = header.program_headers(endian, data).map_err(damaged)?;
    let mut dynamic = Dynamic::default();
    for segment in segments.iter().filter(|segment| segment.p_type(endian) == PT_INTERP) {
        let bytes =
            segment.data(endian, data).map_err(|()| "its interpreter lies outside the file".to_owned())?;
        dynamic.interpreter = Some(text(bytes).ok_or("its interpreter is not UTF-8")?);
    }
    let table = segments.iter().find(|segment| segment.p_type(endian) == PT_DYNAMIC);
    let Some(entries) = table.and_then(|table| table.dynamic(endian, data).transpose()) else {
        return Ok(dynamic);
    };
    let entries = entries.map_err(damaged)?;
    let value =
        |tag| entries.iter().find(|entry| entry.d_tag(endian) == tag).map(|entry| entry.d_val(endian));
    let (start, size) = value(DT_STRTAB).zip(value(DT_STRSZ)).ok_or("it has no dynamic string table")?;
    let strings = segments
        .iter()
        .filter(|segment| segment.p_type(endian) == PT_LOAD)
        .find_map(|segment| segment.data_range(endian, data, start, size).ok().flatten())
        .ok_or("its dynamic string table lies outside the file")?;
    for entry in entries.iter().take_while(|entry| entry.d_tag(endian) != DT_NULL) {
        let tag = entry.d_tag(endian);
        if ![DT_NEEDED, DT_RPATH, DT_RUNPATH].contains(&tag) {
            continue;
        }
        let at = usize::try_from(entry.d_val(endian)).ok();
        let name =
            at.and_then(|at| text(strings.get(at..)?)).ok_or("a name in its dynamic section is damaged")?;
        if tag == DT_NEEDED {
            dynamic.needed.push(name);
        } else {
            dynamic.search.extend(name.split(':').filter(|folder| !folder.is_empty()).map(str::to_owned));
        }
    }
    Ok(dynamic)
}

/// The text up to the first NUL.
fn text(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    std::str::from_utf8(bytes.get(..end)?).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_program_has_its_libraries() {
        let found = closure(&std::env::current_exe().unwrap()).unwrap();
        let names: Vec<String> = found.iter().map(|(guest, _, _)| file_name(guest)).collect();
        assert!(names.iter().any(|name| name.starts_with("ld-linux")), "{names:?}");
        assert!(names.contains(&"libc.so.6".to_owned()), "{names:?}");
        for (guest, here, _) in &found {
            assert!(guest.starts_with('/') && here.is_file(), "{guest}");
        }
    }

    #[test]
    fn what_cannot_run_is_refused_in_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("script");
        fs::write(&script, "#!/bin/sh\n").unwrap();
        for (path, part) in [(script, "not an ELF program"), (folder.path().join("gone"), "cannot be read")] {
            let error = closure(&path).unwrap_err();
            let line = error.to_string();
            assert!(line.contains(part) && !line.contains('\n'), "{line}");
            assert_eq!(fail::exit_code(&error), 2);
        }
    }

    #[test]
    fn a_missing_library_or_loader_is_named() {
        // The names are changed in copies of this program.
        let program = fs::read(std::env::current_exe().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let names = [
            ("libc.so.6\0", "libx.so.9\0"),
            ("/lib64/ld-linux-x86-64.so.2\0", "/lib64/ld-gone5-x86-64.so.2\0"),
        ];
        for (there, absent) in names {
            let mut data = program.clone();
            let at = data.windows(there.len()).position(|bytes| bytes == there.as_bytes()).unwrap();
            data[at..at + there.len()].copy_from_slice(&absent.as_bytes()[..there.len()]);
            let copy = folder.path().join("program");
            fs::write(&copy, &data).unwrap();
            let error = closure(&copy).unwrap_err();
            assert!(error.to_string().contains(absent.trim_end_matches('\0')), "{error}");
        }
    }

    #[test]
    fn configuration_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let sub = folder.path().join("ld.so.conf.d");
        fs::create_dir(&sub).unwrap();
        let main = folder.path().join("ld.so.conf");
        fs::write(&main, "include ld.so.conf.d/*.conf\n/opt/lib # mine\nhwcap 1 nosegneg\n").unwrap();
        fs::write(sub.join("b.conf"), "/b\n").unwrap();
        fs::write(sub.join("a.conf"), "/a\ninclude ../ld.so.conf\n").unwrap();
        fs::write(sub.join("c.txt"), "/c\n").unwrap();
        let folders = configured(&main, 0);
        assert_eq!(folders.first().map(PathBuf::as_path), Some(Path::new("/a")));
        assert!(folders.contains(&"/b".into()) && folders.ends_with(&["/opt/lib".into()]));
        assert!(!folders.contains(&"/c".into()));
    }

    #[test]
    fn folders_come_in_the_loaders_order() {
        let user = Path::new("/opt/app/bin/prog");
        let found = folders(user, &["$ORIGIN/../lib".into()], &["/conf".into()]);
        assert_eq!(found[..3], ["/opt/app/bin/../lib", "/conf", "/lib/x86_64-linux-gnu"].map(PathBuf::from));
        assert_eq!(guest_path(Path::new("/usr/lib64/libx.so")), "/usr/lib64/libx.so");
        assert_eq!(guest_path(Path::new("/conf/libx.so")), "/lib/x86_64-linux-gnu/libx.so");
    }
}
