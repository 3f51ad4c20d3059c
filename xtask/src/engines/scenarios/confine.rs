//! What keeps a container in, and what an engine opens when asked.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use super::super::process::said;
use super::{Ask, Engine};

/// A folder of the box that a container gets as a volume.
const SHARED: &str = "/run/engine-test/shared";

pub(super) fn user_namespace(engine: &dyn Engine) -> Result<()> {
    // The map, and the owners of a new file and of a file of the image.
    let script = "head -n 1 /proc/self/uid_map; id -u; touch /new && stat -c %u /new /bin/busybox";
    let ask = Ask { user_namespace: true, ..Ask::new("user-namespace", &["sh", "-c", script]) };
    let output = engine.run(&ask)?;
    let words: Vec<&str> = output.stdout.split_whitespace().collect();
    let ["0", outside, _, "0", "0", "0"] = words.as_slice() else {
        anyhow::bail!("exit {}, the map and ids inside are {}", output.status, said(&output));
    };
    ensure!(*outside != "0", "root inside is root outside");
    Ok(())
}

pub(super) fn read_only(engine: &dyn Engine) -> Result<()> {
    let script = "touch /new 2>&1; echo $?; touch /dev/shm/new /proc/self/comm && echo others";
    let output = engine.run(&Ask { read_only: true, ..Ask::new("read-only", &["sh", "-c", script]) })?;
    ensure!(
        output.stdout.contains("Read-only file system") && output.stdout.contains("others"),
        "writing says {}",
        said(&output)
    );
    Ok(())
}

pub(super) fn user(engine: &dyn Engine) -> Result<()> {
    let script =
        "id -u; id -g; grep -E 'Cap(Prm|Eff|Amb)' /proc/self/status | tr -d '\\t'; echo x > /tmp/mine";
    let output = engine.run(&Ask { user: Some("1000:1000"), ..Ask::new("user", &["sh", "-c", script]) })?;
    let none = "0".repeat(16);
    let expected = format!("1000\n1000\nCapPrm:{none}\nCapEff:{none}\nCapAmb:{none}");
    super::expect(&output, 0, &expected)
}

pub(super) fn volume(engine: &dyn Engine) -> Result<()> {
    fs::create_dir_all(SHARED).with_context(|| format!("make {SHARED}"))?;
    fs::write(format!("{SHARED}/file"), "from outside\n").context("write the shared file")?;
    let script = "cat /shared/file; touch /shared/new 2>&1 | grep -o 'Read-only.*'";
    let ask = Ask { volume: Some((SHARED, "/shared")), ..Ask::new("volume", &["sh", "-c", script]) };
    super::expect(&engine.run(&ask)?, 0, "from outside\nRead-only file system")
}

/// One word a line: the effective set, the filter, and what must not work.
const CONFINED: &str = "awk '/CapEff|^Seccomp:/ { print $2 }' /proc/self/status
    mount -t tmpfs none /tmp 2>/dev/null && echo mounts
    test -e /dev/vda -o -e /dev/sda -o -e /dev/kmsg && echo devices
    head -c 1 /proc/kcore 2>/dev/null | grep -q . && echo kcore
    echo 0 2>/dev/null > /proc/sys/kernel/sysrq && echo sysrq
    hostname other 2>/dev/null && echo hostname
    true";

pub(super) fn confined(engine: &dyn Engine) -> Result<()> {
    let output = engine.run(&Ask::new("confined", &["sh", "-c", CONFINED]))?;
    ensure!(output.status == 0, "exit {}: {}", output.status, said(&output));
    let words: Vec<&str> = output.stdout.split_whitespace().collect();
    let [capabilities, filter] = words.as_slice() else {
        anyhow::bail!("more works than should: {words:?}");
    };
    let held = u64::from_str_radix(capabilities, 16).context("read CapEff")?;
    ensure!(held.count_ones() <= 14, "{} capabilities are held: {capabilities}", held.count_ones());
    ensure!(*filter == "2" || !engine.filters(), "no seccomp filter: {filter}");
    Ok(())
}

/// All capabilities up to `CAP_AUDIT_READ` (Linux 3.16).
const KNOWN: u64 = (1 << 38) - 1;

pub(super) fn privileged(engine: &dyn Engine) -> Result<()> {
    let script =
        "awk '/CapEff|^Seccomp:/ { print $2 }' /proc/self/status; mount -t tmpfs none /tmp && echo mounts
        echo 1 > /proc/sys/net/ipv4/ip_forward && echo sysctl";
    let output = engine.run(&Ask { privileged: true, ..Ask::new("privileged", &["sh", "-c", script]) })?;
    let words: Vec<&str> = output.stdout.split_whitespace().collect();
    let [capabilities, "0", "mounts", "sysctl"] = words.as_slice() else {
        anyhow::bail!("less works than should: {}", said(&output));
    };
    let status = fs::read_to_string("/proc/self/status").context("read the own capabilities")?;
    let bounding = status.lines().find_map(|line| line.strip_prefix("CapBnd:")).context("find CapBnd")?;
    let [held, all] = [capabilities, &bounding.trim()].map(|text| u64::from_str_radix(text, 16));
    // An engine knows the capabilities of its day.
    let missing = all.context("read CapBnd")? & !held.context("read CapEff")? & KNOWN;
    ensure!(missing == 0, "{capabilities} are held, {missing:016x} of the host's are not");
    Ok(())
}
