//! What a configuration means; beside this file, what is said about a wrong one and about anything at all.
#![expect(clippy::unwrap_used, clippy::panic, reason = "these are tests, helpers included")]

#[path = "config/arbitrary.rs"]
mod arbitrary;
#[path = "config/wrong.rs"]
mod wrong;

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fastswitch::config::{Errors, Host, load, load_on, parse};
use fastswitch::machine::spec::{
    Check, Failback, Heartbeat, Mode, OnOutage, Protocol, Script, Service, Tier, XdpMode,
};

const MINIMAL: &str = include_str!("../config/minimal.toml");
const COMMENTED: &str = include_str!("../config/fastswitch.toml");

/// A service's beginning, for tests of what follows; its lines are 1 to 6.
const HEAD: &str =
    "[gateway]\ninterfaces = [\"eth0\"]\n[[service]]\nname = \"asr\"\nvip = \"10.0.0.100\"\nport = 80\n";
/// Its primary; as lines 7 to 9.
const PRIMARY: &str = "[[service.backend]]\nname = \"one\"\naddress = \"10.0.0.1:80\"\n";

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config").join(name)
}

fn service(lines: &str) -> Service {
    let spec =
        parse(&format!("{HEAD}{lines}{PRIMARY}"), "test.toml").unwrap_or_else(|errors| panic!("{errors}"));
    spec.services.into_iter().next().unwrap()
}

fn heartbeat(lines: &str) -> Heartbeat {
    service(lines).backends[0].heartbeat.clone()
}

fn errors(text: &str) -> Errors {
    match parse(text, "test.toml") {
        Ok(spec) => panic!("no error in\n{text}\nbut {spec:?}"),
        Err(errors) => errors,
    }
}

/// Checks that `text` has exactly the errors `expected`: each "line:column: fragments|of|message|or help".
#[track_caller]
fn expect(text: &str, expected: &[&str]) {
    let errors = errors(text);
    let matches = |(error, expected): (&fastswitch::config::Error, &&str)| {
        let (place, fragments) = expected.split_once(": ").unwrap();
        let shown = format!("{}\n{}", error.message, error.help);
        format!("{}:{}", error.line.unwrap(), error.column.unwrap()) == place
            && fragments.split('|').all(|fragment| shown.contains(fragment))
    };
    let good = errors.list().len() == expected.len() && errors.list().iter().zip(expected).all(matches);
    assert!(good, "for\n{text}\nexpected {expected:#?}\nbut got\n{errors}");
}

#[test]
fn the_minimal_file_is_a_primary_a_standby_and_a_cold_machine() {
    let spec = load(&shipped("minimal.toml")).unwrap();
    assert_eq!((spec.gateway.interfaces, spec.gateway.assign_vip), (vec!["eth0".to_owned()], true));
    assert_eq!(spec.gateway.xdp_mode, XdpMode::Auto);
    let [service] = &spec.services[..] else { panic!("one service") };
    assert_eq!((&*service.name, service.vip, service.port), ("asr", IpAddr::from([192, 168, 1, 100]), 7860));
    assert_eq!((service.protocol, service.mode), (Protocol::Tcp, Mode::Nat));
    assert_eq!(service.on_outage, OnOutage::Reject);
    assert_eq!(service.failback, Failback::Manual);
    let tiers: Vec<_> = service.backends.iter().map(|backend| (&*backend.name, backend.tier)).collect();
    assert_eq!(tiers, [("primary", Tier::Hot), ("standby", Tier::Hot), ("cold", Tier::Cold)]);
    let cold = &service.backends[2];
    assert_eq!(cold.address, SocketAddr::from(([192, 168, 1, 12], 7860)));
    let start = Script {
        command: vec!["/etc/fastswitch/start-cold.sh".to_owned()],
        timeout: Duration::from_secs(60),
    };
    assert_eq!((&cold.start, &cold.stop, cold.ready_timeout), (&Some(start), &None, Duration::from_secs(60)));
    let heartbeat = Heartbeat {
        check: Check::Tcp,
        port: 7860,
        interval: Duration::from_millis(100),
        timeout: Duration::from_millis(200),
        fall: NonZeroU32::new(3).unwrap(),
        rise: NonZeroU32::new(2).unwrap(),
    };
    assert_eq!(cold.heartbeat, heartbeat);
}

