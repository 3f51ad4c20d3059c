//! Root filesystems in real containers, in each way that they can be made.
//!
//! Needs root and a static busybox. A plan that is wrong can do to the machine what root can, so these tests
//! are for a machine to throw away: `cargo xtask test` runs them in a guest.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "all of this is a test")]

mod lab;
mod races;
mod readback;
mod sources;

use std::ffi::CString;
use std::fs;
use std::path::Path;

use cofferdam_mountfs::{Api, Device, DeviceKind, ErrorKind, Mount, Propagation, PropagationKind, RootFs};
use cofferdam_sys::mount::{MountFlags, Unmount, mount, umount2};
use cofferdam_sys::spawn::Failure;
use lab::{Lab, in_each_mode, in_mode, modes, mounts, require};

/// Reports how a command ends: `name: done`, or `name:` and the last part of its message.
const TRY: &str = r#"
try() { name=$1; shift; if out=$("$@" 2>&1); then echo "$name: done"; else echo "$name: ${out##*: }"; fi; }
"#;

fn add(rootfs: &mut RootFs, fstype: &str, source: &str, target: &str, options: &[&str]) {
    rootfs.mounts.push(Mount::from_options(fstype, source, target, options).unwrap());
}

/// The mounts of every container.
fn usual(lab: &Lab) -> RootFs {
    let mut rootfs = lab.rootfs();
    add(&mut rootfs, "proc", "proc", "/proc", &["nosuid", "noexec", "nodev"]);
    add(&mut rootfs, "tmpfs", "tmpfs", "/dev", &["nosuid", "strictatime", "mode=755", "size=65536k"]);
    let devpts = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"];
    add(&mut rootfs, "devpts", "devpts", "/dev/pts", &devpts);
    add(&mut rootfs, "tmpfs", "shm", "/dev/shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]);
    add(&mut rootfs, "mqueue", "mqueue", "/dev/mqueue", &["nosuid", "noexec", "nodev"]);
    add(&mut rootfs, "sysfs", "sysfs", "/sys", &["nosuid", "noexec", "nodev", "ro"]);
    rootfs
}

#[test]
#[ignore = "mounts as root: `cargo xtask test` runs it in a guest"]
fn a_usual_container() {
    in_each_mode(|lab| {
        lab.write("image/etc/secret", "s3cret");
        lab.write("image/etc/fixed/file", "fixed");
        lab.write("image/opt/hidden/file", "hidden");
        lab.link("image/opt/way", "hidden");
        let mut rootfs = usual(lab);
        rootfs.readonly = true;
        add(&mut rootfs, "tmpfs", "tmpfs", "/tmp", &["nosuid", "nodev", "mode=1777"]);
        rootfs.masked =
            ["/etc/secret", "/opt/way", "/proc/cmdline", "/nowhere", "/etc/secret/none", "/sys/firmware"]
                .map(Into::into)
                .into();
        rootfs.readonly_paths = ["/etc/fixed", "/proc/sys", "/nowhere"].map(Into::into).into();
        let script = r#"
            echo "secret: [$(cat /etc/secret)] hidden: [$(ls -A /opt/hidden)] cmdline: [$(cat /proc/cmdline)]"
            try "write into a masked directory" touch /opt/hidden/new
            try "write a masked file" chmod 0 /etc/secret
            try "write to a read-only path" touch /etc/fixed/file
            try "write a sysctl" sh -c 'echo x > /proc/sys/kernel/hostname'
            try "write to the root" touch /new
            try "write to a tmpfs" touch /tmp/new
            try "write to null" dd if=/dev/zero of=/dev/null bs=1 count=1
            try "write to sysfs" touch /sys/kernel/notes
            echo "first process: $(cat /proc/1/comm)"
            echo "null: $(stat -c '%t:%T %a' /dev/null) full: $(stat -c '%t:%T' /dev/full) pts: $(ls /dev/pts)"
            echo "links: $(readlink /dev/fd) $(readlink /dev/stderr) $(readlink /dev/ptmx)"
            echo "queue: $(ls -d /dev/mqueue) cwd: $(readlink /proc/self/cwd)"
        "#;
        let output = lab.output(&rootfs, &format!("{TRY}{script}"));
        let expected = "secret: [] hidden: [] cmdline: []\n\
            write into a masked directory: Read-only file system\n\
            write a masked file: Read-only file system\n\
            write to a read-only path: Read-only file system\n\
            write a sysctl: Read-only file system\n\
            write to the root: Read-only file system\n\
            write to a tmpfs: done\n\
            write to null: done\n\
            write to sysfs: Read-only file system\n\
            first process: sh\n\
            null: 1:3 666 full: 1:7 pts: ptmx\n\
            links: /proc/self/fd /proc/self/fd/2 pts/ptmx\n\
            queue: /dev/mqueue cwd: /\n";
        assert_eq!(output, expected, "{}", lab.mode.name);
    });
}

#[test]
#[ignore = "mounts as root: `cargo xtask test` runs it in a guest"]
fn nothing_of_the_host_is_left() {
    in_each_mode(|lab| {
        let script = "awk '{print $5}' /proc/self/mountinfo | sort; ls -A / | tr '\\n' ' '; echo; ls -A /..";
        let mut rootfs = lab.rootfs();
        add(&mut rootfs, "proc", "proc", "/proc", &[]);
        rootfs.default_devices = false;
        let output = lab.output(&rootfs, script);
        assert_eq!(output, "/\n/proc\nbin etc proc \nbin\netc\nproc\n", "{}", lab.mode.name);
        rootfs.masked = vec!["/etc".into()];
        let output = lab.output(&rootfs, script);
        assert_eq!(output, "/\n/etc\n/proc\nbin etc proc \nbin\netc\nproc\n", "{}", lab.mode.name);
    });
}

#[test]
#[ignore = "mounts as root: `cargo xtask test` runs it in a guest"]
fn a_covered_root_of_the_host_is_not_kept() {
    in_each_mode(|lab| {
        if lab.mode.user.is_some() {
            // clone3(2) itself makes no user namespace then.
            return;
        }
        tmpfs(Path::new("/"));
        let mut rootfs = lab.rootfs();
        rootfs.default_devices = false;
        let failure = lab.run(&rootfs, "ls /..").unwrap_err();
        assert!(failure.to_string().contains("verify that nothing covers the new root: EXDEV"), "{failure}");
        umount2(c"/..", Unmount::DETACH).unwrap();
    });
}

#[test]
#[ignore = "mounts as root: `cargo xtask test` runs it in a guest"]
fn binds() {
    in_each_mode(|lab| {
        lab.write("volume/file", "data");
        lab.write("volume/below/mark", "under the mount");
        lab.write("image/etc/over", "image");
        tmpfs(&lab.dir.join("volume/below"));
        let volume = lab.dir.join("volume");
        let volume = volume.to_str().unwrap();
        let mut rootfs = lab.rootfs();
        add(&mut rootfs, "bind", volume, "/rw", &["rbind"]);
        add(&mut rootfs, "bind", volume, "/ro", &["rbind", "ro", "nosuid"]);
        add(&mut rootfs, "", &format!("{volume}/file"), "/etc/over", &["bind", "ro"]);
        add(&mut rootfs, "", &format!("{volume}/file"), "/new/dir/file", &["bind", "ro"]);
        rootfs.default_devices = false;
        let script = r#"
            echo "over: $(cat /etc/over) new: $(cat /new/dir/file) below: [$(ls -A /ro/below)]"
            try "write" touch /rw/new
            try "write below" touch /rw/below/new
            try "write to ro" touch /ro/new
            try "write below ro" touch /ro/below/new
            try "write to a ro file" touch /new/dir/file
        "#;
        let output = lab.output(&rootfs, &format!("{TRY}{script}"));
        let expected = "over: data new: data below: []\nwrite: done\nwrite below: done\n\
            write to ro: Read-only file system\nwrite below ro: done\n\
            write to a ro file: Read-only file system\n";
        assert_eq!(output, expected, "{}", lab.mode.name);
        assert!(lab.dir.join("volume/new").exists());
        untmpfs(&lab.dir.join("volume/below"));
    });
}

#[test]
#[ignore = "mounts as root: `cargo xtask test` runs it in a guest"]
fn recursive_attributes_reach_every_mount() {
    in_each_mode(|lab| {
        lab.write("volume/below/deep/mark", "");
        tmpfs(&lab.dir.join("volume/below"));
        fs::create_dir(lab.dir.join("volume/below/deep")).unwrap();
        tmpfs(&lab.dir.join("volume/below/deep"));
        let volume = lab.dir.join("volume");
        let mut rootfs = lab.rootfs();
        add(&mut rootfs, "bind", volume.to_str().unwrap(), "/volume", &["rbind", "rro"]);
        rootfs.default_devices = false;
        if lab.mode.is_old() {
            let error = rootfs.prepare(&lab.mode.host).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnsupportedKernel);
            assert!(error.hint().unwrap().contains("Linux 5.12"), "{error:?}");
        } else {
            let script =
                "for dir in /volume /volume/below /volume/below/deep; do try $dir touch $dir/new; done";
            let output = lab.output(&rootfs, &format!("{TRY}{script}"));
            let refused = ": Read-only file system\n";
            let paths = ["/volume", "/volume/below", "/volume/below/deep"];
            assert_eq!(output, paths.map(|path| format!("{path}{refused}")).concat(), "{}", lab.mode.name);
        }
        untmpfs(&lab.dir.join("volume/below/deep"));
        untmpfs(&lab.dir.join("volume/below"));
    });
}

