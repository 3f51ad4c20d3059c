//! Which processors and memory nodes a cgroup really has.

use crate::limits::Partition;
use crate::{Cgroup, Result};

/// What `cpuset` has made of the wishes of a cgroup and of those above it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CpusetState {
    /// The processors that its processes run on (`cpuset.cpus.effective`), as `0-3,8`.
    pub cpus: String,
    /// The memory nodes that they get memory from (`cpuset.mems.effective`).
    pub mems: String,
    /// The processors that are its own for partitions (`cpuset.cpus.exclusive.effective`, Linux 6.7).
    pub exclusive: Option<String>,
    /// What sort of partition it is, or wants to be.
    pub partition: Option<Partition>,
    /// Why it is none although it wants to be (Linux 6.1), as `Cpu list in cpuset.cpus not exclusive`.
    pub invalid: Option<String>,
}

impl Cgroup {
    /// Reads which processors and memory nodes it has; `None` without the controller.
    ///
    /// # Errors
    /// As reading the files.
    pub fn cpuset(&self) -> Result<Option<CpusetState>> {
        let text = |file: &str| {
            let text = self.files().read_if_there(file)?;
            Ok::<_, crate::Error>(text.map(|text| text.trim_end().to_owned()))
        };
        let Some(cpus) = text("cpuset.cpus.effective")? else { return Ok(None) };
        let partition = text("cpuset.cpus.partition")?.unwrap_or_default();
        Ok(Some(CpusetState {
            cpus,
            mems: text("cpuset.mems.effective")?.unwrap_or_default(),
            exclusive: text("cpuset.cpus.exclusive.effective")?,
            partition: Partition::parse(&partition),
            invalid: invalid(&partition),
        }))
    }
}

/// The reason in `root invalid (reason)`.
fn invalid(text: &str) -> Option<String> {
    let (_, rest) = text.split_once(" invalid")?;
    Some(rest.trim().trim_start_matches('(').trim_end_matches(')').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_read() {
        assert_eq!(invalid("root invalid (Cpu list is empty)").as_deref(), Some("Cpu list is empty"));
        assert_eq!(invalid("root invalid").as_deref(), Some(""));
        assert_eq!(invalid("root"), None);
    }
}
