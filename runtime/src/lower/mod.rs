//! From the words of the OCI spec to plain data, with every refusal naming its JSON path.

mod devices;
mod hooks;
mod lists;
mod mounts;
mod namespaces;
mod net_devices;
mod process;
mod rdt;
mod resources;
mod scheduling;
mod seccomp;
mod sysctl;
mod unsupported;

use crate::bundle::Bundle;
use crate::{Container, ContainerId, Error, Result};

/// Checks a bundle's config and lowers it.
///
/// # Errors
/// [`crate::ErrorKind::Config`] for what is wrong, [`crate::ErrorKind::Unsupported`] for what this build
/// does not enforce.
pub fn lower(bundle: &Bundle, id: &ContainerId) -> Result<Container> {
    let spec = &bundle.spec;
    unsupported::refuse(spec)?;
    let linux = spec.linux.as_ref().ok_or_else(|| Error::config("linux", "is missing"))?;
    let namespaces = namespaces::lower(linux)?;
    let sysctl = sysctl::lower(linux, &namespaces)?;
    let net_devices = net_devices::lower(linux, &namespaces)?;
    let hostname = namespaces::uts_name("hostname", spec.hostname.as_deref(), &namespaces)?;
    let domainname = namespaces::uts_name("domainname", spec.domainname.as_deref(), &namespaces)?;
    let mount_label = mounts::label(linux)?;
    Ok(Container {
        oci_version: spec.version.clone(),
        annotations: spec.annotations.clone(),
        bundle: bundle.dir.clone(),
        hooks: hooks::lower(spec)?,
        process: process::lower(spec)?,
        rootfs: mounts::lower(bundle, linux, mount_label.as_ref(), &namespaces)?,
        mount_label,
        cgroup: resources::lower(linux, id)?,
        rdt: rdt::lower(linux)?,
        new_namespaces: namespaces.new,
        join_namespaces: namespaces.join,
        ids: namespaces.ids,
        clocks: namespaces.clocks,
        domain: scheduling::domain(linux)?,
        hostname,
        domainname,
        sysctl,
        net_devices,
        seccomp: seccomp::lower(bundle, linux)?,
    })
}

/// Checks a process that is to be run in a container that there is, and lowers it.
///
/// # Errors
/// As [`lower()`]; the paths in messages are those of `config.json`.
pub(crate) fn lower_process(process: &crate::spec::Process) -> Result<crate::Process> {
    process::lower_process(process)
}

/// How the processes of a config's container see the machine.
pub(crate) fn domain(spec: &crate::spec::Spec) -> Result<crate::container::Domain> {
    spec.linux.as_ref().map_or(Ok(crate::container::Domain::default()), scheduling::domain)
}

/// The system call filter of a config.
pub(crate) fn lower_seccomp(bundle: &Bundle) -> Result<Option<crate::container::Seccomp>> {
    bundle.spec.linux.as_ref().map_or(Ok(None), |linux| seccomp::lower(bundle, linux))
}

/// The hooks of a config.
pub(crate) fn hooks(spec: &crate::spec::Spec) -> Result<crate::hooks::Hooks> {
    hooks::lower(spec)
}

/// The control group of a config.
pub(crate) fn cgroup(bundle: &Bundle, id: &ContainerId) -> Result<crate::CgroupPlan> {
    let linux = bundle.spec.linux.as_ref().ok_or_else(|| Error::config("linux", "is missing"))?;
    resources::lower(linux, id)
}

/// Checks resources that change a container's, and lowers them.
pub(crate) fn limits(resources: &crate::spec::LinuxResources) -> Result<cofferdam_cgroup::Limits> {
    resources::limits(resources)
}

#[cfg(feature = "cli")]
pub(crate) use process::KEEP_GROUPS;

#[cfg(test)]
mod tests;