#[test]
#[ignore = "mounts as root: `cargo xtask test` runs it in a guest"]
fn a_readonly_path_leaves_nothing_writable_below() {
    in_each_mode(|lab| {
        lab.write("image/fixed/below/mark", "");
        tmpfs(&lab.image().join("fixed/below"));
        let mut rootfs = lab.rootfs();
        rootfs.readonly_paths = vec!["/fixed".into()];
        rootfs.default_devices = false;
        fs::write(lab.image().join("fixed/below/mounted"), "").unwrap();
        let script = "try fixed touch /fixed/new; try below touch /fixed/below/new; ls /fixed/below";
        if lab.mode.is_old() && lab.mode.user == Some(0) {
            // The kernel hides nothing that was mounted for a reason: the start fails.
            let failure = lab.run(&rootfs, script).unwrap_err();
            assert!(failure.to_string().contains("copy it: EINVAL"), "{failure}");
            return untmpfs(&lab.image().join("fixed/below"));
        }
        let output = lab.output(&rootfs, &format!("{TRY}{script}"));
        let seen = if lab.mode.is_old() { "mark" } else { "mounted" };
        let expected = format!("fixed: Read-only file system\nbelow: Read-only file system\n{seen}\n");
        assert_eq!(output, expected, "{}", lab.mode.name);

        add(&mut rootfs, "tmpfs", "", "/fixed/mount", &[]);
        if lab.mode.is_old() {
            let error = rootfs.prepare(&lab.mode.host).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnsupportedKernel);
            assert!(error.to_string().contains("/fixed/mount"), "{error}");
        } else {
            let output = lab.output(&rootfs, &format!("{TRY} try mount touch /fixed/mount/new"));
            assert_eq!(output, "mount: Read-only file system\n");
        }
        untmpfs(&lab.image().join("fixed/below"));
    });
}