/// The defaults that the commented file names are the real ones, and it names every one.
#[test]
fn the_commented_file_tells_the_truth() {
    let spec = load(&shipped("fastswitch.toml")).unwrap();
    let is_default = |line: &&str| line.starts_with('#') && line[1..].starts_with(char::is_alphabetic);
    assert!(COMMENTED.lines().filter(is_default).count() >= 16, "defaults are written `#key = value`");
    let explicit: Vec<_> =
        COMMENTED.lines().map(|line| if is_default(&line) { &line[1..] } else { line }).collect();
    assert_eq!(parse(&explicit.join("\n"), "explicit").unwrap_or_else(|errors| panic!("{errors}")), spec);
}

#[test]
fn the_commented_file_has_every_key() {
    let unknown = "[gateway]\ninterfaces = [\"a\"]\nzzzzzzzz = 1\n[[service]]\nzzzzzzzz = 1\n\
        [service.heartbeat]\nzzzzzzzz = 1\n[[service.backend]]\nzzzzzzzz = 1\n\
        [service.backend.start]\nzzzzzzzz = 1\n";
    let errors = errors(unknown);
    let lists = errors.list().iter().filter_map(|error| error.help.strip_prefix("known here: "));
    let keys: Vec<&str> = lists.flat_map(|list| list.split(", ")).collect();
    assert!(keys.len() > 25, "{keys:?}");
    let words: Vec<_> = COMMENTED.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    for key in keys {
        assert!(words.contains(&key), "{key} is not in fastswitch.toml");
    }
}

#[test]
fn heartbeats_default_by_protocol() {
    assert_eq!(heartbeat("").check, Check::Tcp);
    assert_eq!(heartbeat("protocol = \"udp\"\n").check, Check::Icmp);
    let send = b"fastswitch heartbeat".to_vec();
    assert_eq!(heartbeat("protocol = \"udp\"\nheartbeat.type = \"udp\"\n").check, Check::Udp { send });
    let http = Check::Http { path: "/".to_owned(), expect_status: vec![200..=399] };
    assert_eq!(heartbeat("heartbeat.type = \"http\"\n").check, http);
}

#[test]
fn a_backend_overrides_its_services_heartbeat_key_by_key() {
    let head = format!(
        "{HEAD}heartbeat = {{ type = \"http\", path = \"/health\", port = 81, interval = \"5ms\", fall = 7 }}\n"
    );
    let backend = |keys: &str| {
        let spec =
            parse(&format!("{head}{PRIMARY}{keys}"), "test.toml").unwrap_or_else(|errors| panic!("{errors}"));
        spec.services[0].backends[0].heartbeat.clone()
    };
    let inherited = backend("");
    let check = Check::Http { path: "/health".to_owned(), expect_status: vec![200..=399] };
    assert_eq!((&inherited.check, inherited.port, inherited.fall.get()), (&check, 81, 7));
    let one = backend("heartbeat.expect_status = [204, \"300-302,404\"]\nheartbeat.rise = 9\n");
    let check =
        Check::Http { path: "/health".to_owned(), expect_status: vec![204..=204, 300..=302, 404..=404] };
    assert_eq!((one.check, one.fall.get(), one.rise.get()), (check, 7, 9));
    let same = backend("heartbeat.type = \"http\"\n");
    assert_eq!(same, inherited);
    let other = backend("heartbeat = { type = \"tcp\", port = 82 }\n");
    assert_eq!((other.check, other.port, other.interval), (Check::Tcp, 82, Duration::from_millis(5)));
}

#[test]
fn another_type_forgets_what_was_said_for_the_first() {
    let text = format!(
        "{HEAD}heartbeat = {{ type = \"udp\", send = \"ping\" }}\n{PRIMARY}heartbeat.type = \"http\"\n\
         [[service.backend]]\nname = \"two\"\naddress = \"10.0.0.2:80\"\n"
    );
    let spec = parse(&text, "test.toml").unwrap();
    let checks: Vec<_> =
        spec.services[0].backends.iter().map(|backend| backend.heartbeat.check.clone()).collect();
    let http = Check::Http { path: "/".to_owned(), expect_status: vec![200..=399] };
    assert_eq!(checks, [http, Check::Udp { send: b"ping".to_vec() }]);
}

#[test]
fn failback_counts_its_delay() {
    let auto = |delay: u64| Failback::Auto { delay: Duration::from_secs(delay) };
    assert_eq!(service("failback = \"auto\"\n").failback, auto(30));
    assert_eq!(service("failback = \"auto\"\nfailback_delay = \"0s\"\n").failback, auto(0));
    assert_eq!(service("failback = \"manual\"\nfailback_delay = \"5m\"\n").failback, Failback::Manual);
}

