//! Which module files a guest needs, and in which order they load.
//!
//! Packages carry no `modules.dep`, so the order comes from what the modules say of themselves.

use std::collections::{BTreeMap, BTreeSet};

use super::index::Index;
use super::modinfo::canonical;

/// Parts of the kernel that some kernels have built in. A modules folder without `modules.builtin` cannot tell
/// that from their absence, so these are taken to be there; a test probes for the facility anyway.
const OFTEN_BUILT_IN: [&str; 13] = [
    "crc32c",
    "crc32c_generic",
    "crc32c_cryptoapi",
    "ext4",
    "fuse",
    "jbd2",
    "libcrc32c",
    "mbcache",
    "virtio",
    "virtio_blk",
    "virtio_console",
    "virtio_pci",
    "virtio_ring",
];

/// The modules of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Module files relative to the modules folder, in load order, with the modules' names.
    pub order: Vec<(String, String)>,
    /// Wanted names that this kernel has neither as a module nor built in.
    pub absent: Vec<String>,
}

/// The closure of the wanted modules, in load order; a name can be an alias.
pub fn select(index: &Index, wanted: &[String]) -> Selection {
    let mut walk =
        Walk { index, aliases: index.aliases(), seen: BTreeSet::new(), selection: Selection::default() };
    let wanted: BTreeSet<String> = wanted.iter().map(|name| canonical(name)).collect();
    for name in wanted {
        if !walk.visit(&name) {
            walk.selection.absent.push(name);
        }
    }
    walk.selection
}

struct Walk<'a> {
    index: &'a Index,
    aliases: BTreeMap<&'a str, Vec<&'a str>>,
    seen: BTreeSet<&'a str>,
    selection: Selection,
}

impl<'a> Walk<'a> {
    /// Adds what `name` stands for after everything it depends on; false when nobody has it.
    ///
    /// A module counts as visited from the moment its walk begins, so a cycle ends where it closes.
    fn visit(&mut self, name: &str) -> bool {
        if let Some((name, module)) = self.index.modules.get_key_value(name) {
            if self.seen.insert(name) {
                for before in module.info.soft.iter().chain(&module.info.depends) {
                    // What is missing here is built in, or the load fails and says so.
                    self.visit(before);
                }
                self.selection.order.push((name.clone(), module.path.clone()));
            }
            return true;
        }
        if self.index.builtin.contains(name) {
            return true;
        }
        let named: Vec<&'a str> = self.aliases.get(name).cloned().unwrap_or_default();
        for module in &named {
            self.visit(module);
        }
        !named.is_empty() || (!self.index.knows_builtin && OFTEN_BUILT_IN.contains(&name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::index::Module;
    use crate::image::modinfo::Modinfo;

    /// Name, `depends`, `softdep pre:` and aliases of a module.
    type Row<'a> = (&'a str, &'a [&'a str], &'a [&'a str], &'a [&'a str]);

    fn index(modules: &[Row<'_>]) -> Index {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let module = |(name, depends, soft, aliases): &Row<'_>| {
            let info = Modinfo { depends: owned(depends), soft: owned(soft), aliases: owned(aliases) };
            let path = format!("kernel/{name}.ko");
            ((*name).to_owned(), Module { path, size: 0, changed: 0, info })
        };
        Index {
            modules: modules.iter().map(module).collect(),
            builtin: BTreeSet::from(["fuse".to_owned()]),
            knows_builtin: true,
        }
    }

    fn order(index: &Index, wanted: &[&str]) -> (Vec<String>, Vec<String>) {
        let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
        let selection = select(index, &wanted);
        (selection.order.into_iter().map(|(name, _)| name).collect(), selection.absent)
    }

    #[test]
    fn dependencies_come_first_and_once() {
        let index = index(&[
            ("nf_nat", &["nf_conntrack", "libcrc32c"], &[], &[]),
            ("nf_conntrack", &["nf_defrag", "libcrc32c"], &[], &[]),
            ("nf_defrag", &[], &[], &[]),
            ("libcrc32c", &[], &["crc32c"], &[]),
            ("crc32c_generic", &[], &[], &["crc32c", "crypto_crc32c"]),
            ("unrelated", &[], &[], &[]),
        ]);
        let (order, absent) = order(&index, &["nf-nat", "nf_conntrack", "nf_nat"]);
        assert_eq!(order, ["nf_defrag", "crc32c_generic", "libcrc32c", "nf_conntrack", "nf_nat"]);
        assert!(absent.is_empty());
    }

    #[test]
    fn a_cycle_ends() {
        let index = index(&[("a", &["b"], &[], &[]), ("b", &[], &["c"], &[]), ("c", &["a"], &[], &[])]);
        assert_eq!(order(&index, &["a"]).0, ["c", "b", "a"]);
        assert_eq!(order(&index, &["b", "c"]).0.len(), 3);
    }

    #[test]
    fn absent_built_in_and_aliased_names_are_told_apart() {
        let mut index = index(&[("dummy", &["gone"], &[], &["rtnl_link_dummy"])]);
        let (found, absent) = order(&index, &["rtnl-link-dummy", "fuse", "smack", "ext4"]);
        assert_eq!((found, absent), (vec!["dummy".to_owned()], vec!["ext4".to_owned(), "smack".to_owned()]));
        index.knows_builtin = false;
        assert_eq!(order(&index, &["ext4", "smack"]).1, ["smack"]);
    }
}
