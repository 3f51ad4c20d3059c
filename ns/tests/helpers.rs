//! Maps written by `newuidmap(1)` and `newgidmap(1)`, where they are installed, and what is said where not.

use cofferdam_ns::{ErrorKind, Exit, IdMaps, Mapping, Namespaces, Spawn, Writer};

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).exists())
}

#[test]
fn the_helpers_map_what_is_the_callers_own() {
    if let Err(error) =
        Spawn::new("true").unshare(Namespaces::USER).spawn().and_then(|mut child| child.wait())
    {
        return eprintln!("skipped, this host lets nobody have a user namespace: {error}");
    }
    // One's own id needs no line in /etc/subuid.
    let mapping = Mapping { writer: Writer::Helpers, ..Mapping::default() };
    let spawn = Spawn::new("cat").arg("/proc/self/uid_map").ids(IdMaps::caller_as_root()).mapping(mapping);
    let outcome = spawn.output();
    if is_installed("newuidmap") && is_installed("newgidmap") {
        let output = outcome.unwrap();
        assert_eq!(output.exit, Exit::Code(0), "{}", String::from_utf8_lossy(&output.stderr));
        let map = String::from_utf8(output.stdout).unwrap();
        let wanted = IdMaps::caller_as_root().uid;
        assert_eq!(cofferdam_ns::IdMap::parse_kernel(&map).unwrap(), wanted);
    } else {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Helper);
        assert!(error.hint().unwrap().contains("install newuidmap"), "{error}");
    }
}
