//! The runtime when something goes wrong: it is killed at any step, two of it work on one container, the disk
//! is full, what it has kept is damaged, a hook fails.
//!
//! After each, a container or nothing must be there, and after `delete --force` nothing: see [`scene`].
//! The program is used by its command line alone. Containers are made on this machine, which takes root.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod at_once;
mod bundle;
mod damage;
mod disk;
mod hooks;
mod killed;
mod left;
mod order;
mod scene;
mod steps;
mod trace;
