//! apt with a state of its own: it fetches and verifies, and the system's apt is left as it was.

use anyhow::{Context as _, Result};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use super::cache::Cache;
use super::catalogue::Catalogue;
use super::index::{Index, Package};
use super::progress::Step;
use super::sources::Archives;
use crate::fail;
use crate::tools::{self, Tool};

/// apt's configuration, source lines and lists in the cache.
#[derive(Debug)]
pub struct Apt {
    config: PathBuf,
    archives: String,
}

impl Apt {
    /// Writes the configuration; nothing is fetched yet. The caller holds the lock `apt`.
    ///
    /// # Errors
    ///
    /// When apt or the archive's keyring is missing and cannot be installed, or the cache cannot be written.
    pub fn new(cache: &Cache, archives: &Archives, catalogue: &Catalogue) -> Result<Self> {
        tools::ensure(&[Tool::Apt, Tool::Keyring])?;
        let keyring =
            tools::path(Tool::Keyring).ok_or_else(|| fail::lab(tools::missing(&[Tool::Keyring])))?;
        let root = cache.path("apt");
        for folder in ["lists/partial", "cache/archives/partial"] {
            let folder = root.join(folder);
            fs::create_dir_all(&folder).map_err(|error| cache.explain(error.into(), &folder))?;
        }
        let sources = source_lines(archives, catalogue, &keyring);
        put_text(cache, "apt/sources.list", &sources)?;
        put_text(cache, "apt/status", "")?;
        let config = put_text(cache, "apt/apt.conf", &configuration(&root)?)?;
        Ok(Self { config, archives: archives.to_string() })
    }

    /// Fetches and verifies the package lists, which then live for `life`, and reads what the lab needs from them.
    ///
    /// # Errors
    ///
    /// When not a single list could be had: no network, or no valid signature.
    pub fn update(&self, cache: &Cache, life: Duration) -> Result<Index> {
        let step = Step::start("fetching the package lists", None);
        let output = watch(self.command("apt-get").arg("update"), cache, || is_full(cache.root()));
        // Halves of lists would only keep the disk full.
        let output = output.inspect_err(|_| drop(fs::remove_dir_all(cache.path("apt/lists/partial"))))?;
        let problems = complaints(&output);
        let mut index = Index::new(&self.archives, problems);
        let lists = self.lists()?;
        for (suite, list) in &lists {
            index.add_list(suite, list)?;
        }
        if index.problems.iter().any(|problem| problem.contains("No space left on device")) {
            return Err(cache.full());
        }
        if lists.is_empty() || index.is_empty() {
            return Err(fail::lab(format!(
                "apt could not fetch the package lists: {}; check the network, the proxy in apt's configuration, or name another archive with --mirror URI",
                summary(&index.problems)
            )));
        }
        if !index.problems.is_empty() {
            eprintln!("note: not all package lists could be fetched: {}", summary(&index.problems));
            index.expire_in(Duration::from_hours(1).min(life), life);
        }
        put_text(cache, "index.json", &serde_json::to_string(&index)?)?;
        step.done();
        Ok(index)
    }

    /// Fetches packages into a folder; apt refuses whatever does not have the size and sum of its signed lists.
    ///
    /// # Errors
    ///
    /// When a package could not be fetched or verified.
    pub fn download(&self, packages: &[Package], into: &Path, cache: &Cache) -> Result<Vec<PathBuf>> {
        let first = packages.first().map_or("", |package| package.name.as_str());
        let total = packages.iter().map(|package| package.size).sum();
        let step = Step::start(format!("fetching {first}"), Some(total));
        let names = packages.iter().map(|package| format!("{}={}", package.name, package.version));
        let mut command = self.command("apt-get");
        command.arg("download").args(names).current_dir(into);
        let output = watch(&mut command, cache, || {
            step.at(bytes_in(into));
            is_full(into)
        })?;
        let debs = debs_in(into)?;
        if !output.status.success() || debs.len() != packages.len() {
            return Err(fail::lab(format!(
                "apt could not fetch {first}: {}; check the network and the free space of the cache",
                summary(&complaints(&output))
            )));
        }
        step.done();
        Ok(debs)
    }

