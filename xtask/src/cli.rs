//! The command line: every command of `cargo xtask` and its flags.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// The repository's own commands.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, subcommand_required = true)]
#[command(
    after_help = "Exit codes: 0 all passed, 1 a test or check failed, 2 usage, 3 the lab itself failed."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Boot real kernels and run integration tests and escape attempts in them.
    VmTest(Box<VmTest>),
    /// An interactive shell in a guest; reads commands from a pipe too.
    VmShell(VmShell),
    /// Run real engines with the runtime under them: podman, buildah, containerd, its CRI, docker.
    EngineTest(EngineTest),
    /// List the kernels of the catalogue: series, version, size, cached or not.
    Kernels(Kernels),
    /// Run everything that needs no VM, then the lab's self-tests.
    Test(Test),
    /// What continuous integration runs: `test`, `vm-test` on the default kernels, the quick part of `engine-test`.
    Ci,
    /// Build the static release program `target/dist/cofferdam`.
    Dist,
    /// Measure this runtime beside its peers, on one bundle, in turn.
    Bench(Bench),
    /// Keep many containers alive at once, then run many one after the other, and look for what is left.
    Soak(Soak),
    /// Check the repository's own rules.
    Tidy(Tidy),
    /// Try each crate in a project of its own, with the examples of its README.
    Alone(Alone),
    /// Feed the parsers with random input, from the seeds of `fuzz/seeds`.
    Fuzz(Fuzz),
    /// Run the tests of the crate with unsafe code under the address sanitizer.
    Sanitize,
    /// Ask every crate's probes on all kernels and write `docs/kernel-features.md`.
    Features(Features),
    /// Run a program in a guest; for `CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="cargo xtask runner --"`.
    Runner(Runner),
}

/// Which suites run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Suite {
    /// Tests of the crates and of the OCI command line.
    Integration,
    /// Escape attempts, each with its layer peeled and with its control.
    Escape,
    /// Both.
    All,
    /// Checkpoint and restore, with the criu of this machine; not among `all`.
    Checkpoint,
    /// The runtime's systemd driver, in guests with systemd; not part of `all`.
    Systemd,
    /// The lab's own self-tests.
    #[value(hide = true)]
    Selftest,
}

/// The accelerator of QEMU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AccelChoice {
    /// KVM when a guest boots under it, else software emulation.
    Auto,
    /// KVM or nothing.
    Kvm,
    /// Software emulation.
    Tcg,
}

/// A cgroup layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Cgroup {
    /// The unified hierarchy.
    V2,
    /// One hierarchy per controller.
    V1,
    /// Controllers on v1, an empty v2 beside them.
    Hybrid,
}

impl Cgroup {
    /// The name on the guest's command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::V2 => "v2",
            Self::V1 => "v1",
            Self::Hybrid => "hybrid",
        }
    }
}

/// Where kernels come from.
#[derive(Debug, Clone, Args)]
pub struct Source {
    /// The archive to fetch kernels from; default: the one of the system's apt configuration.
    #[arg(long, value_name = "URI")]
    pub mirror: Option<String>,
    /// Use cached kernels only.
    #[arg(long)]
    pub offline: bool,
}

/// `vm-test`.
#[derive(Debug, Clone, Args)]
pub struct VmTest {
    /// A series of the catalogue, with its flavour: `6.12`, `6.12:rt`; default: 5.10, 6.12, the newest.
    #[arg(long = "kernel", value_name = "S[:FLAVOUR]")]
    pub kernels: Vec<String>,
    /// Every series that the archive serves.
    #[arg(long, conflicts_with_all = ["kernels", "kernel_path", "kernel_tree"])]
    pub all_kernels: bool,
    /// A kernel of your own: vmlinux or bzImage.
    #[arg(long, value_name = "VMLINUZ")]
    pub kernel_path: Option<PathBuf>,
    /// The modules of `--kernel-path`: a folder that holds `kernel/`.
    #[arg(long, value_name = "DIR", requires = "kernel_path")]
    pub modules: Option<PathBuf>,
    /// A kernel build tree, for `git bisect run`.
    #[arg(long, value_name = "DIR")]
    pub kernel_tree: Option<PathBuf>,
    /// Which tests.
    #[arg(long, value_enum, default_value_t = Suite::All)]
    pub suite: Suite,
    /// Only tests whose name contains this.
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// Print the tests and what they need, and boot nothing.
    #[arg(long)]
    pub list: bool,
    /// Another OCI runtime to run the OCI tests and attempts on.
    #[arg(long, value_name = "PATH")]
    pub runtime: Option<PathBuf>,
    /// Boot every guest with this cgroup layout; default: what each test needs, else v2.
    #[arg(long, value_enum)]
    pub cgroup: Option<Cgroup>,
    /// How many guests run at once; default: one a core, as far as memory allows.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: Option<u16>,
    /// The accelerator of QEMU.
    #[arg(long, value_enum, default_value_t = AccelChoice::Auto)]
    pub accel: AccelChoice,
    /// Where reports and logs go; default: `target/vm-test/report`.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print results.json on standard output; everything else goes to standard error.
    #[arg(long)]
    pub json: bool,
    /// Where kernels come from.
    #[command(flatten)]
    pub source: Source,
    /// Leave a defence out in the guest: the matching attempt must turn red.
    #[arg(long = "break", value_name = "DEFENCE", hide = true)]
    pub break_defence: Option<String>,
    /// The limit of one case in milliseconds, instead of the accelerator's.
    #[arg(long, value_name = "MS", hide = true)]
    pub limit_ms: Option<u64>,
}

