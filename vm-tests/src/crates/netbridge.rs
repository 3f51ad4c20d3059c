//! Tests of `cofferdam-netbridge`.

use super::child;
use crate::registry::{Context, Result, Test};
use cofferdam_ns::{Isolation, Namespaces};

pub(super) const TESTS: &[Test] = &[Test::integration(
    "netbridge::loopback",
    "A new network namespace has its loopback device up when asked, and down when not",
    loopback,
)];

fn loopback(_: &mut Context) -> Result {
    /// The routes of a namespace, 127.0.0.1 among them only while the device is up.
    const ROUTES: &str = "file:/proc/self/net/fib_trie";
    let isolation = Isolation { new: Namespaces::NET, ..Isolation::default() };
    for up in [false, true] {
        let mut plan = child::plan(&["facts", ROUTES])?;
        isolation.lower(&mut plan);
        if up {
            cofferdam_netbridge::loopback_up(&mut plan);
        }
        let facts = child::ask_with(&isolation, None, plan)?;
        ensure_eq!(facts.get(ROUTES)?.contains("127.0.0.1"), up, "a route to 127.0.0.1");
    }
    Ok(())
}
