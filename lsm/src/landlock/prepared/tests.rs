//! Real rulesets, on threads and children of their own, where the host has Landlock.

use super::*;
use crate::landlock::{NetAccess, Scopes};
use cofferdam_sys::Errno;
use cofferdam_sys::plan::Exec;
use cofferdam_sys::process::Exit;
use cofferdam_sys::spawn::{Request, spawn};
use std::io;

/// A directory with `inside` and `outside` in it.
struct Place(std::path::PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("landlock-{}-{name}", std::process::id()));
        std::fs::create_dir_all(path.join("inside")).unwrap();
        std::fs::create_dir_all(path.join("outside")).unwrap();
        Self(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Writing and making files is for `inside` only. ABI 1 knows all of it.
fn ruleset(place: &Place) -> Ruleset {
    let access = FsAccess::WRITE_FILE | FsAccess::MAKE_REG;
    Ruleset::new().handle_fs(access).allow_path(place.0.join("inside"), access)
}

#[test]
fn a_thread_writes_where_it_is_allowed_and_nowhere_else() {
    let place = Place::new("thread");
    let prepared = match ruleset(&place).prepare() {
        Ok(prepared) => prepared,
        Err(error) => {
            assert_eq!(landlock_abi().unwrap(), None, "{error}");
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            return;
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            prepared.restrict_thread().unwrap();
            std::fs::write(place.0.join("inside/file"), "x").unwrap();
            let error = std::fs::write(place.0.join("outside/file"), "x").unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        });
    });
    // The other threads are as before.
    std::fs::write(place.0.join("outside/file"), "x").unwrap();
}

#[test]
fn a_child_adds_the_paths_of_its_own_root() {
    if landlock_abi().unwrap().is_none() {
        return;
    }
    let place = Place::new("child");
    let run = |script: &str, root: &Path| {
        let prepared = ruleset(&place).prepare_for_root(root).unwrap();
        let args = ["sh", "-c", script].map(|word| CString::new(word).unwrap()).to_vec();
        let mut plan = Plan::new(Exec { candidates: vec![c"/bin/sh".into()], args, env: vec![] });
        prepared.lower(&mut plan).unwrap();
        spawn(&plan, &Request::default()).unwrap().finish().map(|child| child.wait().unwrap())
    };
    let at = place.0.display();
    let root = Path::new("/");
    assert_eq!(run(&format!("echo x > {at}/inside/file"), root).unwrap(), Exit::Code(0));
    let denied = run(&format!("echo x > {at}/outside/file 2>/dev/null || exit 7"), root);
    // Also its own complaint's way is refused: /dev is not below the path.
    assert!(matches!(denied.unwrap(), Exit::Code(2 | 7)), "writing outside");
    let failure = run("true", Path::new("/nowhere")).unwrap_err().to_string();
    assert!(failure.starts_with("Landlock: open /nowhere/"), "{failure}");
}

#[test]
fn what_cannot_be_opened_or_means_nothing_is_named() {
    if landlock_abi().unwrap().is_none() {
        return;
    }
    let base = || Ruleset::new().handle_fs(FsAccess::READ | FsAccess::MAKE_DIR);
    let error = base().allow_path("/nowhere", FsAccess::READ).prepare().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Os(Errno::ENOENT));
    assert!(error.to_string().starts_with("Landlock: allow /nowhere: open it: ENOENT"), "{error}");
    let error = base().allow_path("/etc/passwd", FsAccess::MAKE_DIR).prepare().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    // What has a meaning for the file stays.
    base().allow_path("/etc/passwd", FsAccess::READ).prepare().unwrap();
    let relative = base().allow_path("etc", FsAccess::READ).prepare_for_root(Path::new("/"));
    assert_eq!(relative.unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn all_or_a_report() {
    let everything = Ruleset::new()
        .handle_fs(FsAccess::all())
        .handle_net(NetAccess::all())
        .scope(Scopes::all())
        .allow_path("/", FsAccess::all());
    let abi = landlock_abi().unwrap();
    let missing = everything.missing(abi.unwrap_or(0));
    match everything.prepare() {
        Ok(_) => assert!(missing.is_empty()),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            if let Some(last) = missing.last().filter(|_| abi.is_some()) {
                assert!(error.to_string().contains(&last.name), "{error}");
            }
        }
    }
    let (_, report) = everything.prepare_best_effort().unwrap();
    assert_eq!((report.abi, report.missing), (abi, missing));
}
