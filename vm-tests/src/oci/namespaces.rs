//! Namespaces: new, left out, and joined by path.

use crate::bundle::{At, Bundle, HOST_ID, IDS, Layer, place};
use crate::registry::{Context, Result, Test};
use cofferdam_sys::{attempts, net};
use serde_json::{Value, json};
use std::fs;
use std::process::{Child, Command, Stdio};

pub(super) const TESTS: &[Test] = &[
    Test::oci("oci::namespaces-new", "Each namespace that is asked for is a new one", new),
    Test::oci("oci::namespaces-left-out", "A namespace that is left out is the host's", left_out),
    Test::oci("oci::namespace-by-path", "A namespace with a path is joined", by_path),
    Test::oci("oci::namespace-time", "A time namespace is a new one", time).facilities(&["time_namespace"]),
    Test::oci("oci::hostname", "The hostname is the config's", hostname),
    Test::oci("oci::domainname", "The domain name is the config's", domainname),
    Test::oci("oci::id-mappings", "User and group ids are mapped as asked", id_mappings),
    Test::oci("oci::pid-namespace", "The process is the first of its pid namespace", first_process),
    Test::oci("oci::network-loopback", "A new network namespace has a loopback interface only", loopback),
    Test::oci("oci::sysctl", "A sysctl of a namespace is the config's", sysctl),
];

/// The config's name and the name in `/proc/PID/ns`.
const KINDS: [(&str, &str); 7] = [
    ("user", "user"),
    ("pid", "pid"),
    ("mount", "mnt"),
    ("ipc", "ipc"),
    ("uts", "uts"),
    ("network", "net"),
    ("cgroup", "cgroup"),
];

fn inside(bundle: &mut Bundle) -> Result<Value> {
    bundle.probe(&["show", "ns"]).run()?.success()?.value("ns")
}

fn of_host(name: &str) -> Result<Value> {
    Ok(json!(fs::read_link(format!("/proc/self/ns/{name}"))?))
}

fn new(ctx: &mut Context) -> Result {
    let found = inside(&mut Bundle::hardened(ctx, "new"))?;
    for (kind, name) in KINDS {
        ensure!(found.at(name).is_string(), "no namespace {name} among {found}");
        ensure!(found.at(name) != of_host(name)?, "the {kind} namespace is the host's, {}", found.at(name));
    }
    Ok(())
}

fn left_out(ctx: &mut Context) -> Result {
    let four = [Layer::IpcNamespace, Layer::UtsNamespace, Layer::NetworkNamespace, Layer::PidNamespace];
    let cases: [(&str, &[Layer], &[&str]); 2] = [
        ("without-four", &four, &["ipc", "uts", "net", "pid"]),
        ("without-user", &[Layer::UserNamespace], &["user"]),
    ];
    for (id, layers, left_out) in cases {
        let mut bundle = Bundle::hardened(ctx, id);
        for layer in layers {
            bundle.peel(*layer);
        }
        let found = inside(&mut bundle)?;
        for (kind, name) in KINDS {
            let same = found.at(name) == of_host(name)?;
            ensure_eq!(same, left_out.contains(&name), "{id}: whether the {kind} namespace is the host's");
        }
    }
    Ok(())
}

/// A process in a network namespace of its own, which has an interface with an unusual MTU to tell it by.
#[derive(Debug)]
struct Holder {
    child: Child,
}

impl Holder {
    const MTU: &str = "4321\n";

