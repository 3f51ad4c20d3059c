//! Devices that go to another network namespace and back, as root of the host.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs::File;
use std::os::fd::AsFd;
use std::process::Command;

use cofferdam_netbridge::{ErrorKind, Move, Moved, devices};
use cofferdam_sys::clone::{Namespaces, setns, unshare};

/// Two network namespaces of a thread's own; it is in the first.
struct Pair {
    here: File,
    there: File,
}

impl Pair {
    fn new() -> Option<Self> {
        let own = || File::open("/proc/thread-self/ns/net").unwrap();
        if let Err(errno) = unshare(Namespaces::NET) {
            eprintln!("skipped: no network namespaces here: {errno}");
            return None;
        }
        let there = own();
        unshare(Namespaces::NET).unwrap();
        let pair = Self { here: own(), there };
        // The kernel may be built without such devices.
        let made = Command::new("ip").args(["link", "add", "probe", "type", "veth"]).output().unwrap();
        if !made.status.success() {
            eprintln!("skipped: no veth devices here: {}", String::from_utf8_lossy(&made.stderr));
            return None;
        }
        pair.ip("link del probe");
        // So that the next ones have the same numbers.
        pair.ip_there("link add probe type veth");
        pair.ip_there("link del probe");
        Some(pair)
    }

