//! The container's group of `resctrl`.

use cofferdam_cgroup::{RdtGroup, Resctrl, Schemata};

use crate::container::Rdt;
use crate::state::RdtPlace;
use crate::{ContainerId, Error, ErrorKind, Result};

/// Where the group is, and what is to be set there, before it is made.
pub(crate) struct RdtPlan {
    group: RdtGroup,
    schemata: Vec<Schemata>,
    active: bool,
}

impl RdtPlan {
    /// Looks for the place, and at what is there.
    pub(crate) fn find(rdt: &Rdt, id: &ContainerId) -> Result<Self> {
        Self::on(&Resctrl::find().map_err(|error| failed("", &error))?, rdt, id)
    }

    fn on(resctrl: &Resctrl, rdt: &Rdt, id: &ContainerId) -> Result<Self> {
        for (field, event) in &rdt.events {
            if !resctrl.measures(event) {
                return Err(failed(&format!(".{field}"), &format!("this machine does not measure {event}")));
            }
        }
        let class = rdt.class.as_deref();
        let monitor = rdt.monitor.then_some(id.as_str());
        let group = resctrl.group(class.unwrap_or(id.as_str()), monitor);
        let group = group.map_err(|error| failed(".closID", &error))?;
        let mut schemata = rdt.schemata.clone();
        let shown = group.class.display();
        match class {
            None if !group.made => {
                let what = format!("linux.intelRdt: the resctrl group {shown} is there already");
                return Err(Error::new(ErrorKind::Exists, what).with_hint("name it in closID to use it"));
            }
            Some(_) if group.made && schemata.is_empty() => {
                return Err(failed(
                    ".closID",
                    &format!("there is no {shown}, and nothing says what it would be"),
                ));
            }
            Some(_) if !group.made => {
                let there = group.schemata().map_err(|error| failed("", &error))?;
                if let Some(why) = schemata.iter().find_map(|wanted| there.differs_from(wanted)) {
                    return Err(failed("", &format!("{shown} is another class: {why}")));
                }
                schemata.clear();
            }
            _ => {}
        }
        Ok(Self { group, schemata, active: false })
    }

    /// What another command needs to find it again.
    pub(crate) fn place(&self) -> RdtPlace {
        let RdtGroup { class, made, monitor } = self.group.clone();
        RdtPlace { class, made, monitor }
    }

    /// Makes it, and has a child that waits in it.
    pub(crate) fn attach(&mut self, pid: i32) -> Result<()> {
        self.group.create(&self.schemata).map_err(|error| failed("", &error))?;
        self.active = true;
        self.group.add(pid).map_err(|error| failed("", &error))
    }

    /// Removes what was made for a container that did not come to be.
    pub(crate) fn undo(self) -> Result<()> {
        if self.active { remove(&self.place()) } else { Ok(()) }
    }
}

/// Moves a process that joins a container into its group.
pub(crate) fn join(place: &RdtPlace, pid: i32) -> Result<()> {
    group(place).add(pid).map_err(|error| failed("", &error))
}

/// Removes the group of a container that has ended.
pub(crate) fn remove(place: &RdtPlace) -> Result<()> {
    group(place).remove().map_err(|error| Error::new(ErrorKind::System, error.to_string()))
}

fn group(place: &RdtPlace) -> RdtGroup {
    let RdtPlace { class, made, monitor } = place.clone();
    RdtGroup { class, made, monitor }
}

fn failed(field: &str, why: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Start, format!("linux.intelRdt{field}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Directories that look like a resctrl with the class `gold`.
    fn tree() -> (tempfile::TempDir, Resctrl) {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("gold/schemata", "  L3:0=ff;1=ff\n  MB:0=100\n"),
            ("gold/tasks", ""),
            ("info/L3_MON/mon_features", "llc_occupancy\n"),
        ] {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let resctrl = Resctrl::at(dir.path());
        (dir, resctrl)
    }

    fn plan(resctrl: &Resctrl, class: Option<&str>, lines: &str) -> Result<RdtPlan> {
        let schemata = [lines].into_iter().filter(|lines| !lines.is_empty());
        let schemata = schemata.map(|lines| Schemata::parse(lines).unwrap()).collect();
        let rdt = Rdt { class: class.map(str::to_owned), schemata, monitor: false, events: Vec::new() };
        RdtPlan::on(resctrl, &rdt, &"box".parse().unwrap())
    }

    #[test]
    fn a_class_that_is_there_must_be_as_the_config_says() {
        let (dir, resctrl) = tree();
        let mut alike = plan(&resctrl, Some("gold"), "L3:0=0ff").unwrap();
        assert!(!alike.place().made);
        alike.attach(7).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("gold/tasks")).unwrap(), "7\n");
        assert!(fs::read_to_string(dir.path().join("gold/schemata")).unwrap().contains("1=ff"), "untouched");
        alike.undo().unwrap();
        assert!(dir.path().join("gold").is_dir());
        let error = plan(&resctrl, Some("gold"), "L3:1=f").err().unwrap().to_string();
        assert!(error.contains("another class: L3:1 is ff, not f"), "{error}");
        plan(&resctrl, Some("gold"), "").unwrap();
    }

    #[test]
    fn a_class_that_is_not_there_is_made_when_there_is_something_to_set() {
        let (dir, resctrl) = tree();
        let error = plan(&resctrl, Some("none"), "").err().unwrap().to_string();
        assert!(error.starts_with("linux.intelRdt.closID: there is no "), "{error}");
        assert!(plan(&resctrl, Some("new"), "L3:0=f").unwrap().place().made);
        // The container's own, without a name.
        let own = plan(&resctrl, None, "").unwrap();
        assert_eq!(own.place().class, dir.path().join("box"));
        fs::create_dir(dir.path().join("box")).unwrap();
        let error = plan(&resctrl, None, "").err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Exists);
        assert!(plan(&resctrl, Some("../x"), "").is_err());
    }

    #[test]
    fn what_was_made_is_unmade_by_the_start_that_fails_and_by_delete() {
        let (dir, resctrl) = tree();
        // The kernel would have made `tasks`.
        let mut plan = plan(&resctrl, None, "").unwrap();
        assert!(plan.attach(7).unwrap_err().to_string().contains("box/tasks"));
        let place = plan.place();
        assert!(place.class.is_dir());
        plan.undo().unwrap();
        assert!(!place.class.exists());
        fs::create_dir(&place.class).unwrap();
        remove(&place).unwrap();
        assert!(!dir.path().join("box").exists());
    }

    #[test]
    fn events_that_are_not_measured_are_refused() {
        let (_dir, resctrl) = tree();
        let with = |events| Rdt { class: None, schemata: Vec::new(), monitor: true, events };
        let on = |rdt: &Rdt| RdtPlan::on(&resctrl, rdt, &"box".parse().unwrap());
        let measured = on(&with(vec![("enableCMT", "llc_occupancy")])).unwrap();
        assert!(measured.place().monitor.unwrap().ends_with("box/mon_groups/box"));
        let error = on(&with(vec![("enableMBM", "mbm_total_bytes")])).err().unwrap().to_string();
        assert!(error.starts_with("linux.intelRdt.enableMBM: this machine does not measure"), "{error}");
    }
}
