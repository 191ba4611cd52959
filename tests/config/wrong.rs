//! What is said about a wrong configuration, and where.

use fastswitch::config::parse;

use super::{HEAD, PRIMARY, errors, expect};

#[test]
fn wrong_values() {
    // Line 7, after the head, and before the primary.
    let table: &[(&str, &str)] = &[
        ("vipp = 1", "7:1: service \"asr\": `vipp` is not a key that this version knows|did you mean `vip`?"),
        ("gate = []", "7:1: `gate` is not a key|known here: name, protocol, vip, port"),
        ("max_failovers = 5", "7:1: `max_failovers` is not a key|known here:"),
        ("on_failover = \"reset\"", "7:1: `on_failover` is not a key|known here:"),
        ("\"odd \\n key\" = 1", "7:1: `odd \\n key` is not a key"),
        (
            "protocol = \"sctp\"",
            "7:12: `protocol` is \"sctp\", which this version does not support|\"tcp\", \"udp\"",
        ),
        ("protocol = 6", "7:12: `protocol` is 6, not text"),
        (
            "mode = \"fullnat\"",
            "7:8: `mode` is \"fullnat\", which|did you mean \"full_nat\"? supported: \"nat\", \"full_nat\", \"dsr\"",
        ),
        ("mode = \"ipip\"", "7:8: `mode` is \"ipip\", which this version does not support"),
        ("on_outage = \"hold\"", "7:13: `on_outage` is \"hold\"|supported: \"reject\", \"drop\""),
        ("on_outage = \"rejekt\"", "7:13: did you mean \"reject\"?"),
        ("failback = true", "7:12: `failback` is true, not text"),
        ("failback_delay = 30", "7:18: `failback_delay` is 30, a number without a unit|\"30s\""),
        ("failback_delay = \"soon\"", "7:18: \"soon\", not a duration|\"50ms\""),
        ("failback_delay = \"5M\"", "7:18: \"5M\", too long|minutes are written \"5m\""),
        ("heartbeat = \"http\"", "7:13: `heartbeat` is \"http\", not a table"),
        (
            "heartbeat.type = \"grpc\"",
            "7:18: `heartbeat.type` is \"grpc\"|supported: \"http\", \"tcp\", \"udp\", \"icmp\"",
        ),
        ("heartbeat.intreval = \"1s\"", "7:11: `heartbeat.intreval` is not a key|did you mean `interval`?"),
        ("heartbeat.expect_body = \"x\"", "7:11: `heartbeat.expect_body` is not a key"),
        ("heartbeat.interval = 50", "7:22: `heartbeat.interval` is 50, a number without a unit|\"50ms\""),
        ("heartbeat.interval = 0.5", "7:22: 0.5, a number without a unit"),
        ("heartbeat.interval = \"50\"", "7:22: `heartbeat.interval` is \"50\", not a duration"),
        ("heartbeat.interval = \"999us\"", "7:22: \"999us\", too short|\"1ms\""),
        ("heartbeat.timeout = \"0s\"", "7:21: \"0s\", too short"),
        ("heartbeat.timeout = \"99999999999999999999s\"", "7:21: not a duration"),
        ("heartbeat.fall = 0", "7:18: `heartbeat.fall` is 0, not a number of rounds|from 1 to"),
        ("heartbeat.rise = -2", "7:18: `heartbeat.rise` is -2"),
        ("heartbeat.rise = \"2\"", "7:18: `heartbeat.rise` is \"2\""),
        ("heartbeat.port = 0", "7:18: `heartbeat.port` is 0, not a port|1 to 65535"),
        (
            "heartbeat.path = \"/\"",
            "7:18: `heartbeat.path` is not for heartbeats of type \"tcp\"|to \"http\"",
        ),
        ("heartbeat = { type = \"udp\", expect_status = 200 }", "7:45: not for heartbeats of type \"udp\""),
        ("heartbeat = { type = \"http\", send = \"x\" }", "7:37: `heartbeat.send` is not for|\"udp\""),
        (
            "heartbeat = { type = \"icmp\", port = 7 }",
            "7:37: `heartbeat.port`|\"http\" or \"tcp\" or \"udp\"",
        ),
        (
            "heartbeat = { type = \"http\", path = \"health\" }",
            "7:37: \"health\", not a path|begin it with `/`",
        ),
        ("heartbeat = { type = \"http\", path = \"/a b\" }", "7:37: \"/a b\", not a path"),
        (
            "heartbeat = { type = \"http\", expect_status = \"2xx\" }",
            "7:46: \"2xx\", not HTTP statuses|200-299",
        ),
        (
            "heartbeat = { type = \"http\", expect_status = [200, \"299-200\"] }",
            "7:46: \"299-200\", not HTTP",
        ),
        ("heartbeat = { type = \"http\", expect_status = [] }", "7:46: an empty list, not HTTP statuses"),
    ];
    for (line, expected) in table {
        expect(&format!("{HEAD}{line}\n{PRIMARY}"), &[expected]);
    }
}