    /// The verified lists that are there, by suite.
    fn lists(&self) -> Result<Vec<(String, PathBuf)>> {
        let mut command = self.command("apt-get");
        command.args(["indextargets", "--format", "$(RELEASE) $(FILENAME)", "Created-By: Packages"]);
        let output = run(&mut command)?;
        let text = String::from_utf8_lossy(&output.stdout);
        let pairs = text.lines().filter_map(|line| line.split_once(' '));
        let lists = pairs.map(|(suite, file)| (suite.to_owned(), PathBuf::from(file)));
        Ok(lists.filter(|(_, file)| file.is_file()).collect())
    }

    /// Our file is read after the system's, so that a proxy set there holds and our folders win.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-c").arg(&self.config).args(["-q", "-y"]);
        command.env("LC_ALL", "C").env_remove("APT_CONFIG").stdin(Stdio::null());
        command
    }
}

fn source_lines(archives: &Archives, catalogue: &Catalogue, keyring: &Path) -> String {
    let mut lines = String::new();
    for (suite, archive) in &catalogue.suites {
        if let Some(uri) = archives.uri(*archive) {
            let keyring = keyring.display();
            // Writing to a string cannot fail.
            writeln!(lines, "deb [arch=amd64 signed-by={keyring}] {uri} {suite} main").ok();
        }
    }
    lines
}

fn configuration(root: &Path) -> Result<String> {
    let dir = root.to_str().filter(|dir| !dir.contains(['"', '\n']));
    let dir = dir.ok_or_else(|| {
        fail::lab(format!(
            "apt cannot use a cache at {}: set COFFERDAM_CACHE to a path without quotes",
            root.display()
        ))
    })?;
    let sandbox = if nix::unistd::geteuid().is_root() {
        // apt's own user may have no way into root's cache folder.
        "APT::Sandbox::User \"root\";\n"
    } else {
        ""
    };
    Ok(format!(
        r#"Dir::Etc::sourcelist "{dir}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "{dir}";
Dir::State::lists "{dir}/lists";
Dir::State::status "{dir}/status";
Dir::State::extended_states "{dir}/extended_states";
Dir::Cache "{dir}/cache";
Dir::Cache::archives "{dir}/cache/archives";
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "";
Dir::Log "{dir}";
{sandbox}APT::Architecture "amd64";
APT::Default-Release "";
Acquire::Languages "none";
Acquire::GzipIndexes "false";
Acquire::PDiffs "false";
Acquire::Retries "2";
Acquire::http::Timeout "20";
Acquire::https::Timeout "20";
#clear APT::Architectures;
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear Acquire::IndexTargets::deb::DEP-11;
#clear Acquire::IndexTargets::deb::DEP-11-icons;
#clear Acquire::IndexTargets::deb::DEP-11-icons-small;
#clear Acquire::IndexTargets::deb::DEP-11-icons-hidpi;
#clear Acquire::IndexTargets::deb::DEP-11-icons-large;
#clear Acquire::IndexTargets::deb::DEP-11-icons-large-hidpi;
#clear Acquire::IndexTargets::deb::CNF;
"#
    ))
}

fn put_text(cache: &Cache, entry: &str, text: &str) -> Result<PathBuf> {
    let path = cache.path(entry);
    if fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
        return Ok(path);
    }
    cache.put(entry, |file| Ok(std::io::Write::write_all(file, text.as_bytes())?))
}

fn run(command: &mut Command) -> Result<Output> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.output().with_context(|| format!("running {program}"))
}

