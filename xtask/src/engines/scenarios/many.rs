//! Many containers at once.

use anyhow::{Context as _, Result, ensure};

use super::{Ask, Engine, SLEEPER, Started, Status};

const COUNT: usize = 50;

pub(super) fn many(engine: &dyn Engine) -> Result<()> {
    let names: Vec<String> = (0..COUNT).map(|number| format!("many-{number}")).collect();
    let mut containers = Vec::new();
    for name in &names {
        let container = Started::new(engine, &Ask::new(name, SLEEPER));
        containers.push(container.with_context(|| format!("after {} others", containers.len()))?);
    }
    for (number, container) in containers.iter().enumerate() {
        let status = engine.status(container.name)?;
        ensure!(status == Status::Running, "{}: {status:?}", container.name);
        let answer = container.sh(&format!("echo {number}"))?;
        ensure!(answer == number.to_string(), "{} answers `{answer}`", container.name);
    }
    Ok(())
}
