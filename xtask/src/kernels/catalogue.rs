//! The kernel series that the lab knows, read from `catalogue.json` beside this file.

use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::collections::BTreeMap;

use super::{Flavour, KernelSpec};
use crate::fail;

/// Which of the two archives of a Debian mirror serves a suite.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Archive {
    /// The archive of releases and backports.
    Main,
    /// The archive of security updates, which has an address of its own.
    Security,
}

/// One kernel series.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// The first two numbers of the version.
    #[serde(rename = "series")]
    pub name: String,
    /// The suites whose newest version counts.
    pub suites: Vec<String>,
    /// Offered only while the index has all of its packages.
    #[serde(default)]
    pub optional: bool,
}

/// All series, oldest first, and the suites they come from.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// Suites by name, with the archive that serves each.
    pub suites: BTreeMap<String, Archive>,
    /// Series run when none is named; `newest` stands for the last required one.
    default: Vec<String>,
    /// Every series, oldest first.
    pub series: Vec<Series>,
}

impl Catalogue {
    /// Reads the catalogue that is compiled in.
    ///
    /// # Errors
    ///
    /// When the data file is not what this program expects.
    pub fn load() -> Result<Self> {
        serde_json::from_str(include_str!("catalogue.json")).context("xtask/src/kernels/catalogue.json")
    }

    /// The entry of a series.
    ///
    /// # Errors
    ///
    /// For an unknown series; the message lists the known ones.
    pub fn find(&self, name: &str) -> Result<&Series> {
        self.series.iter().find(|entry| entry.name == name).ok_or_else(|| {
            let known: Vec<&str> = self.series.iter().map(|entry| entry.name.as_str()).collect();
            fail::usage(format!(
                "unknown kernel series `{name}`: known are {} (a flavour is added as in 6.12:rt)",
                known.join(", ")
            ))
        })
    }

    /// The kernels of a run that names none: cloud flavour, oldest first.
    pub fn default_specs(&self) -> Vec<KernelSpec> {
        let newest = self.series.iter().rev().find(|entry| !entry.optional);
        self.default
            .iter()
            .filter_map(|name| match name.as_str() {
                "newest" => newest.map(|entry| entry.name.clone()),
                name => Some(name.to_owned()),
            })
            .map(|series| KernelSpec::new(series, Flavour::Cloud))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_is_there_and_sits_in_known_suites() {
        let catalogue = Catalogue::load().unwrap();
        let names = |optional| {
            let wanted = catalogue.series.iter().filter(|entry| entry.optional == optional);
            wanted.map(|entry| entry.name.as_str()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(false), "5.10 6.1 6.12 6.16 6.17 6.18 7.2 7.3");
        assert_eq!(names(true), "6.19 7.0 7.1");
        for suite in catalogue.series.iter().flat_map(|entry| &entry.suites) {
            assert!(catalogue.suites.contains_key(suite), "{suite} has no archive");
        }
    }

    #[test]
    fn default_kernels_end_with_the_newest() {
        let specs = Catalogue::load().unwrap().default_specs();
        let names: Vec<String> = specs.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["5.10", "6.12", "7.3"]);
    }

    #[test]
    fn unknown_series_lists_the_known_ones() {
        let error = Catalogue::load().unwrap().find("4.19").unwrap_err();
        assert_eq!(fail::exit_code(&error), 2);
        let text = error.to_string();
        assert!(
            text.contains("`4.19`") && text.contains("5.10, 6.1, 6.12") && text.contains("7.3"),
            "{text}"
        );
    }
}
