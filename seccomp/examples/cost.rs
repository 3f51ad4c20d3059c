//! What a filter costs a call, in nanoseconds: none, the hardened profile, and with `--features libseccomp` what
//! libseccomp makes of the same allow-list.
//!
//! `cargo run --release -p cofferdam-seccomp --example cost [--features libseccomp]`
//!
//! Since Linux 5.11 the kernel remembers calls that a filter always allows and does not run it for those; so the
//! call is one whose argument is compared (`personality`), next to one that is remembered (`getppid`).

use std::error::Error;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Instant;

use cofferdam_seccomp::{Answer, Arch, Cache, Filter, Kernel, Profile};

/// So few that a round fits between two interrupts of the scheduler, so many rounds that some does.
const CALLS: u32 = 2_000;
const ROUNDS: usize = 1_000;

fn main() -> Result<(), Box<dyn Error>> {
    println!("{:24} {:>12} {:>12}", "filter", "getppid", "personality");
    measure("none", || Ok(()))?;
    measure("everything allowed", || install(&Profile::new(Answer::Allow)))?;
    measure("hardened", || install(&Profile::hardened()))?;
    #[cfg(feature = "libseccomp")]
    measure("libseccomp, tree", theirs::install)?;
    prepare()?;
    Ok(())
}

fn install(profile: &Profile) -> Result<(), String> {
    Filter::compile(profile).and_then(|filter| filter.install()).map_err(|error| error.to_string())
}

/// What a start pays for its filter: compiled, or from a [`Cache`].
fn prepare() -> Result<(), Box<dyn Error>> {
    let hardened = Profile::hardened();
    let engine = Profile { architectures: vec![Arch::X86_64, Arch::X86, Arch::X32], ..hardened.clone() };
    println!("{:24} {:>12} {:>12}", "a start pays", "compiled", "cached");
    for (name, profile) in [("hardened", hardened), ("three architectures", engine)] {
        let dir = std::env::temp_dir().join(format!("cost-{}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&dir)?;
        let times = both(&profile, &dir);
        std::fs::remove_dir_all(&dir)?;
        let (compiled, cached) = times?;
        println!("{name:24} {compiled:>9.1} µs {cached:>9.1} µs");
    }
    Ok(())
}

fn both(profile: &Profile, dir: &Path) -> Result<(f64, f64), cofferdam_seccomp::Error> {
    let kernel = Kernel::ask()?;
    let from_cache = || Cache::open(dir).and_then(|cache| cache.filter(profile, &kernel));
    from_cache()?;
    let compile = || Filter::compile(profile).and_then(|filter| filter.check(&kernel));
    Ok((quickest(compile), quickest(from_cache)))
}

/// The quickest of many, in microseconds.
fn quickest<T>(once: impl Fn() -> T) -> f64 {
    let timed = || {
        let start = Instant::now();
        std::hint::black_box(once());
        start.elapsed()
    };
    (0..ROUNDS).map(|_| timed()).min().unwrap_or_default().as_secs_f64() * 1e6
}

/// On a thread of its own, whose filter ends with it.
fn measure(
    name: &str,
    install: impl FnOnce() -> Result<(), String> + Send + 'static,
) -> Result<(), Box<dyn Error>> {
    let thread = std::thread::spawn(move || {
        cofferdam_sys::process::set_no_new_privs().map_err(|errno| errno.to_string())?;
        install()?;
        let getppid = best(|| {
            std::hint::black_box(rustix::process::getppid());
        });
        let personality = best(|| {
            // Asks, and changes nothing.
            std::hint::black_box(nix::sys::personality::get()).ok();
        });
        Ok::<_, String>((getppid, personality))
    });
    let (getppid, personality) = thread.join().map_err(|_| "the thread panicked")??;
    println!("{name:24} {getppid:>9.1} ns {personality:>9.1} ns");
    Ok(())
}

/// The best of some rounds: whatever disturbs makes it slower, nothing makes it quicker.
fn best(call: impl Fn()) -> f64 {
    let round = || {
        let start = Instant::now();
        for _ in 0..CALLS {
            call();
        }
        start.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
    };
    (0..ROUNDS).map(|_| round()).fold(f64::INFINITY, f64::min)
}

#[cfg(feature = "libseccomp")]
mod theirs {
    //! The same allow-list with libseccomp's binary tree.

    use cofferdam_seccomp::hardened::ALLOWED;
    use libseccomp::{ScmpAction, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};

    pub(super) fn install() -> Result<(), String> {
        build().map_err(|error| error.to_string())
    }

    fn build() -> Result<(), libseccomp::error::SeccompError> {
        let mut filter = ScmpFilterContext::new(ScmpAction::Errno(1))?;
        filter.set_ctl_optimize(2)?;
        for name in ALLOWED.iter().chain(&["ioctl", "clone"]) {
            if let Ok(call) = ScmpSyscall::from_name(name) {
                filter.add_rule(ScmpAction::Allow, call)?;
            }
        }
        for persona in [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff] {
            let compare = ScmpArgCompare::new(0, ScmpCompareOp::MaskedEqual(0xffff_ffff), persona);
            filter.add_rule_conditional(
                ScmpAction::Allow,
                ScmpSyscall::from_name("personality")?,
                &[compare],
            )?;
        }
        filter.load()
    }
}