    fn new(ctx: &Context) -> Result<Self> {
        let probe = ctx.probe().to_owned();
        // Namespaces are per thread, and the child of a thread is in those of the thread.
        let thread = std::thread::spawn(move || -> Result<Child> {
            cofferdam_sys::clone::unshare(cofferdam_sys::clone::Namespaces::NET)?;
            net::interface_up(b"lo")?;
            attempts::set_mtu(b"lo", 4321)?;
            Ok(Command::new(probe).args(["sleep", "600"]).stdout(Stdio::null()).spawn()?)
        });
        let child = thread.join().map_err(|_| crate::registry::Failure::failed("the thread panicked"))??;
        Ok(Self { child })
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// With the user namespace of the host: only that owns the network namespace that is joined.
fn by_path(ctx: &mut Context) -> Result {
    let holder = Holder::new(ctx)?;
    let path = format!("/proc/{}/ns/net", holder.child.id());
    let mut bundle = Bundle::hardened(ctx, "by-path");
    bundle.peel(Layer::UserNamespace);
    let namespaces = bundle.list("/linux/namespaces");
    for namespace in namespaces.iter_mut().filter(|namespace| namespace.at("type") == "network") {
        *place(namespace, "/path") = json!(path);
    }
    let words = ["show", "ns", "+", "show", "read", "/sys/class/net/lo/mtu"];
    let ended = bundle.probe(&words).run()?.success()?;
    ensure_eq!(ended.value("ns")?.at("net"), json!(fs::read_link(&path)?), "the network namespace");
    ensure_eq!(ended.value("read")?, json!(Holder::MTU), "the interface of the namespace that was joined");
    Ok(())
}

/// runc 1.1 knows no time namespaces and refuses the config.
fn time(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "time");
    let namespaces = bundle.list("/linux/namespaces");
    namespaces.push(json!({ "type": "time" }));
    let ended = bundle.probe(&["show", "ns"]).run()?;
    if !ctx.own_runtime() && ended.status != 0 {
        skip!("this runtime has no time namespaces: {}", ended.stderr.trim());
    }
    let found = ended.success()?.value("ns")?;
    ensure!(found.at("time") != of_host("time")?, "the time namespace is the host's");
    Ok(())
}

fn hostname(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "hostname");
    bundle.set("/hostname", json!("a-name.of-its-own"));
    let ended = bundle.probe(&["show", "uname"]).run()?.success()?;
    ensure_eq!(ended.value("uname")?.at("nodename"), json!("a-name.of-its-own"), "the hostname");
    ensure_eq!(fs::read_to_string("/proc/sys/kernel/hostname")?, "lab\n", "the host's name");
    Ok(())
}

/// A field of OCI 1.2, which runc 1.1 and crun 1.8 leave out in silence.
fn domainname(ctx: &mut Context) -> Result {
    let mut bundle = Bundle::hardened(ctx, "domainname");
    bundle.set("/domainname", json!("lab.example"));
    let found = bundle.probe(&["show", "uname"]).run()?.success()?.value("uname")?;
    if !ctx.own_runtime() && found.at("domainname") == "(none)" {
        skip!("this runtime does not know domainname, a field of OCI 1.2");
    }
    ensure_eq!(found.at("domainname"), json!("lab.example"), "the domain name");
    Ok(())
}

fn id_mappings(ctx: &mut Context) -> Result {
    let read = ["show", "read", "/proc/self/uid_map", "+", "show", "read", "/proc/self/gid_map"];
    let words = |text: &Value| -> Vec<String> {
        text.as_str().unwrap_or("").split_whitespace().map(str::to_owned).collect()
    };
    let plain = ["0".to_owned(), HOST_ID.to_string(), IDS.to_string()];
    let ended = Bundle::hardened(ctx, "one-range").probe(&read).run()?.success()?;
    for line in ended.lines() {
        ensure_eq!(words(&line.value), plain, "the map");
    }
    let mut bundle = Bundle::hardened(ctx, "two-ranges");
    let ranges = json!([
        { "containerID": 0, "hostID": HOST_ID, "size": 1000 },
        { "containerID": 1000, "hostID": 300_000, "size": 7 },
    ]);
    bundle.set("/linux/uidMappings", ranges.clone());
    bundle.set("/linux/gidMappings", ranges);
    let ended = bundle.probe(&read).run()?.success()?;
    let wanted = ["0", "100000", "1000", "1000", "300000", "7"];
    for line in ended.lines() {
        ensure_eq!(words(&line.value), wanted, "the map of two ranges");
    }
    Ok(())
}

fn first_process(ctx: &mut Context) -> Result {
    let ended = Bundle::hardened(ctx, "pid-1").probe(&["show", "link", "/proc/self"]).run()?.success()?;
    ensure_eq!(ended.value("link")?, json!("1"), "the process's own pid");
    Ok(())
}

/// Whether it is up is left to the runtime: crun leaves it down.
fn loopback(ctx: &mut Context) -> Result {
    let ended =
        Bundle::hardened(ctx, "loopback").probe(&["show", "list", "/sys/class/net"]).run()?.success()?;
    ensure_eq!(ended.value("list")?, json!(["lo"]), "the interfaces");
    Ok(())
}

fn sysctl(ctx: &mut Context) -> Result {
    let file = "/proc/sys/net/ipv4/ip_forward";
    let before = fs::read_to_string(file)?;
    let mut bundle = Bundle::hardened(ctx, "sysctl");
    bundle.set("/linux/sysctl", json!({ "net.ipv4.ip_forward": "1" }));
    let ended = bundle.probe(&["show", "read", file]).run()?.success()?;
    ensure_eq!(ended.value("read")?, json!("1\n"), "the sysctl inside");
    ensure_eq!(fs::read_to_string(file)?, before, "the sysctl of the host");
    Ok(())
}
