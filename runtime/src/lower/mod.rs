//! From the words of the OCI spec to plain data, with every refusal naming its JSON path.

mod mounts;
mod namespaces;
mod process;
mod resources;
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
    let linux = spec.linux().as_ref().ok_or_else(|| Error::config("linux", "is missing"))?;
    let namespaces = namespaces::lower(linux)?;
    let sysctl = sysctl::lower(linux, &namespaces)?;
    let hostname = namespaces::uts_name("hostname", spec.hostname().as_deref(), &namespaces)?;
    let domainname = namespaces::uts_name("domainname", spec.domainname().as_deref(), &namespaces)?;
    Ok(Container {
        process: process::lower(spec)?,
        rootfs: mounts::lower(bundle, linux, &namespaces)?,
        cgroup: resources::lower(linux, id)?,
        new_namespaces: namespaces.new,
        join_namespaces: namespaces.join,
        ids: namespaces.ids,
        hostname,
        domainname,
        sysctl,
        seccomp: seccomp::lower(bundle, linux)?,
    })
}

#[cfg(test)]
mod tests;
