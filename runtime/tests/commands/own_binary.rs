//! A container of the host's root must not be able to write the program that made it (CVE-2019-5736).
//!
//! The first process of the container lies in wait for a process that executes the host's file, opens its
//! `/proc/PID/exe`, ends it, and tries to open what it has for writing until nothing executes the file any more.

use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::bundle::{Bundle, RUNTIME, hides, wait_for};

/// In wait for a process whose program has the number `$INODE`. What it is told by the last attempt to write is
/// its result: `written`, or the shell's words.
const AMBUSH: &str = r#"
mkfifo /volume/fifo
echo > /volume/ready
while [ ! -e /volume/taken ]; do
    for process in /proc/[0-9]*; do
        if [ "$(stat -L -c %i $process/exe 2>/dev/null)" = "$INODE" ]; then
            exec 3< $process/exe || continue
            kill -9 ${process#/proc/}
            echo > /volume/taken
        fi
    done
done
while :; do
    why=$( (: >> /proc/self/fd/3) 2>&1) && why=written
    case "$why" in
        *busy*) sleep 0.02 ;;
        *) echo "$why" > /volume/result.new; break ;;
    esac
done
mv /volume/result.new /volume/result
"#;

/// Lets `victim` execute itself in a container that lies in wait for the file `program`, and gives what the
/// attempt to write said.
fn attack(program: &Path, victim: impl Fn(&Bundle, i32) -> Command) -> Option<String> {
    let mut bundle = Bundle::new()?;
    let volume = bundle.path("volume");
    fs::create_dir(&volume).unwrap();
    bundle.bind(&volume, "/volume");
    // The loader and the libraries of a program that is not static.
    for dir in ["/usr", "/lib", "/lib64"].map(Path::new).into_iter().filter(|dir| dir.exists()) {
        bundle.bind(dir, dir.to_str().unwrap());
    }
    let inode = fs::metadata(program).unwrap().ino();
    std::os::unix::fs::symlink("busybox", bundle.path("rootfs/bin/mv")).unwrap();
    // With every capability: only who has all of another's may look at it.
    let features: Value = serde_json::from_str(&bundle.order(&["features"]).good()).unwrap();
    let all = &features["linux"]["capabilities"];
    bundle.config["process"]["capabilities"] = json!({ "bounding": all, "effective": all, "permitted": all });
    bundle.script(&format!("INODE={inode}; {AMBUSH}"));
    bundle.start();
    wait_for("the ambush", || volume.join("ready").exists().then_some(()));
    let pid = bundle.state()["pid"].as_i64().unwrap();
    let mut command = victim(&bundle, pid.try_into().unwrap());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut victim = command.spawn().unwrap();
    let result = wait_for("the result", || fs::read_to_string(volume.join("result")).ok());
    victim.wait().unwrap();
    Some(result.trim().to_owned())
}

/// A copy, so that nothing else executes the file.
fn copy(dir: &tempfile::TempDir, program: &str) -> std::path::PathBuf {
    let path = dir.path().join("program");
    fs::copy(program, &path).unwrap();
    path
}

/// Waits at a pipe of the container's, as its log.
const LINGER: [&str; 4] = ["/proc/self/exe", "--log", "/volume/fifo", "list"];

#[test]
fn a_container_cannot_write_the_program() {
    if hides("open_tree", "a read-only mount of the program") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let program = copy(&dir, RUNTIME);
    let exec = |bundle: &Bundle, _| {
        let mut command = Command::new(&program);
        command.arg("--root").arg(bundle.path("state")).args(["exec", bundle.id()]).args(LINGER);
        command
    };
    let Some(result) = attack(&program, exec) else { return };
    assert!(result.ends_with("Read-only file system"), "{result}");
}

#[test]
fn nor_by_a_script_whose_interpreter_is_the_program() {
    if hides("open_tree", "a read-only mount of the program") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let program = copy(&dir, RUNTIME);
    let exec = |bundle: &Bundle, _| {
        let script = bundle.path("rootfs/bin/script");
        fs::write(&script, "#!/proc/self/exe --log=/volume/fifo\n").unwrap();
        fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let mut command = Command::new(&program);
        command.arg("--root").arg(bundle.path("state")).args(["exec", bundle.id(), "script"]);
        command
    };
    let Some(result) = attack(&program, exec) else { return };
    assert!(result.ends_with("Read-only file system"), "{result}");
}

/// Taking another file for its own changes nothing else of what others see of the program.
#[test]
fn the_program_is_seen_as_it_was_started() {
    let Some(mut bundle) = Bundle::new() else { return };
    bundle.script("echo ready; sleep 1000").write();
    let dir = tempfile::tempdir().unwrap();
    let program = copy(&dir, RUNTIME);
    let mut command = Command::new(&program);
    command.arg("--root").arg(bundle.path("state")).args(["run", "--bundle"]).arg(bundle.path("."));
    command.arg(bundle.id()).env_clear().env("FIRST", "1").env("LAST", "2");
    let mut running = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = [0; 5];
    running.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
    let read = |name: &str| fs::read(format!("/proc/{}/{name}", running.id())).unwrap();
    let words: Vec<u8> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .flat_map(|word| [word.as_bytes(), b"\0"].concat())
        .collect();
    assert_eq!((read("cmdline"), read("environ")), (words, b"FIRST=1\0LAST=2\0".to_vec()));
    assert_eq!(read("comm"), b"cofferdam\n");
    let maps = String::from_utf8(read("maps")).unwrap();
    assert!(maps.contains("[heap]") && maps.contains("[stack]"), "{maps}");
    bundle.order(&["delete", "--force", bundle.id()]).good();
    running.wait().unwrap();
}

/// The same against a program that joins a container without such care.
#[test]
fn control_another_program_is_written() {
    const NSENTER: &str = "/usr/bin/nsenter";
    if !Path::new(NSENTER).exists() {
        eprintln!("skipped: {NSENTER} (Debian: util-linux) is what the attack is tried on");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let program = copy(&dir, NSENTER);
    let join = |_: &Bundle, pid: i32| {
        let mut command = Command::new(&program);
        command.args(["--target", &pid.to_string(), "--mount", "--pid"]);
        command.args(["/proc/self/exe", "--net=/volume/fifo"]);
        command
    };
    let Some(result) = attack(&program, join) else { return };
    assert_eq!(result, "written");
}
