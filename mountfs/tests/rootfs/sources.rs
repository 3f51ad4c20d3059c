//! Roots from elsewhere than a directory, id maps, and a tmpfs that begins as what it covers.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use cofferdam_mountfs::{
    Api, ErrorKind, IdMaps, Idmap, IdmapSource, Mount, Overlay, RootFs, RootSource, probe::PROBES,
};

use cofferdam_sys::mount::fsopen;

use super::add;
use super::lab::{Lab, in_each_mode};

/// Busybox over the empty file that an image has for it.
fn with_shell(rootfs: &mut RootFs) {
    add(rootfs, "bind", "/bin/busybox", "/bin/sh", &["bind", "ro"]);
}

/// Whether the kernel has a facility.
fn has(name: &str) -> bool {
    (PROBES.iter().find(|probe| probe.name == name).unwrap().ask)().unwrap()
}

/// Whether this kernel lacks a file system that is a module on most; says so. The guests of
/// `cargo xtask vm-test` have all of them.
fn lacks(names: &[&std::ffi::CStr]) -> bool {
    let there = |name: &&&std::ffi::CStr| fsopen(name).is_ok();
    let missing: Vec<_> = names.iter().filter(|name| !there(name)).collect();
    if !missing.is_empty() {
        println!("skipped: this kernel has no {missing:?}");
    }
    !missing.is_empty()
}

/// Whether the parent can make mounts that no namespace has.
fn detached(lab: &Lab) -> bool {
    lab.mode.host.api() > Api::Mount && !lab.mode.name.contains("by path")
}

#[test]
#[ignore = "mounts as root: `cargo xtask test` runs it in a guest"]
fn images_are_roots() {
    if lacks(&[c"erofs", c"squashfs"]) || fs::File::open("/dev/loop-control").is_err() {
        println!("skipped: no file systems or no loop devices");
        return;
    }
    in_each_mode(|lab| {
        for (name, image) in [
            ("erofs", &include_bytes!("../images/root.erofs")[..]),
            ("squashfs", include_bytes!("../images/root.squashfs")),
        ] {
            let path = lab.dir.join(name);
            fs::write(&path, image).unwrap();
            let mut rootfs = RootFs::new(RootSource::Image(path));
            rootfs.user_namespace = lab.mode.user.is_some();
            rootfs.default_devices = false;
            rootfs.readonly = true;
            with_shell(&mut rootfs);
            let script = "read word < /etc/hello; echo $word; echo > /data/x";
            let result = lab.run(&rootfs, script);
            if lab.mode.user.is_some() && !detached(lab) {
                assert!(result.is_err(), "a file system of a device in a user namespace");
                continue;
            }
            let (output, _) = result.unwrap_or_else(|failure| panic!("{}: {failure}", lab.mode.name));
            assert!(output.starts_with("hello\n"), "{}: {output}", lab.mode.name);
            assert!(output.contains("Read-only file system"), "{}: {output}", lab.mode.name);
        }
    });
}

#[test]
#[ignore = "mounts as root: `cargo xtask test` runs it in a guest"]
fn overlays_are_roots_and_mounts() {
    if lacks(&[c"overlay"]) {
        return;
    }
    in_each_mode(|lab| {
        lab.write("more/etc/hostname", "overlay\n");
        lab.write("more/etc/added", "added\n");
        fs::create_dir_all(lab.dir.join("upper")).unwrap();
        fs::create_dir_all(lab.dir.join("work")).unwrap();
        let lower = [lab.dir.join("more"), lab.image()];
        let overlay = Overlay::new(lower).writable(lab.dir.join("upper"), lab.dir.join("work"));
        let mut rootfs = RootFs::new(overlay.option("volatile", None));
        rootfs.user_namespace = lab.mode.user.is_some();
        rootfs.default_devices = false;
        let lowerdir =
            format!("lowerdir={}:{}", lab.dir.join("more/etc").display(), lab.image().join("bin").display());
        add(&mut rootfs, "overlay", "", "/both", &[&lowerdir, "nosuid"]);
        let result =
            lab.run(&rootfs, "cat /etc/hostname /etc/added /both/added; ls /both/cat; echo new > /etc/new");
        if lab.mode.user.is_some() && !has("overlay_in_user_namespace") && !detached(lab) {
            assert!(result.is_err());
            return;
        }
        let (output, _) = result.unwrap_or_else(|failure| panic!("{}: {failure}", lab.mode.name));
        assert_eq!(output, "overlay\nadded\nadded\n/both/cat\n", "{}", lab.mode.name);
        assert_eq!(fs::read_to_string(lab.dir.join("upper/etc/new")).unwrap(), "new\n");
        assert!(!lab.image().join("etc/new").exists());
    });
}

#[test]
#[ignore = "mounts as root: `cargo xtask test` runs it in a guest"]
fn changes_of_an_ephemeral_root_are_gone() {
    if lacks(&[c"overlay"]) {
        return;
    }
    in_each_mode(|lab| {
        let mut rootfs = RootFs::new(RootSource::from(lab.image()).ephemeral());
        rootfs.user_namespace = lab.mode.user.is_some();
        rootfs.masked = vec!["/etc".into()];
        add(&mut rootfs, "proc", "proc", "/proc", &[]);
        add(&mut rootfs, "tmpfs", "tmpfs", "/dev", &[]);
        let script = "ls /etc; echo x > /new && cat /new; ls -d /dev/null; awk '{ print $5 }' /proc/self/mountinfo | sort | tr '\n' ' '";
        let result = lab.run(&rootfs, script);
        if lab.mode.user.is_some() && !has("overlay_in_user_namespace") {
            assert!(result.is_err());
            return;
        }
        let (output, _) = result.unwrap_or_else(|failure| panic!("{}: {failure}", lab.mode.name));
        assert!(output.starts_with("x\n/dev/null\n/ /dev "), "{}: {output}", lab.mode.name);
        assert!(!lab.image().join("new").exists());
        assert!(!lab.image().join("proc").exists(), "a mount point was made below the tmpfs");
    });
}

