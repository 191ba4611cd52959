//! Programs of others that make traffic and measure it: iperf3 for a stream, wrk and nginx for requests.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;
use xtask::lab::{Backend, Host, Lab};
use xtask::{shell, wait};

/// For a server to listen.
const START: Duration = Duration::from_secs(10);
/// Connections that wrk keeps busy: enough that neither end waits for the other.
const CONNECTIONS: &str = "32";

/// A server on a backend; dropping it ends it.
pub(crate) struct Server(Child);

impl Server {
    /// iperf3, which serves one test at a time.
    pub(crate) fn iperf3(lab: &Lab, backend: Backend, port: u16) -> anyhow::Result<Server> {
        let mut command = lab.command(backend.host(), "iperf3")?;
        command.args(["--server", "--bind", &backend.ip().to_string(), "--port", &port.to_string()]);
        Server::start(lab, backend, &mut command, &[port])
    }

    /// nginx, which answers each request with a few bytes, as one process without a log.
    pub(crate) fn nginx(lab: &Lab, backend: Backend, ports: &[u16]) -> anyhow::Result<Server> {
        let folder = lab.run_dir();
        let file = folder.join("nginx.conf");
        let mut listen = String::new();
        for port in ports {
            writeln!(listen, "listen {}:{port};", backend.ip())?;
        }
        let configuration = format!(
            "daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr error;
             events {{ worker_connections 4096; }}
             http {{
                 access_log off; keepalive_requests 1000000000;
                 server {{ {listen} location / {{ return 200 ok; }} }}
             }}",
            folder = folder.display()
        );
        std::fs::write(&file, configuration).with_context(|| format!("cannot write {}", file.display()))?;
        let mut command = lab.command(backend.host(), "nginx")?;
        command.arg("-p").arg(&folder).arg("-c").arg(&file);
        Server::start(lab, backend, &mut command, ports)
    }

    fn start(lab: &Lab, backend: Backend, command: &mut Command, ports: &[u16]) -> anyhow::Result<Server> {
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().map_err(|error| shell::not_started(command, error))?;
        let server = Server(child);
        wait::until_true(&format!("`{}` listens", shell::line(command)), START, || {
            let args = ["--no-header", "--listening", "--tcp", "--numeric"];
            let listening = lab.exec(backend.host(), "ss", args)?;
            let listening = String::from_utf8_lossy(&listening.stdout);
            Ok(ports.iter().all(|port| listening.contains(&format!(":{port} "))))
        })?;
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which its client will have noticed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Bits per second that arrive of one TCP stream from the client.
pub(crate) fn stream(lab: &Lab, target: SocketAddr, seconds: u32) -> anyhow::Result<f64> {
    let (address, port) = (target.ip().to_string(), target.port().to_string());
    let mut command = lab.command(Host::Client, "iperf3")?;
    command.args(["--json", "--client", &address, "--port", &port, "--time", &seconds.to_string()]);
    let said: Value = serde_json::from_slice(&shell::run(&mut command)?.stdout)?;
    let rate = said["end"]["sum_received"]["bits_per_second"].as_f64();
    rate.with_context(|| format!("iperf3 measured nothing: {said}"))
}

/// Requests per second that the client has answered, on connections that stay open or on a new one each.
pub(crate) fn requests(lab: &Lab, target: SocketAddr, stay: bool, seconds: u32) -> anyhow::Result<f64> {
    let mut command = lab.command(Host::Client, "wrk")?;
    command.args(["--threads", "1", "--connections", CONNECTIONS, "--duration", &seconds.to_string()]);
    if !stay {
        command.args(["--header", "Connection: close"]);
    }
    command.arg(format!("http://{target}/"));
    let said = String::from_utf8(shell::run(&mut command)?.stdout)?;
    anyhow::ensure!(!said.contains("Socket errors") && !said.contains("Non-2xx"), "{said}");
    let rate = said.lines().find_map(|line| line.strip_prefix("Requests/sec:")?.trim().parse().ok());
    rate.with_context(|| format!("wrk measured nothing: {said}"))
}
