//! Prints the cgroup layout, where this process is in it, what it may do there, and what the kernel has.

use cofferdam_cgroup::{Cgroup, Hierarchy, Positions, Resource, pressure, probe::PROBES};

fn main() -> cofferdam_cgroup::Result<()> {
    let layout = Hierarchy::detect()?;
    let positions = Positions::own()?;
    for mount in layout.v1() {
        let position = positions.v1(mount).map(|position| position.path.display().to_string());
        println!("v1 {mount} on {}: {}", mount.mount.point.display(), position.unwrap_or_default());
    }
    if let Some(mount) = layout.v2() {
        let own = layout.own_position()?;
        println!("v2 on {}: /{}", mount.point.display(), own.display());
        let root = Cgroup::root(&layout)?;
        let cgroup = if own.as_os_str().is_empty() { root } else { root.open(&own)? };
        let may = cgroup.delegation()?;
        println!(
            "here: make cgroups {}, move processes {}, pass controllers on {} ({})",
            may.create, may.migrate, may.enable, may.controllers
        );
    }
    match pressure::of_machine(Resource::Memory) {
        Ok(pressure) => println!("memory pressure: {pressure:?}"),
        Err(error) => println!("{error}"),
    }
    for probe in PROBES {
        let answer = match (probe.ask)() {
            Ok(true) => "yes".to_owned(),
            Ok(false) => format!("no (since {})", probe.since),
            Err(errno) => format!("not known: {errno}"),
        };
        println!("{}: {answer}", probe.name);
    }
    Ok(())
}