#[test]
#[ignore = "mounts as root: `cargo xtask test` runs it in a guest"]
fn the_hosts_own_root() {
    if lacks(&[c"overlay"]) {
        return;
    }
    in_each_mode(|lab| {
        let mut rootfs = RootFs::new(RootSource::host());
        rootfs.user_namespace = lab.mode.user.is_some();
        rootfs.default_devices = false;
        add(&mut rootfs, "proc", "proc", "/proc", &[]);
        let script = "test -e /bin/busybox && touch /cofferdam-was-here && ls /cofferdam-was-here";
        match lab.run(&rootfs, script) {
            Ok((output, _)) => assert_eq!(output, "/cofferdam-was-here\n", "{}", lab.mode.name),
            // In a user namespace the mounts on the host's root are locked: they cannot be looked under.
            Err(failure) => {
                assert!(lab.mode.user.is_some() && !detached(lab), "{}: {failure}", lab.mode.name);
            }
        }
        assert!(!std::path::Path::new("/cofferdam-was-here").exists());
    });
}

#[test]
#[ignore = "mounts as root: `cargo xtask test` runs it in a guest"]
fn owners_are_mapped() {
    in_each_mode(|lab| {
        lab.write("volume/file", "");
        let maps = IdMaps::range(0, 100_000, 65536);
        let mut rootfs = lab.rootfs();
        rootfs.default_devices = false;
        rootfs.id_maps = Some(maps);
        let volume = lab.dir.join("volume");
        add(&mut rootfs, "bind", volume.to_str().unwrap(), "/volume", &["bind", "idmap"]);
        if lab.mode.is_old() {
            let error = rootfs.prepare(&lab.mode.host).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnsupportedKernel, "{error}");
            return;
        }
        if !detached(lab) {
            assert!(rootfs.prepare(&lab.mode.host).is_err());
            return;
        }
        let script = "stat -c %u:%g /volume/file; touch /volume/new";
        let user = lab.mode.user;
        // The lab gives all files to the container: on disk these are root's.
        let on_disk = || {
            for path in [&volume, &volume.join("file")] {
                chown(path, Some(0), Some(0)).unwrap();
            }
        };
        let (mut read, write) = std::io::pipe().unwrap();
        super::lab::own(&lab.dir, user.unwrap_or(0));
        on_disk();
        let plan = lab.plan(&rootfs, script, write.into());
        let child = lab.start(&plan).unwrap().finish().unwrap_or_else(|failure| panic!("{failure}"));
        drop(plan);
        let mut output = String::new();
        std::io::Read::read_to_string(&mut read, &mut output).unwrap();
        child.wait().unwrap();
        // Seen by the host's root, they belong to the container's.
        let seen = if user == Some(100_000) { "0:0\n" } else { "100000:100000\n" };
        assert!(output.starts_with(seen), "{}: {output}", lab.mode.name);
        if user == Some(100_000) {
            assert_eq!(fs::metadata(volume.join("new")).unwrap().uid(), 0, "the owner on disk");
        }
    });
}

#[test]
#[ignore = "mounts as root: `cargo xtask test` runs it in a guest"]
fn a_tmpfs_can_have_a_map() {
    if !has("tmpfs_idmap") {
        return;
    }
    in_each_mode(|lab| {
        let mut rootfs = lab.rootfs();
        rootfs.default_devices = false;
        let mut mount = Mount::from_options("tmpfs", "tmpfs", "/mapped", ["mode=777", "nosuid"]).unwrap();
        let first = lab.mode.user.unwrap_or(0) + 5;
        let maps = IdmapSource::Maps(IdMaps::range(0, first, 10));
        mount.idmap = Some(Idmap { maps, recursive: false });
        rootfs.mounts.push(mount);
        if lab.mode.is_old() || !detached(lab) {
            assert!(rootfs.prepare(&lab.mode.host).is_err(), "{}", lab.mode.name);
            return;
        }
        let output = lab.run(&rootfs, "stat -c %u:%g /mapped").unwrap().0;
        assert_eq!(output, "5:5\n", "{}", lab.mode.name);
    });
}

#[test]
#[ignore = "mounts as root: `cargo xtask test` runs it in a guest"]
fn a_tmpfs_begins_as_what_it_covers() {
    in_each_mode(|lab| {
        lab.write("image/var/dir/file", "content\n");
        lab.link("image/var/link", "dir/file");
        fs::set_permissions(lab.image().join("var"), fs::Permissions::from_mode(0o1711)).unwrap();
        let mut rootfs = lab.rootfs();
        rootfs.default_devices = false;
        add(&mut rootfs, "tmpfs", "tmpfs", "/var", &["tmpcopyup", "ro"]);
        add(&mut rootfs, "tmpfs", "tmpfs", "/etc", &["tmpcopyup", "mode=750"]);
        let script = "cat /var/link; stat -c %a /var /etc; echo new > /etc/hostname; echo x > /var/dir/file";
        let output = lab.run(&rootfs, script).unwrap_or_else(|failure| panic!("{failure}")).0;
        assert!(output.starts_with("content\n1711\n750\n"), "{}: {output}", lab.mode.name);
        assert!(output.contains("Read-only file system"), "{}: {output}", lab.mode.name);
        assert_eq!(fs::read_to_string(lab.image().join("etc/hostname")).unwrap(), "lab\n");
    });
}