#[test]
fn a_service_is_of_either_family() {
    let text =
        format!("{HEAD}{PRIMARY}").replace("10.0.0.100", "fd00::100").replace("10.0.0.1", "[FD00::0:1]");
    let service = parse(&text, "t").unwrap().services.remove(0);
    let expected: (IpAddr, SocketAddr) = ("fd00::100".parse().unwrap(), "[fd00::1]:80".parse().unwrap());
    assert_eq!((service.vip, service.backends[0].address), expected);
}

/// Backends of mode full_nat answer the gateway by flow, so a backend may have several services, if all are so.
#[test]
fn in_mode_full_nat_a_backend_serves_several_services() {
    let head = HEAD.replace("port = 80\n", "port = 80\nmode = \"full_nat\"\n");
    let other = head.split_once("[[service]]").unwrap().1.replace("asr", "tts").replace("0.100", "0.101");
    let text = format!("{head}{PRIMARY}[[service]]{other}{PRIMARY}");
    let spec = parse(&text, "t").unwrap_or_else(|errors| panic!("{errors}"));
    assert!(spec.services.iter().all(|service| service.mode == Mode::FullNat));
    assert_eq!((spec.gateway.source_pool.len(), spec.gateway.max_flows.get()), (0, 131_072));
    // A reply to the one in mode nat is known by the backend alone.
    for text in [text.replacen("full_nat", "nat", 1), text.replace("full_nat", "nat")] {
        let said = errors(&text).to_string();
        assert!(said.contains("could belong to either service"), "{said}");
    }
}

/// Backends of mode dsr answer as the VIP, so a backend may have several.
#[test]
fn in_mode_dsr_a_backend_serves_several_services() {
    let head = HEAD.replace("port = 80\n", "port = 80\nmode = \"dsr\"\n");
    let other = head.split_once("[[service]]").unwrap().1.replace("asr", "tts").replace("0.100", "0.101");
    let text = format!("{head}{PRIMARY}[[service]]{other}{PRIMARY}");
    let services = parse(&text, "t").unwrap_or_else(|errors| panic!("{errors}")).services;
    assert!(services.iter().all(|service| service.mode == Mode::Dsr));
    assert_eq!(services[0].backends[0].address, services[1].backends[0].address);
    // A reply to the one in mode nat is known by its port, and those of the other are not it.
    assert!(parse(&text.replacen("mode = \"dsr\"\n", "", 1), "t").is_ok());
}

#[test]
fn limits_fit_the_maps() {
    use fastswitch_common::abi::{MAX_BACKENDS, MAX_PORTS, MAX_SERVICES, NAME_LEN};
    let name = "n".repeat(NAME_LEN - 1);
    let named = |name: &str| format!("{HEAD}{PRIMARY}").replace("asr", name);
    assert_eq!(parse(&named(&name), "t").unwrap().services[0].name, name);
    expect(&named(&format!("{name}n")), &["4:8: 48 bytes long|1 to 47"]);

    let backend =
        |number: u32| PRIMARY.replace("one", &format!("b{number}")).replace(":80", &format!(":{number}"));
    let backends = |count: u32| format!("{HEAD}{}", (1..=count).map(backend).collect::<String>());
    assert!(parse(&backends(MAX_BACKENDS), "t").is_ok());
    expect(&backends(MAX_BACKENDS + 1), &["55:1: service \"asr\": `backend`|17 times|room for 16"]);

    assert_eq!(parse(&many(MAX_SERVICES), "t").unwrap().services.len(), 2048);
    expect(&many(MAX_SERVICES + 1), &["16387:1: `service`|2049 times|room for 2048"]);

    let interfaces = |count: u32| {
        let names: Vec<_> = (0..count).map(|number| format!("\"eth{number}\"")).collect();
        format!("{HEAD}{PRIMARY}").replace("\"eth0\"", &names.join(","))
    };
    assert!(parse(&interfaces(MAX_PORTS), "t").is_ok());
    expect(&interfaces(MAX_PORTS + 1), &["2:517: `gateway.interfaces` has 65 names|room for 64"]);
}

/// A configuration of `count` services, eight lines each after the first two.
fn many(count: u32) -> String {
    let service = |number: u32| {
        let vip = Ipv4Addr::from(0x0a00_0000 + number);
        let backend = Ipv4Addr::from(0x0b00_0000 + number);
        format!(
            "[[service]]\nname = \"s{number}\"\nvip = \"{vip}\"\nport = 80\nheartbeat.type = \"http\"\n\
             [[service.backend]]\nname = \"b\"\naddress = \"{backend}:80\"\n"
        )
    };
    let services: String = (1..=count).map(service).collect();
    format!("[gateway]\ninterfaces = [\"eth0\"]\n{services}")
}

