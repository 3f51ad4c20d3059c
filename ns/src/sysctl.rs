//! Kernel parameters that a namespace holds (`sysctl(8)`), and why the others are refused.

use std::ffi::CString;

use cofferdam_sys::plan::{At, Plan, Step};

use crate::{Error, NsKind};

/// The parameters of the IPC namespace outside `fs.mqueue.` (`ipc_namespaces(7)`).
const IPC: [&str; 8] = ["msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced"];

/// The parameters of the UTS namespace (`uts_namespaces(7)`).
const UTS: [&str; 2] = ["hostname", "domainname"];

/// Parameters that are often asked for, and what they would do.
const REFUSED: [(&str, &str); 15] = [
    ("kernel.core_pattern", "it names a program that the host's kernel runs as root"),
    ("kernel.modprobe", "it names a program that the host's kernel runs as root"),
    ("kernel.hotplug", "it names a program that the host's kernel runs as root"),
    ("kernel.poweroff_cmd", "it names a program that the host's kernel runs as root"),
    ("kernel.sysrq", "it lets the console reset the whole machine"),
    ("kernel.pid_max", "it is the whole machine's before Linux 6.14"),
    ("kernel.ns_last_pid", "it is for checkpoint and restore only"),
    ("kernel.msg_next_id", "it is for checkpoint and restore only"),
    ("kernel.sem_next_id", "it is for checkpoint and restore only"),
    ("kernel.shm_next_id", "it is for checkpoint and restore only"),
    ("kernel.randomize_va_space", "it weakens every process of the machine"),
    ("vm.overcommit_memory", "it is the whole machine's; limit memory by the cgroup"),
    ("vm.swappiness", "it is the whole machine's; use memory.swap.max of the cgroup"),
    ("vm.max_map_count", "it is the whole machine's; set it on the host"),
    ("fs.file-max", "it is the whole machine's; use RLIMIT_NOFILE"),
];

/// A parameter that belongs to a namespace, ready to be written by the child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    kind: NsKind,
    path: String,
}

impl Parameter {
    /// Checks a name as `sysctl(8)` takes it.
    ///
    /// In `net.ipv4.conf.eth0/1.forwarding` a `/` stands for a `.` in the interface's name; in
    /// `net/ipv4/conf/eth0.1/forwarding`, where the first separator is a `/`, both stand for themselves.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] for what is no name, and for a parameter of the whole machine with the
    /// reason why it is not to be had.
    pub fn parse(name: &str) -> Result<Self, Error> {
        let path = path(name)
            .ok_or_else(|| Error::invalid(format!("`{}` is no name of a kernel parameter", shown(name))))?;
        match namespace_of(&path) {
            Some(kind) => Ok(Self { kind, path }),
            None => Err(refuse(&path)),
        }
    }

    /// The kind of namespace that holds it. Without one of its own, a child would change its parent's.
    pub fn namespace(&self) -> NsKind {
        self.kind
    }

    /// Its path below `/proc/sys`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Adds the step that writes it; to come after the namespaces are made and before the root is changed.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] for a value with a line break, NUL or more than a page.
    pub fn lower(&self, value: &str, plan: &mut Plan) -> Result<(), Error> {
        /// What the kernel takes in one write.
        const MOST: usize = 4095;
        if value.len() > MOST || value.contains(['\0', '\n']) {
            return Err(Error::invalid(format!(
                "{}: the value has a line break or NUL, or more than {MOST} bytes",
                self.path
            )));
        }
        let path = CString::new(format!("/proc/sys/{}", self.path))
            .map_err(|_| Error::invalid("the name of a kernel parameter holds NUL"))?;
        let data = value.as_bytes().to_vec();
        // The files of these two are the host root's; the calls ask for rights over the namespace.
        let step = match self.path.as_str() {
            "kernel/hostname" => Step::HostName(data),
            "kernel/domainname" => Step::DomainName(data),
            _ => Step::Write { dir: At::Cwd, path, data },
        };
        plan.push(format!("set the kernel parameter {}", self.path), step);
        Ok(())
    }
}

