//! Prints what a thread may do, in words: `show [TASK]`, `show --file PROGRAM` for what a program would have.

use cofferdam_caps::{CapSet, Credentials, FileCaps, Program, Rules, Sets, Status, last_cap};
use std::error::Error;
use std::fs::File;
use std::process::ExitCode;

fn main() -> ExitCode {
    match show() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("show: {error}");
            ExitCode::FAILURE
        }
    }
}

fn show() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => thread(&Credentials::current()?)?,
        ["--file", path] => program(path)?,
        [task] => {
            let status = Status::of(task.parse()?)?;
            println!("user        {}, effective {}", status.uids.real, status.uids.effective);
            println!("no_new_privs {}", status.no_new_privs);
            sets(&status.sets)?;
        }
        _ => return Err("usage: show [TASK] | show --file PROGRAM".into()),
    }
    Ok(())
}

fn thread(thread: &Credentials) -> Result<(), Box<dyn Error>> {
    println!("user        {}, effective {}", thread.uids.real, thread.uids.effective);
    println!("secure bits {}, no_new_privs {}", thread.securebits, thread.no_new_privs);
    sets(&thread.sets)
}

fn program(path: &str) -> Result<(), Box<dyn Error>> {
    let file = File::open(path)?;
    match FileCaps::read(&file)? {
        Some(caps) => println!("{path} has {caps}"),
        None => println!("{path} has no capabilities"),
    }
    println!("executed by this thread it would have:");
    thread(&Credentials::current()?.execve(&Program::of(file)?, Rules::of_kernel()?)?)
}

fn sets(sets: &Sets) -> Result<(), Box<dyn Error>> {
    let all = CapSet::up_to(last_cap()?);
    let named = [
        ("effective", sets.effective),
        ("permitted", sets.permitted),
        ("inheritable", sets.inheritable),
        ("bounding", sets.bounding),
        ("ambient", sets.ambient),
    ];
    for (name, set) in named {
        println!("{name:12}{set:?}");
    }
    println!();
    for cap in sets.effective.iter() {
        println!("may         {cap}: {}", cap.permits());
    }
    for cap in (all - sets.effective).iter() {
        println!("may not     {cap}: {}", cap.permits());
    }
    Ok(())
}