#[test]
fn wrong_values_of_required_keys() {
    let good = format!("{HEAD}{PRIMARY}");
    let table: &[(&str, &str, &str)] = &[
        (
            "interfaces = [\"eth0\"]",
            "interfaces = \"eth0\"",
            "2:14: `gateway.interfaces` is \"eth0\", not a list",
        ),
        ("interfaces = [\"eth0\"]", "interfaces = []", "2:14: `gateway.interfaces` is empty"),
        ("interfaces = [\"eth0\"]", "assign_vip = true", "1:1: `gateway.interfaces` is missing|[\"eth0\"]"),
        (
            "\"eth0\"",
            "\"eth0\", \"wan 1\"",
            "2:23: `gateway.interfaces[1]` is \"wan 1\", not the name of an interface",
        ),
        ("\"eth0\"", "\"a\", \"b\", \"a\"", "2:25: `gateway.interfaces[2]` is \"a\" once more"),
        ("\"eth0\"", "\"a234567890123456\"", "2:15: not the name of an interface"),
        ("\"eth0\"", "7", "2:15: `gateway.interfaces[0]` is 7, not text"),
        (
            "[gateway]",
            "[gateway]\nxdp_mode = \"nativ\"",
            "2:12: `gateway.xdp_mode` is \"nativ\"|did you mean \"native\"? supported: \"auto\", \"native\", \"generic\"",
        ),
        ("[gateway]", "[gateway]\nassign_vip = \"no\"", "2:14: `gateway.assign_vip` is \"no\"|true or false"),
        (
            "[gateway]",
            "[gateway]\nsource_pool = [\"10.0.0.7\", \"10.0.0.7\"]",
            "2:28: `gateway.source_pool[1]` is 10.0.0.7 once more",
        ),
        ("[gateway]", "[gateway]\nsource_pool = []", "2:15: `gateway.source_pool` is empty"),
        (
            "[gateway]",
            "[gateway]\nsource_pool = [\"10.0.0.200-210\"]",
            "2:16: \"10.0.0.200-210\", not an IP address|ranges are not expanded",
        ),
        (
            "[gateway]",
            "[gateway]\nsource_pool = [\"10.0.0.100\"]",
            "2:16: gateway: `source_pool` has 10.0.0.100, which is the VIP of service \"asr\" at line 6",
        ),
        (
            "[gateway]",
            "[gateway]\nsource_pool = [\"10.0.0.1\"]",
            "2:16: `source_pool` has 10.0.0.1, which is that of service \"asr\", backend \"one\" at line",
        ),
        ("[gateway]", "[gateway]\nmax_flows = 0", "2:13: `gateway.max_flows` is 0, not a number of flows"),
        ("[gateway]", "notify = []\n[gateway]", "1:1: `notify` is not a key|known here: gateway, service"),
        ("[gateway]", "cluster.type = \"etcd\"\n[gateway]", "1:1: `cluster` is not a key"),
        ("\"asr\"", "\"a s r\"", "4:8: service \"a s r\": `name` is \"a s r\", not a name"),
        ("\"asr\"", "\"\"", "4:8: `name` is \"\", 0 bytes long"),
        ("\"asr\"", "\"-x\"", "4:8: `name` is \"-x\", not a name"),
        ("\"asr\"", "\"..\"", "4:8: `name` is \"..\", not a name"),
        ("name = \"asr\"\n", "", "3:1: service 1: `name` is missing|name = \"asr\""),
        ("vip = \"10.0.0.100\"\n", "", "3:1: service \"asr\": `vip` is missing"),
        (
            "\"10.0.0.100\"",
            "\"fd00::1\"",
            "9:11: `address` is 10.0.0.1:80, an IPv4 address: wrong family for the VIP fd00::1|write an IPv6 address",
        ),
        ("\"10.0.0.100\"", "\"10.0.0.100:80\"", "5:7: not an IP address|write \"10.0.0.100\""),
        ("\"10.0.0.100\"", "\"10.0.0.100/24\"", "5:7: not an IP address|write \"10.0.0.100\""),
        ("\"10.0.0.100\"", "\"[fd00::1]\"", "5:7: not an IP address|write \"fd00::1\""),
        ("\"10.0.0.100\"", "\"[fd00::1]:80\"", "5:7: not an IP address|write \"fd00::1\""),
        ("\"10.0.0.100\"", "\"fd00::1/64\"", "5:7: not an IP address|write \"fd00::1\""),
        ("\"10.0.0.100\"", "\"fd00::1%eth0\"", "5:7: not an IP address|or \"fd00::100\""),
        ("\"10.0.0.100\"", "\"asr.example\"", "5:7: not an IP address|names are not resolved"),
        ("\"10.0.0.100\"", "\"::\"", "5:7: `vip` is \"::\", the unspecified address"),
        ("\"10.0.0.100\"", "\"::1\"", "5:7: a loopback address"),
        ("\"10.0.0.100\"", "\"ff02::1\"", "5:7: a multicast address"),
        ("\"10.0.0.100\"", "\"fe80::1\"", "5:7: a link-local address|global or unique local"),
        ("\"10.0.0.100\"", "\"::ffff:10.0.0.100\"", "5:7: in the form of IPv6|write it as 10.0.0.100"),
        ("\"10.0.0.100\"", "\"0.0.0.0\"", "5:7: the unspecified address"),
        ("\"10.0.0.100\"", "\"127.0.0.1\"", "5:7: a loopback address"),
        ("\"10.0.0.100\"", "\"224.0.0.1\"", "5:7: a multicast address"),
        ("\"10.0.0.100\"", "\"255.255.255.255\"", "5:7: the broadcast address"),
        ("port = 80", "port = 0", "6:8: `port` is 0, not a port|1 to 65535"),
        ("port = 80", "port = 0x10000", "6:8: `port` is 0x10000, not a port"),
        ("port = 80", "port = \"80\"", "6:8: `port` is \"80\", not a port|without quotes"),
        ("port = 80", "port = 99999999999999999999999", "6:8: not a port"),
        ("[[service]]", "[service]", "3:1: `service` is a table, not a list of tables|[[service]]"),
        (PRIMARY, "", "3:1: service \"asr\": `backend` is missing|[[service.backend]]"),
        (PRIMARY, "backend = [1]\n", "7:12: service \"asr\": `backend` has 1, not a table"),
        ("\"one\"", "1", "8:8: service \"asr\", backend 1: `name` is 1, not text"),
        ("name = \"one\"\n", "", "7:1: service \"asr\", backend 1: `name` is missing"),
        ("address = \"10.0.0.1:80\"\n", "", "7:1: service \"asr\", backend \"one\": `address` is missing"),
        ("10.0.0.1:80", "10.0.0.1", "9:11: not an IP address with a port|add the port"),
        ("10.0.0.1:80", "10.0.0.1:0", "9:11: not an IP address with a port|1 to 65535"),
        (
            "10.0.0.1:80",
            "[fd00::1]:80",
            "9:11: `address` is [fd00::1]:80, an IPv6 address: wrong family for the VIP 10.0.0.100|write an IPv4 address",
        ),
        ("10.0.0.1:80", "[fd00::1]:0", "9:11: not an IP address with a port|1 to 65535"),
        ("10.0.0.1:80", "fd00::1:80", "9:11: not an IP address with a port|brackets|\"[fd00::1:80]:7860\""),
        ("10.0.0.1:80", "[fd00::1]", "9:11: not an IP address with a port|\"[fd00::10]:7860\""),
        ("10.0.0.1:80", "[::1]:80", "9:11: a loopback address"),
        ("10.0.0.1:80", "[fe80::1%3]:80", "9:11: a link-local address"),
        ("10.0.0.1:80", "[::ffff:10.0.0.1]:80", "9:11: in the form of IPv6|write it as 10.0.0.1"),
        ("10.0.0.1:80", "backend.example:80", "9:11: names are not resolved"),
        ("10.0.0.1:80", "127.0.0.1:80", "9:11: a loopback address"),
        (
            "10.0.0.1:80",
            "10.0.0.100:81",
            "9:11: `address` is 10.0.0.100:81, on the VIP of service \"asr\" at line 5",
        ),
    ];
    for (from, to, expected) in table {
        assert!(good.contains(from), "{from}");
        expect(&good.replacen(from, to, 1), &[expected]);
    }
}

