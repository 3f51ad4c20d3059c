//! What `exec` runs: a whole process, or the config's with other words.

use std::path::PathBuf;

use cofferdam_caps::Cap;

use crate::spec::{Process, Spec, User};
use crate::{Error, ErrorKind, Result};

/// What `exec` runs.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ExecProcess {
    /// This process and nothing of the config's.
    Whole(Box<Process>),
    /// The config's process with these changes.
    Changed(ExecArgs),
}

/// Changes of the config's process.
#[derive(Debug, Clone, Default)]
pub struct ExecArgs {
    /// The arguments, the program's name first.
    pub args: Vec<String>,
    /// The working directory.
    pub cwd: Option<PathBuf>,
    /// Entries that are added to the environment.
    pub env: Vec<String>,
    /// User id, and group id where one is given.
    pub user: Option<(u32, Option<u32>)>,
    /// Groups that are added.
    pub additional_gids: Vec<u32>,
    /// Whether it gets a terminal.
    pub tty: bool,
    /// Capabilities that are added.
    pub caps: Vec<String>,
    /// The AppArmor profile.
    pub apparmor: Option<String>,
    /// The SELinux label.
    pub selinux: Option<String>,
    /// Sets `no_new_privs`.
    pub no_new_privs: bool,
}

impl ExecProcess {
    /// The process for a container with that config.
    pub(super) fn resolve(&self, spec: &Spec) -> Result<Process> {
        match self {
            ExecProcess::Whole(process) => Ok((**process).clone()),
            ExecProcess::Changed(changes) => {
                let process = spec.process.clone();
                changes.apply(process.ok_or_else(|| Error::config("process", "is missing"))?)
            }
        }
    }
}

impl ExecArgs {
    fn apply(&self, mut process: Process) -> Result<Process> {
        if self.args.is_empty() {
            return Err(Error::new(ErrorKind::Usage, "exec: no program is named")
                .with_hint("exec ID PROGRAM [ARGUMENTS], or --process FILE"));
        }
        process.args.clone_from(&self.args);
        process.terminal = Some(self.tty);
        process.console_size = None;
        if let Some(cwd) = &self.cwd {
            process.cwd.clone_from(cwd);
        }
        if !self.env.is_empty() {
            // The last entry of a name wins, so that what is added replaces what the config has.
            let name = |entry: &String| entry.split('=').next().unwrap_or_default().to_owned();
            let names: Vec<String> = self.env.iter().map(name).collect();
            process.env.retain(|entry| !names.contains(&name(entry)));
            process.env.extend(self.env.iter().cloned());
        }
        self.change(&mut process.user);
        if !self.caps.is_empty() {
            self.add_caps(&mut process);
        }
        if let Some(profile) = &self.apparmor {
            process.apparmor_profile = Some(profile.clone());
        }
        if let Some(label) = &self.selinux {
            process.selinux_label = Some(label.clone());
        }
        if self.no_new_privs {
            process.no_new_privileges = Some(true);
        }
        Ok(process)
    }

    fn change(&self, user: &mut User) {
        if let Some((uid, gid)) = self.user {
            user.uid = uid;
            user.gid = gid.unwrap_or(user.gid);
        }
        user.additional_gids.extend(&self.additional_gids);
    }

    fn add_caps(&self, process: &mut Process) {
        let sets = process.capabilities.get_or_insert_default();
        for name in &self.caps {
            // As in a config, where names that are none are left out with a warning.
            for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted] {
                set.push(name.clone());
            }
            // What is inheritable in the config stays so for whoever the process executes.
            let cap = name.parse::<Cap>();
            if cap.is_ok() && sets.inheritable.iter().any(|other| other.parse::<Cap>() == cap) {
                sets.ambient.push(name.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn changed(changes: &ExecArgs) -> Result<serde_json::Value> {
        let process: Process = serde_json::from_value(json!({
            "args": ["sh"], "cwd": "/", "terminal": true, "env": ["A=1", "B=2"],
            "user": { "uid": 1, "gid": 2, "additionalGids": [3] },
            "capabilities": { "bounding": ["CAP_KILL"] },
        }))
        .unwrap();
        changes.apply(process).map(|process| serde_json::to_value(process).unwrap())
    }

    #[test]
    fn what_is_not_said_stays() {
        let plain = changed(&ExecArgs { args: vec!["ls".into()], ..ExecArgs::default() }).unwrap();
        assert_eq!(plain["args"], json!(["ls"]));
        assert_eq!(plain["env"], json!(["A=1", "B=2"]));
        assert_eq!(plain["terminal"], json!(false));
        assert_eq!(plain["user"]["uid"], json!(1));
    }

    #[test]
    fn what_is_said_is_added_or_replaces() {
        let changes = ExecArgs {
            args: vec!["ls".into()],
            cwd: Some("/tmp".into()),
            env: vec!["A=9".into(), "C=3".into()],
            user: Some((7, Some(8))),
            additional_gids: vec![4],
            tty: true,
            caps: vec!["cap_net_raw".into()],
            apparmor: None,
            selinux: Some("a:b:c".into()),
            no_new_privs: true,
        };
        let all = changed(&changes).unwrap();
        assert_eq!(all["env"], json!(["B=2", "A=9", "C=3"]));
        assert_eq!(all["user"], json!({ "uid": 7, "gid": 8, "additionalGids": [3, 4] }));
        assert_eq!(all["capabilities"]["bounding"].as_array().unwrap().len(), 2);
        assert_eq!(all["noNewPrivileges"], json!(true));
        assert_eq!(all["selinuxLabel"], json!("a:b:c"));
    }

    #[test]
    fn faults_are_named() {
        let kind = |changes: &ExecArgs| changed(changes).unwrap_err().kind();
        assert_eq!(kind(&ExecArgs::default()), ErrorKind::Usage);
    }
}
