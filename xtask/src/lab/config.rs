//! The lab's configuration of `fastswitch`, and the scripts that start and stop the cold backend.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{Backend, Lab, USUAL_VIPS, VIP, VIP6, address};

const START: &str = include_str!("start-cold.sh");
const STOP: &str = include_str!("stop-cold.sh");

impl Lab {
    /// The configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.run_dir().join("fastswitch.toml")
    }

    /// Writes the configuration: the lab's usual one, changed by `change`. Service 0 is `asr` (TCP), service 1 is
    /// `asr-udp`, on the same VIP, port and backends: primary, standby, cold. [`add_ipv6`] is a change of them.
    ///
    /// # Errors
    /// When it is no TOML any more, or cannot be written.
    pub fn write_config(&self, change: impl FnOnce(&mut Value)) -> anyhow::Result<()> {
        let mut config = self.usual_config();
        change(&mut config);
        self.write_config_text(&toml::to_string(&config).context("a configuration that is no TOML")?)
    }

    /// Writes this text as the configuration.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_config_text(&self, text: &str) -> anyhow::Result<()> {
        // In one step, for a daemon that reads it meanwhile.
        let new = self.run_dir().join("fastswitch.toml.new");
        std::fs::write(&new, text)
            .and_then(|()| std::fs::rename(&new, self.config_file()))
            .with_context(|| format!("cannot write {}", self.config_file().display()))
    }

    fn usual_config(&self) -> Value {
        let mut config = json!({
            "gateway": { "interfaces": self.topology().interfaces() },
            "service": [self.usual_service("asr", "tcp"), self.usual_service("asr-udp", "udp")],
        });
        if USUAL_VIPS.contains(&VIP6.into()) {
            add_ipv6(&mut config);
        }
        config
    }

    fn usual_service(&self, name: &str, protocol: &str) -> Value {
        let backend = |backend: Backend| json!({ "name": backend.name(), "address": backend.address() });
        let mut cold = backend(Backend::Cold);
        cold["tier"] = json!("cold");
        cold["start"] = json!({ "command": [self.start_script()], "timeout": "60s" });
        cold["stop"] = json!({ "command": [self.stop_script()], "timeout": "30s" });
        cold["ready_timeout"] = json!("60s");
        json!({
            "name": name,
            "vip": VIP,
            "port": address::PORT,
            "protocol": protocol,
            "failback": "auto",
            "failback_delay": "2s",
            "heartbeat": {
                "type": "http", "path": "/health",
                "interval": "10ms", "timeout": "50ms", "fall": 3, "rise": 2,
            },
            "backend": [backend(Backend::Primary), backend(Backend::Standby), cold],
        })
    }

    /// The script that starts the cold backend.
    pub fn start_script(&self) -> PathBuf {
        self.run_dir().join("start-cold.sh")
    }

    /// The script that stops the cold backend.
    pub fn stop_script(&self) -> PathBuf {
        self.run_dir().join("stop-cold.sh")
    }

    pub(super) fn write_scripts(&self, load_time: Duration) -> anyhow::Result<()> {
        // What the start script's pre-check looks for, as it would for a real model.
        let model = self.run_dir().join("model");
        std::fs::create_dir(&model)?;
        std::fs::write(model.join("VERSION"), "v1\n")?;
        let values = [
            ("@PROGRAM@", path(&self.programs.xtask)),
            ("@NAMESPACE@", path(&self.namespace(Backend::Cold.host()).path())),
            ("@ADDRESS@", Backend::Cold.address().to_string()),
            ("@ADDRESS6@", Backend::Cold.address6().to_string()),
            ("@LOAD_TIME@", humantime::format_duration(load_time).to_string()),
            ("@MODEL@", path(&model)),
            ("@DATA@", path(&self.data_dir())),
            ("@PID_FILE@", path(&self.pid_file(Backend::Cold.name()))),
            ("@SERVER_LOG@", path(&self.log_file(Backend::Cold.name()))),
            ("@SCRIPT_LOG@", path(&self.log_file("script"))),
        ];
        for (file, template) in [(self.start_script(), START), (self.stop_script(), STOP)] {
            let text = values.iter().fold(template.to_owned(), |text, (key, value)| text.replace(key, value));
            std::fs::write(&file, text)?;
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    }
}

/// Adds to a configuration each service at the IPv4 VIP once more at the IPv6 VIP: `asr6` is all that `asr` is, with the
/// same backends at their IPv6 addresses, and `asr6-udp` is what `asr-udp` is.
pub fn add_ipv6(config: &mut Value) {
    let Some(services) = config["service"].as_array_mut() else { return };
    let others: Vec<Value> =
        services.iter().filter(|service| service["vip"] == json!(VIP)).map(ipv6).collect();
    services.extend(others);
}

/// The same service over IPv6.
fn ipv6(service: &Value) -> Value {
    let mut service = service.clone();
    let name = service["name"].as_str().unwrap_or_default();
    service["name"] = match name.split_once('-') {
        Some((first, rest)) => json!(format!("{first}6-{rest}")),
        None => json!(format!("{name}6")),
    };
    service["vip"] = json!(VIP6);
    for row in service["backend"].as_array_mut().into_iter().flatten() {
        let backend = Backend::ALL.into_iter().find(|backend| row["name"] == backend.name());
        let address = row["address"].as_str().and_then(|address| address.parse::<SocketAddr>().ok());
        if let (Some(backend), Some(address)) = (backend, address) {
            row["address"] = json!(SocketAddr::from((backend.ip6(), address.port())));
        }
    }
    service
}

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_services_are_what_the_others_are() {
        let service = |name: &str, vip: &str, address: &str| {
            json!({ "name": name, "vip": vip, "failback": "manual",
                "backend": [{ "name": "standby", "address": address }] })
        };
        let ipv4 = [
            service("asr", "10.77.1.100", "10.77.2.11:80"),
            service("asr-udp", "10.77.1.100", "10.77.2.11:9"),
        ];
        let mut config = json!({ "service": ipv4 });
        add_ipv6(&mut config);
        let ipv6 = [
            service("asr6", "fd77:1::100", "[fd77:2::11]:80"),
            service("asr6-udp", "fd77:1::100", "[fd77:2::11]:9"),
        ];
        assert_eq!(config["service"], json!([ipv4, ipv6].concat()));
    }
}
