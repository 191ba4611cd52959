//! The stand-in server, as a process on loopback.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests, whose panic is the failure")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use xtask::transfer::Transfer;
use xtask::{http, wait};

const LIMIT: Duration = Duration::from_secs(30);

struct Server {
    process: Child,
    stdout: BufReader<ChildStdout>,
    /// The first one that it listens at.
    address: SocketAddr,
    addresses: Vec<SocketAddr>,
}

impl Server {
    fn start(data: &Path, load_time: &str) -> Server {
        Server::start_at(&["127.0.0.1:0"], data, load_time)
    }

    fn start_at(addresses: &[&str], data: &Path, load_time: &str) -> Server {
        let mut process = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(["server", "--name", "one", "--version", "v7", "--grace", "1s"])
            .args(addresses.iter().flat_map(|address| ["--listen", address]))
            .args(["--load-time", load_time, "--data"])
            .arg(data)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let said = line.strip_prefix("one: listening on ").unwrap_or_else(|| panic!("{line:?}"));
        let said = said.split(',').next().unwrap();
        let addresses: Vec<SocketAddr> =
            said.split(" and ").map(|address| address.parse().unwrap()).collect();
        Server { process, stdout, address: addresses[0], addresses }
    }

    fn get(&self, path: &str) -> (u16, String) {
        http::get(self.address, path, LIMIT).unwrap()
    }

    fn wait_ready(&self) {
        wait::until_true("ready", LIMIT, || Ok(self.get("/health").0 == 200)).unwrap();
    }

    fn post(&self, path: &str, body: &[u8]) -> (u16, String) {
        let mut stream = self.open_post(path, body);
        let mut response = Vec::new();
        stream.read_to_end(&mut response).unwrap();
        let (status, body) = http::parse(&response).unwrap();
        (status, body.to_owned())
    }

    fn open_post(&self, path: &str, body: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        stream
    }

    fn jobs(&self) -> Vec<Value> {
        serde_json::from_str(&self.get("/history").1).unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id().try_into().unwrap()), signal).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn is_loading_then_ready() {
    let data = tempfile::tempdir().unwrap();
    let loading = Server::start(data.path(), "1h");
    let (status, body) = loading.get("/health");
    assert_eq!(
        (status, serde_json::from_str::<Value>(&body).unwrap()["status"].as_str()),
        (503, Some("loading"))
    );
    assert_eq!(loading.post("/transcribe?seconds=0", b"").0, 503);

    let mut server = Server::start(data.path(), "1ms");
    server.wait_ready();
    let mut line = String::new();
    server.stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "one: ready, version v7\n");
    assert_eq!(server.get("/whoami"), (200, "one".into()));
    assert_eq!(serde_json::from_str::<Value>(&server.get("/version").1).unwrap()["version"], "v7");
}

#[test]
fn remembers_jobs_over_a_kill() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), "0s");
    server.wait_ready();
    let (status, body) = server.post("/transcribe?seconds=0.02", &[7; 3_000_000]);
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &answer["backend"]), (200, &Value::from("one")));
    assert_eq!(answer["text"], "3000000 bytes of speech, heard by one");
    server.signal(Signal::SIGKILL);
    drop(server);

    let server = Server::start(data.path(), "0s");
    server.wait_ready();
    assert_eq!(server.jobs().len(), 1);
    assert_eq!(server.jobs()[0]["id"], answer["id"]);
    server.post("/transcribe?seconds=0", b"");
    let jobs = server.jobs();
    assert_eq!(jobs.len(), 2);
    assert_ne!(jobs[0]["id"], jobs[1]["id"]);
}

#[test]
fn echoes_a_body() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), "1h");
    let mut stream = server.open_post("/echo", b"speech, there and back");
    let mut response = Vec::new();
    stream.read_to_end(&mut response).unwrap();
    assert!(response.ends_with(b"speech, there and back"));
}

#[test]
fn listens_at_each_address() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_at(&["127.0.0.1:0", "[::1]:0"], data.path(), "1h");
    assert_eq!(server.addresses.len(), 2);
    for &address in &server.addresses {
        assert_eq!(http::get(address, "/whoami", LIMIT).unwrap(), (200, "one".into()), "{address}");
        let socket = UdpSocket::bind((address.ip(), 0)).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        socket.send_to(b"ping", address).unwrap();
        let (length, from) = socket.recv_from(&mut [0; 10]).unwrap();
        assert_eq!((length, from), (4, address));
    }
}

#[test]
fn files_arrive_as_they_were_sent() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), "1h");
    // The hash is that of FIPS 180-2, appendix B.1.
    let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(server.post("/blob", b"abc"), (200, hash.into()));
    for bytes in [0, 1, 1_000_003] {
        let transfer = Transfer { target: server.address, bytes, seed: 7, patience: LIMIT };
        transfer.upload().unwrap();
        transfer.download().unwrap();
    }
}

#[test]
fn a_job_goes_on_when_its_client_hangs_up() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), "0s");
    server.wait_ready();
    drop(server.open_post("/transcribe?seconds=0.3", b"speech"));
    wait::until_true("the job is in the history", LIMIT, || Ok(server.jobs().len() == 1)).unwrap();
}

#[test]
fn nonsense_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), "0s");
    server.wait_ready();
    for seconds in ["-1", "NaN", "inf", "1e300", "soon"] {
        assert_eq!(server.post(&format!("/transcribe?seconds={seconds}"), b"").0, 400, "{seconds}");
    }
    assert_eq!(server.get("/blob?bytes=-1").0, 400);
    assert_eq!(server.get("/nowhere").0, 404);
}

#[test]
fn echoes_datagrams_from_the_address_that_was_asked() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), "1h");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    for payload in [b"".as_slice(), b"ping", &[1; 9000]] {
        socket.send_to(payload, server.address).unwrap();
        let mut buffer = [0; 10_000];
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..length], from), (payload, server.address));
    }
}

#[test]
fn terminates_in_order_although_a_job_lasts_hours() {
    let data = tempfile::tempdir().unwrap();
    let mut server = Server::start(data.path(), "0s");
    server.wait_ready();
    let _open = server.open_post("/transcribe?seconds=7200", b"speech");
    server.signal(Signal::SIGTERM);
    assert!(server.process.wait().unwrap().success());
    let mut rest = String::new();
    server.stdout.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("one: ended\n"), "{rest:?}");
}