    /// Runs `ip` in the first namespace and gives what it prints.
    fn ip(&self, words: &str) -> String {
        setns(self.here.as_fd(), Namespaces::NET).unwrap();
        let output = Command::new("ip").args(words.split(' ')).output().unwrap();
        assert!(output.status.success(), "ip {words}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same in the other.
    fn ip_there(&self, words: &str) -> String {
        let other = Self { here: self.there.try_clone().unwrap(), there: self.there.try_clone().unwrap() };
        let printed = other.ip(words);
        setns(self.here.as_fd(), Namespaces::NET).unwrap();
        printed
    }
}

fn moves(list: &[(&str, &str)]) -> Vec<Move> {
    let one = |(device, name): &(&str, &str)| Move {
        device: device.parse().unwrap(),
        name: cofferdam_netbridge::NewName::new(name).unwrap(),
    };
    list.iter().map(one).collect()
}

/// What `ip` says of addresses, without the lifetimes.
fn addresses(printed: &str) -> Vec<String> {
    let lines = printed.lines().map(str::trim).filter(|line| line.starts_with("inet"));
    lines.map(str::to_owned).collect()
}

#[test]
fn a_device_goes_with_its_addresses_and_comes_back_as_it_was() {
    let Some(pair) = Pair::new() else { return };
    pair.ip("link add d0 mtu 1400 address 02:00:00:00:00:07 type veth peer name p0");
    pair.ip("link set d0 up");
    pair.ip("addr add 10.1.2.3/24 broadcast 10.1.2.255 dev d0 label d0:web");
    pair.ip("addr add 10.9.9.9 peer 10.9.9.1/32 dev d0");
    pair.ip("addr add fd00::7/64 dev d0 nodad");
    // Neither of these is for good and for everybody.
    pair.ip("addr add 10.8.8.8/32 dev d0 scope link");
    pair.ip("addr add fd00::8/64 dev d0 nodad valid_lft 300 preferred_lft 300");
    let moved = Moved::new(&moves(&[("d0", "net%d")]), pair.there.as_fd()).unwrap();
    assert_eq!(moved.names().next().unwrap().as_str(), "net0");
    assert!(!pair.ip("link").contains(" d0@"));
    let link = pair.ip_there("link show net0");
    assert!(
        link.contains(",UP") && link.contains("mtu 1400") && link.contains("02:00:00:00:00:07"),
        "{link}"
    );
    let inside = addresses(&pair.ip_there("addr show dev net0 scope global"));
    let expected = [
        "inet 10.1.2.3/24 brd 10.1.2.255 scope global net0:web",
        "inet 10.9.9.9 peer 10.9.9.1/32 scope global net0",
        "inet6 fd00::7/64 scope global nodad",
    ];
    assert_eq!(inside.len(), expected.len(), "{inside:?}");
    for line in expected {
        assert!(inside.iter().any(|found| found.trim_end() == line), "{line}: {inside:?}");
    }
    moved.give_back().unwrap();
    assert!(!pair.ip_there("link").contains(" net0@"));
    let back = pair.ip("addr show dev d0");
    assert!(back.contains(",UP") && back.contains("mtu 1400"), "{back}");
    for line in ["inet 10.1.2.3/24 brd 10.1.2.255 scope global d0:web", "fd00::7/64"] {
        assert!(back.contains(line), "{line}: {back}");
    }
}

#[test]
fn a_device_that_was_down_comes_back_down() {
    let Some(pair) = Pair::new() else { return };
    pair.ip("link add d0 type veth peer name p0");
    let moved = Moved::new(&moves(&[("d0", "d0")]), pair.there.as_fd()).unwrap();
    assert!(pair.ip_there("link show d0").contains(",UP"));
    moved.give_back().unwrap();
    assert!(!pair.ip("link show d0").contains(",UP"));
}

#[test]
fn when_one_cannot_go_all_stay() {
    let Some(pair) = Pair::new() else { return };
    pair.ip("link add d0 type veth peer name p0");
    pair.ip("addr add 10.1.2.3/24 dev d0");
    // The kernel binds a bridge to its namespace: it is refused behind the move of the first.
    pair.ip("link add d1 type bridge");
    let wanted = moves(&[("d0", "x0"), ("d1", "x1")]);
    let error = Moved::new(&wanted, pair.there.as_fd()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::System, "{error}");
    assert!(error.to_string().contains("d1") && !error.to_string().contains("cleaning up"), "{error}");
    assert!(pair.ip("addr show dev d0").contains("10.1.2.3/24"));
    assert_eq!(pair.ip_there("-o link").lines().count(), 1, "only lo");
}

#[test]
fn what_cannot_be_is_refused_before_anything_moves() {
    let Some(pair) = Pair::new() else { return };
    pair.ip("link add d0 type veth peer name p0");
    pair.ip_there("link add taken type veth peer name p0");
    let refused = |list: &[(&str, &str)], namespace: &File| {
        let error = Moved::new(&moves(list), namespace.as_fd()).err().unwrap();
        assert!(pair.ip("link").contains(" d0@"), "{error}");
        error
    };
    let error = refused(&[("d0", "x0"), ("d9", "x9")], &pair.there);
    assert!(error.kind() == ErrorKind::NoDevice && error.to_string().contains("d9"), "{error}");
    assert_eq!(refused(&[("d0", "taken")], &pair.there).kind(), ErrorKind::NameTaken);
    assert_eq!(refused(&[("d0", "lo")], &pair.there).kind(), ErrorKind::NameTaken);
    assert_eq!(refused(&[("d0", "d1")], &pair.here).kind(), ErrorKind::SameNamespace);
    devices::require(&moves(&[("d0", "x")])).unwrap();
    assert_eq!(devices::require(&moves(&[("d9", "x")])).unwrap_err().kind(), ErrorKind::NoDevice);
}

#[test]
fn another_namespace_may_have_the_old_name_and_the_number() {
    let Some(pair) = Pair::new() else { return };
    pair.ip("link add d0 type veth peer name p0");
    pair.ip_there("link add d0 type veth peer name p0");
    let index = |text: &str| text.split(':').next().unwrap().to_owned();
    assert_eq!(index(&pair.ip("link show d0")), index(&pair.ip_there("link show d0")));
    let moved = Moved::new(&moves(&[("d0", "d1")]), pair.there.as_fd()).unwrap();
    assert!(pair.ip_there("link show d1").contains(",UP"));
    assert!(!pair.ip_there("link show d0").contains(",UP"), "the other one is left alone");
    moved.give_back().unwrap();
    for place in [pair.ip("link show d0"), pair.ip_there("link show d0")] {
        assert!(place.contains(" d0@"), "{place}");
    }
}