#[test]
#[ignore = "mounts as root: `cargo xtask test` runs it in a guest"]
fn links_of_the_image_stay_inside() {
    in_each_mode(|lab| {
        lab.link("image/root", "/");
        lab.link("image/up", "../../../../../..");
        lab.link("image/var", "/etc");
        lab.write("image/etc/secret", "s3cret");
        let outside = lab.dir.file_name().unwrap().to_str().unwrap().to_owned();
        let mut rootfs = lab.rootfs();
        add(&mut rootfs, "tmpfs", "", &format!("/root/{outside}-a"), &["mode=700"]);
        add(&mut rootfs, "tmpfs", "", &format!("/up/{outside}-b"), &["mode=711"]);
        rootfs.masked = vec!["/up/var/secret".into()];
        rootfs.readonly_paths = vec!["/root/var".into()];
        rootfs.default_devices = false;
        let script =
            format!("stat -c %a /{outside}-a /{outside}-b; cat /etc/secret; {TRY} try touch touch /etc/new");
        let output = lab.output(&rootfs, &script);
        // The read-only path comes first, or its copy would cover the mask.
        assert_eq!(output, "700\n711\ntouch: Read-only file system\n", "{}", lab.mode.name);
        for path in [format!("/{outside}-a"), format!("/{outside}-b")] {
            assert!(!std::path::Path::new(&path).exists(), "{path} is on the host");
        }
    });
}

