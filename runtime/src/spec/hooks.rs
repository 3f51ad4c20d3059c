//! `hooks`.

use std::path::PathBuf;

use super::shape;

shape::objects! {
    /// Programs that are run on a container's way.
    #[derive(Eq, Default)]
    pub struct Hooks {
        /// As `createRuntime`; deprecated and still in use.
        pub prestart: Vec<Hook> = "prestart",
        /// Once the namespaces are made, outside.
        pub create_runtime: Vec<Hook> = "createRuntime",
        /// After those, in the namespaces, before the root is changed.
        pub create_container: Vec<Hook> = "createContainer",
        /// Before the program, in the container.
        pub start_container: Vec<Hook> = "startContainer",
        /// Once the program runs, outside.
        pub poststart: Vec<Hook> = "poststart",
        /// Once the container is deleted, outside.
        pub poststop: Vec<Hook> = "poststop",
    }

    /// One of them.
    #[derive(Eq, Default)]
    pub struct Hook {
        /// The program, an absolute path.
        pub path: PathBuf = required "path",
        /// Its arguments, its own name first.
        pub args: Vec<String> = "args",
        /// Its whole environment.
        pub env: Vec<String> = "env",
        /// How many seconds it may take.
        pub timeout: Option<i64> = "timeout",
    }
}
