//! What is refused before anything runs.

use super::*;
use crate::Api;

/// A caller without privilege on a new kernel, so that nobody must be root.
const HOST: Host = Host { api: Api::Setattr, nosymfollow: true, statmount: true, detached: false };

fn with(fstype: &str, source: &str, target: &str, options: &[&str]) -> RootFs {
    let mut rootfs = RootFs::new("/");
    rootfs.default_devices = false;
    rootfs.mounts.push(Mount::from_options(fstype, source, target, options).unwrap());
    rootfs
}

fn error(rootfs: &RootFs) -> Error {
    let error = rootfs.prepare(&HOST).unwrap_err();
    assert!(error.hint().is_some(), "no hint: {error}");
    error
}

#[test]
fn sources_are_named() {
    let missing = error(&with("bind", "/no/such/source", "/mnt", &[]));
    assert_eq!((missing.kind(), missing.errno()), (ErrorKind::System, Some(Errno::ENOENT)));
    insta::assert_snapshot!(missing, @"mount on /mnt: open the source /no/such/source: ENOENT (No such file or directory)");
    insta::assert_snapshot!(error(&RootFs::new("/etc/passwd")), @"open the root directory /etc/passwd: ENOTDIR (Not a directory)");
    insta::assert_snapshot!(error(&RootFs::new("image")), @"the root directory image is not absolute");
    insta::assert_snapshot!(error(&with("bind", "a", "/mnt", &[])), @"mount on /mnt: the source a is not absolute");
}

#[test]
fn targets_are_checked() {
    insta::assert_snapshot!(error(&with("tmpfs", "", "/", &[])), @"mount on /: that is the root itself");
    insta::assert_snapshot!(error(&with("tmpfs", "", "/a/../b", &[])), @"mount on /a/../b: the path holds .. or a NUL byte");
    let inside = error(&with("tmpfs", "", "/proc/sys", &[]));
    assert_eq!(inside.kind(), ErrorKind::Refused);
    insta::assert_snapshot!(inside, @"mount on /proc/sys: inside /proc");
    drop(with("bind", "/etc/passwd", "/proc/meminfo", &[]).prepare(&HOST).unwrap());
    for place in ["masked", "read-only"] {
        let mut rootfs = RootFs::new("/");
        let list = if place == "masked" { &mut rootfs.masked } else { &mut rootfs.readonly_paths };
        list.push("/".into());
        assert_eq!(error(&rootfs).to_string(), format!("{place} path /: that is the root itself"));
    }
}

#[test]
fn parameters_are_checked() {
    let long = format!("mpol={}", "a".repeat(256));
    let error = error(&with("tmpfs", "", "/mnt", &[&long]));
    insta::assert_snapshot!(error, @"mount on /mnt: the value of mpol is 256 bytes long");
    let mut rootfs = with("tmpfs", "", "/mnt", &[]);
    rootfs.mounts[0].kind = Kind::Fs { fstype: "tmp\0fs".into(), source: None, data: Vec::new() };
    assert_eq!(rootfs.prepare(&HOST).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn an_old_kernel_is_told_what_it_lacks() {
    let old = HOST.at_most(Api::Fsmount);
    let recursive = with("bind", "/etc", "/mnt", &["rbind", "rro"]);
    let error = recursive.prepare(&old).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnsupportedKernel);
    insta::assert_snapshot!(error, @"mount on /mnt: recursive attributes (rbind,rro): ENOSYS (Function not implemented)");
    insta::assert_snapshot!(error.hint().unwrap(), @"this needs mount_setattr(2), Linux 5.12: use a newer kernel, or leave the attributes out");
    drop(recursive.prepare(&HOST).unwrap());
    // One mount has nothing below it.
    drop(with("bind", "/etc", "/mnt", &["bind", "rro"]).prepare(&old).unwrap());

    let mut covered = with("tmpfs", "", "/etc/below", &[]);
    covered.readonly_paths = vec!["/etc".into()];
    assert_eq!(covered.prepare(&old).unwrap_err().kind(), ErrorKind::UnsupportedKernel);
    drop(covered.prepare(&HOST).unwrap());
}

#[test]
fn devices_are_checked() {
    let mut rootfs = RootFs::new("/");
    rootfs.devices = vec![Device { mode: 0o020_666, ..Device::char("/dev/x", 1, 3) }];
    insta::assert_snapshot!(error(&rootfs), @"device /dev/x: 20666 are no permissions");
    rootfs.user_namespace = true;
    rootfs.devices = vec![Device::char("/dev/null", 1, 5)];
    let wrong = error(&rootfs);
    assert_eq!(wrong.kind(), ErrorKind::WrongSource);
    insta::assert_snapshot!(wrong, @"device /dev/null: the host's node is not Char 1:5");
    rootfs.devices = vec![Device { kind: DeviceKind::Block, ..Device::char("/dev/null", 1, 3) }];
    assert_eq!(error(&rootfs).kind(), ErrorKind::WrongSource);
}

#[test]
fn a_device_of_the_caller_replaces_a_default_one() {
    let mut rootfs = RootFs::new("/");
    rootfs.devices = vec![Device { mode: 0o600, ..Device::char("/dev/null", 1, 3) }];
    let nodes = rootfs.open_nodes(HOST).unwrap();
    assert_eq!(nodes.len(), 6);
    let null = nodes.iter().find(|node| node.place.bytes() == b"dev/null").unwrap();
    assert_eq!(null.device.mode, 0o600);
}

#[test]
fn ptmx_needs_a_devpts() {
    let ptmx = |rootfs: &RootFs| rootfs.links().unwrap().map(|links| links.ptmx);
    let mut rootfs = with("devpts", "", "/dev/pts", &[]);
    assert_eq!(ptmx(&rootfs), None);
    rootfs.default_devices = true;
    assert_eq!(ptmx(&rootfs), Some(true));
    rootfs.mounts.clear();
    assert_eq!(ptmx(&rootfs), Some(false));
}