/// The path below `/proc/sys`; `None` for what could leave it.
fn path(name: &str) -> Option<String> {
    let slashes =
        name.find(['.', '/']).is_some_and(|at| name.get(at..).is_some_and(|rest| rest.starts_with('/')));
    let swapped = |c| match c {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    let path: String = if slashes { name.to_owned() } else { name.chars().map(swapped).collect() };
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && !part.ends_with('.')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
    };
    (path.contains('/') && path.len() < 256 && path.split('/').all(plain)).then_some(path)
}

fn namespace_of(path: &str) -> Option<NsKind> {
    let (top, rest) = path.split_once('/')?;
    match top {
        "net" => Some(NsKind::Network),
        "fs" if rest.starts_with("mqueue/") => Some(NsKind::Ipc),
        "kernel" if IPC.contains(&rest) => Some(NsKind::Ipc),
        "kernel" if UTS.contains(&rest) => Some(NsKind::Uts),
        "user" if rest.starts_with("max_") => Some(NsKind::User),
        _ => None,
    }
}

fn refuse(path: &str) -> Error {
    let name = path.replace('/', ".");
    let known = REFUSED.iter().find(|(known, _)| *known == name).map(|(_, why)| *why);
    let why = known.unwrap_or("it belongs to no namespace, so it would change the whole machine");
    Error::invalid(format!("{}: {why}", shown(&name)))
}

fn shown(name: &str) -> String {
    name.chars().take(80).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_parameter_knows_its_namespace() {
        let kind = |name: &str| Parameter::parse(name).unwrap().namespace();
        for name in IPC {
            assert_eq!(kind(&format!("kernel.{name}")), NsKind::Ipc);
        }
        assert_eq!(kind("kernel.hostname"), NsKind::Uts);
        assert_eq!(kind("kernel/domainname"), NsKind::Uts);
        assert_eq!(kind("fs.mqueue.msg_max"), NsKind::Ipc);
        assert_eq!(kind("net.ipv4.ip_forward"), NsKind::Network);
        assert_eq!(kind("user.max_user_namespaces"), NsKind::User);
    }

    #[test]
    fn both_separators_are_those_of_sysctl() {
        let path = |name: &str| Parameter::parse(name).unwrap().path().to_owned();
        let wanted = "net/ipv4/conf/eth0.1/forwarding";
        assert_eq!(path("net.ipv4.conf.eth0/1.forwarding"), wanted);
        assert_eq!(path("net/ipv4/conf/eth0.1/forwarding"), wanted);
    }

    #[test]
    fn others_are_refused_by_name() {
        let message = |name: &str| Parameter::parse(name).unwrap_err().to_string();
        assert_eq!(
            message("kernel.core_pattern"),
            "kernel.core_pattern: it names a program that the host's kernel runs as root"
        );
        assert!(message("vm/dirty_ratio").starts_with("vm.dirty_ratio: it belongs to no namespace"));
        assert!(message("fs.mqueue").contains("no namespace"));
        for bad in ["", "net", "net..x", "net/../kernel/sysrq", "net./x", ".net.x", "net.x\n", "net.\u{e4}"] {
            assert!(message(bad).contains("is no name"), "{bad}: {}", message(bad));
        }
        for (name, why) in REFUSED {
            assert!(message(name).ends_with(why), "{name}");
        }
    }

    #[test]
    fn values_are_one_line() {
        use cofferdam_sys::plan::Exec;
        let mut plan = Plan::new(Exec { candidates: vec![], args: vec![], env: vec![] });
        let parameter = Parameter::parse("kernel.sem").unwrap();
        parameter.lower("250 32000 32 128", &mut plan).unwrap();
        assert_eq!(&*plan.entries().first().unwrap().about, "set the kernel parameter kernel/sem");
        assert!(parameter.lower("1\n2", &mut plan).is_err());
    }

    proptest! {
        #[test]
        fn nothing_leaves_proc_sys(name in "(net|kernel|fs|user)?[./a-z_\\-0-9]{0,30}|\\PC{0,20}") {
            if let Ok(parameter) = Parameter::parse(&name) {
                let path = std::path::Path::new(parameter.path());
                let normal = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
                prop_assert!(normal && path.is_relative(), "{name} became {}", path.display());
                prop_assert!(["net/", "kernel/", "fs/", "user/"].iter().any(|top| parameter.path().starts_with(top)));
            }
        }
    }
}
