//! Scheduling, clocks, labels and the limits of devices: what is lowered, and what is wrong with others.

use super::*;
use cofferdam_mountfs::Kind;
use cofferdam_ns::{Offset, TimeOffsets};
use cofferdam_sys::sched::IoClass;

fn with(change: impl Fn(&mut Value)) -> Container {
    let mut config = config();
    change(&mut config);
    lowered(&config).unwrap()
}

#[test]
fn scheduling_is_lowered() {
    let scheduling = with(|c| {
        c["process"]["scheduler"] = json!({
            "policy": "SCHED_RR", "priority": 7, "flags": ["SCHED_FLAG_RESET_ON_FORK"],
        });
        c["process"]["ioPriority"] = json!({ "class": "IOPRIO_CLASS_IDLE", "priority": 3 });
        c["process"]["execCPUAffinity"] = json!({ "initial": "0-1", "final": "3" });
    })
    .process
    .scheduling;
    let attributes = scheduling.attributes.unwrap();
    assert_eq!((attributes.policy, attributes.priority, attributes.flags), (2, 7, 1));
    assert_eq!(scheduling.io, Some((IoClass::Idle, 3)));
    assert_eq!((scheduling.affinity.initial.unwrap(), scheduling.affinity.last.unwrap()), (vec![3], vec![8]));
}

#[test]
fn domains_and_clocks_are_lowered() {
    let container = with(|c| {
        c["linux"]["personality"] = json!({ "domain": "LINUX32" });
        c["linux"]["memoryPolicy"] =
            json!({ "mode": "MPOL_BIND", "nodes": "0,2", "flags": ["MPOL_F_STATIC_NODES"] });
        c["linux"]["namespaces"].as_array_mut().unwrap().push(json!({ "type": "time" }));
        c["linux"]["timeOffsets"] = json!({ "monotonic": { "secs": -5, "nanosecs": 3 } });
    });
    assert_eq!(container.domain.personality, Some(8));
    assert_eq!(container.domain.memory_policy, Some((2 | 1 << 15, vec![5])));
    let clocks = TimeOffsets { monotonic: Offset::new(-5, 3), boottime: Offset::default() };
    assert_eq!(container.clocks, Some(clocks));
}

#[test]
fn mounts_get_the_label() {
    let label = "system_u:object_r:container_file_t:s0:c1,c2";
    let mounts = with(|c| {
        c["linux"]["mountLabel"] = json!(label);
        c["mounts"] = json!([
            { "destination": "/a", "type": "tmpfs", "source": "tmpfs", "options": ["size=1k"] },
            { "destination": "/b", "type": "proc", "source": "proc" },
            { "destination": "/c", "type": "tmpfs", "source": "tmpfs", "options": ["rootcontext=x:y:z"] },
            { "destination": "/d", "source": "/", "options": ["bind"] },
        ]);
    })
    .rootfs
    .mounts;
    let labelled = |number: usize| match &mounts[number].kind {
        Kind::Fs { data, .. } => data.contains(&("context".to_owned(), Some(label.to_owned()))),
        Kind::Bind { .. } => false,
    };
    assert_eq!([labelled(0), labelled(1), labelled(2), labelled(3)], [true, false, false, false]);
}

#[test]
fn limits_of_devices_are_lowered() {
    let limits = with(|c| {
        c["linux"]["resources"] = json!({
            "blockIO": {
                "weight": 500,
                "weightDevice": [{ "major": 8, "minor": 0, "weight": 10 }],
                "throttleReadBpsDevice": [{ "major": 8, "minor": 0, "rate": 7 }],
                "throttleWriteIOPSDevice": [{ "major": 8, "minor": 0, "rate": 0 }],
            },
            "hugepageLimits": [{ "pageSize": "2MB", "limit": 4_194_304 }],
            "rdma": { "mlx5_1": { "hcaHandles": 3 } },
            "network": { "classID": 0x10_0001, "priorities": [{ "name": "eth0", "priority": 5 }] },
            "memory": { "swappiness": 10, "disableOOMKiller": true },
            "cpu": { "realtimeRuntime": 900, "realtimePeriod": 1000 },
        });
    })
    .cgroup
    .limits;
    let found = limits.writes();
    let found: Vec<_> = found.iter().map(|(file, value)| (file.as_str(), value.as_str())).collect();
    let wanted = [
        ("io.weight", "default 4950"),
        ("io.weight", "8:0 1"),
        ("io.max", "8:0 rbps=7 wiops=max"),
        ("hugetlb.2MB.max", "4194304"),
        ("rdma.max", "mlx5_1 hca_handle=3"),
    ];
    assert_eq!(found, wanted);
    let legacy: Vec<_> = limits.legacy.iter().map(|(file, value)| (file.as_str(), value.as_str())).collect();
    let wanted = [
        ("memory.swappiness", "10"),
        ("memory.oom_control", "1"),
        ("cpu.rt_period_us", "1000"),
        ("cpu.rt_runtime_us", "900"),
        ("net_cls.classid", "1048577"),
        ("net_prio.ifpriomap", "eth0 5"),
    ];
    assert_eq!(legacy, wanted);
}

