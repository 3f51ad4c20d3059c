//! Leases of id ranges, taken by many processes at once, some of which are killed.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use cofferdam_ns::{IdRange, Pool, Process};

/// Room for fewer leases than there are processes, so that they wait for one another.
const RANGES: u32 = 5;
const PROCESSES: usize = 8;
const TURNS: u32 = 400;
const BLOCK: u32 = 50;
const COUNT: u32 = 100;

fn pool(dir: &Path) -> Pool {
    let range = |first| vec![IdRange::new(first, RANGES * COUNT).unwrap()];
    Pool::new(&dir.join("pool"), range(100_000), range(700_000)).unwrap()
}

struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("cofferdam-leases-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("claims")).unwrap();
        Self(dir)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The exit status of a process that finds all ids taken.
const EXHAUSTED: i32 = 3;

/// This program again, as one of the processes.
fn again(role: &str, dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_process_of_its_own", "--nocapture", "--ignored"])
        .env("LEASES_ROLE", role)
        .env("LEASES_DIR", dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Not a test: what [`again`] runs.
#[test]
#[ignore = "a part of the other tests, in a process of its own"]
fn a_process_of_its_own() {
    let (Ok(role), Ok(dir)) = (std::env::var("LEASES_ROLE"), std::env::var("LEASES_DIR")) else { return };
    let dir = Path::new(&dir);
    if role == "turns" { take_turns(dir) } else { hold(dir) }
}

/// Takes and gives back, and makes a file for each block of a range while it has it: if that is there, two have it.
fn take_turns(dir: &Path) {
    let pool = pool(dir);
    let mut turns = 0;
    while turns < TURNS {
        // Of different lengths, so that two can share ids without beginning with the same one.
        let count = BLOCK * (1 + (turns + std::process::id()) % 4);
        let Ok(lease) = pool.take(count) else {
            std::thread::yield_now();
            continue;
        };
        assert_eq!(lease.uid().first - 100_000, lease.gid().first - 700_000);
        let blocks = (lease.uid().first..lease.uid().end()).step_by(BLOCK as usize);
        let claims: Vec<PathBuf> = blocks.map(|first| dir.join("claims").join(first.to_string())).collect();
        for claim in &claims {
            fs::File::options().write(true).create_new(true).open(claim).unwrap();
        }
        std::thread::yield_now();
        for claim in &claims {
            fs::remove_file(claim).unwrap();
        }
        drop(lease);
        turns += 1;
    }
}

/// Takes one, says so, and waits to be killed.
fn hold(dir: &Path) {
    let lease = match pool(dir).take(COUNT) {
        Ok(lease) => lease,
        // No panic: one of the tests wants this.
        Err(error) => {
            println!("\nholds none: {error}");
            std::process::exit(EXHAUSTED);
        }
    };
    println!("\nholds {}", lease.uid().first);
    std::io::stdout().flush().unwrap();
    let _ = std::io::stdin().read_line(&mut String::new());
}

#[test]
fn processes_never_share_a_range() {
    let dir = Dir::new("share");
    let mut processes: Vec<Child> = (0..PROCESSES).map(|_| again("turns", &dir.0)).collect();
    let ends: Vec<bool> = processes.iter_mut().map(|process| process.wait().unwrap().success()).collect();
    assert_eq!(ends, [true; PROCESSES]);
    assert_eq!(pool(&dir.0).taken().unwrap(), []);
}

#[test]
fn the_ranges_of_killed_processes_come_back() {
    let dir = Dir::new("killed");
    let pool = pool(&dir.0);
    for _ in 0..3 {
        let mut processes: Vec<Child> = (0..RANGES).map(|_| again("hold", &dir.0)).collect();
        let mut held: Vec<String> = processes.iter_mut().map(holds).collect();
        held.sort();
        assert_eq!(held, (0..RANGES).map(|n| (100_000 + n * COUNT).to_string()).collect::<Vec<_>>());
        assert!(pool.take(1).is_err(), "all are held");
        for process in &mut processes {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
    assert_eq!(pool.take(RANGES * COUNT).unwrap().uid().count, RANGES * COUNT);
}

fn holds(process: &mut Child) -> String {
    let output = BufReader::new(process.stdout.as_mut().unwrap());
    let line =
        output.lines().map(Result::unwrap).find_map(|line| Some(line.strip_prefix("holds ")?.to_owned()));
    line.unwrap()
}

#[test]
fn a_lease_outlives_its_maker_with_the_process_it_was_handed_to() {
    let dir = Dir::new("handed");
    let pool = pool(&dir.0);
    let mut container = Command::new("/bin/sleep").arg("60").spawn().unwrap();
    let process = Process::open(container.id().cast_signed()).unwrap();
    pool.take(RANGES * COUNT).unwrap().keep_for(&process).unwrap();
    // Another process sees it too.
    let output = again("hold", &dir.0).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(EXHAUSTED));
    container.kill().unwrap();
    container.wait().unwrap();
    assert!(pool.take(RANGES * COUNT).is_ok());
}
