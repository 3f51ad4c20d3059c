//! Calls of gRPC: `curl` speaks HTTP/2, what is left is a prefix of five bytes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::super::process::success;
use super::proto::{Fields, Message};

/// A server on a socket.
#[derive(Debug)]
pub(super) struct Client {
    /// The socket.
    pub socket: PathBuf,
    /// A folder for requests and answers.
    pub dir: PathBuf,
}

impl Client {
    /// Calls a method of the service that containers are run by, and gives its answer.
    ///
    /// # Errors
    /// The server cannot be asked, or says that the call failed.
    pub(super) fn call(&self, method: &str, request: &Message) -> Result<Fields> {
        let file = |name: &str| self.dir.join(name);
        let body = [&prefix(request.as_bytes().len())?, request.as_bytes()].concat();
        fs::write(file("request"), body).context("write the request")?;
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--http2-prior-knowledge", "--max-time", "50"]);
        curl.arg("--unix-socket").arg(&self.socket);
        curl.args(["--header", "content-type: application/grpc", "--header", "te: trailers"]);
        curl.arg("--data-binary").arg(format!("@{}", file("request").display()));
        curl.arg("--dump-header").arg(file("headers")).arg("--output").arg(file("answer"));
        curl.arg(format!("http://localhost/runtime.v1.RuntimeService/{method}"));
        // curl leaves the file of an earlier answer when there is none.
        fs::write(file("answer"), "").context("clear the answer")?;
        success(&mut curl).with_context(|| method.to_owned())?;
        let answer = read(&file("answer"))?;
        let headers = String::from_utf8_lossy(&read(&file("headers"))?).into_owned();
        if let Some(why) = refusal(&headers) {
            bail!("{method}: {why}");
        }
        let (head, message) = answer.split_at_checked(5).with_context(|| format!("{method}: no answer"))?;
        if head != prefix(message.len())? {
            bail!("{method}: the answer is not one message of {} bytes: {head:?}", message.len());
        }
        Fields::read(message).with_context(|| format!("read the answer of {method}"))
    }
}

/// What comes before a message: not compressed, and its length.
fn prefix(length: usize) -> Result<[u8; 5]> {
    let [a, b, c, d] = u32::try_from(length).context("a message of more than 4 GiB")?.to_be_bytes();
    Ok([0, a, b, c, d])
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("read {}", path.display()))
}

/// Why a call failed, by its headers or trailers.
fn refusal(headers: &str) -> Option<String> {
    let value = |name: &str| headers.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let status = value("grpc-status:").filter(|status| *status != "0")?;
    Some(format!("{} (status {status})", value("grpc-message:").unwrap_or("no reason is given")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_its_reason() {
        let headers =
            "HTTP/2 200 \r\ncontent-type: application/grpc\r\ngrpc-status: 5\r\ngrpc-message: not found\r\n";
        assert_eq!(refusal(headers).unwrap(), "not found (status 5)");
        assert_eq!(refusal("HTTP/2 200 \r\ngrpc-status: 0\r\ngrpc-message: \r\n"), None);
        assert_eq!(refusal("HTTP/2 200 \r\n"), None);
    }

    #[test]
    fn the_prefix_has_the_length() {
        assert_eq!(prefix(0x0102).unwrap(), [0, 0, 0, 1, 2]);
    }
}