#[test]
fn wrong_backends() {
    // After head and primary; the second backend begins at line 10, its own keys at 13.
    let table: &[(&str, &[&str])] = &[
        (
            "tier = \"lukewarm\"",
            &["13:8: backend \"two\": `tier` is \"lukewarm\"|\"hot\", \"warm\", \"cold\""],
        ),
        ("tier = \"cold\"", &["13:8: `tier` is \"cold\", but there is no `start`|start.command = ["]),
        ("tier = \"warm\"", &["13:8: `tier` is \"warm\", but there is no `start`"]),
        ("start.command = [\"/x\"]", &["13:1: `start` is given, but a hot backend already runs|remove it"]),
        ("stop.command = [\"/x\"]", &["13:1: `stop` is given, but a hot backend"]),
        (
            "tier = \"cool\"\nstop.command = [\"/x\"]",
            &["13:8: \"cool\"", "14:1: `stop` is given without `start`"],
        ),
        ("tier = \"cold\"\nstart.command = []", &["14:17: `start.command` is empty"]),
        ("tier = \"cold\"\nstart = {}", &["14:9: `start.command` is missing"]),
        ("tier = \"cold\"\nstart = [\"/x\"]", &["14:9: `start` is a list, not a table|start.KEY"]),
        ("tier = \"cold\"\nstart.command = \"/x\"", &["14:17: `start.command` is \"/x\", not a list"]),
        (
            "tier = \"cold\"\nstart.command = [\"x\"]",
            &["14:18: `start.command[0]` is \"x\", not an absolute path"],
        ),
        ("tier = \"cold\"\nstart.command = [\"\"]", &["14:18: not an absolute path"]),
        ("tier = \"cold\"\nstart.command = [\"/x\", 1]", &["14:24: `start.command[1]` is 1, not text"]),
        ("tier = \"cold\"\nstart.command = [\"/x\\u0000\"]", &["14:18: NUL"]),
        (
            "tier = \"cold\"\nstart = {command = [\"/x\"], timeout = 5}",
            &["14:38: `start.timeout` is 5|\"5s\""],
        ),
        (
            "tier = \"cold\"\nstart = {command = [\"/x\"], shell = true}",
            &["14:28: `start.shell` is not a key"],
        ),
        ("ready_timeout = \"0s\"", &["13:17: `ready_timeout` is \"0s\", too short"]),
        ("fence.command = [\"/x\"]", &["13:1: `fence` is not a key"]),
        ("adress = 1", &["13:1: did you mean `address`?"]),
        ("heartbeat.path = \"/\"", &["13:18: service \"asr\", backend \"two\": `heartbeat.path` is not for"]),
    ];
    for (lines, expected) in table {
        let second = "[[service.backend]]\nname = \"two\"\naddress = \"10.0.0.2:80\"\n";
        expect(&format!("{HEAD}{PRIMARY}{second}{lines}\n"), expected);
    }
    let cold = "tier = \"cold\"\nstart.command = [\"/x\"]\n";
    expect(
        &format!("{HEAD}{PRIMARY}{cold}"),
        &["10:8: `tier` must be \"hot\": the first backend is the primary"],
    );
}