#[test]
#[ignore = "mounts as root: `cargo xtask test` runs it in a guest"]
fn proc_and_sys_must_be_no_links() {
    in_each_mode(|lab| {
        lab.write("image/volume/mark", "");
        for (fstype, target) in [("proc", "proc"), ("sysfs", "sys"), ("proc", "other"), ("bind", "sys")] {
            lab.link(&format!("image/{target}"), "volume");
            let mut rootfs = lab.rootfs();
            let source = lab.dir.join("image/volume");
            add(&mut rootfs, fstype, source.to_str().unwrap(), &format!("/{target}"), &[]);
            rootfs.default_devices = false;
            let failure = lab.run(&rootfs, "true").unwrap_err();
            let Failure::Step { about, errno, .. } = &failure else { panic!("{failure}") };
            assert_eq!(*errno, cofferdam_sys::Errno::ELOOP, "{failure}");
            assert!(
                about.ends_with("open the target, it must be mounted on ordinary directory, no link"),
                "{failure}"
            );
            fs::remove_file(lab.image().join(target)).unwrap();
        }
    });
}

#[test]
#[ignore = "mounts as root: `cargo xtask test` runs it in a guest"]
fn nothing_is_mounted_inside_proc() {
    in_each_mode(|lab| {
        lab.link("image/way", "proc/self");
        let mut rootfs = lab.rootfs();
        add(&mut rootfs, "proc", "proc", "/proc", &[]);
        rootfs.default_devices = false;
        let mut direct = rootfs.clone();
        add(&mut direct, "tmpfs", "", "/proc/self/attr", &[]);
        assert_eq!(direct.prepare(&lab.mode.host).unwrap_err().kind(), ErrorKind::Refused);
        add(&mut rootfs, "tmpfs", "", "/way/attr", &[]);
        let failure = lab.run(&rootfs, "true").unwrap_err();
        assert!(failure.to_string().contains("not inside a procfs: EXDEV"), "{failure}");
        // What is no procfs does not pass for one.
        let mut fake = lab.rootfs();
        lab.write("volume/self/stat", "");
        let volume = lab.dir.join("volume");
        add(&mut fake, "bind", volume.to_str().unwrap(), "/proc", &["rbind"]);
        fake.default_devices = false;
        let failure = lab.run(&fake, "true").unwrap_err();
        assert!(failure.to_string().contains("verify the file system: ESTALE"), "{failure}");
    });
}

#[test]
#[ignore = "mounts as root: `cargo xtask test` runs it in a guest"]
fn a_mask_is_the_hosts_null() {
    in_each_mode(|lab| {
        lab.write("image/dev/null", "the image's own");
        lab.write("image/etc/secret", "s3cret");
        let mut rootfs = lab.rootfs();
        rootfs.default_devices = false;
        rootfs.masked = vec!["/etc/secret".into()];
        let output = lab.output(&rootfs, "stat -c %t:%T /etc/secret; cat /dev/null");
        assert_eq!(output, "1:3\nthe image's own", "{}", lab.mode.name);
    });
}

