//! The guest's side of the lab: PID 1, and the process of each single case.

pub mod case;
pub mod cgroups;
pub mod channel;
pub mod cmdline;
mod commands;
pub mod disk;
mod exec;
pub mod facilities;
pub mod facts;
pub mod init;
mod leaks;
pub mod modules;
pub mod mounts;
mod output;
pub mod paths;
pub mod processes;
mod root;
pub mod shell;
mod supervise;
