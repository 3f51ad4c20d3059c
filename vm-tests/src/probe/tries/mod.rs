//! The attempts, by name.

mod files;
mod kernel;
mod mounts;
mod network;
mod others;
mod resources;
mod syscalls;

use super::{Steps, Tried};
use cofferdam_sys::Errno;

/// Makes one attempt.
pub(super) fn attempt(steps: &Steps, name: &str, arguments: &[&str]) -> Tried {
    match (name, arguments) {
        ("read", [path]) => files::read(path),
        ("write", [path, text]) => files::write(steps, path, text),
        ("handle", [kind, bytes]) => files::handle(kind, bytes),
        ("mknod", [major, minor, offset]) => files::mknod(steps, major, minor, offset),
        ("chroot", [secret]) => files::chroot(steps, secret),
        ("descriptors", [secret]) => files::descriptors(steps, secret),
        ("remount", [target, file, text]) => mounts::remount(steps, target, file, text),
        ("setattr", [target, file, text]) => mounts::setattr(steps, target, file, text),
        ("unmask", [mask, needle]) => mounts::unmask(steps, mask, needle),
        ("mount", [source, kind, file]) => mounts::mount(steps, source, kind, file),
        ("mount-shared", [target]) => mounts::shared(target),
        ("release-agent", [path]) => mounts::release_agent(steps, path),
        ("kill", [pid]) => others::kill(pid),
        ("getfd", [pid, fd]) => others::getfd(steps, pid, fd),
        ("setns", [pid, secret]) => others::setns(steps, pid, secret),
        ("shm", [key, length]) => others::shm(key, length),
        ("hostname", [name]) => kernel::hostname(name),
        ("module", [path]) => kernel::module(steps, path),
        ("kexec", []) => kernel::kexec(),
        ("cad-off", []) => kernel::cad_off(),
        ("clock", [seconds]) => kernel::clock(seconds),
        ("log", [needle]) => kernel::log(needle),
        ("setuid-exec", [program, capability, rest @ ..]) => {
            kernel::setuid_exec(steps, program, capability, rest)
        }
        ("io-uring", []) => syscalls::io_uring(),
        ("userfaultfd", []) => syscalls::userfaultfd(),
        ("nested", []) => syscalls::nested(),
        ("packet", []) => syscalls::packet(),
        ("fsopen", []) => syscalls::fsopen(steps),
        ("bpf", []) => syscalls::bpf(),
        ("key", [name]) => syscalls::key(name),
        ("raw", [needle]) => network::raw(steps, needle),
        ("mtu", [interface, mtu]) => network::mtu(interface, mtu),
        ("threads", [count]) => resources::threads(steps, count),
        ("memory", [mebibytes]) => resources::memory(mebibytes),
        ("raise-limit", [name]) => resources::raise_limit(name),
        ("nice", [value]) => resources::nice(value),
        ("join-cgroup", [dir]) => resources::join_cgroup(steps, dir),
        ("set-file", [path, text]) => resources::set_file(steps, path, text),
        _ => Err(Errno::EINVAL),
    }
}
