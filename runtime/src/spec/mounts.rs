//! `root` and `mounts`.

use std::path::PathBuf;

use super::{LinuxIdMapping, shape};

shape::objects! {
    /// The root file system.
    #[derive(Eq, Default)]
    pub struct Root {
        /// Its directory, absolute or in the bundle.
        pub path: PathBuf = "path",
        /// Whether it is mounted read-only.
        pub readonly: Option<bool> = "readonly",
    }

    /// One mount.
    #[derive(Eq, Default)]
    pub struct Mount {
        /// Where it goes, a path in the container.
        pub destination: PathBuf = required "destination",
        /// The type of the file system.
        pub typ: Option<String> = "type",
        /// A device, a directory or a name.
        pub source: Option<PathBuf> = "source",
        /// Options as in `fstab(5)`.
        pub options: Vec<String> = "options",
        /// How its user ids are mapped.
        pub uid_mappings: Vec<LinuxIdMapping> = "uidMappings",
        /// How its group ids are mapped.
        pub gid_mappings: Vec<LinuxIdMapping> = "gidMappings",
    }
}