#[test]
fn nothing_is_given_twice() {
    let second = PRIMARY.replace("10.0.0.1", "10.0.0.2");
    expect(
        &format!("{HEAD}{PRIMARY}{second}"),
        &["11:8: backend \"one\": `name` is also that of the backend at line 8"],
    );
    let second = PRIMARY.replace("one", "two");
    expect(
        &format!("{HEAD}{PRIMARY}{second}"),
        &[
            "12:11: backend \"two\": `address` 10.0.0.1:80 is also that of service \"asr\", backend \"one\" at line 9",
        ],
    );
    let other = |name: &str, vip: &str, backend: &str| {
        let text = format!("[[service]]\nname = \"{name}\"\nvip = \"{vip}\"\nport = 80\n{PRIMARY}");
        format!("{HEAD}{PRIMARY}{}", text.replace("10.0.0.1:80", backend))
    };
    expect(
        &other("asr", "10.0.0.101", "10.0.0.2:80"),
        &["11:8: service \"asr\": `name` is also that of the service at line 4"],
    );
    expect(
        &other("tts", "10.0.0.100", "10.0.0.2:80"),
        &[
            "12:7: service \"tts\": `vip` 10.0.0.100 with port 80/tcp is also that of service \"asr\" at line 5",
        ],
    );
    expect(
        &other("tts", "10.0.0.101", "10.0.0.1:80"),
        &[
            "16:11: service \"tts\", backend \"one\": `address` 10.0.0.1:80 is also that of service \"asr\", backend \"one\" \
           at line 9|either service",
        ],
    );
    expect(
        &other("tts", "10.0.0.101", "10.0.0.100:90"),
        &["16:11: 10.0.0.100:90, on the VIP of service \"asr\" at line 5"],
    );
    // VIPs of later services count as well.
    expect(&other("tts", "10.0.0.1", "10.0.0.2:80"), &["9:11: on the VIP of service \"tts\" at line 12"]);
    // Another protocol is another endpoint, and so is another port.
    let udp = other("tts", "10.0.0.100", "10.0.0.1:80").replacen("\"tts\"", "\"tts\"\nprotocol = \"udp\"", 1);
    assert!(parse(&udp, "t").is_ok());
    assert!(
        parse(&other("tts", "10.0.0.100", "10.0.0.2:80").replace("port = 80\n[", "port = 81\n["), "t")
            .is_err()
    );
}