#[test]
#[ignore = "mounts as root: `cargo xtask test` runs it in a guest"]
fn propagation_is_what_was_asked() {
    in_each_mode(|lab| {
        lab.write("volume/mark", "");
        let volume = lab.dir.join("volume");
        let volume = volume.to_str().unwrap();
        let mut rootfs = lab.rootfs();
        add(&mut rootfs, "proc", "", "/proc", &[]);
        rootfs.default_devices = false;
        // Optional fields of mountinfo: one for each peer group, then a dash.
        let script = r#"awk '$5 != "/proc" { print $5, ($7 == "-") ? "none" : $7 }' /proc/self/mountinfo"#;
        add(&mut rootfs, "bind", volume, "/default", &["rbind"]);
        let output = lab.output(&rootfs, script);
        assert_eq!(output, "/ none\n/default none\n", "{}", lab.mode.name);

        let group = host_group(lab);
        add(&mut rootfs, "bind", volume, "/private", &["rbind", "private"]);
        add(&mut rootfs, "bind", volume, "/slave", &["rbind", "rslave"]);
        rootfs.propagation = "slave".parse().unwrap();
        let output = lab.output(&rootfs, script);
        let expected = format!("/ master:{group}\n/default none\n/private none\n/slave master:{group}\n");
        assert_eq!(output, expected, "{}", lab.mode.name);

        rootfs.mounts.truncate(2);
        rootfs.propagation = Propagation { kind: PropagationKind::Shared, recursive: false };
        let output = lab.output(&rootfs, script);
        let own = output.strip_prefix("/ shared:").unwrap_or_else(|| panic!("{output}"));
        assert!(!own.starts_with(&format!("{group}\n")), "the root is a peer of the host's: {output}");
        assert!(own.ends_with("\n/default none\n"), "{output}");
    });
}

#[test]
#[ignore = "mounts as root: `cargo xtask test` runs it in a guest"]
fn a_shared_volume_reaches_the_host() {
    in_each_mode(|lab| {
        // In a user namespace, and without detached trees, the kernel lets nothing out.
        let by_path = lab.mode.name.contains("by path") || lab.mode.host.api() == Api::Mount;
        let reaches = !by_path;
        for (option, reaches) in [("rshared", reaches), ("rslave", false), ("rprivate", false)] {
            lab.write("volume/mount/mark", "");
            let mut rootfs = lab.rootfs();
            add(&mut rootfs, "bind", lab.dir.join("volume").to_str().unwrap(), "/volume", &["rbind", option]);
            rootfs.default_devices = false;
            lab.output(&rootfs, "mount -t tmpfs none /volume/mount && touch /volume/mount/new");
            let below = lab.dir.join("volume/mount");
            assert_eq!(!below.join("mark").exists(), reaches, "{} {option}", lab.mode.name);
            if reaches {
                untmpfs(&below);
            }
        }
    });
}

#[test]
#[ignore = "mounts as root: `cargo xtask test` runs it in a guest"]
fn devices_and_links() {
    in_each_mode(|lab| {
        let mut rootfs = usual(lab);
        rootfs.devices = vec![Device::char("/dev/own/zero", 1, 5)];
        if lab.mode.user.is_some() {
            let error = rootfs.prepare(&lab.mode.host).unwrap_err();
            assert_eq!(error.errno(), Some(cofferdam_sys::Errno::ENOENT), "{error}");
            rootfs.devices = vec![Device::char("/dev/null", 1, 5)];
            let error = rootfs.prepare(&lab.mode.host).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WrongSource);
            rootfs.devices.clear();
        } else {
            let mut device = Device::char("/dev/own/zero", 1, 5);
            (device.mode, device.uid, device.gid) = (0o6640, 7, 8);
            rootfs.devices = vec![device];
            let output = lab.output(&rootfs, "stat -c '%t:%T %a %u:%g' /dev/own/zero");
            assert_eq!(output, "1:5 6640 7:8\n");
        }
        let mut fifo = Device::char("/dev/fifo", 0, 0);
        fifo.kind = DeviceKind::Fifo;
        rootfs.devices = vec![fifo];
        let script = "for node in null zero full random urandom tty; do stat -c %t:%T /dev/$node; done
            stat -c %F /dev/fifo; echo through | cat /dev/stdin";
        let output = lab.output(&rootfs, script);
        assert_eq!(output, "1:3\n1:5\n1:7\n1:8\n1:9\n5:0\nfifo\nthrough\n", "{}", lab.mode.name);
    });
}

#[test]
#[ignore = "mounts as root: `cargo xtask test` runs it in a guest"]
fn a_bound_dev_is_left_alone() {
    in_each_mode(|lab| {
        lab.write("volume/mark", "");
        let mut rootfs = lab.rootfs();
        add(&mut rootfs, "bind", lab.dir.join("volume").to_str().unwrap(), "/dev", &["rbind"]);
        assert_eq!(lab.output(&rootfs, "ls -A /dev"), "mark\n");
    });
}

