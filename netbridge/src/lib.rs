#![doc = include_str!("../README.md")]

mod address;
pub mod devices;
pub mod error;
mod link;
mod message;
pub mod name;
mod route;

use cofferdam_sys::plan::{Plan, Step};

pub use devices::{Move, Moved};
pub use error::{Error, ErrorKind};
pub use name::{InterfaceName, NewName};

/// Adds the step that brings the loopback device of the child's network namespace up.
///
/// A new network namespace has it down, and programs that talk to `127.0.0.1` or `::1` fail. Needs
/// `CAP_NET_ADMIN` over the namespace, so it belongs before the steps that give up capabilities.
pub fn loopback_up(plan: &mut Plan) {
    let name = InterfaceName::loopback();
    plan.push(format!("bring the interface {name} up"), Step::InterfaceUp(name.as_str().into()));
}