/// However an address is written.
#[test]
fn addresses_are_compared_by_value() {
    let six = |vip: &str, backends: [&str; 2]| {
        let head = HEAD.replace("10.0.0.100", vip);
        let [one, two] = backends.map(|address| PRIMARY.replace("10.0.0.1:80", address));
        format!("{head}{one}{}", two.replace("one", "two"))
    };
    expect(
        &six("fd00::100", ["[fd00::1]:80", "[FD00:0:0::0001]:80"]),
        &["12:11: `address` [fd00::1]:80 is also that of service \"asr\", backend \"one\" at line 9"],
    );
    expect(
        &six("fd00:0::0100", ["[fd00::1]:80", "[fd00::100]:81"]),
        &["12:11: `address` is [fd00::100]:81, on the VIP of service \"asr\" at line 5"],
    );
    let other = HEAD.replace("10.0.0.100", "fd00::0:100").replace("asr", "tts");
    let other = other.split_once("[[service]]").unwrap().1;
    expect(
        &format!(
            "{}[[service]]{other}{}",
            six("fd00::100", ["[fd00::1]:80", "[fd00::2]:80"]),
            PRIMARY.replace("10.0.0.1:80", "[fd00::3]:80")
        ),
        &[
            "15:7: service \"tts\": `vip` fd00::100 with port 80/tcp is also that of service \"asr\" at line 5",
        ],
    );
}

