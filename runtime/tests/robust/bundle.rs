//! The bundle of a scene: a container that sleeps, with the machine's programs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};

/// Makes a root directory that the machine's programs are bound on.
pub(crate) fn fill_rootfs(rootfs: &Path) {
    for name in ["proc", "dev", "usr"] {
        fs::create_dir_all(rootfs.join(name)).unwrap();
    }
    for name in ["bin", "lib", "lib64"] {
        match fs::read_link(Path::new("/").join(name)) {
            Ok(target) => symlink(target, rootfs.join(name)).unwrap(),
            Err(_) => fs::create_dir_all(rootfs.join(name)).unwrap(),
        }
    }
}

/// The config, with a cgroup of that path.
pub(crate) fn config(cgroup: &str) -> Value {
    let caps = ["CAP_KILL"];
    let kinds = ["pid", "network", "ipc", "uts", "mount", "cgroup"].map(|kind| json!({ "type": kind }));
    let mut mounts = vec![
        json!({ "destination": "/proc", "type": "proc", "source": "proc" }),
        json!({ "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"] }),
    ];
    for name in ["/usr", "/bin", "/lib", "/lib64"] {
        if fs::symlink_metadata(name).is_ok_and(|meta| meta.is_dir()) {
            mounts.push(json!({ "destination": name, "source": name, "options": ["rbind", "ro"] }));
        }
    }
    json!({
        "ociVersion": "1.0.2",
        "hostname": "robust",
        "root": { "path": "rootfs", "readonly": true },
        "process": {
            "user": { "uid": 0, "gid": 0 },
            "args": ["/bin/sleep", "1000"],
            "env": ["PATH=/bin"],
            "cwd": "/",
            "noNewPrivileges": true,
            "capabilities": { "bounding": caps, "effective": caps, "permitted": caps },
        },
        "mounts": mounts,
        "linux": {
            "cgroupsPath": cgroup,
            "namespaces": kinds,
            "resources": { "pids": { "limit": 100 } },
            "maskedPaths": ["/proc/kcore"],
            "readonlyPaths": ["/proc/sys"],
        },
    })
}