/// An engine in the way that it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineChoice {
    /// podman as root.
    Podman,
    /// podman as an ordinary user.
    PodmanRootless,
    /// buildah as root.
    Buildah,
    /// containerd through `ctr` and the shim for OCI runtimes.
    Containerd,
    /// containerd's plug-in for Kubernetes, called by gRPC.
    Cri,
    /// dockerd with a docker client.
    Docker,
}

impl EngineChoice {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 6] =
        [Self::Podman, Self::PodmanRootless, Self::Buildah, Self::Containerd, Self::Cri, Self::Docker];

    /// The name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Podman => "podman",
            Self::PodmanRootless => "podman-rootless",
            Self::Buildah => "buildah",
            Self::Containerd => "containerd",
            Self::Cri => "cri",
            Self::Docker => "docker",
        }
    }
}

/// `engine-test`.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[derive(Debug, Clone, Args)]
pub struct EngineTest {
    /// Only this engine, which then must be able to run here; can be repeated. Default: all.
    #[arg(long = "engine", value_enum, value_name = "ENGINE")]
    pub engines: Vec<EngineChoice>,
    /// Another OCI runtime to put under the engines; default: this repository's own, as it ships.
    #[arg(long, value_name = "PATH")]
    pub runtime: Option<PathBuf>,
    /// Only scenarios whose name contains this; can be repeated.
    #[arg(long = "filter", value_name = "TEXT")]
    pub filters: Vec<String>,
    /// The part of the host's cgroups that engines see: `v1`, `v2`; default: all of it.
    #[arg(long, value_enum)]
    pub cgroup: Option<Cgroup>,
    /// Only the scenarios that take a second or two.
    #[arg(long)]
    pub fast: bool,
    /// Print the scenarios, and start nothing.
    #[arg(long)]
    pub list: bool,
    /// Print the results as JSON on standard output; everything else goes to standard error.
    #[arg(long)]
    pub json: bool,
    /// Take what goes into the image from the cache only.
    #[arg(long)]
    pub offline: bool,
}

/// `vm-shell`.
#[derive(Debug, Clone, Args)]
pub struct VmShell {
    /// A series of the catalogue, with its flavour.
    #[arg(long, value_name = "S[:FLAVOUR]", default_value = "6.12")]
    pub kernel: String,
    /// Put the shell into a hardened container in the guest.
    #[arg(long)]
    pub container: bool,
    /// The cgroup layout of the guest.
    #[arg(long, value_enum, default_value_t = Cgroup::V2)]
    pub cgroup: Cgroup,
    /// The accelerator of QEMU.
    #[arg(long, value_enum, default_value_t = AccelChoice::Auto)]
    pub accel: AccelChoice,
    /// Where kernels come from.
    #[command(flatten)]
    pub source: Source,
}

/// `kernels`.
#[derive(Debug, Clone, Args)]
pub struct Kernels {
    /// Only these; default: every series in the cloud flavour.
    #[arg(value_name = "S[:FLAVOUR]")]
    pub kernels: Vec<String>,
    /// Fetch every kernel that is not cached yet.
    #[arg(long)]
    pub fetch: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Where kernels come from.
    #[command(flatten)]
    pub source: Source,
}

