//! What is kept of a container between two commands.
//!
//! ```text
//! ROOT/            made with mode 0700; /run/cofferdam, or $XDG_RUNTIME_DIR/cofferdam without root
//!   ID/            made with mkdir(2), and its maker's who locks it while it is empty; locked for each change of state
//!     state.json   who the container is; replaced by rename(2), so that it is read without a lock
//!     config.json  the bundle's as it was at the creation; later changes of the bundle do not matter
//!     start        the socket that a created container waits at
//! ```
//! The status is never stored: it is worked out from what the kernel says at the moment.
//!
//! Files are not synced to the disk. The state describes processes, which do not outlive a crash of the
//! machine either; the boot's id in it keeps an old one from being believed.

mod directory;
mod process;
mod record;
mod root;
mod status;
mod time;

pub use record::{Init, Record};
pub(crate) use root::is_root_of_machine;
pub use root::{StateRoot, default_root};
pub use status::{State, Status};

pub(crate) use directory::{Directory, Locked};
pub(crate) use process::identify;
pub(crate) use record::{RdtPlace, VERSION};
pub(crate) use time::now;
