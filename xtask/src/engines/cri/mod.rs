//! The CRI plug-in of containerd, called as a kubelet calls it: pods, containers in them, logs in files.

mod client;
mod messages;
mod proto;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::containerd;
use super::engine::{Ask, Engine, Output, Status, lacks};
use super::image::{self, Image};
use super::place::Place;
use super::process::success;
use client::Client;
use proto::{Fields, Message};

/// How long a container that was told to end may take.
const END: Duration = Duration::from_secs(20);

/// containerd with its CRI plug-in.
#[derive(Debug)]
pub(super) struct Cri {
    client: Client,
    logs: PathBuf,
    /// The ids of what was made, by name.
    made: Mutex<BTreeMap<String, Made>>,
}

#[derive(Debug, Clone)]
struct Made {
    pod: String,
    container: String,
    /// Whether the pod goes with the container.
    own: bool,
    log: PathBuf,
}

impl Cri {
    /// Starts the daemon and loads the image.
    ///
    /// # Errors
    /// The daemon does not come up, or does not load the image.
    pub(super) fn start(place: &Place, image: &Image) -> Result<Self> {
        let dir = place.dir.join("cri");
        let [cni, logs] = ["cni", "logs"].map(|name| dir.join(name));
        for folder in [&cni, &logs] {
            fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        }
        fs::write(cni.join("10-engine-test.conflist"), NETWORK).context("write the network")?;
        let config = format!(
            "[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"{}\"\nrestrict_oom_score_adj = true\n\
             [plugins.\"io.containerd.grpc.v1.cri\".cni]\nbin_dir = \"/usr/lib/cni\"\nconf_dir = \"{}\"\n\
             [plugins.\"io.containerd.grpc.v1.cri\".containerd]\ndefault_runtime_name = \"under-test\"\n\
             [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.under-test]\n\
             runtime_type = \"io.containerd.runc.v2\"\n\
             [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.under-test.options]\n\
             BinaryName = \"{}\"\n",
            image::NAME,
            cni.display(),
            place.runtime.display(),
        );
        let socket = containerd::daemon(place, "", &config)?.join("sock");
        let mut import = Command::new("ctr");
        import.arg("--address").arg(&socket).args(["--namespace", "k8s.io", "image", "import"]);
        success(import.arg(&image.archive)).context("load the image")?;
        Ok(Self { client: Client { socket, dir }, logs, made: Mutex::default() })
    }

    fn call(&self, method: &str, request: &Message) -> Result<Fields> {
        self.client.call(method, request)
    }

    fn made(&self, name: &str) -> Result<Made> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.get(name).cloned().with_context(|| format!("there is no container {name}"))
    }

    fn container_status(&self, name: &str) -> Result<Fields> {
        let request = Message::default().text(1, &self.made(name)?.container);
        self.call("ContainerStatus", &request)?.message(1)
    }

    /// What a stream of the log holds; each line has a time, a stream and whether it is whole before it.
    fn log(&self, name: &str, wanted: &[&str]) -> Result<String> {
        let path = self.made(name)?.log;
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        Ok(lines(&text, wanted))
    }
}

fn lines(text: &str, wanted: &[&str]) -> String {
    let mut found = String::new();
    for line in text.lines() {
        let mut parts = line.splitn(4, ' ').skip(1);
        if let (Some(stream), Some(tag), Some(said)) = (parts.next(), parts.next(), parts.next())
            && wanted.contains(&stream)
        {
            found.push_str(said);
            if tag == "F" {
                found.push('\n');
            }
        }
    }
    found
}

impl Engine for Cri {
    fn version(&self) -> Result<String> {
        let version = self.call("Version", &Message::default())?;
        Ok(format!("{} {}", version.text(3), version.text(4)))
    }

    fn run(&self, ask: &Ask<'_>) -> Result<Output> {
        let started = self.start(ask);
        let ended = started.and_then(|()| self.wait(ask.name)).and_then(|()| self.container_status(ask.name));
        let output = ended.and_then(|status| {
            Ok(Output {
                status: i32::try_from(status.number(7)).unwrap_or(-1),
                stdout: self.log(ask.name, &["stdout"])?,
                stderr: self.log(ask.name, &["stderr"])?,
            })
        });
        // A container that could not be started says why in an error: a kubelet would show it to the user.
        let output = output.or_else(|error| match self.made(ask.name) {
            Ok(_) => Ok(Output { status: 1, stdout: String::new(), stderr: format!("{error:#}") }),
            Err(_) => Err(error),
        });
        if self.made(ask.name).is_ok() {
            self.remove(ask.name)?;
        }
        output
    }