/// `test`.
#[derive(Debug, Clone, Default, Args)]
pub struct Test {
    /// Leave out the lab's self-tests, which boot guests.
    #[arg(long)]
    pub no_vm: bool,
    /// Only the crates' tests, on a kernel that seems to lack these system calls: `clone3,openat2`.
    #[arg(long, value_name = "CALL[,CALL…]", conflicts_with = "no_vm")]
    pub enosys: Option<String>,
    /// With --enosys: only the tests of this crate; can be repeated.
    #[arg(long = "package", short, value_name = "NAME", requires = "enosys")]
    pub packages: Vec<String>,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Measure {
    /// `run` and delete of a program that ends at once.
    Run,
    /// `create`, `start`, `delete` as an engine calls them.
    Lifecycle,
    /// `exec` into a container that sleeps.
    Exec,
    /// The least limit of memory that still runs a program.
    Memory,
    /// The peak resident memory of `run`.
    Rss,
    /// The size of the program.
    Size,
}

/// `bench`.
#[derive(Debug, Clone, Args)]
pub struct Bench {
    /// Compare with the distribution's crun and runc; installs what is missing through apt.
    #[arg(long)]
    pub peers: bool,
    /// Compare with this OCI runtime too; can be repeated.
    #[arg(long = "runtime", value_name = "PATH")]
    pub runtimes: Vec<PathBuf>,
    /// Only this measure; can be repeated.
    #[arg(long = "measure", value_enum)]
    pub measures: Vec<Measure>,
    /// How many rounds; each runtime has one turn in each.
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub runs: u32,
    /// The cgroup layout that all runtimes see: `v2` or `v1`.
    #[arg(long, value_enum, default_value_t = Cgroup::V2)]
    pub cgroup: Cgroup,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `soak`.
#[derive(Debug, Clone, Args)]
pub struct Soak {
    /// How many containers are alive at once; 0 leaves this part out.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(..=30_000))]
    pub alive: u32,
    /// How many containers run one after the other; 0 leaves this part out.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(..=10_000_000))]
    pub cycles: u32,
    /// Another OCI runtime; default: this project's, as it is released.
    #[arg(long, value_name = "PATH")]
    pub runtime: Option<PathBuf>,
    /// The cgroup layout that the runtime sees: `v2` or `v1`.
    #[arg(long, value_enum, default_value_t = Cgroup::V2)]
    pub cgroup: Cgroup,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `tidy`.
#[derive(Debug, Clone, Args)]
pub struct Tidy {
    /// Print the findings as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `alone`.
#[derive(Debug, Clone, Args)]
pub struct Alone {
    /// Only these crates, by their folders; default: all.
    #[arg(value_name = "CRATE")]
    pub crates: Vec<String>,
}

/// `fuzz`.
#[derive(Debug, Clone, Args)]
pub struct Fuzz {
    /// Only this target; default: all.
    #[arg(value_name = "TARGET")]
    pub target: Option<String>,
    /// How long each target runs.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub seconds: u32,
}

/// `features`.
#[derive(Debug, Clone, Args)]
pub struct Features {
    /// Write nothing; exit 1 when the page would change.
    #[arg(long)]
    pub check: bool,
    /// The accelerator of QEMU.
    #[arg(long, value_enum, default_value_t = AccelChoice::Auto)]
    pub accel: AccelChoice,
    /// Where kernels come from.
    #[command(flatten)]
    pub source: Source,
}

/// `runner`.
#[derive(Debug, Clone, Args)]
pub struct Runner {
    /// A series of the catalogue, with its flavour.
    #[arg(long, value_name = "S[:FLAVOUR]", default_value = "6.12")]
    pub kernel: String,
    /// The accelerator of QEMU.
    #[arg(long, value_enum, default_value_t = AccelChoice::Auto)]
    pub accel: AccelChoice,
    /// Where kernels come from.
    #[command(flatten)]
    pub source: Source,
    /// A kernel module to load first; can be repeated.
    #[arg(long = "module", value_name = "NAME")]
    pub modules: Vec<String>,
    /// Let these system calls be unknown to the program: `clone3,openat2`.
    #[arg(long, value_name = "CALL[,CALL…]")]
    pub enosys: Option<String>,
    /// The program and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "PROGRAM ARGS")]
    pub argv: Vec<String>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn kernels_repeat_and_conflict_with_all_kernels() {
        let cli = Cli::parse_from(["xtask", "vm-test", "--kernel", "5.10", "--kernel", "6.12:rt"]);
        let Command::VmTest(args) = cli.command else { panic!("{cli:?}") };
        assert_eq!(args.kernels, ["5.10", "6.12:rt"]);
        assert!(Cli::try_parse_from(["xtask", "vm-test", "--kernel", "5.10", "--all-kernels"]).is_err());
        assert!(Cli::try_parse_from(["xtask", "vm-test", "--modules", "m"]).is_err());
        assert!(Cli::try_parse_from(["xtask", "vm-test", "--jobs", "0"]).is_err());
    }

    #[test]
    fn a_runner_hands_flags_to_the_program() {
        for words in [
            &["xtask", "runner", "--", "prog", "--accel", "-q"],
            &["xtask", "runner", "prog", "--accel", "-q"][..],
        ] {
            let cli = Cli::parse_from(words);
            let Command::Runner(args) = cli.command else { panic!("{cli:?}") };
            assert_eq!(args.argv, ["prog", "--accel", "-q"]);
        }
    }
}