/// Runs apt to its end and asks `full` meanwhile: on a full disk `apt-get update` waits for ever, and is ended.
fn watch(command: &mut Command, cache: &Cache, full: impl Fn() -> bool) -> Result<Output> {
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("running apt-get")?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        // Both pipes are emptied all the time, so that apt never waits for us.
        let (stdout, stderr) = (scope.spawn(|| read(stdout)), scope.spawn(|| read(stderr)));
        let mut ended = false;
        let status = loop {
            if let Some(status) = child.try_wait().context("waiting for apt-get")? {
                break status;
            }
            if !ended && full() {
                ended = true;
                child.kill().context("ending apt-get")?;
            }
            std::thread::sleep(Duration::from_millis(80));
        };
        if ended {
            return Err(cache.full());
        }
        let join = |end: std::thread::ScopedJoinHandle<'_, Vec<u8>>| end.join().unwrap_or_default();
        Ok(Output { status, stdout: join(stdout), stderr: join(stderr) })
    })
}

fn read(pipe: Option<impl std::io::Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What apt said before a failed read is still worth showing.
    pipe.and_then(|mut pipe| pipe.read_to_end(&mut bytes).ok());
    bytes
}

/// Whether not a page is left for an ordinary user; a file system that cannot say is not full.
fn is_full(path: &Path) -> bool {
    nix::sys::statvfs::statvfs(path)
        .is_ok_and(|room| room.blocks() > 0 && room.blocks_available() * room.fragment_size() < 4096)
}

/// apt's errors, and its warnings that something was not fetched or not verified, in its words.
fn complaints(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines =
        text.lines().filter(|line| line.starts_with("E: ") || (line.starts_with("W: ") && serious(line)));
    let mut lines: Vec<String> = lines.map(str::to_owned).collect();
    lines.sort();
    lines.dedup();
    lines
}

/// Others are about settings of the system that do not matter here.
fn serious(line: &str) -> bool {
    ["Failed to fetch", "GPG error", "not signed", "signature"].iter().any(|sign| line.contains(sign))
}

/// The complaint that tells most, and how many there are.
pub fn summary(complaints: &[String]) -> String {
    let Some(first) = complaints.iter().find(|line| serious(line)).or(complaints.first()) else {
        return "it gave no reason".to_owned();
    };
    let first = first.get(3..).unwrap_or(first).trim();
    match complaints.len() {
        1 => first.to_owned(),
        count => format!("{first} (and {} more)", count - 1),
    }
}

fn debs_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let paths = entries.flatten().map(|entry| entry.path());
    Ok(paths.filter(|path| path.extension().is_some_and(|extension| extension == "deb")).collect())
}

fn bytes_in(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_apt_cannot_name_are_refused() {
        let error = configuration(Path::new("/a\"b")).unwrap_err();
        assert_eq!(fail::exit_code(&error), 3);
        assert!(configuration(Path::new("/a b")).unwrap().contains("Dir::State \"/a b\";"));
    }

    #[test]
    fn apt_is_ended_when_the_disk_is_full() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path()).unwrap();
        let started = std::time::Instant::now();
        let error = watch(Command::new("sleep").arg("60"), &cache, || true).unwrap_err();
        assert!(
            started.elapsed() < Duration::from_secs(30) && format!("{error:#}").contains("the disk is full")
        );
        assert_eq!(fail::exit_code(&error), 3);
        let output = watch(Command::new("sh").args(["-c", "echo a; echo b >&2; exit 3"]), &cache, || false);
        let output = output.unwrap();
        assert_eq!(
            (output.stdout, output.stderr, output.status.code()),
            (b"a\n".into(), b"b\n".into(), Some(3))
        );
        // A file system without blocks cannot be full.
        assert!(!is_full(Path::new("/proc")) && !is_full(root.path()));
    }

    #[test]
    fn summary_prefers_what_was_not_fetched() {
        let lines = ["E: one", "W: Failed to fetch two"].map(str::to_owned);
        assert_eq!(summary(&lines), "Failed to fetch two (and 1 more)");
        assert_eq!(summary(&lines[..1]), "one");
        assert_eq!(summary(&[]), "it gave no reason");
    }
}