#[test]
fn errors_are_shown_for_people_and_machines() {
    let errors = errors(&format!("{HEAD}vipp = 1\n{PRIMARY}"));
    let shown = "test.toml:7:1: service \"asr\": `vipp` is not a key that this version knows\n  \
        help: did you mean `vip`?\n1 error in test.toml; nothing was changed";
    assert_eq!(errors.to_string(), shown);
    let json = serde_json::json!([{
        "file": "test.toml", "line": 7, "column": 1,
        "message": "service \"asr\": `vipp` is not a key that this version knows", "help": "did you mean `vip`?",
    }]);
    assert_eq!(serde_json::to_value(&errors).unwrap(), json);
    let two = parse("", "t").unwrap_err().to_string();
    assert!(two.ends_with("\n2 errors in t; nothing was changed"), "{two}");
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing.toml");
    let errors = load(&missing).unwrap_err().to_string();
    assert!(errors.starts_with(&format!("{}: cannot be read: ", missing.display())), "{errors}");
    assert!(errors.contains("help: create it, or name the configuration with `-c FILE`"), "{errors}");
    assert!(load(directory.path()).unwrap_err().to_string().contains("cannot be read"));

    let mut latin = tempfile::NamedTempFile::new().unwrap();
    latin.write_all(b"# fine\nname = \"caf\xe9\"\n").unwrap();
    let errors = load(latin.path()).unwrap_err();
    assert_eq!((errors.list()[0].line, errors.list()[0].column), (Some(2), Some(12)));
    assert!(errors.to_string().contains("UTF-8"), "{errors}");

    let huge = tempfile::NamedTempFile::new().unwrap();
    huge.as_file().set_len((16 << 20) + 1).unwrap();
    assert!(load(huge.path()).unwrap_err().to_string().contains("larger than 16 MiB"));
    assert!(load(Path::new("/dev/zero")).unwrap_err().to_string().contains("larger than 16 MiB"));
}

/// A machine with one interface and one program.
struct Small;

impl Host for Small {
    fn has_interface(&self, name: &str) -> bool {
        name == "eth0"
    }

    fn unfit(&self, program: &str) -> Option<String> {
        (program != "/bin/start").then(|| "no such program".to_owned())
    }
}

#[test]
fn what_the_machine_lacks_is_among_the_errors() {
    let text = "[gateway]\ninterfaces = [\"eth0\", \"eth7\"]\nassign_vip = 1\n[[service]]\nname = \"asr\"\n\
        vip = \"10.0.0.100\"\nport = 80\n[[service.backend]]\nname = \"one\"\naddress = \"10.0.0.1:80\"\n\
        [[service.backend]]\nname = \"two\"\naddress = \"10.0.0.2:80\"\ntier = \"cold\"\n\
        start.command = [\"/bin/start\"]\nstop.command = [\"/bin/stop\", \"-f\"]\n";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let errors = load_on(file.path(), &Small).unwrap_err();
    let told: Vec<_> = errors
        .list()
        .iter()
        .map(|error| (error.line.unwrap(), error.column.unwrap(), &*error.message))
        .collect();
    let stop = "service \"asr\", backend \"two\": `stop.command[0]` is \"/bin/stop\", which cannot be run: no such program";
    let expected = [
        (2, 23, "`gateway.interfaces[1]` is \"eth7\", which this machine does not have"),
        (3, 14, "`gateway.assign_vip` is 1"),
        (16, 17, stop),
    ];
    assert_eq!(told, expected);
    // Somewhere else it may be right.
    assert_eq!(load(file.path()).unwrap_err().list().len(), 1);
}

/// Neither the depth nor the length of what is written is anybody's undoing.
#[test]
fn excess_is_answered() {
    for text in [
        format!("a = {}", "[".repeat(100_000)),
        "[a.".repeat(100_000),
        format!("a{}b = 1", ".a".repeat(9999)),
    ] {
        assert!(parse(&text, "t").is_err());
    }
    for text in [format!("a = {}", "b".repeat(100_000)), format!("{} = 1", "k".repeat(100_000))] {
        assert!(parse(&text, "t").unwrap_err().to_string().len() < 1000);
    }
}

/// One endless line with an error in each element: takes minutes where anything is quadratic.
#[test]
fn very_many_errors_are_placed() {
    let count = 100_000;
    let text = format!("[gateway]\ninterfaces = [{}]\n", "\"a b\",".repeat(count));
    let errors = errors(&text);
    assert_eq!(errors.list().len(), count + 1);
    assert_eq!(errors.list()[count].column, Some(15 + 6 * (count - 1)));
}
