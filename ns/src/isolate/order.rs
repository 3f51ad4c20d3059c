//! The order in which namespaces are joined.
//!
//! To enter a namespace a process needs `CAP_SYS_ADMIN` over it, which it has through the user namespace that owns
//! it. So what a joined user namespace (or one below it) owns comes after that user namespace, where a process has
//! all capabilities; what an outer one owns comes before, while the caller's rights still count. Of these, the
//! mount namespace is last, as it takes the root directory with it.

use cofferdam_sys::clone::Namespaces;
use cofferdam_sys::plan::Step;

use crate::{Namespace, NsKind, Process};

/// The steps, each with what it is for.
pub(super) fn steps(join: &[Namespace], process: Option<&(Process, Namespaces)>) -> Vec<(String, Step)> {
    let user = join.iter().find(|namespace| namespace.kind() == NsKind::User).cloned();
    let by_process = process.filter(|(_, kinds)| kinds.contains(Namespaces::USER));
    let user = user.or_else(|| by_process.and_then(|(process, _)| process.namespace(NsKind::User).ok()));
    let is_inner = |namespace: &Namespace| {
        user.as_ref().is_some_and(|user| {
            // An owner that is not told is an outer one; the kernel then has the last word.
            namespace.kind() != NsKind::User
                && namespace.owner().ok().flatten().is_some_and(|owner| owner.is_within(user))
        })
    };
    let mut ranked: Vec<(u8, String, Step)> = join
        .iter()
        .map(|namespace| {
            let kind = namespace.kind();
            let place = place(kind, is_inner(namespace));
            let step = Step::JoinNamespace { fd: namespace.at(), kinds: kind.flag() };
            (place, format!("join the {kind} namespace"), step)
        })
        .collect();
    if let Some((process, kinds)) = process {
        let about = format!("join the {kinds} namespaces of process {}", process.pid());
        ranked.push((2, about, Step::JoinNamespace { fd: process.at(), kinds: *kinds }));
    }
    ranked.sort_by_key(|(place, ..)| *place);
    ranked.into_iter().map(|(_, about, step)| (about, step)).collect()
}

fn place(kind: NsKind, inner: bool) -> u8 {
    match (kind, inner) {
        (NsKind::User, _) => 2,
        (NsKind::Mount, false) => 1,
        (_, false) => 0,
        (NsKind::Mount, true) => 4,
        (_, true) => 3,
    }
}
