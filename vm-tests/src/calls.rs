//! System calls by name and number, as facts: `call:ABI:NAME=A,B,C`, `thread:ABI:NAME`, `sweep:ABI:FROM-TO`.
//!
//! The ABI is `native`, `x32` or `i386`. A value is a number, an error `!ERRNO`.

use cofferdam_seccomp::Arch;
use cofferdam_sys::attempts::calls::{Abi, Plain, plain, with_ones};
use nix::errno::Errno;
use std::fmt::Write as _;
use std::time::{Duration, Instant};
use std::{fs, io, thread};

/// One call; without numbers it is made with all ones.
pub(crate) fn call(text: &str) -> io::Result<String> {
    let (arch, text) = arch(text)?;
    let (name, numbers) = text.split_once('=').unwrap_or((text, ""));
    let number = arch.number(name).ok_or_else(|| io::Error::other(format!("{arch} has no {name}")))?;
    let value = if numbers.is_empty() {
        with_ones(abi(arch)?, number).ok_or_else(|| io::Error::other("this one is never made"))?
    } else {
        let mut arguments = [0; 3];
        for (place, word) in arguments.iter_mut().zip(numbers.split(',')) {
            *place = integer(word)?;
        }
        plain(abi(arch)?, named(name)?, number, arguments)
    };
    Ok(shown(value))
}

/// A call on a thread of its own: what it gave, or that the thread is gone without a word.
pub(crate) fn on_a_thread(text: &str) -> io::Result<String> {
    let threads = || Ok::<_, io::Error>(fs::read_dir("/proc/self/task")?.count());
    let before = threads()?;
    let text = text.to_owned();
    let handle = thread::Builder::new().spawn(move || call(&text))?;
    let end = Instant::now() + Duration::from_secs(10);
    while Instant::now() < end {
        if handle.is_finished() {
            return handle.join().map_err(|_| io::Error::other("the thread panicked"))?;
        }
        // A thread that ends well says so before it is gone.
        if threads()? == before && !handle.is_finished() {
            // A thread that was killed never finishes, so that it must not be waited for.
            std::mem::forget(handle);
            return Ok("gone".to_owned());
        }
        thread::sleep(Duration::from_millis(1));
    }
    Err(io::Error::other("the thread neither ends nor answers"))
}

/// Every call of a range of numbers, with all ones: lines of number and value, `-` for one that is not made.
pub(crate) fn sweep(text: &str) -> io::Result<String> {
    let (arch, range) = arch(text)?;
    let (from, to) = range.split_once('-').ok_or_else(|| io::Error::other("no range"))?;
    let (from, to) = (integer(from)?, integer(to)?);
    let bit = if arch == Arch::X32 { cofferdam_seccomp::arch::X32_BIT } else { 0 };
    let mut lines = String::new();
    for number in u32::try_from(from).unwrap_or(0)..u32::try_from(to).unwrap_or(0) {
        let value = with_ones(abi(arch)?, number | bit);
        let value = value.map_or_else(|| "-".to_owned(), shown);
        writeln!(lines, "{number} {value}").map_err(io::Error::other)?;
    }
    Ok(lines)
}

fn arch(text: &str) -> io::Result<(Arch, &str)> {
    let (name, rest) = text.split_once(':').ok_or_else(|| io::Error::other("no ABI"))?;
    let arch = match name {
        "native" => Arch::native(),
        "x32" => Some(Arch::X32),
        "i386" => Some(Arch::X86),
        _ => None,
    };
    arch.map(|arch| (arch, rest)).ok_or_else(|| io::Error::other(format!("no ABI is called {name}")))
}

fn abi(arch: Arch) -> io::Result<Abi> {
    match arch {
        #[cfg(target_arch = "x86_64")]
        Arch::X86 => Ok(Abi::Int80),
        _ if Some(arch) == Arch::native() => Ok(Abi::Native),
        Arch::X32 if Arch::native() == Some(Arch::X86_64) => Ok(Abi::Native),
        _ => Err(io::Error::other(format!("this machine makes no calls of {arch}"))),
    }
}

fn named(name: &str) -> io::Result<Plain> {
    match name {
        "socket" => Ok(Plain::Socket),
        "socketpair" => Ok(Plain::SocketPair),
        "personality" => Ok(Plain::Personality),
        "unshare" => Ok(Plain::Unshare),
        "ioctl" => Ok(Plain::Ioctl),
        "mknodat" => Ok(Plain::Mknodat),
        "dup" => Ok(Plain::Dup),
        _ => Err(io::Error::other(format!("{name} is not made with numbers"))),
    }
}

fn integer(text: &str) -> io::Result<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    }
    .map_err(io::Error::other)
}

/// A value as the kernel gave it; errors are the numbers from -4095 to -1.
fn shown(value: i64) -> String {
    match value {
        -4095..=-1 => {
            let number = i32::try_from(-value).unwrap_or(0);
            match Errno::from_raw(number) {
                Errno::UnknownErrno => format!("!{number}"),
                errno => format!("!{errno:?}"),
            }
        }
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_made_and_shown() {
        assert_eq!(call("native:getpid").unwrap(), std::process::id().to_string());
        assert_eq!(call("native:close").unwrap(), "!EBADF");
        assert_eq!(call("native:dup=0xffffffff").unwrap(), "!EBADF");
        assert!(call("native:exit").is_err() && call("vax:read").is_err() && call("native:nothing").is_err());
        assert_eq!(on_a_thread("native:close").unwrap(), "!EBADF");
        assert_eq!(shown(-4000), "!4000");
        let exit = Arch::native().unwrap().number("exit").unwrap();
        assert_eq!(sweep(&format!("native:{exit}-{}", exit + 1)).unwrap(), format!("{exit} -\n"));
    }
}