    fn start(&self, ask: &Ask<'_>) -> Result<()> {
        for (wanted, what) in [
            (ask.processes.is_some(), "the CRI limits no processes"),
            (ask.user_namespace, "containerd 1.6 has no user namespaces for pods"),
            (ask.init, "the CRI has no init program"),
        ] {
            if wanted {
                return lacks(what);
            }
        }
        let folder = self.logs.join(ask.name);
        let config = messages::pod(ask, &folder.display().to_string());
        let pod = if let Some(other) = ask.beside {
            self.made(other)?.pod
        } else {
            self.call("RunPodSandbox", &Message::default().message(1, &config))?.text(1)
        };
        let own = ask.beside.is_none();
        let mut made =
            Made { pod: pod.clone(), container: String::new(), own, log: folder.join(messages::LOG) };
        let keep = |made: &Made| {
            let mut all = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            all.insert(ask.name.to_owned(), made.clone());
        };
        keep(&made);
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        let request =
            Message::default().text(1, &pod).message(2, &messages::container(ask)).message(3, &config);
        made.container = self.call("CreateContainer", &request)?.text(1);
        keep(&made);
        self.call("StartContainer", &Message::default().text(1, &made.container)).map(drop)
    }

    fn exec(&self, name: &str, args: &[&str], tty: bool) -> Result<Output> {
        if tty {
            return lacks("a terminal comes over a stream, which is not gRPC");
        }
        let request = Message::default().text(1, &self.made(name)?.container);
        let request = args.iter().fold(request, |request, word| request.text(2, word)).number(3, 30);
        match self.call("ExecSync", &request) {
            Ok(answer) => Ok(Output {
                status: i32::try_from(answer.number(3)).unwrap_or(-1),
                stdout: answer.text(1),
                stderr: answer.text(2),
            }),
            // A program that cannot be executed is an error of the call.
            Err(error) => Ok(Output { status: -1, stdout: String::new(), stderr: format!("{error:#}") }),
        }
    }

    fn logs(&self, name: &str) -> Result<String> {
        self.log(name, &["stdout", "stderr"])
    }

    fn memory(&self, name: &str) -> Result<u64> {
        let request = Message::default().text(1, &self.made(name)?.container);
        Ok(self.call("ContainerStats", &request)?.message(1)?.message(3)?.message(2)?.number(1))
    }

    fn limit_memory(&self, name: &str, bytes: u64) -> Result<()> {
        let request = Message::default().text(1, &self.made(name)?.container);
        self.call("UpdateContainerResources", &request.message(2, &messages::memory(bytes))).map(drop)
    }

    fn kill(&self, name: &str, signal: &str) -> Result<()> {
        // The image's signal, and after this many seconds SIGKILL.
        let patience = if signal == "KILL" { 0 } else { END.as_secs() };
        let request = Message::default().text(1, &self.made(name)?.container).number(2, patience);
        self.call("StopContainer", &request).map(drop)
    }

    fn wait(&self, name: &str) -> Result<()> {
        let started = Instant::now();
        while !matches!(self.status(name)?, Status::Exited { .. }) {
            ensure!(started.elapsed() < END, "{name} did not end within {} s", END.as_secs());
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    fn status(&self, name: &str) -> Result<Status> {
        let status = self.container_status(name)?;
        Ok(match status.number(3) {
            0 | 1 => Status::Running,
            _ => {
                let code = i64::try_from(status.number(7)).unwrap_or(-1);
                Status::Exited { code, oom: Some(status.text(10) == "OOMKilled") }
            }
        })
    }

    fn remove(&self, name: &str) -> Result<()> {
        let made = self.made(name)?;
        if !made.container.is_empty() {
            let container = Message::default().text(1, &made.container);
            self.call("StopContainer", &container)?;
            self.call("RemoveContainer", &container)?;
        }
        if made.own {
            let pod = Message::default().text(1, &made.pod);
            self.call("StopPodSandbox", &pod)?;
            self.call("RemovePodSandbox", &pod)?;
        }
        self.made.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        Ok(())
    }
}

/// The network of pods, by the plug-ins of CNI.
const NETWORK: &str = r#"{
  "cniVersion": "0.4.0",
  "name": "engine-test",
  "plugins": [
    { "type": "bridge", "bridge": "cni-test", "isGateway": true, "ipMasq": false,
      "ipam": { "type": "host-local", "ranges": [[{ "subnet": "10.89.7.0/24" }]],
                "routes": [{ "dst": "0.0.0.0/0" }] } },
    { "type": "portmap", "capabilities": { "portMappings": true } }
  ]
}"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_has_streams_and_parts_of_lines() {
        let text = "2026-01-01T00:00:00Z stdout P first \n2026-01-01T00:00:00Z stdout F half\n\
                    2026-01-01T00:00:00Z stderr F problem\n";
        assert_eq!(lines(text, &["stdout"]), "first half\n");
        assert_eq!(lines(text, &["stdout", "stderr"]), "first half\nproblem\n");
    }
}