#[test]
#[ignore = "mounts as root: `cargo xtask test` runs it in a guest"]
fn the_hosts_cgroup_layout() {
    in_each_mode(|lab| {
        let mut rootfs = usual(lab);
        add(&mut rootfs, "cgroup", "cgroup", "/sys/fs/cgroup", &["nosuid", "noexec", "nodev", "ro"]);
        let output =
            lab.output(&rootfs, &format!("{TRY} ls /sys/fs/cgroup; try new mkdir /sys/fs/cgroup/new"));
        let mut names: Vec<_> = output.lines().collect();
        assert_eq!(names.pop(), Some("new: Read-only file system"), "{}", lab.mode.name);
        if names.contains(&"cgroup.procs") {
            return;
        }
        let mut host: Vec<String> = fs::read_dir("/sys/fs/cgroup")
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        host.sort();
        assert_eq!(names, host, "{}", lab.mode.name);
    });
}

#[test]
#[ignore = "mounts as root: `cargo xtask test` runs it in a guest"]
fn no_links_are_followed_where_asked() {
    in_each_mode(|lab| {
        lab.write("volume/file", "data");
        lab.link("volume/link", "file");
        let mut rootfs = lab.rootfs();
        add(
            &mut rootfs,
            "bind",
            lab.dir.join("volume").to_str().unwrap(),
            "/volume",
            &["bind", "nosymfollow"],
        );
        add(&mut rootfs, "tmpfs", "", "/tmp", &["nosymfollow"]);
        rootfs.default_devices = false;
        let script = "try bind cat /volume/link; cat /volume/file > /tmp/file; cd /tmp
            /bin/busybox ln -s file link; try tmpfs cat /tmp/link";
        let output = lab.output(&rootfs, &format!("{TRY}{script}"));
        let refused = "Too many levels of symbolic links";
        assert_eq!(output, format!("bind: {refused}\ntmpfs: {refused}\n"), "{}", lab.mode.name);
    });
}

#[test]
#[ignore = "mounts as root: `cargo xtask test` runs it in a guest"]
fn a_hundred_mounts_fit() {
    in_each_mode(|lab| {
        let mut rootfs = lab.rootfs();
        rootfs.default_devices = false;
        add(&mut rootfs, "proc", "proc", "/proc", &[]);
        for number in 0..100 {
            add(&mut rootfs, "tmpfs", "", &format!("/mount/{number}"), &["ro"]);
            rootfs.masked.push(format!("/mount/{number}").into());
        }
        assert_eq!(lab.output(&rootfs, "grep -c /mount/ /proc/self/mountinfo"), "200\n");
    });
}

#[test]
#[ignore = "mounts as root: `cargo xtask test` runs it in a guest"]
fn a_wrong_parameter_is_named() {
    require();
    in_mode(modes()[0], |lab| {
        let mut rootfs = lab.rootfs();
        rootfs.default_devices = false;
        add(&mut rootfs, "tmpfs", "tmpfs", "/tmp", &["sise=1"]);
        let failure = lab.run(&rootfs, "true").unwrap_err();
        let Failure::Step { about, errno, .. } = failure else { panic!("{failure}") };
        assert_eq!(about, "mount tmpfs on /tmp: set sise=1");
        assert_eq!(errno, cofferdam_sys::Errno::EINVAL);
    });
}

/// Mounts a tmpfs on the test's own host.
fn tmpfs(path: &Path) {
    let path = CString::new(path.to_str().unwrap()).unwrap();
    mount(Some(c"none"), &path, Some(c"tmpfs"), MountFlags::empty(), Some(c"mode=777")).unwrap();
}

fn untmpfs(path: &Path) {
    let path = CString::new(path.to_str().unwrap()).unwrap();
    umount2(&path, Unmount::empty()).unwrap();
}

/// The peer group of the host's mount that the image is on.
fn host_group(lab: &Lab) -> String {
    let point = |line: &str| line.split(' ').nth(4).unwrap_or_default().to_owned();
    let around = mounts().into_iter().filter(|line| lab.dir.starts_with(point(line)));
    // The deepest one, and the last of those that are stacked.
    let mount = around.max_by_key(|line| point(line).len()).unwrap();
    let shared = mount.split(' ').find_map(|field| field.strip_prefix("shared:"));
    shared.expect("the test's host is shared").to_owned()
}