#[test]
fn in_mode_dsr_ports_are_the_services() {
    let second = PRIMARY.replace("one", "two").replace("10.0.0.1:80", "10.0.0.2:81");
    expect(
        &format!("{HEAD}mode = \"dsr\"\n{PRIMARY}{second}"),
        &["13:11: backend \"two\": `address` is 10.0.0.2:81, but the service's port is 80|mode nat"],
    );
    assert!(parse(&format!("{HEAD}mode = \"nat\"\n{PRIMARY}{second}"), "t").is_ok());
}

#[test]
fn all_errors_at_once_in_the_files_order() {
    let text = "[gateway]\ninterfaces = [\"a b\", \"eth0\", 3]\n\n[[service]]\nname = \"asr\"\nvip = \"::1\"\nport = 0\n\
        intervall = 5\nheartbeat = { interval = 50ms, fall = 0 }\n[[service.backend]]\ntier = \"cold\"\n\
        [[service]]\nname = \"asr\"\n[servise]\n";
    expect(
        text,
        &[
            "2:15: not the name of an interface",
            "2:30: not text",
            "6:7: a loopback address",
            "7:8: not a port",
            "8:1: `intervall` is not a key",
            "9:26: 50ms is not a value|in quotes: \"50ms\"",
            "9:39: `heartbeat.fall` is 0",
            "10:1: backend 1: `name` is missing",
            "10:1: backend 1: `address` is missing",
            "11:8: must be \"hot\"",
            "12:1: `vip` is missing",
            "12:1: `port` is missing",
            "12:1: `backend` is missing",
            "13:8: `name` is also that of the service at line 5",
            "14:2: `servise` is not a key|did you mean `service`?",
        ],
    );
}

#[test]
fn empty_files_say_what_is_needed() {
    for text in ["", "# nothing\n", "\u{feff}"] {
        expect(text, &["1:1: `gateway` is missing|interfaces", "1:1: `service` is missing|[[service]]"]);
    }
    expect(
        "service = []\ngateway = 1",
        &["1:11: `service` is an empty list", "2:11: `gateway` is 1, not a table"],
    );
}

#[test]
fn slips_in_values_do_not_hide_other_errors() {
    let text = format!(
        "{}failback = auto\nport = 81\nheartbeat.fall =\non_outage = no\n{PRIMARY}nope = 1\ntier = tepid\n",
        HEAD.replace("\"10.0.0.100\"", "10.0.0.100").replace("\"asr\"", "my own asr")
    );
    expect(
        &text,
        &[
            "4:8: my own asr is not a value|in quotes: \"my own asr\"",
            "5:7: 10.0.0.100 is not a value|in quotes: \"10.0.0.100\"",
            "7:12: auto is not a value|in quotes: \"auto\"",
            "8:1: `port` is given twice",
            "9:17: a value is missing",
            "10:13: no is not a value",
            "14:1: `nope` is not a key",
            "15:8: tepid is not a value",
        ],
    );
    expect(
        "[gateway]\ninterfaces = [eth0, wan-1.5]\nassign_vip = True\nservice = 1\nunknown = =\n",
        &[
            "2:15: eth0 is not a value",
            "2:21: wan-1.5 is not a value",
            "3:14: True is not a value|true and false without",
            "5:11: not TOML|correct this first",
        ],
    );
}

#[test]
fn text_that_is_not_toml_is_placed() {
    for (text, expected) in [
        ("[gateway\n", "1:9: not TOML: unclosed table"),
        ("a = 1\nname: \"x\"\n", "2:5: not TOML at \":\""),
        ("é = \"é", "1:1: not TOML at \"é\""),
    ] {
        let errors = errors(text);
        let shown: Vec<_> = errors.list().iter().map(ToString::to_string).collect();
        assert!(shown.iter().any(|shown| shown.starts_with(&format!("test.toml:{expected}"))), "{errors}");
    }
}

#[test]
fn columns_count_characters_and_skip_the_byte_order_mark() {
    let text =
        format!("\u{feff}{HEAD}heartbeat = {{ type = \"http\", path = \"/é\", fall = 0 }}\r\n{PRIMARY}");
    expect(&text, &["7:37: \"/é\", not a path", "7:50: `heartbeat.fall` is 0"]);
}