/// A field and a value of it that is wrong.
fn faults() -> Vec<(&'static str, Value, &'static str)> {
    let scheduler = |more: Value| {
        let mut whole = json!({ "policy": "SCHED_OTHER" });
        whole.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        whole
    };
    let device = json!([{ "major": -1, "minor": 0, "rate": 1 }]);
    vec![
        ("/process/scheduler", scheduler(json!({ "policy": "SCHED_ISO" })), "process.scheduler.policy"),
        ("/process/scheduler", scheduler(json!({ "policy": "SCHED_X" })), "process.scheduler.policy"),
        ("/process/scheduler", scheduler(json!({ "nice": 20 })), "process.scheduler.nice: 20"),
        ("/process/scheduler", scheduler(json!({ "priority": 1 })), "process.scheduler.priority: 1 is for"),
        (
            "/process/scheduler",
            scheduler(json!({ "policy": "SCHED_FIFO", "priority": 100 })),
            "process.scheduler.priority: 100 is not",
        ),
        ("/process/scheduler", scheduler(json!({ "runtime": 1 })), "process.scheduler.runtime: is for"),
        (
            "/process/scheduler",
            scheduler(json!({ "policy": "SCHED_DEADLINE" })),
            "scheduler.runtime: SCHED_D",
        ),
        ("/process/ioPriority", json!({ "priority": 8 }), "process.ioPriority.priority: 8 is not"),
        ("/process/ioPriority", json!({ "class": "BEST" }), "process.ioPriority.class"),
        ("/process/execCPUAffinity", json!({ "final": "x" }), "process.execCPUAffinity.final: `x`"),
        ("/process/selinuxLabel", json!("a:b"), "process.selinuxLabel"),
        ("/linux/mountLabel", json!("a"), "linux.mountLabel"),
        ("/linux/personality", json!({ "domain": "LINUX", "flags": ["X"] }), "linux.personality.flags"),
        ("/linux/personality", json!({ "domain": "BSD" }), "linux.personality.domain"),
        ("/linux/memoryPolicy", json!({ "mode": "MPOL_BIND" }), "linux.memoryPolicy.nodes: MPOL_BIND needs"),
        (
            "/linux/memoryPolicy",
            json!({ "mode": "MPOL_LOCAL", "nodes": "0" }),
            "linux.memoryPolicy.nodes: MPOL_LOCAL has none",
        ),
        ("/linux/timeOffsets", json!({ "boottime": { "secs": 1 } }), "linux.timeOffsets: needs a new time"),
        ("/linux/resources", json!({ "blockIO": { "weight": 9 } }), "blockIO.weight: 9 is not"),
        (
            "/linux/resources",
            json!({ "blockIO": { "throttleReadBpsDevice": device } }),
            "blockIO.throttleReadBpsDevice[0]: -1:0 is no number",
        ),
        (
            "/linux/resources",
            json!({ "hugepageLimits": [{ "pageSize": "../x", "limit": 1 }] }),
            "linux.resources.hugepageLimits[0].pageSize",
        ),
        ("/linux/resources", json!({ "rdma": { "a b": {} } }), "linux.resources.rdma[\"a b\"]"),
        ("/linux/resources", json!({ "memory": { "swappiness": 101 } }), "memory.swappiness: 101"),
        (
            "/linux/resources",
            json!({ "network": { "priorities": [{ "name": "", "priority": 1 }] } }),
            "linux.resources.network.priorities[0].name",
        ),
    ]
}

#[test]
fn each_fault_names_its_field() {
    for (place, value, words) in faults() {
        let (parent, name) = place.rsplit_once('/').unwrap();
        let (kind, message) = refused(|c| c.pointer_mut(parent).unwrap()[name] = value.clone());
        assert_eq!(kind, ErrorKind::Config, "{message}");
        assert!(message.contains(words), "`{message}` does not say `{words}`");
    }
}

#[test]
fn one_label_of_a_process_is_enough() {
    let (_, message) = refused(|c| {
        c["process"]["selinuxLabel"] = json!("a:b:c");
        c["process"]["apparmorProfile"] = json!("x");
    });
    assert!(message.contains("process.selinuxLabel: process.apparmorProfile is set too"), "{message}");
}
