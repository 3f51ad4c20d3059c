//! `junit.xml`: one suite a kernel and suite, one case a test and mode.

use std::time::Duration;

use anyhow::{Context as _, Result};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::lab::results::{Results, Row, case_name};
use crate::protocol::Verdict;

/// The report as XML.
///
/// # Errors
/// Text that cannot be written as XML.
pub fn junit(results: &Results) -> Result<String> {
    let mut report = Report::new("vm-test");
    for (kernel, column) in results.kernels.iter().zip(results.columns()) {
        let mut suites: Vec<TestSuite> = Vec::new();
        for row in results.results.iter().filter(|row| row.kernel == column) {
            let name = format!("{column}/{}", row.suite);
            if !suites.iter().any(|suite| suite.name.as_str() == name) {
                let mut suite = TestSuite::new(name.as_str());
                suite.add_property(("release", kernel.release.as_str()));
                suite.add_property(("accel", kernel.accel.as_str()));
                suites.push(suite);
            }
            if let Some(suite) = suites.iter_mut().find(|suite| suite.name.as_str() == name) {
                suite.add_test_case(test_case(row));
            }
        }
        report.add_test_suites(suites);
    }
    let mut xml = report.to_string().context("make junit.xml")?;
    if !xml.ends_with('\n') {
        xml.push('\n');
    }
    Ok(xml)
}

fn test_case(row: &Row) -> TestCase {
    let status = match row.outcome {
        Verdict::Passed => TestCaseStatus::success(),
        Verdict::Skipped => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(row.reason.as_str());
            status
        }
        Verdict::Failed => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(row.reason.lines().next().unwrap_or_default());
            status.set_description(row.reason.as_str());
            status
        }
    };
    let mut case = TestCase::new(case_name(&row.test, &row.mode), status);
    case.set_classname(format!("{}.{}.{}", row.kernel, row.cgroup, row.suite));
    case.set_time(Duration::from_millis(row.ms));
    case
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::results::tests::sample;

    #[test]
    fn counts_and_escapes() {
        let xml = junit(&sample()).unwrap();
        assert!(xml.contains(r#"tests="5" skipped="1" failures="1" errors="0""#), "{xml}");
        assert!(xml.contains(r#"<failure message="a &lt; b &amp;&amp; &quot;c&quot;">"#), "{xml}");
        assert!(xml.contains(r#"<skipped message="needs &lt;statmount&gt;"/>"#), "{xml}");
        assert!(xml.contains(r#"name="mask [control]" classname="5.10.v2.escape" time="0.012""#), "{xml}");
    }

    #[test]
    fn control_characters_do_not_break_the_file() {
        let mut results = sample();
        results.results[2].reason = "bell \u{7} and \u{1b}[31mred".into();
        let xml = junit(&results).unwrap();
        assert!(!xml.contains('\u{7}') && !xml.contains('\u{1b}'), "{xml}");
    }
}
