//! The lab: from tests to guests, and from what guests say to reports.

pub mod build;
pub mod cancel;
pub mod collect;
pub mod criu;
pub mod guest;
pub mod ledger;
pub mod limits;
pub mod plan;
pub mod progress;
pub mod report;
pub mod results;
pub mod run;
pub mod runtime;
pub mod schedule;
pub mod select;
pub mod session;
pub mod single;
pub mod terminal;
